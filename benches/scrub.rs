//! How fast answers are searched for a credential: `cargo bench --bench scrub`.
//!
//! Bodies without a hit, in pieces of 16 KiB as they come from a connection; one core. Method and figures: benches/README.md.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench that cannot run says why by panicking, and its figures are no exact ones"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use remit::body::{Body, BodyError};
use remit::call::{Leak, Secret};
use remit::origin::{Scrubber, scrub};

const BODY_BYTES: usize = 64 << 20;
const CHUNK_BYTES: usize = 16 << 10;
const LEAST: Duration = Duration::from_secs(2);

fn leak(secret: &str) -> Leak {
    Leak { secret: Secret::new(secret.to_owned()), instead: "remit_placeholder".to_owned() }
}

/// JSON as APIs send it.
fn json() -> Vec<u8> {
    let mut out = Vec::with_capacity(BODY_BYTES + 200);
    let mut n = 1_u64;
    while out.len() < BODY_BYTES {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let item = format!(
            "{{\"id\":{},\"node_id\":\"MDU6SXNzdWU{n:x}\",\"title\":\"Found a bug\",\"url\":\"https://api.test/repos/octo/hello/issues/{}\"}},\n",
            n >> 40,
            n % 1000
        );
        out.extend(item.bytes());
    }
    out
}

/// Bytes that have no order.
fn noise() -> Vec<u8> {
    let mut n = 1_u64;
    let next = || {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((n >> 33).to_le_bytes()[0])
    };
    std::iter::from_fn(next).take(BODY_BYTES).collect()
}

fn once(chunks: &[Bytes], scrubber: &Scrubber) -> usize {
    let frames: Vec<_> = chunks.iter().map(|chunk| Ok::<_, BodyError>(Frame::data(chunk.clone()))).collect();
    let mut answer = Response::new(Body::wrap(StreamBody::new(futures_util::stream::iter(frames))));
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    let mut body = scrub(answer, scrubber).expect("an answer").into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().now_or_never().expect("a frame") {
        bytes += black_box(frame.expect("a frame")).data_ref().map_or(0, Bytes::len);
    }
    bytes
}

fn main() {
    let token = leak("ghs_16C7e42F292c6912E7710c838347Ae178B4a");
    let aws = leak("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let session = leak(&"IQoJb3JpZ2luX2VjEPT//////////wEaCXVzLWVhc3QtMSJIMEYCIQD".repeat(12));
    let cases = [
        ("one token", vec![token.clone()]),
        ("AWS keys with a session token", vec![aws.clone(), session.clone()]),
        ("three credentials", vec![token, aws, session]),
    ];
    for (body, bytes) in [("JSON", json()), ("noise", noise())] {
        let whole = Bytes::from(bytes);
        let chunks: Vec<Bytes> = (0..whole.len())
            .step_by(CHUNK_BYTES)
            .map(|at| whole.slice(at..(at + CHUNK_BYTES).min(whole.len())))
            .collect();
        for (name, leaks) in &cases {
            let scrubber = Scrubber::new(leaks);
            let (began, mut bytes) = (Instant::now(), 0);
            while began.elapsed() < LEAST {
                bytes += once(&chunks, &scrubber);
            }
            let rate = bytes as f64 / began.elapsed().as_secs_f64() / 1e9;
            println!("scrub {body:<6} {name:<30} {rate:>6.2} GB/s");
        }
    }
    let began = Instant::now();
    for _ in 0..100 {
        black_box(Scrubber::new(&[leak("ghs_16C7e42F292c6912E7710c838347Ae178B4a")]));
    }
    println!("scrub made ready in {:?}", began.elapsed() / 100);
}
