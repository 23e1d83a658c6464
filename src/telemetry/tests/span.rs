use opentelemetry_proto::tonic::trace::v1::Span;

use super::collector::{attribute, span_id};
use crate::call::{
    Ai, BodyFacts, CallId, Class, Closing, Decision, Operation, OperationId, Operations, Opinion, Outcome,
    PolicyId, Recognition, Refusal, ServiceName,
};
use crate::record::entry::What;
use crate::record::tests::fixture::{decided_from, entries, intercepted, start};
use crate::telemetry::pair::Pairs;
use crate::telemetry::span::span;

const BEGAN_NS: u64 = 1_795_500_000_000_000_000;

fn closing(outcome: Outcome) -> Closing {
    Closing {
        status: Some(201),
        duration_ns: 34_000_000,
        decided_ns: 200_000,
        first_byte_ns: Some(30_000_000),
        response: BodyFacts { bytes: 12_345, sha256: None, complete: true },
        ..Closing::bare(outcome)
    }
}

async fn spans(ends: Vec<Closing>) -> (CallId, Vec<Span>) {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let mut id = None;
    for end in ends {
        let call =
            decided_from(intercepted("/things/1?token=k4n4ry", &[("user-agent", "curl/8")]), Class::Act);
        id = Some(call.head().id);
        journal.open(&call).await.unwrap().close(end);
    }
    journal.stop().await;
    let mut pairs = Pairs::default();
    let finished = entries(dir.path()).into_iter().filter_map(|entry| pairs.take(entry));
    let spans = finished.map(|finished| span(&finished)).collect();
    assert!(pairs.open_entries().is_empty());
    (id.unwrap(), spans)
}

#[tokio::test]
async fn a_call_is_a_client_span_under_the_agents_own() {
    let (id, spans) = spans(vec![closing(Outcome::Answered)]).await;
    let span = &spans[0];
    assert_eq!(span.name, "example:things/act");
    assert_eq!(span.kind, 3);
    assert_eq!(span.span_id, span_id(id));
    assert_eq!(span.trace_id, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    assert_eq!(span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(span.flags, 0x301);
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (BEGAN_NS, BEGAN_NS + 34_000_000));
    assert_eq!(span.status, None);
    let events: Vec<_> = span.events.iter().map(|e| (e.name.as_str(), e.time_unix_nano - BEGAN_NS)).collect();
    assert_eq!(events, [("remit.decided", 200_000), ("remit.first_byte", 30_000_000)]);
}

#[tokio::test]
async fn attributes_are_those_of_the_contract() {
    let (id, spans) = spans(vec![closing(Outcome::Answered)]).await;
    let call = id.to_string();
    for (key, value) in [
        ("remit.call.id", call.as_str()),
        ("remit.class", "act"),
        ("remit.operation", "example:things/act"),
        ("remit.decision", "allow"),
        ("remit.agent.id", "spiffe://example.org/agent/coder"),
        ("remit.task.intent", "triage"),
        ("remit.rules.digest", &format!("sha256:{}", "07".repeat(32))),
        ("remit.recognition", "exact"),
        ("remit.journal.entry", "0"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("server.address", "api.example.test"),
        ("server.port", "443"),
        ("url.scheme", "https"),
        ("url.path", "/things/1"),
        ("url.full", "https://api.example.test/things/1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("http.response.body.size", "12345"),
    ] {
        assert_eq!(attribute(&spans[0], key).as_deref(), Some(value), "{key}");
    }
    assert!(attribute(&spans[0], "remit.policy.ids").is_some_and(|ids| ids.contains("things")));
    assert!(attribute(&spans[0], "remit.task.id").is_some());
    assert_eq!(attribute(&spans[0], "error.type"), None);
    let mut keys: Vec<_> = spans[0].attributes.iter().map(|attribute| &attribute.key).collect();
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "a key stands twice");
    assert!(!format!("{:?}", spans[0]).contains("k4n4ry"), "a query value is told");
}

#[tokio::test]
async fn what_went_wrong_is_an_error() {
    let answered = closing(Outcome::Answered);
    let cases = [
        (Closing { status: Some(399), ..answered.clone() }, None),
        (Closing { status: Some(404), ..answered.clone() }, Some("404")),
        (Closing { status: Some(503), ..answered.clone() }, Some("503")),
        (Closing { status: Some(200), grpc_status: Some(0), ..answered.clone() }, None),
        (Closing { status: Some(200), grpc_status: Some(7), ..answered.clone() }, Some("7")),
        (
            Closing { refusal: Some("origin_timeout".into()), ..closing(Outcome::OriginFailed) },
            Some("origin_timeout"),
        ),
        (closing(Outcome::OriginFailed), Some("origin_failed")),
        (closing(Outcome::AgentGone), Some("agent_gone")),
        (closing(Outcome::Revoked), Some("revoked")),
        (closing(Outcome::Abandoned), Some("abandoned")),
        (closing(Outcome::Unknown), Some("unknown")),
    ];
    let (_, spans) = spans(cases.iter().map(|(closing, _)| closing.clone()).collect()).await;
    for (span, (closing, wanted)) in spans.iter().zip(&cases) {
        assert_eq!(attribute(span, "error.type").as_deref(), *wanted, "{closing:?}");
        assert_eq!(span.status.as_ref().map(|status| status.code), wanted.map(|_| 2), "{closing:?}");
    }
    assert_eq!(attribute(&spans[5], "remit.refusal").as_deref(), Some("origin_timeout"));
}

#[tokio::test]
async fn a_refused_call_is_a_span_too() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let call = intercepted("/things", &[]);
    journal.refuse(call.account(), &Refusal::IdentityRequired).await.unwrap();
    journal.stop().await;
    let entry = entries(dir.path()).remove(0);
    let span = span(&Pairs::default().take(entry).unwrap());
    assert_eq!((span.name.as_str(), span.span_id.as_slice()), ("POST", &span_id(call.head().id)[..]));
    assert_eq!(attribute(&span, "remit.refusal").as_deref(), Some("identity_required"));
    assert_eq!(attribute(&span, "remit.decision").as_deref(), Some("deny"));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("identity_required"));
    assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("407"));
    let status = span.status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "the caller has not said who it is"));
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
}

