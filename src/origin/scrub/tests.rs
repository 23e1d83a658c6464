use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, StreamBody};
use proptest::prelude::*;

use super::{Scrubber, ask_searchable, ask_whole, scrub};
use crate::body::{Body, BodyError};
use crate::call::{Leak, Secret};
use crate::origin::OriginError;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const PLACEHOLDER: &str = "remit_placeholder_of_the_same_length_000";
const SHORT: &str = "remit_short";

fn scrubber(secret: &str, instead: &str) -> Scrubber {
    Scrubber::new(&[Leak { secret: Secret::new(secret.to_owned()), instead: instead.to_owned() }])
}

fn streamed(parts: Vec<Vec<u8>>) -> Body {
    let frames = parts.into_iter().map(|part| Ok::<_, BodyError>(Frame::data(Bytes::from(part))));
    Body::wrap(StreamBody::new(futures_util::stream::iter(frames)))
}

/// In pieces of these sizes, again and again.
fn split(whole: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let (mut rest, mut parts) = (whole, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (part, after) = rest.split_at((*size).clamp(1, rest.len()));
        parts.push(part.to_vec());
        rest = after;
    }
    parts
}

fn answer(headers: &[(&'static str, &str)], body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    for (name, value) in headers {
        answer.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    answer
}

fn through(
    scrubber: &Scrubber,
    headers: &[(&'static str, &str)],
    parts: Vec<Vec<u8>>,
) -> (HeaderMap, Vec<u8>) {
    let clean = scrub(answer(headers, streamed(parts)), scrubber).unwrap();
    let (head, body) = clean.into_parts();
    let bytes = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap().to_bytes();
    (head.headers, bytes.to_vec())
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn all_forms(secret: &str) -> Vec<(String, &'static str)> {
    let percent = |upper: bool| {
        let each = |byte: u8| match byte {
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b if upper => format!("%{b:02X}"),
            b => format!("%{b:02x}"),
        };
        secret.bytes().map(each).collect::<String>()
    };
    let each = |byte: &dyn Fn(u8) -> String| secret.bytes().map(byte).collect::<Vec<_>>().concat();
    let mut forms = vec![
        (secret.to_owned(), "raw"),
        (percent(true), "percent, upper"),
        (percent(false), "percent, lower"),
        (each(&|byte| format!("%{byte:02x}")), "percent, every byte"),
        (secret.replace('/', "\\/"), "JSON with a solidus"),
        (secret.replace('+', "\\u002b"), "JSON as .NET writes it"),
        (each(&|byte| format!("\\u{byte:04x}")), "JSON, every character"),
        (STANDARD.encode(format!("user:{secret}")), "Basic"),
    ];
    for before in ["", "a", "ab", "abc"] {
        for behind in ["", "y", "yz", "xyz"] {
            forms.push((STANDARD.encode(format!("{before}{secret}{behind}")), "base64"));
            forms.push((URL_SAFE_NO_PAD.encode(format!("{before}{secret}{behind}")), "base64url"));
        }
    }
    forms
}

#[test]
fn no_form_of_a_secret_passes() {
    for instead in [PLACEHOLDER, SHORT] {
        let scrubber = scrubber(SECRET, instead);
        for (form, name) in all_forms(SECRET) {
            for headers in [&JSON[..], &[("content-type", "application/octet-stream")]] {
                let text = format!("{{\"a\":\"{form}\",\"b\":1}}");
                for size in [1, 2, 7, 1000] {
                    let (_, clean) = through(&scrubber, headers, split(text.as_bytes(), &[size]));
                    let clean = String::from_utf8(clean).unwrap();
                    assert!(!clean.contains(&form), "{name}: {clean}");
                    assert!(
                        clean.starts_with("{\"a\":\"") && clean.ends_with("\",\"b\":1}"),
                        "{name}: {clean}"
                    );
                    let clean = clean.as_str();
                    for window in 8..form.len() {
                        let piece = &form[window - 8..window];
                        // What stands around the secret in base64 stays.
                        if name == "raw" || name.starts_with("percent") {
                            assert!(!clean.contains(piece), "{name} leaves {piece} in {clean}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn base64_keeps_its_neighbours_and_shows_the_placeholder() {
    // Of the same length; three longer; one shorter, which cannot stand there.
    for (instead, shown) in [
        (PLACEHOLDER.to_owned(), PLACEHOLDER.to_owned()),
        (format!("{PLACEHOLDER}123"), format!("{PLACEHOLDER}123")),
        (SHORT.to_owned(), "*".repeat(SECRET.len())),
    ] {
        let scrubber = scrubber(SECRET, &instead);
        for before in ["", "u", "u:", "us:", "ab\u{ff}c:"] {
            for behind in ["", "y", "yz", "\u{ff}yz"] {
                let plain = format!("{before}{SECRET}{behind}");
                let text = format!("\"{}\"", STANDARD.encode(&plain));
                for size in [1, 3, 500] {
                    let (_, clean) = through(&scrubber, &JSON, split(text.as_bytes(), &[size]));
                    let clean = String::from_utf8(clean).unwrap();
                    let decoded = STANDARD.decode(clean.trim_matches('"')).unwrap();
                    assert_eq!(String::from_utf8(decoded).unwrap(), format!("{before}{shown}{behind}"));
                }
            }
        }
    }
}

#[test]
fn a_length_that_was_told_stays() {
    let text = format!("[\"{SECRET}\",\"{}\"]", STANDARD.encode(format!("u:{SECRET}")));
    let length = text.len().to_string();
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    let (head, clean) = through(&scrubber(SECRET, SHORT), &headers, split(text.as_bytes(), &[9]));
    assert_eq!(head["content-length"], length.as_str());
    assert_eq!(clean.len(), text.len());
    let clean = String::from_utf8(clean).unwrap();
    assert!(clean.starts_with(&format!("[\"{}\"", "*".repeat(SECRET.len()))), "{clean}");
    let range = [("content-type", "text/plain"), ("content-range", "bytes 0-99/1000")];
    let (_, clean) = through(&scrubber(SECRET, SHORT), &range, vec![SECRET.into()]);
    assert_eq!(clean, b"*".repeat(SECRET.len()));
}

#[tokio::test]
async fn an_event_does_not_wait_for_the_next_one() {
    let (send, receive) = tokio::sync::mpsc::unbounded_channel::<Frame<Bytes>>();
    let stream = futures_util::stream::unfold(receive, |mut receive| async {
        let frame = receive.recv().await?;
        Some((Ok::<_, BodyError>(frame), receive))
    });
    let body = Body::wrap(StreamBody::new(Box::pin(stream)));
    let events = [("content-type", "text/event-stream")];
    let clean = scrub(answer(&events, body), &scrubber(SECRET, SHORT)).unwrap();
    let mut body = clean.into_body();
    for event in ["data: {\"a\":1}\n\n", "data: wJal of no importance\n\n", ": ping\n\n"] {
        send.send(Frame::data(Bytes::from(event))).unwrap();
        let frame = tokio::time::timeout(std::time::Duration::from_secs(5), body.frame()).await;
        assert_eq!(frame.unwrap().unwrap().unwrap().into_data().unwrap(), event);
    }
    // What may be the beginning of the secret waits, and nothing else.
    send.send(Frame::data(Bytes::from("data: wJal"))).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "data: ");
    send.send(Frame::data(Bytes::from("x!"))).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "wJalx!");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-echo", HeaderValue::from_static(SECRET));
    send.send(Frame::data(Bytes::from("wJalrX"))).unwrap();
    send.send(Frame::trailers(trailers)).unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "wJalrX");
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["x-echo"], SHORT);
    assert!(body.frame().await.is_none() && body.is_end_stream());
}

#[test]
fn headers_show_the_placeholder() {
    let location = format!("https://a.test/?key={}", SECRET.replace('/', "%2F").replace('+', "%2B"));
    let headers = [("location", location.as_str()), ("x-echo", SECRET), ("x-other", "as it was")];
    let clean = scrub(answer(&headers, Body::empty()), &scrubber(SECRET, SHORT)).unwrap();
    assert_eq!(clean.headers()["location"], format!("https://a.test/?key={SHORT}").as_str());
    assert_eq!(
        (&clean.headers()["x-echo"], &clean.headers()["x-other"]),
        (&HeaderValue::from_static(SHORT), &HeaderValue::from_static("as it was"))
    );
}

fn packed(coding: &str, plain: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    match coding {
        "gzip" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        "deflate" => {
            let mut out = flate2::write::ZlibEncoder::new(Vec::new(), level);
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        "bare" => {
            let mut out = flate2::write::DeflateEncoder::new(Vec::new(), level);
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        "zstd" => ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest),
        _ => stored_brotli(plain),
    }
}

/// RFC 7932 §9.2: meta-blocks that are not compressed; no encoder is in the tree.
fn stored_brotli(plain: &[u8]) -> Vec<u8> {
    // WBITS 16 is one zero bit. Then per block: ISLAST 0, MNIBBLES 4 (00), MLEN-1 in 16 bits, ISUNCOMPRESSED 1.
    let mut out = Vec::new();
    for (n, block) in plain.chunks(65536).enumerate() {
        let length = u32::try_from(block.len() - 1).unwrap();
        let header = (length << 3) | (1 << 19);
        let header = if n == 0 { header << 1 } else { header };
        out.extend(&header.to_le_bytes()[..3]);
        out.extend(block);
    }
    out.push(if plain.is_empty() { 0b110 } else { 0b11 });
    out
}

fn long_text() -> Vec<u8> {
    let mut text = Vec::new();
    for n in 0..30_000_u32 {
        text.extend(format!("{n} {:x} lorem ipsum\n", n.wrapping_mul(2_654_435_761)).bytes());
        if n % 1000 == 7 {
            text.extend(SECRET.bytes());
        }
    }
    text
}

#[test]
fn packed_answers_are_unpacked_and_searched() {
    let plain = long_text();
    let expected = String::from_utf8(plain.clone()).unwrap().replace(SECRET, SHORT);
    for coding in ["gzip", "deflate", "bare", "br", "zstd"] {
        let name = if coding == "bare" { "deflate" } else { coding };
        let body = packed(coding, &plain);
        let length = body.len().to_string();
        let headers = [
            ("content-type", "text/plain"),
            ("content-encoding", name),
            ("content-length", length.as_str()),
            ("etag", "\"1\""),
        ];
        for sizes in [&[1000_usize][..], &[1, 17, 4096], &[10_000_000]] {
            let (head, clean) = through(&scrubber(SECRET, SHORT), &headers, split(&body, sizes));
            assert!(
                clean == expected.as_bytes(),
                "{coding} {sizes:?}: {} of {}",
                clean.len(),
                expected.len()
            );
            assert_eq!(head.len(), 2, "{head:?}");
        }
        // Broken off: the agent must not take it for the whole.
        let cut = streamed(vec![body[..body.len() / 2].to_vec()]);
        let clean = scrub(answer(&headers, cut), &scrubber(SECRET, SHORT)).unwrap();
        let ended = futures_util::FutureExt::now_or_never(clean.into_body().collect()).unwrap();
        assert!(matches!(ended, Err(BodyError::Cut(_))), "{coding}");
    }
}

#[test]
fn a_packed_event_does_not_wait() {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(b"data: 1\n\n").unwrap();
    out.flush().unwrap();
    let first = out.get_ref().clone();
    let pending = futures_util::stream::pending::<Result<Frame<Bytes>, BodyError>>();
    let stream = futures_util::StreamExt::chain(
        futures_util::stream::iter([Ok(Frame::data(Bytes::from(first)))]),
        pending,
    );
    let events = [("content-type", "text/event-stream"), ("content-encoding", "gzip")];
    let body = Body::wrap(StreamBody::new(stream));
    let mut body = scrub(answer(&events, body), &scrubber(SECRET, SHORT)).unwrap().into_body();
    let frame = futures_util::FutureExt::now_or_never(body.frame()).unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: 1\n\n");
}

#[test]
fn a_bomb_is_unpacked_in_bounded_pieces() {
    for coding in ["gzip", "zstd"] {
        let body = packed(coding, &vec![0; 64 << 20]);
        let headers = [("content-type", "text/plain"), ("content-encoding", coding)];
        let clean = scrub(answer(&headers, Body::full(body)), &scrubber(SECRET, SHORT)).unwrap();
        let (mut body, mut whole) = (clean.into_body(), 0);
        while let Some(frame) = futures_util::FutureExt::now_or_never(body.frame()).unwrap() {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= 512 << 10, "{coding}: {}", data.len());
            whole += data.len();
        }
        assert_eq!(whole, 64 << 20);
    }
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let refused = |status: StatusCode, headers: &[(&'static str, &str)]| {
        let mut answer = answer(headers, Body::full("x"));
        *answer.status_mut() = status;
        match scrub(answer, &scrubber(SECRET, SHORT)) {
            Err(OriginError::Protocol { why }) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(StatusCode::OK, &[("content-encoding", "compress")]).contains("not known"));
    assert!(refused(StatusCode::OK, &[("content-encoding", "gzip, br")]).contains("more than once"));
    assert!(
        refused(StatusCode::PARTIAL_CONTENT, &[("content-encoding", "gzip")]).contains("part of a packed")
    );
    assert!(refused(StatusCode::OK, &[("grpc-encoding", "gzip")]).contains("gRPC"));
    for wide in [
        "text/plain; charset=UTF-16",
        "application/json;charset=\"utf-16le\"",
        "text/xml; a=b; charset = utf-32",
    ] {
        assert!(refused(StatusCode::OK, &[("content-type", wide)]).contains("character set"), "{wide}");
    }
    // Without a body there is nothing to search: HEAD, 304.
    let head = answer(&[("content-encoding", "gzip"), ("content-length", "12")], Body::empty());
    let clean = scrub(head, &scrubber(SECRET, SHORT)).unwrap();
    assert_eq!(clean.headers()["content-length"], "12");
}

#[test]
fn requests_ask_for_what_can_be_searched() {
    for (asked, sent) in [
        ("gzip, deflate, br, zstd", "gzip, deflate, br"),
        ("gzip;q=1.0, *;q=0.5", "gzip;q=1.0"),
        ("zstd", "identity"),
        ("gzip,  br", "gzip,  br"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("accept-encoding", HeaderValue::from_str(asked).unwrap());
        ask_searchable(&mut headers);
        assert_eq!(headers["accept-encoding"], sent, "{asked}");
    }
    let mut headers = HeaderMap::new();
    ask_searchable(&mut headers);
    assert!(headers.is_empty());
}

#[test]
fn what_has_no_hit_is_not_copied() {
    let chunk = Bytes::from(vec![b'x'; 10_000]);
    let body = Body::full(chunk.clone());
    let mut clean = scrub(answer(&JSON, body), &scrubber(SECRET, SHORT)).unwrap().into_body();
    let frame = futures_util::FutureExt::now_or_never(clean.frame()).unwrap().unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap().as_ptr(), chunk.as_ptr());
}

proptest! {
    #[test]
    fn splits_make_no_difference(
        pieces in proptest::collection::vec((0_usize..60, "[ -~]{0,12}"), 1..12),
        sizes in proptest::collection::vec(1_usize..80, 1..6),
        same_length in any::<bool>(),
    ) {
        let forms = all_forms(SECRET);
        let mut text = String::new();
        for (form, between) in &pieces {
            text.push_str(between);
            text.push(' ');
            if let Some((form, _)) = forms.get(*form) {
                text.push_str(form);
            }
        }
        let scrubber = scrubber(SECRET, if same_length { PLACEHOLDER } else { SHORT });
        let (_, whole) = through(&scrubber, &JSON, vec![text.clone().into_bytes()]);
        let (_, parts) = through(&scrubber, &JSON, split(text.as_bytes(), &sizes));
        prop_assert_eq!(&whole, &parts);
        prop_assert!(scrubber.replace(&whole).is_none(), "{}", String::from_utf8_lossy(&whole));
    }

    #[test]
    fn what_has_no_hit_passes_as_it_came(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        sizes in proptest::collection::vec(1_usize..300, 1..6),
    ) {
        let (_, clean) = through(&scrubber(SECRET, SHORT), &JSON, split(&bytes, &sizes));
        prop_assert_eq!(clean, bytes);
    }
}

#[test]
fn a_text_that_begins_as_utf_16_does_is_cut_and_no_other_bytes_are() {
    let wide: Vec<u8> =
        [0xfe, 0xff].into_iter().chain(SECRET.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let cut = |kind: &'static str, bytes: &[u8], sizes: &[usize]| {
        let answer = answer(&[("content-type", kind)], streamed(split(bytes, sizes)));
        let body = scrub(answer, &scrubber(SECRET, SHORT)).unwrap().into_body();
        futures_util::FutureExt::now_or_never(body.collect()).unwrap().err().map(|error| error.to_string())
    };
    for sizes in [&[1][..], &[2], &[1000]] {
        for bytes in [wide.as_slice(), &[0xff, 0xfe, b'a', 0]] {
            assert!(cut("application/json", bytes, sizes).unwrap().contains("UTF-16"), "{bytes:?} {sizes:?}");
            assert_eq!(cut("image/x", bytes, sizes), None, "no text");
        }
        for bytes in [b"\xef\xbb\xbfa".as_slice(), b"\xff", b"a\xff\xfe", b"\xfe\xfe", b""] {
            assert_eq!(cut("text/plain; charset=utf-8", bytes, sizes), None, "{bytes:?}");
        }
    }
}

#[test]
fn parts_of_an_answer_are_not_asked_for() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("range", "bytes=0-9"), ("if-range", "\"x\""), ("if-match", "\"x\"")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    ask_whole(&mut headers);
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["if-match"]);
}
