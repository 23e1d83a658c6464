//! Messages of a WebSocket: each is asked about before it goes on, and those of the origin are heard.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::super::PumpEnd;
use super::super::ear::Ear;
use super::super::messages::{Gate, Verdict, carry};
use super::super::scrub::Scrubber;
use crate::call::{Leak, Peek, Secret};

/// Says no to what has `no` in it, answers what has `answer` in it, and remembers what it was asked.
#[derive(Default)]
pub(super) struct Clerk {
    limit: Option<usize>,
    asked: Vec<(String, bool)>,
    passed: usize,
    heard: Option<Arc<Heard>>,
    scrubber: Option<Scrubber>,
}

/// Hears messages of 20 bytes at most.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Ear for Heard {
    fn wants(&self) -> usize {
        20
    }

    fn hear(&self, message: &[u8]) {
        self.0.lock().unwrap().push(String::from_utf8_lossy(message).into_owned());
    }
}

impl Gate for Clerk {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(1000)
    }

    async fn ask(&mut self, message: Peek) -> Verdict {
        let text = String::from_utf8_lossy(&message.bytes).into_owned();
        self.asked.push((text.clone(), message.whole));
        if text.contains("answer") {
            Verdict::Answer("refused".to_owned())
        } else if text.contains("no") {
            Verdict::Close { code: 1008, reason: "because".to_owned() }
        } else {
            Verdict::Pass
        }
    }

    fn passed(&mut self) {
        self.passed += 1;
    }

    fn ear(&self) -> Option<Arc<dyn Ear>> {
        self.heard.clone().map(|heard| heard as Arc<dyn Ear>)
    }

    fn scrubber(&self) -> Option<Scrubber> {
        self.scrubber.clone()
    }
}

const MASK: [u8; 4] = [7, 77, 177, 217];

