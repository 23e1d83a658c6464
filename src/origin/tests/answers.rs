//! What comes back.

use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

use super::super::{OriginError, Reached};
use super::harness::{Ask, TestOrigin, full, raw, read_head, text, write};

const BOTH: &[&str] = &["h2", "http/1.1"];
const OLD: &[&str] = &["http/1.1"];

#[tokio::test]
async fn hop_by_hop_fields_and_alt_svc_end_here() {
    let (upstream, _) = raw(|mut tcp| async move {
        read_head(&mut tcp).await;
        write(
            &mut tcp,
            "HTTP/1.1 200 OK\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\
             Alt-Svc: h3=\":443\"\r\nProxy-Authenticate: Basic\r\nUpgrade: h2\r\nRemit-Refusal: held\r\nremit-chain: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
             ETag: \"x\"\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
    })
    .await;
    let answer = Ask::get("https://raw.test/").send(&upstream).await.unwrap();
    let headers = answer.response.headers();
    let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "etag", "set-cookie"]);
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let (upstream, _) = raw(|mut tcp| async move {
        read_head(&mut tcp).await;
        write(&mut tcp, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n").await;
        write(&mut tcp, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let answer = Ask::get("https://raw.test/").send(&upstream).await.unwrap();
    assert_eq!(answer.response.status(), 201);
    assert_eq!(text(answer).await, "ok");
}

#[tokio::test]
async fn redirects_are_the_agents_affair() {
    let origin = TestOrigin::start(BOTH, |_| async {
        Response::builder().status(302).header("location", "https://b.test/").body(full("")).unwrap()
    })
    .await;
    let answer = Ask::get("https://a.test/").send(&origin.upstream()).await.unwrap();
    assert_eq!((answer.response.status().as_u16(), origin.seen.counts()), (302, (1, 1)));
}

#[tokio::test]
async fn doubtful_answers_are_refused_and_their_connection_is_closed() {
    for head in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Content-Length: 4\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: +4",
        "Content-Length: 4, 5",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "X-Fold: a\r\n b",
        "X Blank: a",
        "X-Blank : a",
        "X-Nul: a\0b",
    ] {
        let (upstream, connections) = raw(move |mut tcp| async move {
            while !read_head(&mut tcp).await.is_empty() {
                write(&mut tcp, &format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nabcd\r\n0\r\n\r\n")).await;
            }
        })
        .await;
        for _ in 0..2 {
            let error = Ask::new(Method::POST, "https://raw.test/").send(&upstream).await.unwrap_err();
            assert!(matches!(error, OriginError::Protocol { .. }), "{head:?}: {error}");
            assert_eq!(error.reached(), Reached::Perhaps);
        }
        assert_eq!(connections.load(Ordering::SeqCst), 2, "{head:?}");
    }
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused() {
    let big = "x".repeat(70_000);
    let answer = format!("HTTP/1.1 200 OK\r\nX-Big: {big}\r\nContent-Length: 0\r\n\r\n");
    let (upstream, _) = raw(move |mut tcp| {
        let answer = answer.clone();
        async move {
            read_head(&mut tcp).await;
            write(&mut tcp, &answer).await;
        }
    })
    .await;
    let error = Ask::get("https://raw.test/").send(&upstream).await.unwrap_err();
    assert!(matches!(error, OriginError::Protocol { .. }), "{error}");

    let origin = TestOrigin::start(BOTH, |_| async {
        let value = HeaderValue::try_from("x".repeat(70_000)).unwrap();
        Response::builder().header("x-big", value).body(full("")).unwrap()
    })
    .await;
    let error = Ask::new(Method::POST, "https://a.test/").send(&origin.upstream()).await.unwrap_err();
    assert!(matches!(error, OriginError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn a_cut_answer_is_an_error_not_an_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let (upstream, _) = raw(move |mut tcp| async move {
            read_head(&mut tcp).await;
            write(&mut tcp, answer).await;
        })
        .await;
        let got = Ask::get("https://raw.test/").send(&upstream).await.unwrap();
        assert!(got.response.into_body().collect().await.is_err(), "{answer:?}");
    }
}

#[tokio::test]
async fn the_answer_to_head_has_a_length_and_no_body() {
    let (upstream, connections) = raw(|mut tcp| async move {
        while !read_head(&mut tcp).await.is_empty() {
            write(&mut tcp, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
        }
    })
    .await;
    for _ in 0..3 {
        let answer = Ask::new(Method::HEAD, "https://raw.test/").send(&upstream).await.unwrap();
        assert_eq!(answer.response.headers()["content-length"], "1000");
        assert_eq!(text(answer).await, "");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// Over HTTP/2, with the length in the first frame, and the end in none.
async fn without_end(status: u16) -> super::super::Upstream {
    let ca = super::harness::Ca::new();
    let acceptor = super::harness::acceptor(ca.leaf(&["a.test"], |_| {}), &["h2"]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut http2 = h2::server::handshake(acceptor.accept(tcp).await.unwrap()).await.unwrap();
        let mut unfinished = Vec::new();
        while let Some(Ok((_request, mut respond))) = http2.accept().await {
            let answer =
                Response::builder().status(status).header("content-encoding", "gzip").body(()).unwrap();
            unfinished.push(respond.send_response(answer, false).unwrap());
        }
    });
    super::super::Upstream::new(super::super::Settings {
        trust: vec![ca.anchor()],
        resolve: super::super::ResolveTable::parse([("*.test", to.as_str())]).unwrap(),
        ..super::super::Settings::default()
    })
    .unwrap()
}

#[tokio::test]
async fn an_answer_that_cannot_have_a_body_has_none() {
    for (method, status, none) in [
        (Method::HEAD, 200, true),
        (Method::GET, 204, true),
        (Method::GET, 304, true),
        (Method::GET, 200, false),
        (Method::POST, 201, false),
    ] {
        let upstream = without_end(status).await;
        let answer = Ask::new(method.clone(), "https://a.test/").send(&upstream).await.unwrap();
        assert_eq!(answer.response.headers()["content-encoding"], "gzip");
        assert_eq!(answer.response.body().is_end_stream(), none, "{method} {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_the_origin_back() {
    const FRAME: usize = 64 * 1024;
    // Windows, TLS and socket buffers together; an origin that is not held back passes it in a blink.
    const BOUND: usize = 64 * 1024 * 1024;
    for alpn in [BOTH, OLD] {
        let (told, mut made) = watch::channel(0);
        let origin = TestOrigin::start(alpn, move |_| {
            let told = told.clone();
            let endless = futures_util::stream::repeat_with(move || {
                told.send_modify(|n| *n += FRAME);
                Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![7; FRAME])))
            });
            async move { Response::new(StreamBody::new(endless).boxed_unsync()) }
        })
        .await;
        let answer = Ask::get("https://a.test/").send(&origin.upstream()).await.unwrap();
        let mut body = answer.response.into_body();
        let mut read = 0;
        for _ in 0..3 {
            // Until the origin stands still.
            while tokio::time::timeout(Duration::from_millis(300), made.changed()).await.is_ok() {
                let ahead = made.borrow_and_update().saturating_sub(read);
                assert!(ahead < BOUND, "{alpn:?}: {ahead} bytes ahead");
            }
            let target = read + 16 * 1024 * 1024;
            while read < target {
                read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
            }
        }
    }
}
