//! A real gRPC exchange over loopback: the other side is HTTP/2 and little else.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tokio::net::TcpListener;

use super::collector::{Collector, LONG, answered, follow_with, otlp};
use crate::call::Secret;
use crate::record::tests::fixture::start;
use crate::telemetry::{Compression, Endpoint, Otlp};

type Seen = Arc<Mutex<Vec<(http::request::Parts, usize)>>>;

/// Answers with each `grpc-status` in turn, then with 0.
async fn collector(listener: TcpListener, statuses: Vec<&'static str>, seen: Seen) {
    let statuses = Arc::new(Mutex::new(statuses.into_iter()));
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (statuses, seen) = (Arc::clone(&statuses), Arc::clone(&seen));
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let status = statuses.lock().unwrap().next().unwrap_or("0");
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let (parts, mut body) = request.into_parts();
                    let mut bytes = Vec::new();
                    while let Some(Ok(chunk)) = body.data().await {
                        body.flow_control().release_capacity(chunk.len()).unwrap();
                        bytes.extend_from_slice(&chunk);
                    }
                    assert_eq!(bytes[0], 0, "not compressed");
                    let request = ExportTraceServiceRequest::decode(&bytes[5..]).unwrap();
                    let spans = request.resource_spans[0].scope_spans[0].spans.len();
                    seen.lock().unwrap().push((parts, if status == "0" { spans } else { 0 }));
                    let head = http::Response::builder().header("content-type", "application/grpc");
                    let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    if status == "0" {
                        stream.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
                    }
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", status.parse().unwrap());
                    stream.send_trailers(trailers).unwrap();
                });
            }
        });
    }
}

#[tokio::test]
async fn spans_arrive_by_grpc_once_although_the_collector_falters() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap()).parse().unwrap();
    let seen = Seen::default();
    // UNAVAILABLE, UNAUTHENTICATED, RESOURCE_EXHAUSTED
    let serving = tokio::spawn(collector(listener, vec!["14", "16", "8"], Arc::clone(&seen)));
    let wanted = Otlp {
        endpoint: Endpoint::Grpc(url),
        headers: vec![("api_key".to_owned(), Secret::new("k".to_owned()))],
        compression: Compression::None,
        ..otlp()
    };
    let followers = follow_with(&journal, wanted, &Collector::new([]));
    answered(&journal, 20).await;
    journal.stop().await;
    followers.stop(LONG).await;
    serving.abort();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().map(|(_, spans)| spans).sum::<usize>(), 20);
    assert!(seen.len() >= 4);
    let (parts, _) = &seen[0];
    assert_eq!(parts.uri.path(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(parts.headers["api_key"], "k");
    assert!(parts.headers["user-agent"].to_str().unwrap().starts_with("remit/"));
    assert_eq!(followers.lag()[0].spans_exported, 20);
}

#[test]
fn a_collector_says_when_to_come_again_and_what_is_too_much() {
    use crate::telemetry::otlp::Verdict;
    use crate::telemetry::otlp::grpc::verdict;
    use tonic::{Code, Status};
    // google.rpc.Status { code: 8, details: [Any { RetryInfo { retry_delay: 2.5 s } }] }
    let delay = [0x0a, 0x07, 0x08, 0x02, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
    let info = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
        value: [&[0x0a, 0x08][..], &delay[2..]].concat(),
    };
    let any = info.encode_to_vec();
    let details = [&[0x08, 8, 0x1a, u8::try_from(any.len()).unwrap()][..], &any].concat();
    for code in [Code::ResourceExhausted, Code::Unavailable] {
        let told = verdict(&Status::with_details(code, "busy", details.clone().into()));
        let Verdict::Later { after: Some(after), .. } = told else { panic!("{told:?}") };
        assert_eq!(after, std::time::Duration::from_millis(2_500));
    }
    assert!(matches!(verdict(&Status::resource_exhausted("too long")), Verdict::TooMuch { .. }));
    assert!(matches!(verdict(&Status::unavailable("")), Verdict::Later { after: None, .. }));
    assert!(matches!(verdict(&Status::invalid_argument("")), Verdict::Unfit { .. }));
}
