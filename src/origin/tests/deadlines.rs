//! Every wait ends.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use super::super::{Limits, OriginError, Reached, Waiting};
use super::harness::{Ask, TestOrigin, full, raw_with, read_head, write};
use crate::body::{Body, BodyError};

const BOTH: &[&str] = &["h2", "http/1.1"];
const OLD: &[&str] = &["http/1.1"];

fn short() -> Limits {
    Limits { head: Duration::from_millis(80), idle: Duration::from_millis(80), ..Limits::default() }
}

#[tokio::test]
async fn an_origin_that_does_not_answer_is_given_up() {
    for alpn in [BOTH, OLD] {
        let origin = TestOrigin::start(alpn, |_| async {
            std::future::pending::<()>().await;
            Response::new(full(""))
        })
        .await;
        let upstream = origin.upstream_with(short());
        for method in [Method::GET, Method::POST] {
            let error = Ask::new(method, "https://a.test/").send(&upstream).await.unwrap_err();
            assert_eq!(error, OriginError::Timeout { waiting: Waiting::Head, limit_s: 1 });
            assert_eq!(error.reached(), Reached::Perhaps);
        }
        assert_eq!(origin.seen.counts().1, 2, "a call was sent again");
    }
}

#[tokio::test]
async fn a_body_that_moves_keeps_the_call_alive() {
    let origin = TestOrigin::start(OLD, |request| async {
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await;
    // Five frames, each after more than half of the limit: far beyond the limit in all.
    let frames = futures_util::stream::unfold(0, |n| async move {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        pause.tick().await;
        pause.tick().await;
        (n < 5).then(|| (Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"x"))), n + 1))
    });
    let body = Body::wrap(StreamBody::new(Box::pin(frames)));
    let upstream = origin.upstream_with(Limits { head: Duration::from_millis(90), ..Limits::default() });
    let answer = Ask::new(Method::POST, "https://a.test/").send_with(&upstream, body).await.unwrap();
    assert_eq!(super::harness::text(answer).await, "xxxxx");
}

#[tokio::test]
async fn an_answer_that_stands_still_is_cut() {
    let (upstream, _) = raw_with(short(), |mut tcp| async move {
        read_head(&mut tcp).await;
        write(&mut tcp, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    })
    .await;
    let answer = Ask::get("https://raw.test/").send(&upstream).await.unwrap();
    let error = answer.response.into_body().collect().await.unwrap_err();
    assert!(matches!(error, BodyError::Cut(_)), "{error}");
}

#[tokio::test]
async fn a_reader_who_takes_his_time_is_not_cut() {
    let origin = TestOrigin::start(BOTH, |_| async {
        let frames = (0..20).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![7; 65_536]))));
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
    })
    .await;
    let answer = Ask::get("https://a.test/").send(&origin.upstream_with(short())).await.unwrap();
    let mut body = answer.response.into_body();
    let mut read = body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    let mut pause = tokio::time::interval(Duration::from_millis(200));
    pause.tick().await;
    pause.tick().await;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(read, 20 * 65_536);
}
