//! WebSocket: a connection of its own, checked as a client must check it, then messages both ways (`messages.rs`).
//!
//! Nothing that follows the upgrade request goes out before a proper 101 (THREATS 28, 29): an answer of another kind is an
//! ordinary answer, and a 101 that does not fit is a broken origin.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::Inner;
use super::connection::{Fresh, establish};
use super::deadline::{Inbound, Outbound, Progress};
use super::dial::Protocol;
use super::error::{OriginError, Waiting};
use super::headers::{self, Outgoing};
use super::messages::{Gate, carry};
use super::pump::PumpFacts;
use super::send::describe;
use super::tls::Offer;
use crate::body::Body;
use crate::call::Head;

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The origin's side of an upgraded connection. Dropping it closes the connection.
pub struct Upgraded {
    io: TokioIo<hyper::upgrade::Upgraded>,
    idle: Duration,
}

impl std::fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upgraded(..)")
    }
}

impl Upgraded {
    /// Carries messages both ways until both sides are done, or one of the limits or `cut` ends it. What the agent says
    /// goes out if `gate` lets it.
    pub async fn pump(
        self,
        agent: impl AsyncRead + AsyncWrite + Unpin + Send,
        cut: impl Future<Output = ()>,
        gate: &mut impl Gate,
    ) -> PumpFacts {
        carry(agent, self.io, self.idle, cut, gate).await
    }
}

/// Sends an upgrade request over a connection of its own.
pub(super) async fn open(
    inner: &Arc<Inner>,
    head: &Head,
    outgoing: &Outgoing,
) -> Result<(http::Response<Body>, Option<Upgraded>), OriginError> {
    let accept = expected_accept(head)?;
    let route = inner.table.route(&head.origin);
    let dialled = inner.dialler.dial(&head.origin, &route, Offer::Http1).await?;
    let Fresh::Http1(mut connection) = establish(dialled, &inner.limits).await? else {
        return Err(OriginError::unreachable("it chose HTTP/2, which was not offered"));
    };
    let mut request = outgoing.request(Protocol::Http1, &Body::empty())?;
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    // RFC 6455 §9.1: an extension may be declined. Messages that are packed by one could not be read.
    request.headers_mut().remove(EXTENSIONS);
    let progress = Progress::new();
    let request = request.map(|()| Outbound::new(Body::empty(), progress.clone()));
    let mut response = progress
        .within(inner.limits.head, connection.send(request))
        .await?
        .map_err(|unanswered| OriginError::protocol(describe(unanswered.error())))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return ordinary(inner, response, connection);
    }
    fits(&accept, &head.headers, response.headers()).map_err(OriginError::protocol)?;
    let limit = inner.limits.handshake;
    let io = timeout(limit, hyper::upgrade::on(&mut response))
        .await
        .map_err(|_elapsed| OriginError::timeout(Waiting::Handshake, limit))?
        .map_err(|error| OriginError::protocol(describe(&error)))?;
    let (mut parts, _no_body) = response.into_parts();
    headers::strip_answer(&mut parts.headers);
    let upgraded = Upgraded { io: TokioIo::new(io), idle: inner.limits.idle };
    Ok((http::Response::from_parts(parts, Body::empty()), Some(upgraded)))
}

/// The origin would rather not: its answer passes, and the connection ends with it.
fn ordinary<C: Send + Unpin + 'static>(
    inner: &Inner,
    response: http::Response<hyper::body::Incoming>,
    connection: C,
) -> Result<(http::Response<Body>, Option<Upgraded>), OriginError> {
    let (mut parts, incoming) = response.into_parts();
    if let Some(doubt) = headers::framing_doubt(&parts) {
        return Err(OriginError::protocol(doubt));
    }
    headers::strip_answer(&mut parts.headers);
    let body = Inbound::wrap(incoming, inner.limits.idle, move || drop(connection));
    Ok((http::Response::from_parts(parts, body), None))
}

const KEY: HeaderName = header::SEC_WEBSOCKET_KEY;
const ACCEPT: HeaderName = header::SEC_WEBSOCKET_ACCEPT;
const PROTOCOL: HeaderName = header::SEC_WEBSOCKET_PROTOCOL;
const EXTENSIONS: HeaderName = header::SEC_WEBSOCKET_EXTENSIONS;

/// What the origin must answer to the agent's key (RFC 6455 §4.2.2). Checks the agent's part of it on the way.
fn expected_accept(head: &Head) -> Result<String, OriginError> {
    let malformed = |why: &str| OriginError::Malformed { why: why.to_owned() };
    if head.method != Method::GET {
        return Err(malformed("a WebSocket is asked for with GET"));
    }
    let key = only(&head.headers, &KEY).ok_or_else(|| malformed("it needs one `sec-websocket-key`"))?;
    if BASE64.decode(key.as_bytes()).map_or(0, |nonce| nonce.len()) != 16 {
        return Err(malformed("`sec-websocket-key` is not 16 bytes in base64"));
    }
    if only(&head.headers, &header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version.as_bytes() != b"13") {
        return Err(malformed("`sec-websocket-version` must be 13"));
    }
    Ok(BASE64.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize()))
}

/// What a client must check before it takes a 101 for a WebSocket (RFC 6455 §4.1).
fn fits(accept: &str, asked: &HeaderMap, answer: &HeaderMap) -> Result<(), &'static str> {
    let upgrade = only(answer, &header::UPGRADE);
    if upgrade.is_none_or(|value| !value.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Err("its 101 is for another protocol than WebSocket");
    }
    if !headers::lists(answer, &header::CONNECTION, "upgrade") {
        return Err("its 101 lacks `connection: upgrade`");
    }
    if only(answer, &ACCEPT).is_none_or(|value| value.as_bytes() != accept.as_bytes()) {
        return Err("its 101 does not answer the agent's `sec-websocket-key`");
    }
    let offered = |name: &str| headers::lists(asked, &PROTOCOL, name);
    let mut protocols = answer.get_all(PROTOCOL).iter();
    if protocols.any(|chosen| !chosen.to_str().is_ok_and(|name| offered(name.trim()))) {
        return Err("its 101 chose a subprotocol that was not offered");
    }
    if answer.contains_key(EXTENSIONS) {
        return Err("its 101 chose an extension that was not offered");
    }
    Ok(())
}

/// The value of a field that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
