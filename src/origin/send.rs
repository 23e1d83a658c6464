//! One call goes out, and its answer comes back.
//!
//! What the origin may have acted on is not sent again, with one exception: a GET, HEAD or OPTIONS without a body, whose
//! kept connection broke before an answer began, once. What provably was not looked at (never written, or refused by
//! `REFUSED_STREAM` or a graceful GOAWAY) is sent again, whatever its method.
//!
//! Nothing is followed and nothing is remembered: redirects and cookies are the agent's own affair, and its next call is
//! judged anew.

use std::error::Error as _;
use std::sync::Arc;

use http::{Method, StatusCode};
use http_body::Body as _;

use super::connection::{Stream, Unanswered, establish};
use super::deadline::{Inbound, Outbound, Progress};
use super::dial::Protocol;
use super::error::OriginError;
use super::headers::{self, Outgoing};
use super::pool::{Family, Key, Lent, Place};
use super::tls::Offer;
use super::{Answer, Inner, upgrade};
use crate::body::Body;
use crate::call::{Call, Credentialed, Head};

/// Times that a request is tried which provably never left, or which the origin says it did not look at.
const UNSENT_TRIES: usize = 3;

/// What came back over which connection.
type Answered = (http::Response<hyper::body::Incoming>, Lent);

pub(super) async fn send(
    inner: &Arc<Inner>,
    call: Call<Credentialed>,
    body: Body,
) -> Result<Answer, OriginError> {
    let outgoing = Outgoing::of(call.head())?;
    if call.head().upgrade.is_some() {
        let (response, upgraded) = upgrade::open(inner, call.head(), &outgoing).await?;
        return Ok(Answer { call: call.forwarded(), response, upgraded });
    }
    let key = key(inner, call.head(), call.stage());
    let (answered, progress) = answered(inner, &key, call.head(), &outgoing, body).await?;
    let response = receive(inner, key, outgoing.method(), answered, &progress)?;
    Ok(Answer { call: call.forwarded(), response, upgraded: None })
}

fn key(inner: &Inner, head: &Head, stage: &Credentialed) -> Arc<Key> {
    let family = Family { task: stage.task.id, lease: stage.lease.as_ref().map(|lease| lease.id) };
    let place = Place { origin: head.origin.clone(), route: inner.table.route(&head.origin) };
    Arc::new(Key { place, family })
}

