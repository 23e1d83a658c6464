use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, StreamBody};

use super::{Body, BodyError, Metered};
use crate::call::BodyFacts;

fn streamed(parts: &[&'static str]) -> Body {
    let mut frames: Vec<Result<Frame<Bytes>, BodyError>> =
        parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))).collect();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    frames.push(Ok(Frame::trailers(trailers)));
    Body::wrap(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn what_is_peeked_is_delivered_byte_for_byte() {
    for limit in [0, 1, 5, 6, 11, 100] {
        let mut body = streamed(&["hello", " ", "world"]);
        let peeked = body.peek(limit).await.unwrap();
        assert!(b"hello world".starts_with(&peeked.bytes), "limit {limit}");
        assert_eq!(peeked.whole, limit >= 11, "limit {limit}");
        let again = body.peek(limit).await.unwrap();
        assert_eq!(again.bytes, peeked.bytes, "limit {limit}");
        let all = body.collect().await.unwrap();
        assert!(all.trailers().is_some_and(|t| t.contains_key("grpc-status")));
        assert_eq!(all.to_bytes(), "hello world");
    }
}

#[tokio::test]
async fn a_meter_tells_size_digest_and_end() {
    let facts = Arc::new(Mutex::new(BodyFacts::default()));
    let body = Body::wrap(Metered::new(streamed(&["ab", "c"]), facts.clone()));
    body.collect().await.unwrap();
    let seen = facts.lock().unwrap().clone();
    assert_eq!((seen.bytes, seen.complete), (3, true));
    // FIPS 180-4's own example.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(seen.sha256.as_deref(), Some(abc));
}

#[tokio::test]
async fn a_body_dropped_half_way_is_not_complete() {
    let facts = Arc::new(Mutex::new(BodyFacts { complete: true, ..BodyFacts::default() }));
    let mut body = Body::wrap(Metered::new(streamed(&["ab", "c"]), facts.clone()));
    body.frame().await.unwrap().unwrap();
    drop(body);
    let seen = facts.lock().unwrap().clone();
    assert_eq!((seen.bytes, seen.complete), (2, false));
}

/// As an answer over HTTP/2 whose fields have come, and its end has not.
struct Announced(u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

#[test]
fn a_body_that_announced_nothing_is_complete_without_being_read() {
    for (bytes, complete) in [(0, true), (1, false)] {
        let facts = Arc::new(Mutex::new(BodyFacts { complete: !complete, ..BodyFacts::default() }));
        drop(Body::wrap(Announced(bytes)).watched(facts.clone()));
        assert_eq!(facts.lock().unwrap().complete, complete, "{bytes} bytes");
    }
}
