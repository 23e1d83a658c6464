//! Keeps a caller from giving up while its call waits for a person: where it takes an event stream (MCP, *Streamable HTTP*),
//! one is begun, with a comment every few seconds (HTML, *Server-sent events*: a line that begins with `:` is ignored),
//! and what came of the call follows as its message. HTTP/2 needs none of that: its pings keep the connection, and a status
//! that is sent cannot be taken back. Of HTTP/1.1 nothing else is known that clients bear (many take a 102 for the answer).

use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::Pep;
use crate::accept::{Agent, Walked};
use crate::body::{Body, BodyError};
use crate::call::{Call, CallId, Head, Intercepted};

/// How often a caller hears that its call still waits. Well below what clients wait for a first byte.
const EVERY: Duration = Duration::from_secs(5);
/// What is said meanwhile.
const COMMENT: &str = ": remit: a person is asked whether this may go out\n\n";
/// The longest answer that is made a message of; one that streams is not bounded.
const MESSAGE_BYTES: usize = 16 << 20;
/// Pieces of the answer that wait for the caller.
const PIECES: usize = 8;

/// Whether the caller takes an event stream for an answer to JSON. Whether that is JSON-RPC is known once it was read: nothing else is
/// told that it waits (`holding::Bench::looks_like_rpc`).
pub(super) fn is_wanted(head: &Head) -> bool {
    let says = |name, wanted: &str| {
        let values = head.headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().starts_with(wanted))
    };
    head.method == Method::POST
        && head.upgrade.is_none()
        && says(ACCEPT, "text/event-stream")
        && says(CONTENT_TYPE, "application/json")
}

/// The walk of such a call.
pub(super) async fn walk(pep: Pep, call: Call<Intercepted>, body: Body, mut agent: Agent) -> Walked {
    let id = call.head().id;
    let (here, waits) = oneshot::channel();
    let inner = Agent::waiting(agent.upgrade.take(), waits);
    let held = inner.held();
    let mut work = async move { pep.walk_now(call, body, inner).await }.boxed();
    let mut here = Some(here);
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tokio::select! {
            biased;
            walked = &mut work => return walked,
            () = agent.gone(), if here.is_some() => here = None,
            _ = tick.tick() => if here.is_some() && held.load(Relaxed) {
                break;
            }
        }
    }
    let (pieces, answer) = mpsc::channel(PIECES);
    let mut response = Response::new(Body::wrap(Pieces(answer)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert("remit-call", id);
    }
    Walked { answer: response, afterwards: Some(beat(work, here, pieces, id).boxed()) }
}

/// Says that the call waits until it does not any more; then what came of it.
async fn beat(
    mut work: BoxFuture<'static, Walked>,
    mut here: Option<oneshot::Sender<std::convert::Infallible>>,
    pieces: mpsc::Sender<Result<Bytes, BodyError>>,
    id: CallId,
) {
    let mut tick = interval(EVERY);
    let walked = loop {
        tokio::select! {
            biased;
            walked = &mut work => break walked,
            () = pieces.closed(), if here.is_some() => here = None,
            // If there is no room, the caller has something to read.
            _ = tick.tick(), if here.is_some() => drop(pieces.try_send(Ok(Bytes::from_static(COMMENT.as_bytes())))),
        }
    };
    relay(walked.answer, &pieces, id).await;
}

async fn relay(answer: Response<Body>, pieces: &mpsc::Sender<Result<Bytes, BodyError>>, id: CallId) {
    let (head, body) = answer.into_parts();
    let mut body = pin!(body);
    if is_events(&head.headers) {
        while let Some(frame) = body.frame().await {
            let piece = frame.map(|frame| frame.into_data().unwrap_or_default());
            let broke = piece.is_err();
            if pieces.send(piece).await.is_err() || broke {
                return;
            }
        }
        return;
    }
    let limited = http_body_util::Limited::new(body, MESSAGE_BYTES);
    let said = limited.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let event = message(&said, head.status, id);
    let _gone_or_sent = pieces.send(Ok(Bytes::from(event))).await;
}

fn is_events(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    media.trim_start().starts_with("text/event-stream")
}

/// An answer as one event. What is no JSON-RPC cannot be told as such, and is told as an error of remit's.
fn message(said: &[u8], status: http::StatusCode, id: CallId) -> String {
    let answer = serde_json::from_slice::<Value>(said).ok();
    let is_rpc = |value: &Value| value.get("jsonrpc").is_some();
    let is_answer =
        |value: &Value| is_rpc(value) || value.as_array().is_some_and(|all| all.iter().any(is_rpc));
    let answer = answer.filter(is_answer).unwrap_or_else(|| {
        let why = format!("the server answered {status}, with something that is no JSON-RPC (call {id})");
        json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32603, "message": why } })
    });
    // As JSON it is one line.
    format!("event: message\ndata: {answer}\n\n")
}

/// A body that comes in pieces.
struct Pieces(mpsc::Receiver<Result<Bytes, BodyError>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