/// Tries until there is an answer, or nothing more may be tried.
async fn answered(
    inner: &Arc<Inner>,
    key: &Arc<Key>,
    head: &Head,
    outgoing: &Outgoing,
    mut body: Body,
) -> Result<(Answered, Arc<Progress>), OriginError> {
    let empty = body.is_end_stream();
    let mut repeatable = empty && matches!(*outgoing.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let mut tries = 1;
    loop {
        let Place { origin, route } = &key.place;
        let dial = || async {
            let dialled = inner.dialler.dial(origin, route, Offer::Any).await?;
            establish(dialled, &inner.limits).await
        };
        let lent = inner.pool.connection(key, dial).await?;
        let lent = fit_for(inner, key, head, lent)?;
        let reused = lent.reused();
        let progress = Progress::new();
        match exchange(inner, lent, outgoing, body, &progress).await {
            Ok(answered) => return Ok((answered, progress)),
            Err(Failed::Refused(error)) => return Err(error),
            Err(Failed::Unsent(unsent, _)) if tries < UNSENT_TRIES => {
                inner.pool.discard(key);
                body = unsent;
                tries += 1;
            }
            Err(Failed::Ignored(Some(again), _)) if tries < UNSENT_TRIES => {
                body = again;
                tries += 1;
            }
            Err(Failed::Broke(_)) if repeatable && reused => {
                inner.pool.discard(key);
                repeatable = false;
                body = Body::empty();
            }
            Err(Failed::Unsent(_, error) | Failed::Ignored(_, error)) => {
                return Err(OriginError::unreachable(error));
            }
            Err(Failed::Broke(error)) => return Err(OriginError::protocol(error)),
        }
    }
}

/// gRPC over HTTP/1.1 is refused before a byte goes out; the connection is good for other calls.
fn fit_for(inner: &Arc<Inner>, key: &Key, head: &Head, lent: Lent) -> Result<Lent, OriginError> {
    match lent {
        Lent::Http1 { connection, generation, .. } if headers::is_grpc(head) => {
            inner.pool.give_back(key, connection, generation);
            Err(OriginError::LacksHttp2)
        }
        lent => Ok(lent),
    }
}

/// Why there is no answer.
enum Failed {
    /// Not by way of the connection; nothing to try again.
    Refused(OriginError),
    /// No byte of it was written; here is the body.
    Unsent(Body, String),
    /// The origin said that it did not process it (RFC 9113 §8.7). The body, if it was small enough to keep.
    Ignored(Option<Body>, String),
    /// It may have been processed.
    Broke(String),
}

async fn exchange(
    inner: &Inner,
    lent: Lent,
    outgoing: &Outgoing,
    body: Body,
    progress: &Arc<Progress>,
) -> Result<Answered, Failed> {
    let protocol = match &lent {
        Lent::Http1 { .. } => Protocol::Http1,
        Lent::Http2 { .. } => Protocol::Http2,
    };
    let request = outgoing.request(protocol, &body).map_err(Failed::Refused)?;
    let request = request.map(|()| Outbound::new(body, progress.clone()));
    let limit = inner.limits.head;
    match lent {
        Lent::Http1 { mut connection, reused, generation } => {
            let ended = progress.within(limit, connection.send(request)).await.map_err(Failed::Refused)?;
            let response = ended.map_err(|unanswered| failed(unanswered, progress))?;
            Ok((response, Lent::Http1 { connection, reused, generation }))
        }
        Lent::Http2 { stream, reused } => {
            let ended = progress.within(limit, stream.send(request)).await.map_err(Failed::Refused)?;
            let response = ended.map_err(|unanswered| failed(unanswered, progress))?;
            Ok((response, Lent::Http2 { stream, reused }))
        }
    }
}

fn failed(mut unanswered: Unanswered, progress: &Progress) -> Failed {
    if let Some(request) = unanswered.take_message() {
        return Failed::Unsent(request.into_body().into_body(), describe(unanswered.error()));
    }
    if let Some(why) = progress.broke() {
        return Failed::Refused(OriginError::AgentBody { why });
    }
    let error = unanswered.error();
    let why = describe(error);
    let Some(http2) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) else {
        return Failed::Broke(why);
    };
    let reason = http2.reason();
    let not_processed = (http2.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
        || (http2.is_go_away() && reason == Some(h2::Reason::NO_ERROR));
    if http2.is_remote() && not_processed {
        Failed::Ignored(progress.replay(), why)
    } else if http2.is_reset() {
        // It did answer, in its way: by cutting this one stream.
        Failed::Refused(OriginError::protocol(why))
    } else {
        Failed::Broke(why)
    }
}

/// The whole chain on one line: hyper's own messages leave the cause out.
pub(super) fn describe(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Checks the head of the answer and hands its body on; at its end the connection goes back to the pool.
fn receive(
    inner: &Arc<Inner>,
    key: Arc<Key>,
    method: &Method,
    (response, lent): Answered,
    progress: &Arc<Progress>,
) -> Result<http::Response<Body>, OriginError> {
    let (mut parts, incoming) = response.into_parts();
    // RFC 9110 §15.2.2: an answer to `Upgrade` alone; what follows it would be no HTTP.
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(OriginError::protocol("it switched protocols without being asked to"));
    }
    let limit = inner.limits.idle;
    let body = match lent {
        Lent::Http1 { mut connection, generation, .. } => {
            if let Some(doubt) = headers::framing_doubt(&parts) {
                return Err(OriginError::protocol(doubt));
            }
            let hint = headers::keep_alive(&parts.headers).unwrap_or(inner.limits.pool_idle);
            connection.keep = hint.min(inner.limits.pool_idle);
            let (pool, progress) = (inner.pool.clone(), progress.clone());
            Inbound::wrap(incoming, limit, move || {
                // An origin that answered before the request was whole would read the rest as the next one.
                if progress.is_done() {
                    pool.give_back(&key, connection, generation);
                }
            })
        }
        Lent::Http2 { stream, .. } => Inbound::wrap(incoming, limit, move || drop::<Stream>(stream)),
    };
    // Over HTTP/2 its end may yet be on its way; nobody needs to wait for that, or to take it for a body.
    let body = if headers::has_no_content(method, parts.status) { Body::empty() } else { body };
    headers::strip_answer(&mut parts.headers);
    Ok(http::Response::from_parts(parts, body))
}