#[tokio::test]
async fn a_call_that_cannot_tell_how_long_it_took_ends_when_that_was_written() {
    let (_, spans) = spans(vec![Closing::bare(Outcome::Unknown)]).await;
    assert!(spans[0].end_time_unix_nano > spans[0].start_time_unix_nano);
}

#[tokio::test]
async fn what_had_no_force_is_told_beside_what_was_done() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let opinion = |decision, rules: Option<&str>| {
        let rules = rules.map(str::to_owned);
        Opinion { decision, policies: vec![PolicyId("p".into())], note: None, rules }
    };
    let call = decided_from(intercepted("/things/1", &[]), Class::Act);
    let candidate = Some(Box::new(opinion(Decision::Hold, Some("sha256:01"))));
    journal.open(&call).await.unwrap().close(Closing { candidate, ..closing(Outcome::Answered) });
    journal.stop().await;
    let mut entries = entries(dir.path()).into_iter();
    let mut opened = entries.next().unwrap();
    let What::Opened(facts) = &mut opened.what else { panic!("{opened:?}") };
    facts.observed = Some(Box::new(opinion(Decision::Deny, None)));
    let mut pairs = Pairs::default();
    assert!(pairs.take(opened).is_none());
    let told = span(&pairs.take(entries.next().unwrap()).unwrap());
    let said = |key| attribute(&told, key).unwrap_or_default();
    assert_eq!((said("remit.decision"), said("remit.observed.decision")), ("allow".into(), "deny".into()));
    assert_eq!(
        (said("remit.candidate.decision"), said("remit.candidate.differs")),
        ("hold".into(), "BoolValue(true)".into())
    );
    assert_eq!(said("remit.candidate.rules.digest"), "sha256:01");
}

/// The span of a call with this operation.
async fn span_of(operation: Operation) -> Span {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let call = intercepted("/mcp", &[]).recognise(Operations::one(operation));
    journal.refuse(call.account(), &Refusal::IdentityRequired).await.unwrap();
    journal.stop().await;
    span(&Pairs::default().take(entries(dir.path()).remove(0)).unwrap())
}

#[tokio::test]
async fn tools_and_models_are_told_in_the_words_of_the_conventions() {
    let plain = Operation {
        id: OperationId("example:things/list".into()),
        service: ServiceName("example".into()),
        class: Class::Read,
        resource: None,
        how: Recognition::Exact,
        because: "test".into(),
        facts: crate::call::Facts::default(),
        ai: None,
    };
    let of = |how, ai| Operation { how, ai: Some(Box::new(ai)), ..plain.clone() };
    let tool = Ai {
        operation: Some("execute_tool".into()),
        tool: Some("create_issue".into()),
        mcp_method: Some("tools/call".into()),
        ..Ai::default()
    };
    let model = Ai {
        operation: Some("chat".into()),
        provider: Some("acme".into()),
        model: Some("m-1".into()),
        ..Ai::default()
    };
    let listing = Ai { mcp_method: Some("tools/list".into()), ..Ai::default() };
    let inferred = Recognition::Inferred;
    let cases = [
        (
            of(inferred, tool),
            [
                Some("execute_tool"),
                None,
                None,
                Some("create_issue"),
                Some("tools/call"),
                Some("TOOL"),
                Some("create_issue"),
            ],
        ),
        (
            of(Recognition::Exact, model),
            [Some("chat"), Some("acme"), Some("m-1"), None, None, Some("LLM"), None],
        ),
        (of(inferred, listing), [None, None, None, None, Some("tools/list"), None, None]),
        (plain.clone(), [None, None, None, None, None, Some("TOOL"), Some("example:things/list")]),
    ];
    let keys = [
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.tool.name",
        "mcp.method.name",
        "openinference.span.kind",
        "tool.name",
    ];
    for (operation, wanted) in cases {
        let span = span_of(operation).await;
        for (key, wanted) in keys.iter().zip(wanted) {
            assert_eq!(attribute(&span, key).as_deref(), wanted, "{key}");
        }
    }
}