/// A frame of a client's.
pub(super) fn said(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
        long @ 126..=0xffff => {
            frame.push(0xfe);
            frame.extend(u16::try_from(long).unwrap().to_be_bytes());
        }
        longest => {
            frame.push(0xff);
            frame.extend((longest as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What came of what an agent said: what reached the origin, what the agent got, what the clerk saw, and the end.
async fn talk(clerk: Clerk, sent: &[u8], from_origin: &[u8]) -> (Vec<u8>, Vec<u8>, Clerk, PumpEnd) {
    let (mut agent, ours) = duplex(1 << 20);
    let (mut origin, theirs) = duplex(1 << 20);
    let pumping = tokio::spawn(async move {
        let mut clerk = clerk;
        let facts = carry(ours, theirs, Duration::from_secs(60), std::future::pending(), &mut clerk).await;
        (facts, clerk)
    });
    origin.write_all(from_origin).await.unwrap();
    // Byte by byte: no frame may depend on how it was cut up.
    for byte in sent.chunks(if sent.len() > 5000 { 1000 } else { 1 }) {
        // A connection that remit has ended takes no more.
        if agent.write_all(byte).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ended = agent.shutdown().await;
    let (mut reached, mut got) = (Vec::new(), Vec::new());
    origin.read_to_end(&mut reached).await.unwrap();
    let _ended = origin.shutdown().await;
    agent.read_to_end(&mut got).await.unwrap();
    let (facts, clerk) = pumping.await.unwrap();
    (reached, got, clerk, facts.end)
}

#[tokio::test]
async fn messages_of_the_origin_are_heard_whole_or_not_at_all() {
    let heard = Arc::new(Heard::default());
    let clerk = Clerk { heard: Some(heard.clone()), ..Clerk::default() };
    // In two pieces with a ping between, one that is too long, one that is empty, and one that fits.
    let told =
        [&b"\x01\x03abc\x89\x01p\x80\x02de"[..], &[0x81, 21], &[b'x'; 21], b"\x81\x00\x81\x03end"].concat();
    let (_, got, _, _) = talk(clerk, &said(0x88, &[3, 232]), &told).await;
    assert_eq!(got, told, "what is heard passes as it came");
    assert_eq!(*heard.0.lock().unwrap(), ["abcde", "end"]);
}

#[tokio::test]
async fn a_message_passes_as_it_was_sent() {
    let frames: Vec<u8> = [
        said(0x01, b"in "),
        said(0x89, b"ping"),
        said(0x00, b"three "),
        said(0x80, b"pieces"),
        said(0x82, &[7; 300]),
        said(0x81, b""),
        said(0x88, &[3, 232]),
        said(0x81, b"nothing follows a close"),
    ]
    .concat();
    let (reached, got, clerk, end) = talk(Clerk::default(), &frames, b"\x81\x05hello").await;
    let without_ping = [said(0x01, b"in "), said(0x00, b"three "), said(0x80, b"pieces")].concat();
    let after = [said(0x82, &[7; 300]), said(0x81, b""), said(0x88, &[3, 232])].concat();
    assert_eq!(reached, [said(0x89, b"ping"), without_ping, after].concat());
    assert_eq!(got, b"\x81\x05hello");
    let asked: Vec<_> = clerk.asked.iter().map(|(text, whole)| (text.len(), *whole)).collect();
    assert_eq!(asked, [(15, true), (300, true), (0, true)]);
    assert_eq!((clerk.asked[0].0.as_str(), clerk.passed, end), ("in three pieces", 3, PumpEnd::Closed));
}

#[tokio::test]
async fn what_the_origin_says_is_searched_for_the_credential() {
    const SECRET: &str = "ghs_16C7e42F292c6912E7710c838347Ae178B4a";
    let leak = Leak { secret: Secret::new(SECRET.to_owned()), instead: "remit_x".to_owned() };
    let frame = |first: u8, payload: &str| {
        [&[first, u8::try_from(payload.len()).unwrap()][..], payload.as_bytes()].concat()
    };
    let (begin, end) = SECRET.split_at(11);
    // A message; another in three frames with a ping between them; one that ends as the secret begins.
    let stars = "*".repeat(SECRET.len());
    let sent = [
        frame(0x81, &format!("a {SECRET} b")),
        frame(0x01, &format!("c {begin}")),
        frame(0x89, "ping"),
        frame(0x00, ""),
        frame(0x80, &format!("{end} d")),
        frame(0x81, begin),
        frame(0x82, "bytes"),
        frame(0x8a, &format!("pong {SECRET}")),
        frame(0x88, &format!("\u{3}\u{68}{SECRET}")),
    ];
    let got = [
        frame(0x81, &format!("a {stars} b")),
        frame(0x01, &format!("c {}", &stars[..11])),
        frame(0x89, "ping"),
        frame(0x00, ""),
        frame(0x80, &format!("{} d", &stars[11..])),
        frame(0x81, begin),
        frame(0x82, "bytes"),
        frame(0x8a, &format!("pong {stars}")),
        frame(0x88, &format!("\u{3}\u{68}{stars}")),
    ];
    let clerk = Clerk { scrubber: Some(Scrubber::new(&[leak])), ..Clerk::default() };
    let (_, heard, _, end) = talk(clerk, &[], &sent.concat()).await;
    assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(&got.concat()));
    assert_eq!(end, PumpEnd::Closed);
}

#[tokio::test]
async fn a_refused_message_is_answered_and_does_not_go_out() {
    let frames = [said(0x81, b"one"), said(0x01, b"an an"), said(0x80, b"swer"), said(0x81, b"two")].concat();
    let (reached, got, clerk, end) = talk(Clerk::default(), &frames, b"").await;
    assert_eq!(reached, [said(0x81, b"one"), said(0x81, b"two")].concat());
    assert_eq!((got.as_slice(), clerk.passed, end), (b"\x81\x07refused".as_slice(), 2, PumpEnd::Closed));
}

#[tokio::test]
async fn an_answer_waits_for_the_end_of_the_origins_message() {
    let (mut agent, ours) = duplex(1024);
    let (mut origin, theirs) = duplex(1024);
    let pumping = tokio::spawn(async move {
        carry(ours, theirs, Duration::from_secs(60), std::future::pending(), &mut Clerk::default()).await
    });
    let mut got = [0; 100];
    origin.write_all(b"\x01\x02he").await.unwrap();
    agent.read_exact(&mut got[..4]).await.unwrap();
    agent.write_all(&[said(0x81, b"answer"), said(0x81, b"after")].concat()).await.unwrap();
    origin.read_exact(&mut got[..11]).await.unwrap();
    origin.write_all(b"\x80\x01y").await.unwrap();
    agent.read_exact(&mut got[..12]).await.unwrap();
    assert_eq!(&got[..12], b"\x80\x01y\x81\x07refused");
    drop((agent, origin));
    pumping.await.unwrap();
}

#[tokio::test]
async fn a_message_without_words_for_a_no_ends_the_connection() {
    let frames = [said(0x81, b"one"), said(0x81, b"no"), said(0x81, b"two")].concat();
    let (reached, got, _, end) = talk(Clerk::default(), &frames, b"").await;
    assert_eq!(reached, [said(0x81, b"one"), b"\x88\x82\0\0\0\0\x03\xe9".to_vec()].concat());
    assert_eq!(got, b"\x88\x09\x03\xf0because");
    assert_eq!(end, PumpEnd::Refused("because".to_owned()));
}

#[tokio::test]
async fn frames_with_two_readings_end_the_connection() {
    let unmasked = b"\x81\x02hi".to_vec();
    let long_form = [&[0x81, 0xfe, 0, 2][..], &MASK, b"hi"].concat();
    let begun_twice = [said(0x01, b"a"), said(0x81, b"b")].concat();
    let long_ping = said(0x89, &[0; 126]);
    for (what, frames) in [
        ("no mask", unmasked),
        ("a reserved bit", said(0xc1, b"packed")),
        ("a reserved kind", said(0x83, b"x")),
        ("a length in long form", long_form),
        ("a message inside of a message", begun_twice),
        ("a piece of nothing", said(0x80, b"x")),
        ("a long control frame", long_ping),
        ("a control frame in pieces", said(0x09, b"x")),
    ] {
        let (reached, got, clerk, end) = talk(Clerk::default(), &frames, b"").await;
        assert_eq!(reached, b"\x88\x82\0\0\0\0\x03\xe9", "{what}");
        assert_eq!(&got[..1], b"\x88", "{what}");
        assert_eq!(&got[2..4], 1002_u16.to_be_bytes(), "{what}");
        assert!(matches!(end, PumpEnd::Refused(_)) && clerk.passed == 0, "{what}: {end:?}");
    }
}

#[tokio::test]
async fn a_long_message_is_asked_about_by_its_beginning() {
    let clerk = || Clerk { limit: Some(10), ..Clerk::default() };
    let long = [said(0x02, b"0123456789ab"), said(0x80, &vec![b'x'; 70_000]), said(0x81, b"next")].concat();
    let (reached, _, passed, end) = talk(clerk(), &long, b"").await;
    assert!(reached == long, "{} of {} bytes went out", reached.len(), long.len());
    assert_eq!(passed.asked, [("0123456789".to_owned(), false), ("next".to_owned(), true)]);
    assert_eq!((passed.passed, end), (2, PumpEnd::Closed));
    // Refused, its rest could not be told from what follows.
    let (reached, got, _, end) = talk(clerk(), &said(0x82, b"an answer, and more"), b"").await;
    assert_eq!(reached, b"\x88\x82\0\0\0\0\x03\xe9");
    let got = got.strip_prefix(b"\x81\x07refused").unwrap();
    assert_eq!(&got[2..4], 1009_u16.to_be_bytes());
    assert!(got[4..].starts_with(b"a message is longer"), "{}", String::from_utf8_lossy(got));
    assert!(matches!(end, PumpEnd::Refused(_)), "{end:?}");
}

#[tokio::test]
async fn a_cut_ends_a_pump_and_closes_both_sides() {
    let (mut agent, ours) = duplex(64);
    let (mut origin, theirs) = duplex(64);
    let (cut, on_cut) = tokio::sync::oneshot::channel::<()>();
    let pumping = tokio::spawn(async move {
        let cut = async {
            let _ = on_cut.await;
        };
        carry(ours, theirs, Duration::from_secs(60), cut, &mut Clerk::default()).await
    });
    agent.write_all(&said(0x81, b"hello")).await.unwrap();
    origin.read_exact(&mut [0; 11]).await.unwrap();
    cut.send(()).unwrap();
    let facts = pumping.await.unwrap();
    assert_eq!((facts.to_origin, facts.end), (11, PumpEnd::Cut));
    assert_eq!(agent.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(origin.read(&mut [0; 1]).await.unwrap(), 0);
}
