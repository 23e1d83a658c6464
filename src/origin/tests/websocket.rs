//! Upgrades: a proper 101, or an ordinary answer, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::super::{Limits, OriginError, PumpEnd, Reached, Upstream};
use super::harness::{Ask, raw, raw_with, read_head, write};
use super::messages::{Clerk, said};
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
async fn a_proper_101_carries_messages_both_ways() {
    // The first bytes of the new protocol come with the head.
    let head = format!("{SWITCH}Sec-WebSocket-Protocol: chat\r\n\r\n\u{1}\u{1}e");
    let (upstream, _) = answering(Box::leak(head.into_boxed_str())).await;
    let answer = ask().send(&upstream).await.unwrap();
    assert_eq!(answer.response.status(), 101);
    assert_eq!(answer.response.headers()["sec-websocket-protocol"], "chat");
    assert!(!answer.response.headers().contains_key("upgrade"));
    let (mut agent, ours) = duplex(1024);
    let hello = [said(0x81, b"hello")].concat();
    let talk = async {
        agent.write_all(&hello).await.unwrap();
        agent.shutdown().await.unwrap();
        let mut got = Vec::new();
        agent.read_to_end(&mut got).await.unwrap();
        got
    };
    let mut clerk = Clerk::default();
    let pumped = answer.upgraded.unwrap().pump(ours, std::future::pending(), &mut clerk);
    let (facts, got) = tokio::join!(pumped, talk);
    // The echo is masked, which no server's frame is.
    assert_eq!(got, b"\x01\x01e");
    assert_eq!((facts.to_origin, facts.to_agent), (11, 3));
    assert!(matches!(facts.end, PumpEnd::OriginBroke(_)), "{:?}", facts.end);
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
        .with("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")
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
    assert!(!head.contains("extensions"), "a packed message cannot be read: {head}");
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
    let facts = answer.upgraded.unwrap().pump(ours, std::future::pending(), &mut Clerk::default()).await;
    assert_eq!(facts.end, PumpEnd::Idle(0));
}
