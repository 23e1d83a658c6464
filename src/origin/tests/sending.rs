//! What the origin gets.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::super::{OriginError, Reached};
use super::harness::{Ask, TestOrigin, full, text};
use crate::body::{Body, BodyError};

const BOTH: &[&str] = &["h2", "http/1.1"];
const OLD: &[&str] = &["http/1.1"];

fn streamed(parts: &[&'static str], trailers: Option<(&'static str, &'static str)>) -> Body {
    let mut frames: Vec<Result<Frame<Bytes>, BodyError>> =
        parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))).collect();
    if let Some((name, value)) = trailers {
        let mut fields = HeaderMap::new();
        fields.insert(name, HeaderValue::from_static(value));
        fields.insert("authorization", HeaderValue::from_static("smuggled"));
        frames.push(Ok(Frame::trailers(fields)));
    }
    Body::wrap(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn hop_by_hop_fields_stay_here_and_the_rest_goes_out() {
    for alpn in [BOTH, OLD] {
        let origin = TestOrigin::start(alpn, |_| async { Response::new(full("")) }).await;
        let mut ask = Ask::get("https://a.test:8443/p?q=%2F")
            .with("connection", "x-hop, host, authorization")
            .with("connection", "Keep-Alive")
            .with("x-hop", "1")
            .with("keep-alive", "timeout=5")
            .with("proxy-connection", "keep-alive")
            .with("proxy-authorization", "Basic c2VjcmV0")
            .with("te", "gzip")
            .with("upgrade", "h2c")
            .with("expect", "100-continue")
            .with("host", "evil.test")
            .with("authorization", "Bearer agents-own")
            .with("tracestate", "a=b")
            .with("x-twice", "1")
            .with("x-twice", "2");
        ask.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        ask.send(&origin.upstream()).await.unwrap();
        let got = origin.seen.last();
        for gone in [
            "connection",
            "x-hop",
            "keep-alive",
            "proxy-connection",
            "proxy-authorization",
            "te",
            "upgrade",
            "expect",
        ] {
            assert!(!got.headers.contains_key(gone), "{alpn:?}: {gone}");
        }
        assert_eq!(got.headers["authorization"], "Bearer agents-own");
        assert_eq!(got.headers.get_all("x-twice").iter().count(), 2);
        assert_eq!(got.headers["tracestate"], "a=b");
        assert!(
            got.headers["traceparent"].to_str().unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-")
        );
        assert!(
            !got.headers.contains_key("content-length") && !got.headers.contains_key("transfer-encoding")
        );
        let hosts: Vec<_> = got.headers.get_all("host").iter().collect();
        if alpn == OLD {
            assert_eq!(
                (got.version, hosts),
                (Version::HTTP_11, vec![&HeaderValue::from_static("a.test:8443")])
            );
            assert_eq!(got.uri, "/p?q=%2F");
        } else {
            assert_eq!((got.version, hosts.len()), (Version::HTTP_2, 0));
            assert_eq!(got.uri, "https://a.test:8443/p?q=%2F");
        }
    }
}

#[tokio::test]
async fn tracestate_of_a_trace_that_was_not_kept_stays_here() {
    let origin = TestOrigin::start(OLD, |_| async { Response::new(full("")) }).await;
    let ask = Ask::get("https://a.test/").with("tracestate", "a=b").with("traceparent", "rubbish");
    ask.send(&origin.upstream()).await.unwrap();
    let got = origin.seen.last();
    assert!(!got.headers.contains_key("tracestate"));
    assert_eq!(got.headers.get_all("traceparent").iter().count(), 1);
    assert!(got.headers["traceparent"].to_str().unwrap().starts_with("00-"));
}

#[tokio::test]
async fn targets_go_out_byte_for_byte() {
    for alpn in [BOTH, OLD] {
        let origin = TestOrigin::start(alpn, |_| async { Response::new(full("")) }).await;
        let upstream = origin.upstream();
        for (url, path) in [
            ("https://a.test/%61pi//x;y?a=b?c&d=%zz", "/%61pi//x;y?a=b?c&d=%zz"),
            ("https://a.test/?", "/?"),
            ("https://a.test/a|b\"c'{}?x=<>", "/a|b\"c'{}?x=<>"),
        ] {
            match Ask::get(url).send(&upstream).await {
                Ok(_) => {
                    assert_eq!(origin.seen.last().uri.path_and_query().unwrap().as_str(), path, "{alpn:?}");
                }
                // What the wire format cannot carry is refused, not mended.
                Err(error) => assert_eq!(error.reached(), Reached::Never, "{url}"),
            }
        }
    }
}

#[tokio::test]
async fn the_framing_follows_the_body() {
    let origin = TestOrigin::start(OLD, |request| async {
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await;
    let upstream = origin.upstream();
    let cases = [
        (Method::GET, Body::empty(), None, None, ""),
        (Method::POST, Body::empty(), Some("0"), None, ""),
        (Method::DELETE, Body::empty(), None, None, ""),
        (Method::POST, Body::full("abc"), Some("3"), None, "abc"),
        (Method::POST, streamed(&["ab", "c"], None), None, Some("chunked"), "abc"),
        (Method::GET, streamed(&["ab", "c"], None), None, Some("chunked"), "abc"),
        (Method::GET, Body::full("abc"), Some("3"), None, "abc"),
    ];
    for (method, body, length, coding, echo) in cases {
        let ask = Ask::new(method.clone(), "https://a.test/").with("transfer-encoding", "gzip");
        let answer = ask.send_with(&upstream, body).await.unwrap();
        assert_eq!(text(answer).await, echo, "{method}");
        let got = origin.seen.last().headers;
        let value = |name: &str| got.get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(value("content-length").as_deref(), length, "{method} {echo}");
        assert_eq!(value("transfer-encoding").as_deref(), coding, "{method} {echo}");
    }
    // A length that the agent said and the body does not have.
    let ask = Ask::new(Method::POST, "https://a.test/").with("content-length", "99");
    assert_eq!(text(ask.send_with(&upstream, Body::full("abc")).await.unwrap()).await, "abc");
    assert_eq!(origin.seen.last().headers["content-length"], "3");
}

#[tokio::test]
async fn trailers_go_both_ways() {
    for alpn in [BOTH, OLD] {
        let origin = TestOrigin::start(alpn, |request| async {
            let collected = request.into_body().collect().await.unwrap();
            let got = collected.trailers().cloned().unwrap_or_default();
            assert!(!got.contains_key("authorization"));
            let mut back = HeaderMap::new();
            back.insert("x-sum", got.get("x-sum").cloned().unwrap_or(HeaderValue::from_static("lost")));
            let frames: Vec<Result<_, std::io::Error>> =
                vec![Ok(Frame::data(collected.to_bytes())), Ok(Frame::trailers(back))];
            let mut response =
                Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync());
            response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
            response
        })
        .await;
        let ask = Ask::new(Method::POST, "https://a.test/")
            .with("trailer", "x-sum, authorization")
            .with("te", "trailers");
        let answer =
            ask.send_with(&origin.upstream(), streamed(&["abc"], Some(("x-sum", "7")))).await.unwrap();
        let collected = answer.response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-sum"], "7", "{alpn:?}");
        assert_eq!(collected.to_bytes(), "abc");
    }
}

#[tokio::test]
async fn grpc_goes_over_http2_or_not_at_all() {
    let origin = TestOrigin::start(BOTH, |_| async { Response::new(full("")) }).await;
    let grpc =
        || Ask::new(Method::POST, "https://a.test/s.S/M").with("content-type", "application/grpc+proto");
    grpc().send(&origin.upstream()).await.unwrap();
    assert_eq!(origin.seen.last().headers["te"], "trailers");

    let old = TestOrigin::start(OLD, |_| async { Response::new(full("")) }).await;
    let upstream = old.upstream();
    for _ in 0..2 {
        let error = grpc().send(&upstream).await.unwrap_err();
        assert_eq!((error.reached(), &error), (Reached::Never, &OriginError::LacksHttp2));
    }
    assert_eq!(old.seen.counts(), (1, 0));
    let web = Ask::new(Method::POST, "https://a.test/").with("content-type", "application/grpc-web+proto");
    web.send(&upstream).await.unwrap();
    assert_eq!(old.seen.counts(), (1, 1));
}

#[tokio::test]
async fn an_agent_that_breaks_off_is_not_the_origins_fault() {
    for alpn in [BOTH, OLD] {
        let origin = TestOrigin::start(alpn, |request| async {
            let _ = request.into_body().collect().await;
            Response::new(full(""))
        })
        .await;
        let frames = vec![Ok(Frame::data(Bytes::from_static(b"ab"))), Err(BodyError::Cut("the task ended"))];
        let body = Body::wrap(StreamBody::new(futures_util::stream::iter(frames)));
        let error =
            Ask::new(Method::POST, "https://a.test/").send_with(&origin.upstream(), body).await.unwrap_err();
        assert!(matches!(error, OriginError::AgentBody { .. }), "{alpn:?}: {error}");
    }
}
