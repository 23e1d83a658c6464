use std::collections::HashSet;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message as _;

use super::collector::{
    Answer, Collector, LONG, answered, cursor, follow, follow_with, opened, otlp, status,
};
use crate::call::{Closing, Outcome, Secret};
use crate::record::Event;
use crate::record::tests::fixture::start;
use crate::telemetry::{Compression, Endpoint, Otlp, Posted, TelemetryError};

#[tokio::test]
async fn a_collector_that_is_away_for_a_while_gets_every_span_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let refused: Answer = Box::new(|_| Err("connection refused".to_owned()));
    let collector =
        Collector::new([status(503), refused, status(429), status(401), status(404), status(500)]);
    let followers = follow(&journal, &collector);
    let mut ids = answered(&journal, 30).await;
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), ids);
    assert_eq!(cursor(dir.path()), 60);
    ids.dedup();
    assert_eq!(ids.len(), 30);
    let lag = &followers.lag()[0];
    assert_eq!((lag.entries_behind, lag.spans_exported, lag.spans_rejected), (0, 30, 0));
    assert_eq!(lag.last_error, None);
}

#[tokio::test]
async fn spans_survive_an_outage_and_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let down = Collector::always(status(503));
    let followers = follow(&journal, &down);
    let mut ids = answered(&journal, 20).await;
    down.asked(3).await;
    let lag = &followers.lag()[0];
    assert!(lag.entries_behind > 0);
    assert!(lag.last_error.as_ref().is_some_and(|why| why.contains("503")), "{lag:?}");
    journal.stop().await;
    followers.stop(Duration::from_millis(5)).await;
    assert_eq!(cursor(dir.path()), 0, "the cursor moved without an acknowledgement");

    let journal = start(dir.path());
    let up = Collector::new([]);
    let followers = follow(&journal, &up);
    ids.extend(answered(&journal, 20).await);
    journal.stop().await;
    followers.stop(LONG).await;
    assert!(down.ids().is_empty());
    assert_eq!(up.ids(), ids);
}

#[tokio::test]
async fn a_call_that_is_open_across_a_restart_is_one_span_and_no_other_is_sent_twice() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let first = Collector::new([]);
    let followers = follow(&journal, &first);
    answered(&journal, 2).await;
    let (lost, proof) = opened(&journal).await;
    std::mem::forget(proof);
    let told = answered(&journal, 3).await;
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(first.ids().len(), 5);
    assert!(first.ids().ends_with(&told));

    let journal = start(dir.path());
    let second = Collector::new([]);
    let followers = follow(&journal, &second);
    let later = answered(&journal, 1).await;
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(second.ids(), [lost, later[0].clone()]);
}

#[tokio::test]
async fn a_call_that_is_longer_than_the_batch_is_told_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let collector = Collector::new([]);
    let followers = follow(&journal, &collector);
    let (long, proof) = opened(&journal).await;
    let mut ids = answered(&journal, 2).await;
    collector.asked(1).await;
    proof.close(Closing::bare(Outcome::Answered));
    ids.push(long);
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), ids);
}

#[tokio::test]
async fn a_first_start_begins_with_this_node_and_a_lost_cursor_with_everything() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let before = answered(&journal, 2).await;
    journal.stop().await;

    let journal = start(dir.path());
    let collector = Collector::new([]);
    let followers = follow(&journal, &collector);
    let mine = answered(&journal, 2).await;
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), mine);

    std::fs::write(dir.path().join("journal/otlp.cursor"), "rubbish").unwrap();
    let journal = start(dir.path());
    let collector = Collector::new([]);
    let followers = follow(&journal, &collector);
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), [before, mine].concat());
}

#[tokio::test]
async fn a_cursor_beyond_the_journal_loses_no_span() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("journal")).unwrap();
    std::fs::write(dir.path().join("journal/otlp.cursor"), r#"{"v":1,"next":900,"open":[7]}"#).unwrap();
    let journal = start(dir.path());
    let collector = Collector::new([]);
    let followers = follow(&journal, &collector);
    let ids = answered(&journal, 3).await;
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), ids);
}

#[tokio::test]
async fn what_a_collector_will_never_take_does_not_hold_up_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let ids = answered(&journal, 1).await;
    journal.stop().await;
    std::fs::write(dir.path().join("journal/otlp.cursor"), r#"{"v":1,"next":0,"open":[]}"#).unwrap();
    let poison = ids[0].clone();
    let journal = start(dir.path());
    let collector = Collector::always(Box::new(move |spans| {
        let unfit = spans.iter().any(|span| span.span_id == poison);
        Ok(Posted { status: if unfit { 400 } else { 200 }, ..Posted::default() })
    }));
    let mine = answered(&journal, 9).await;
    let followers = follow(&journal, &collector);
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), mine);
    let lag = &followers.lag()[0];
    assert_eq!((lag.spans_exported, lag.spans_rejected), (9, 1));
    assert!(lag.last_error.is_none() || lag.last_error.as_ref().is_some_and(|why| why.contains("400")));
}

