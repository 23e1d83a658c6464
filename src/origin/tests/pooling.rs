//! What is kept, what is shared, and what is never sent twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Response};
use tokio::sync::Barrier;

use super::super::{Limits, OriginError, Reached};
use super::harness::{Ask, TestOrigin, full, raw, read_head, text, write};
use crate::body::Body;

const BOTH: &[&str] = &["h2", "http/1.1"];
const OLD: &[&str] = &["http/1.1"];

#[tokio::test]
async fn an_http1_connection_serves_one_call_after_the_other() {
    let origin = TestOrigin::start(OLD, |_| async { Response::new(full("hello")) }).await;
    let upstream = origin.upstream();
    for _ in 0..20 {
        let answer =
            Ask::new(Method::POST, "https://a.test/").send_with(&upstream, Body::full("x")).await.unwrap();
        assert_eq!(text(answer).await, "hello");
    }
    assert_eq!(origin.seen.counts(), (1, 20));
}

#[tokio::test]
async fn answers_without_a_body_free_the_connection_too() {
    let origin = TestOrigin::start(OLD, |_| async {
        let mut response = Response::new(full(""));
        *response.status_mut() = http::StatusCode::NO_CONTENT;
        response
    })
    .await;
    let upstream = origin.upstream();
    for _ in 0..10 {
        Ask::get("https://a.test/").send(&upstream).await.unwrap();
        Ask::new(Method::HEAD, "https://a.test/").send(&upstream).await.unwrap();
    }
    assert_eq!(origin.seen.counts(), (1, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_to_an_http2_origin_makes_one_connection() {
    let origin = TestOrigin::start(BOTH, |_| async { Response::new(full("hello")) }).await;
    let upstream = origin.upstream();
    let calls = (0..100).map(|_| {
        let upstream = upstream.clone();
        tokio::spawn(async move { text(Ask::get("https://a.test/").send(&upstream).await.unwrap()).await })
    });
    for call in futures_util::future::join_all(calls).await {
        assert_eq!(call.unwrap(), "hello");
    }
    assert_eq!(origin.seen.counts(), (1, 100));
}

#[tokio::test]
async fn a_full_http2_connection_is_joined_by_a_second() {
    // Each of 150 calls is held until all are there, and the origin allows 100 streams on a connection.
    let barrier = Arc::new(Barrier::new(150));
    let origin = TestOrigin::start(BOTH, move |_| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Response::new(full("hello"))
        }
    })
    .await;
    let upstream = origin.upstream();
    let calls =
        (0..150).map(|_| async { text(Ask::get("https://a.test/").send(&upstream).await.unwrap()).await });
    futures_util::future::join_all(calls).await;
    assert_eq!(origin.seen.counts(), (2, 150));
}

#[tokio::test]
async fn calls_to_an_http1_origin_run_side_by_side() {
    let barrier = Arc::new(Barrier::new(10));
    let origin = TestOrigin::start(OLD, move |_| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            Response::new(full("hello"))
        }
    })
    .await;
    let upstream = origin.upstream();
    let calls =
        (0..10).map(|_| async { text(Ask::get("https://a.test/").send(&upstream).await.unwrap()).await });
    futures_util::future::join_all(calls).await;
    assert_eq!(origin.seen.counts(), (10, 10));
}

#[tokio::test]
async fn tasks_and_ports_do_not_share_connections() {
    for alpn in [BOTH, OLD] {
        let origin = TestOrigin::start(alpn, |_| async { Response::new(full("hello")) }).await;
        let upstream = origin.upstream();
        text(Ask::get("https://a.test/").send(&upstream).await.unwrap()).await;
        let mut other = Ask::get("https://a.test/");
        other.task = "01ARZ3NDEKTSV4RRFFQ69G5FAW".parse().unwrap();
        text(other.send(&upstream).await.unwrap()).await;
        assert_eq!(origin.seen.counts(), (2, 2));
        text(Ask::get("https://a.test:444/").send(&upstream).await.unwrap()).await;
        text(Ask::get("https://b.test/").send(&upstream).await.unwrap()).await;
        assert_eq!(origin.seen.counts(), (4, 4));
    }
}

