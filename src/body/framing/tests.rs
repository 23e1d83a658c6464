use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::head::{self, Frame, Kind};
use super::{Control, Limits, Strict};

const MARKER: &str = "/marker";

/// Everything that comes through, read in pieces of `step` bytes; the stand-in for a refused head is cut out.
async fn through(input: &[u8], step: usize) -> (Vec<u8>, Option<head::Violation>) {
    let (mut agent, server) = tokio::io::duplex(1 << 20);
    let control = Control::new(Arc::from(MARKER));
    let limits = Limits {
        head_time: Duration::from_millis(50),
        idle_time: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut strict = Strict::requests(server, BytesMut::new(), limits, control.clone());
    let input = input.to_vec();
    let writer = tokio::spawn(async move {
        for piece in input.chunks(step) {
            agent.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        agent.shutdown().await.unwrap();
        agent
    });
    let mut out = Vec::new();
    let mut piece = [0; 300];
    loop {
        match tokio::time::timeout(Duration::from_secs(2), strict.read(&mut piece)).await {
            Ok(Ok(n)) if n > 0 => out.extend_from_slice(&piece[..n]),
            _ => break,
        }
        if let Some(at) = out.windows(MARKER.len()).position(|w| w == MARKER.as_bytes()) {
            out.truncate(at - 4);
            break;
        }
    }
    writer.await.unwrap();
    (out, control.violation(MARKER))
}

#[tokio::test]
async fn sound_requests_pass_unchanged_however_they_are_cut() {
    let input = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: h\r\n\r\n\
        PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n0123456789\r\n0\r\nx-t: 1\r\n\r\n\
        DELETE /d HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    for step in [1, 2, 3, 7, 50, 4096] {
        let (out, violation) = through(input, step).await;
        assert_eq!(violation, None, "step {step}");
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(input), "step {step}");
    }
}

#[tokio::test]
async fn heads_with_two_readings_are_refused() {
    for bad in [
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n Transfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX\x0bY: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        "GET / HTTP/1.1\r\nX: y\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nProxy-Authorization: Basic a\r\nproxy-authorization: Basic b\r\n\r\n",
        "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x05\x01\0",
        "\x16\x03\x01\0\x05",
    ] {
        for step in [1, 4096] {
            let (out, violation) = through(bad.as_bytes(), step).await;
            assert!(violation.is_some(), "{bad:?} was let through");
            assert!(out.is_empty(), "{bad:?} reached the parser");
        }
    }
}

#[tokio::test]
async fn a_refused_head_waits_for_its_turn() {
    let first = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n".as_slice();
    let (out, violation) = through(&[first, b"GET / HTTP/1.1\nHost: h\n\n"].concat(), 4096).await;
    assert_eq!(out, first);
    assert!(violation.is_some());
}

#[tokio::test]
async fn chunks_with_two_readings_end_the_connection() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bad in [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "\r\nhello",
        "-1\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nbad trailer\r\n\r\n",
        "0\r\nx: y\n\r\n",
        "5_0\r\n",
    ] {
        for step in [1, 4096] {
            let (out, _) =
                through(format!("{head}{bad}GET /next HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes(), step).await;
            let out = String::from_utf8_lossy(&out).into_owned();
            assert!(out.starts_with(head) && !out.contains("/next"), "{bad:?} let more through: {out:?}");
        }
    }
}

#[tokio::test]
async fn long_heads_and_targets_have_their_own_kinds() {
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(70_000));
    assert_eq!(through(long.as_bytes(), 4096).await.1.map(|v| v.kind), Some(Kind::HeadTooLarge));
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: a\r\n".repeat(100));
    assert_eq!(through(many.as_bytes(), 4096).await.1.map(|v| v.kind), Some(Kind::HeadTooLarge));
    let target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(20_000));
    assert_eq!(
        through(target.as_bytes(), 4096).await.1.map(|v| v.kind),
        Some(Kind::TargetTooLong(16 * 1024))
    );
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_refused_in_time() {
    let (mut agent, server) = tokio::io::duplex(1024);
    let control = Control::new(Arc::from(MARKER));
    let mut strict = Strict::requests(server, BytesMut::new(), Limits::default(), control.clone());
    agent.write_all(b"GET / HT").await.unwrap();
    let mut out = vec![0; 100];
    let n = strict.read(&mut out).await.unwrap();
    assert!(out[..n].starts_with(b"GET /marker "));
    assert_eq!(control.violation(MARKER).map(|v| v.kind), Some(Kind::TooSlow(20)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_just_ends() {
    let (_agent, server) = tokio::io::duplex(1024);
    let control = Control::new(Arc::from(MARKER));
    let mut strict = Strict::requests(server, BytesMut::new(), Limits::default(), control.clone());
    assert_eq!(strict.read(&mut [0; 10]).await.unwrap(), 0);
    assert_eq!(control.violation(MARKER), None);
}

#[tokio::test]
async fn nothing_is_read_behind_an_upgrade_before_the_verdict() {
    let head =
        b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (tunnel, behind) in [(true, "\x00\x01 frames"), (false, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n")] {
        let (mut agent, server) = tokio::io::duplex(1024);
        let control = Control::new(Arc::from(MARKER));
        let mut strict = Strict::requests(server, BytesMut::new(), Limits::default(), control.clone());
        agent.write_all(head).await.unwrap();
        agent.write_all(behind.as_bytes()).await.unwrap();
        let mut out = vec![0; 500];
        let n = strict.read(&mut out).await.unwrap();
        assert_eq!(&out[..n], head);
        let early = tokio::time::timeout(Duration::from_millis(20), strict.read(&mut out)).await;
        assert!(early.is_err(), "bytes came through before the verdict");
        if tunnel {
            control.becomes_tunnel();
        } else {
            control.stays_http();
        }
        let n = strict.read(&mut out).await.unwrap();
        assert_eq!(&out[..n], behind.as_bytes());
    }
}

#[test]
fn answers_are_framed_as_rfc_9112_says() {
    let frame = |head: &str, bodiless| head::answer(head.as_bytes(), &Limits::default(), bodiless);
    for (text, bodiless, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, Frame::Length(5)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, Frame::None),
        ("HTTP/1.1 200\r\n\r\n", false, Frame::ToClose),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, Frame::None),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, Frame::None),
        ("HTTP/1.1 100 Continue\r\n\r\n", false, Frame::None),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false, Frame::Upgrade),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, Frame::Chunked),
    ] {
        assert_eq!(frame(text, bodiless), Ok(expected), "{text:?}");
    }
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20x OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert!(frame(text, false).is_err(), "{text:?} was let through");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
        let limits = Limits::default();
        let _ = head::find_end(&bytes, 0, &limits);
        let _ = head::request(&bytes, &limits);
        let _ = head::answer(&bytes, &limits, false);
        let _ = super::chunk::Chunks::default().judge(&bytes);
    }
}