#[tokio::test]
async fn what_is_too_much_at_once_is_sent_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let collector = Collector::always(Box::new(|spans| {
        Ok(Posted { status: if spans.len() > 3 { 413 } else { 200 }, ..Posted::default() })
    }));
    let patient = Otlp { batch_delay: Duration::from_secs(5), ..otlp() };
    let followers = follow_with(&journal, patient, &collector);
    let ids = answered(&journal, 20).await;
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), ids);
}

#[tokio::test]
async fn a_partial_success_is_counted_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old\n".to_owned() };
    let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let collector = Collector::new([Box::new(move |_: &[_]| {
        Ok(Posted { status: 200, body: body.clone().into(), ..Posted::default() })
    }) as Answer]);
    let patient = Otlp { batch_delay: Duration::from_secs(5), ..otlp() };
    let followers = follow_with(&journal, patient, &collector);
    let ids = answered(&journal, 5).await;
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), ids);
    let lag = &followers.lag()[0];
    assert_eq!((lag.spans_exported, lag.spans_rejected), (3, 2));
    assert_eq!(lag.last_error.as_deref(), Some("2 spans rejected: too old"));
}

#[tokio::test]
async fn batches_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let collector = Collector::new([status(503)]);
    let small = Otlp { batch_spans: 7, ..otlp() };
    let followers = follow_with(&journal, small, &collector);
    let ids = answered(&journal, 50).await;
    journal.stop().await;
    followers.stop(LONG).await;
    assert_eq!(collector.ids(), ids);
    let unique: HashSet<_> = collector.ids().into_iter().collect();
    assert_eq!(unique.len(), 50);
    for (_, request) in collector.requests.lock().unwrap().iter() {
        assert!(request.resource_spans[0].scope_spans[0].spans.len() <= 7);
    }
}

#[tokio::test]
async fn the_request_says_who_sends_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let collector = Collector::new([]);
    let wanted = Otlp {
        compression: Compression::Gzip,
        headers: vec![("api_key".to_owned(), Secret::new("k4n4ry".to_owned()))],
        resource: vec![
            ("openinference.project.name".to_owned(), "demo".to_owned()),
            ("service.name".to_owned(), "mine".to_owned()),
        ],
        ..otlp()
    };
    let followers = follow_with(&journal, wanted, &collector);
    answered(&journal, 1).await;
    journal.stop().await;
    followers.stop(LONG).await;
    let requests = collector.requests.lock().unwrap();
    let (headers, request) = &requests[0];
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(headers["api_key"], "k4n4ry");
    assert!(!format!("{headers:?}").contains("k4n4ry"), "the key can be printed");
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    let keys: Vec<_> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["service.version", "openinference.project.name", "service.name"]);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_without_showing_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let try_with = |otlp| {
        let ports = crate::telemetry::Ports {
            post: Collector::new([]),
            entropy: std::sync::Arc::new(super::collector::Zeros),
        };
        let settings = crate::telemetry::Settings { otlp: Some(otlp), tree: None };
        crate::telemetry::Followers::start(&journal, settings, ports).err().unwrap()
    };
    let bad = Otlp { headers: vec![("x".to_owned(), Secret::new("k4n\n4ry".to_owned()))], ..otlp() };
    let error = try_with(bad);
    assert!(matches!(error, TelemetryError::Header { .. }), "{error}");
    assert!(!error.to_string().contains("k4n"), "{error}");
    for url in ["ftp://user:k4n4ry@host", "unix:/x"] {
        for endpoint in [Endpoint::Http(url.parse().unwrap()), Endpoint::Grpc(url.parse().unwrap())] {
            let error = try_with(Otlp { endpoint, ..otlp() });
            assert!(matches!(error, TelemetryError::Endpoint { .. }), "{error}");
            assert!(!error.to_string().contains("k4n4ry"), "{error}");
        }
    }
    journal.stop().await;
}

#[test]
fn a_base_url_gets_the_path_of_traces() {
    for (base, whole) in [
        ("http://h:4318", "http://h:4318/v1/traces"),
        ("http://h:4318/", "http://h:4318/v1/traces"),
        ("https://h/otlp/", "https://h/otlp/v1/traces"),
    ] {
        assert_eq!(Endpoint::http_base(base.parse().unwrap()), Endpoint::Http(whole.parse().unwrap()));
    }
}

#[tokio::test]
async fn entries_of_which_nothing_is_told_are_no_backlog() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let collector = Collector::new([]);
    let followers = follow(&journal, &collector);
    journal.note(Event::NodeStarted { version: "1" }).await.unwrap();
    let none_behind = async {
        while followers.lag()[0].entries_behind > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, none_behind).await.expect("a backlog stays");
    assert_eq!(followers.lag()[0].waiting_since, None);
    assert!(collector.ids().is_empty());
    journal.stop().await;
    followers.stop(LONG).await;
}