#[tokio::test]
async fn forgotten_and_aged_connections_are_not_used_again() {
    for alpn in [BOTH, OLD] {
        let origin = TestOrigin::start(alpn, |_| async { Response::new(full("hello")) }).await;
        let upstream = origin.upstream();
        text(Ask::get("https://a.test/").send(&upstream).await.unwrap()).await;
        upstream.close_idle();
        let in_use = Ask::get("https://a.test/").send(&upstream).await.unwrap();
        upstream.close_idle();
        // Made before trust changed, given back after it.
        text(in_use).await;
        text(Ask::get("https://a.test/").send(&upstream).await.unwrap()).await;
        assert_eq!(origin.seen.counts(), (3, 3));
    }
    let origin = TestOrigin::start(OLD, |_| async { Response::new(full("hello")) }).await;
    let upstream = origin.upstream_with(Limits { pool_idle: Duration::ZERO, ..Limits::default() });
    for _ in 0..3 {
        text(Ask::get("https://a.test/").send(&upstream).await.unwrap()).await;
    }
    assert_eq!(origin.seen.counts(), (3, 3));
}

#[tokio::test]
async fn the_origins_own_keep_alive_limit_is_kept() {
    let (upstream, connections) = raw(|mut tcp| async move {
        while !read_head(&mut tcp).await.is_empty() {
            write(&mut tcp, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    for _ in 0..3 {
        Ask::get("https://raw.test/").send(&upstream).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

/// An origin that answers the first request of a connection and hangs up on reading the second.
async fn fickle() -> (super::super::Upstream, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let (upstream, connections) = raw(move |mut tcp| {
        let counted = counted.clone();
        async move {
            for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""] {
                if read_head(&mut tcp).await.is_empty() {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                write(&mut tcp, answer).await;
            }
        }
    })
    .await;
    (upstream, connections, requests)
}

#[tokio::test]
async fn a_get_on_a_stale_connection_is_sent_once_more() {
    let (upstream, connections, requests) = fickle().await;
    Ask::get("https://raw.test/").send(&upstream).await.unwrap();
    Ask::get("https://raw.test/").send(&upstream).await.unwrap();
    assert_eq!((connections.load(Ordering::SeqCst), requests.load(Ordering::SeqCst)), (2, 3));
}

#[tokio::test]
async fn what_may_have_arrived_is_never_sent_twice() {
    for (method, body) in [
        (Method::POST, Body::empty()),
        (Method::POST, Body::full("x")),
        (Method::PUT, Body::empty()),
        (Method::DELETE, Body::empty()),
        (Method::GET, Body::full("x")),
    ] {
        let (upstream, _, requests) = fickle().await;
        Ask::get("https://raw.test/").send(&upstream).await.unwrap();
        let error =
            Ask::new(method.clone(), "https://raw.test/").send_with(&upstream, body).await.unwrap_err();
        assert!(matches!(error, OriginError::Protocol { .. }), "{method}: {error}");
        assert_eq!(error.reached(), Reached::Perhaps);
        assert_eq!(requests.load(Ordering::SeqCst), 2, "{method}");
    }
}

/// An HTTP/2 origin that resets the first stream of each connection with `reason` and answers all others.
async fn resetting(reason: h2::Reason) -> (super::super::Upstream, Arc<AtomicUsize>) {
    let ca = super::harness::Ca::new();
    let acceptor = super::harness::acceptor(ca.leaf(&["a.test"], |_| {}), &["h2"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut http2 = h2::server::handshake(acceptor.accept(tcp).await.unwrap()).await.unwrap();
        while let Some(Ok((request, mut respond))) = http2.accept().await {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                respond.send_reset(reason);
                continue;
            }
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut all = Vec::new();
                while let Some(Ok(data)) = body.data().await {
                    all.extend_from_slice(&data);
                }
                let mut stream = respond.send_response(Response::new(()), false).unwrap();
                stream.send_data(all.into(), true).unwrap();
            });
        }
    });
    let upstream = super::super::Upstream::new(super::super::Settings {
        trust: vec![ca.anchor()],
        resolve: super::super::ResolveTable::parse([("*.test", to.as_str())]).unwrap(),
        ..super::super::Settings::default()
    });
    (upstream.unwrap(), requests)
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_with_its_body() {
    for (body, echo) in [(Body::empty(), String::new()), (Body::full("abc"), "abc".to_owned())] {
        let (upstream, requests) = resetting(h2::Reason::REFUSED_STREAM).await;
        let answer = Ask::new(Method::POST, "https://a.test/").send_with(&upstream, body).await.unwrap();
        assert_eq!((text(answer).await, requests.load(Ordering::SeqCst)), (echo, 2));
    }
}

#[tokio::test]
async fn a_refused_stream_with_a_large_body_is_given_up_and_known_as_not_processed() {
    let (upstream, requests) = resetting(h2::Reason::REFUSED_STREAM).await;
    let body = Body::full(vec![b'x'; 100_000]);
    let error = Ask::new(Method::POST, "https://a.test/").send_with(&upstream, body).await.unwrap_err();
    assert_eq!((error.reached(), requests.load(Ordering::SeqCst)), (Reached::Never, 1), "{error}");
}

#[tokio::test]
async fn a_reset_stream_is_an_answer() {
    for method in [Method::GET, Method::POST] {
        let (upstream, requests) = resetting(h2::Reason::INTERNAL_ERROR).await;
        let error = Ask::new(method, "https://a.test/").send(&upstream).await.unwrap_err();
        assert_eq!((error.reached(), requests.load(Ordering::SeqCst)), (Reached::Perhaps, 1), "{error}");
    }
}

#[tokio::test]
async fn a_get_on_a_fresh_connection_is_not_repeated() {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let (upstream, _) = raw(move |mut tcp| {
        let counted = counted.clone();
        async move {
            read_head(&mut tcp).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    Ask::get("https://raw.test/").send(&upstream).await.unwrap_err();
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_closed_connection_is_replaced_for_a_post() {
    let (upstream, connections) = raw(|mut tcp| async move {
        read_head(&mut tcp).await;
        write(&mut tcp, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    for _ in 0..3 {
        Ask::new(Method::POST, "https://raw.test/").send(&upstream).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_second_answer_poisons_nobody() {
    let (upstream, connections) = raw(|mut tcp| async move {
        read_head(&mut tcp).await;
        write(
            &mut tcp,
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        )
        .await;
        read_head(&mut tcp).await;
    })
    .await;
    for _ in 0..3 {
        let answer = Ask::new(Method::POST, "https://raw.test/").send(&upstream).await.unwrap();
        assert_eq!(text(answer).await, "good");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_answer_that_was_not_read_closes_its_connection() {
    let origin = TestOrigin::start(OLD, |_| async { Response::new(full(vec![0; 1 << 20])) }).await;
    let upstream = origin.upstream();
    drop(Ask::get("https://a.test/").send(&upstream).await.unwrap());
    text(Ask::get("https://a.test/").send(&upstream).await.unwrap()).await;
    assert_eq!(origin.seen.counts(), (2, 2));
}

#[tokio::test]
async fn a_dial_that_is_called_off_does_not_block_the_next() {
    // The listener accepts, and the TLS handshake never ends.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let upstream = super::super::Upstream::new(super::super::Settings {
        trust: vec![super::harness::Ca::new().anchor()],
        resolve: super::super::ResolveTable::parse([("*.test", to.as_str())]).unwrap(),
        own: vec![],
        limits: Limits { handshake: Duration::from_millis(200), ..Limits::default() },
    })
    .unwrap();
    let mut first = Box::pin(upstream.send(Ask::get("https://a.test/").call(), Body::empty()));
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    let mut second = Box::pin(upstream.send(Ask::get("https://a.test/").call(), Body::empty()));
    assert!(futures_util::poll!(second.as_mut()).is_pending());
    drop(first);
    let error = tokio::time::timeout(Duration::from_secs(10), second).await.unwrap().unwrap_err();
    assert!(matches!(error, OriginError::Timeout { .. }), "{error}");
}
