//! How long the streams of a task go on after its end: many of them open through one node, in this process.
//!
//! `cargo bench --bench revoke` takes seconds. Method and figures: `benches/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    dead_code,
    reason = "a bench prints its figures and stops at what is wrong; the harness has more than it needs"
)]

#[path = "../tests/suite/harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant};

use harness::{Agent, House, PERMIT_ALL, of_kind, request};
use hdrhistogram::Histogram;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::task::JoinSet;

/// Open streams, and the HTTP/2 connections that they share.
const STREAMS: usize = 1_000;
const CONNECTIONS: usize = 10;
/// Tasks that are ended one after the other.
const ROUNDS: usize = 5;

/// What is promised of the slowest stream in a hundred.
const GOAL_MS: f64 = 250.0;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("left out: figures come from `cargo bench --bench revoke`");
        return;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run());
}

async fn run() {
    let house = House::start(PERMIT_ALL, "").await;
    let mut cut = Histogram::<u64>::new(3).unwrap();
    let mut acknowledged = Histogram::<u64>::new(3).unwrap();
    for _ in 0..ROUNDS {
        let task = house.task().await;
        let mut streams = open(&house, task["token"].as_str().unwrap()).await;
        let path = format!("/v1/tasks/{}/end", task["id"].as_str().unwrap());
        let began = Instant::now();
        let (status, shown) = house.admin(Method::POST, &path, Value::Null).await;
        let acknowledgement = began.elapsed();
        assert_eq!((status, &shown["in_flight"]), (StatusCode::OK, &Value::from(0)), "{shown}");
        acknowledged.record(micros(acknowledgement)).unwrap();
        while let Some(ended) = streams.join_next().await {
            cut.record(micros(ended.unwrap().saturating_duration_since(began))).unwrap();
        }
    }
    for (name, times) in [("stream cut after", &cut), ("end acknowledged after", &acknowledged)] {
        let ms = |quantile| Duration::from_micros(times.value_at_quantile(quantile)).as_secs_f64() * 1e3;
        println!("{name:24} p50 {:8.1} ms   p99 {:8.1} ms   max {:8.1} ms", ms(0.5), ms(0.99), ms(1.0));
        assert!(ms(0.99) <= GOAL_MS, "{name}: more than {GOAL_MS} ms p99");
    }
    let journal = house.journal().await;
    let closed = of_kind(&journal, "closed");
    let revoked = closed.iter().filter(|entry| entry["closing"]["outcome"] == "revoked").count();
    println!("recorded as revoked      {revoked} of {}", STREAMS * ROUNDS);
    assert_eq!(revoked, STREAMS * ROUNDS);
}

/// All streams, each with its first event read; each task comes back with the moment of its end.
async fn open(house: &House, token: &str) -> JoinSet<Instant> {
    let mut streams = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut agent = Agent::connect(house, "api.test", "h2", token).await;
        for _ in 0..STREAMS / CONNECTIONS {
            let answer = agent.send(request(true, "GET", "https://api.test/stream", &[])).await;
            assert_eq!(answer.status(), StatusCode::OK);
            let mut body = answer.into_body();
            assert!(body.frame().await.unwrap().is_ok());
            streams.spawn(async move {
                while matches!(body.frame().await, Some(Ok(_))) {}
                Instant::now()
            });
        }
    }
    streams
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
