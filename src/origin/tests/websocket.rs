//! Upgrades: a proper 101, or an ordinary answer, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::super::{Limits, OriginError, PumpEnd, Reached, Upstream, pump};
use super::harness::{Ask, raw, raw_with, read_head, write};
use crate::call::stage::Upgrade;

// RFC 6455 §1.3's own example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn ask() -> Ask {
    let mut ask = Ask::get("https://raw.test/chat")
        .with("sec-websocket-key", KEY)
        .with("sec-websocket-version", "13")
        .with("sec-websocket-protocol", "chat, superchat");
    ask.upgrade = Some(Upgrade::WebSocket);
    ask
}

async fn answering(head: &'static str) -> (Upstream, Arc<AtomicUsize>) {
    raw(move |mut tcp| async move {
        read_head(&mut tcp).await;
        write(&mut tcp, head).await;
        let mut rest = [0; 64];
        while let Ok(n @ 1..) = tcp.read(&mut rest).await {
            if tcp.write_all(&rest[..n]).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_proper_101_carries_bytes_both_ways() {
    // The first bytes of the new protocol come with the head.
    let head = format!("{SWITCH}Sec-WebSocket-Protocol: chat\r\n\r\nearly");
    let (upstream, _) = answering(Box::leak(head.into_boxed_str())).await;
    let answer = ask().send(&upstream).await.unwrap();
    assert_eq!(answer.response.status(), 101);
    assert_eq!(answer.response.headers()["sec-websocket-protocol"], "chat");
    assert!(!answer.response.headers().contains_key("upgrade"));
    let (mut agent, ours) = duplex(1024);
    let talk = async {
        agent.write_all(b"hello").await.unwrap();
        let mut got = [0; 10];
        agent.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"earlyhello");
        agent.shutdown().await.unwrap();
        let mut rest = Vec::new();
        agent.read_to_end(&mut rest).await.unwrap();
    };
    let pumped = answer.upgraded.unwrap().pump(ours, std::future::pending());
    let (facts, ()) = tokio::join!(pumped, talk);
    assert_eq!((facts.to_origin, facts.to_agent, facts.end), (5, 10, PumpEnd::Closed));
}

#[tokio::test]
async fn the_upgrade_request_says_what_it_must_and_no_more() {
    let (told, mut got) = tokio::sync::mpsc::unbounded_channel();
    let (upstream, _) = raw(move |mut tcp| {
        let told = told.clone();
        async move {
            told.send(read_head(&mut tcp).await).unwrap();
            write(&mut tcp, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n").await;
        }
    })
    .await;
    ask()
        .with("connection", "upgrade, x-hop")
        .with("x-hop", "1")
        .with("upgrade", "h2c")
        .send(&upstream)
        .await
        .unwrap();
    let head = got.recv().await.unwrap().to_lowercase();
    assert!(head.starts_with("get /chat http/1.1\r\n"), "{head}");
    for line in [
        "connection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "host: raw.test\r\n",
        "sec-websocket-version: 13\r\n",
    ] {
        assert_eq!(head.matches(line).count(), 1, "{line:?} in {head}");
    }
    assert!(!head.contains("h2c") && !head.contains("x-hop") && !head.contains("content-length"), "{head}");
}

#[tokio::test]
async fn another_answer_is_an_ordinary_answer() {
    for status in ["200 OK", "426 Upgrade Required", "403 Forbidden"] {
        let head = format!(
            "HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nno"
        );
        let (upstream, _) = answering(Box::leak(head.into_boxed_str())).await;
        let answer = ask().send(&upstream).await.unwrap();
        assert!(answer.upgraded.is_none(), "{status}");
        assert_eq!(answer.response.into_body().collect().await.unwrap().to_bytes(), "no");
    }
}

#[tokio::test]
async fn a_101_that_does_not_fit_is_refused() {
    for lines in [
        "Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: other\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    ] {
        let head = format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
        let (upstream, _) = answering(Box::leak(head.into_boxed_str())).await;
        let error = ask().send(&upstream).await.unwrap_err();
        assert!(matches!(error, OriginError::Protocol { .. }), "{lines:?}: {error}");
    }
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_refused() {
    let (upstream, _) = answering(Box::leak(format!("{SWITCH}\r\n").into_boxed_str())).await;
    let error = Ask::get("https://raw.test/").send(&upstream).await.unwrap_err();
    assert!(matches!(error, OriginError::Protocol { .. }), "{error}");
}

#[tokio::test]
async fn a_handshake_that_is_none_is_not_sent() {
    let (upstream, connections) = answering("").await;
    let without = |name: &str| {
        let mut ask = ask();
        ask.headers.remove(name);
        ask
    };
    let mut post = ask();
    post.method = http::Method::POST;
    for bad in [
        without("sec-websocket-key"),
        without("sec-websocket-version"),
        without("sec-websocket-key").with("sec-websocket-key", "c2hvcnQ="),
        ask().with("sec-websocket-key", KEY),
        without("sec-websocket-version").with("sec-websocket-version", "8"),
        post,
    ] {
        let error = bad.send(&upstream).await.unwrap_err();
        assert!(matches!(error, OriginError::Malformed { .. }), "{error}");
        assert_eq!(error.reached(), Reached::Never);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_cut_ends_a_pump_and_closes_both_sides() {
    let (mut agent, ours) = duplex(64);
    let (mut origin, theirs) = duplex(64);
    let (cut, on_cut) = tokio::sync::oneshot::channel::<()>();
    let pumping = tokio::spawn(pump(ours, theirs, Duration::from_secs(60), async {
        let _ = on_cut.await;
    }));
    agent.write_all(b"hello").await.unwrap();
    origin.read_exact(&mut [0; 5]).await.unwrap();
    cut.send(()).unwrap();
    let facts = pumping.await.unwrap();
    assert_eq!((facts.to_origin, facts.end), (5, PumpEnd::Cut));
    assert_eq!(agent.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(origin.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_pump_that_stands_still_ends() {
    let limits = Limits { idle: Duration::from_millis(80), ..Limits::default() };
    let (upstream, _) = raw_with(limits, |mut tcp| async move {
        read_head(&mut tcp).await;
        write(&mut tcp, &format!("{SWITCH}\r\n")).await;
        std::future::pending::<()>().await;
    })
    .await;
    let answer = ask().send(&upstream).await.unwrap();
    let (_agent, ours) = duplex(64);
    let facts = answer.upgraded.unwrap().pump(ours, std::future::pending()).await;
    assert_eq!(facts.end, PumpEnd::Idle(0));
}
