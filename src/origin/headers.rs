//! Which header fields pass, out and back.
//!
//! Out: end-to-end fields as the agent sent them, one authority, our `traceparent`. Back: end-to-end fields less
//! `alt-svc`, which would lead the agent round remit by HTTP/3. Nothing else is changed (INVARIANT I4).
//!
//! Trailers pass where hyper carries them. On an HTTP/1.1 leg it sends those alone that the head's `trailer` field names
//! and only after a chunked body, and to an agent only if that asked by `te: trailers`; it reads all of them. On an
//! HTTP/2 leg all pass both ways.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Method, StatusCode, Uri, Version};
use http_body::Body as _;

use super::dial::Protocol;
use super::error::OriginError;
use crate::body::Body;
use crate::call::Head;

/// Fields of one connection (RFC 9110 §7.6.1, RFC 9113 §8.2.2), with what old proxies made up.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
];

/// Fields that have no business behind a body (RFC 9110 §6.5.1): they would frame, route or authenticate what has
/// already been read.
const NO_TRAILERS: [HeaderName; 9] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::HOST,
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    header::TRAILER,
];

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A request in the form that either protocol can be made of, as often as it takes.
pub(super) struct Outgoing {
    method: Method,
    scheme: http::uri::Scheme,
    authority: http::uri::Authority,
    path: http::uri::PathAndQuery,
    headers: HeaderMap,
    wants_trailers: bool,
}

impl Outgoing {
    pub(super) fn of(head: &Head) -> Result<Self, OriginError> {
        let malformed = |what: &str| OriginError::Malformed { why: format!("its {what} cannot be sent") };
        let path = http::uri::PathAndQuery::try_from(head.target.raw()).map_err(|_| malformed("target"))?;
        // INVARIANT I4: what was judged is what is sent, byte for byte.
        if path.as_str() != head.target.raw() {
            return Err(malformed("target"));
        }
        let authority = head.origin.authority().parse().map_err(|_| malformed("authority"))?;
        let scheme = head.origin.scheme.as_str().parse().map_err(|_| malformed("scheme"))?;
        let mut headers = head.headers.clone();
        let wants_trailers = is_grpc(head) || lists(&headers, &header::TE, "trailers");
        strip_hop_by_hop(&mut headers);
        for name in [header::HOST, header::EXPECT, header::PROXY_AUTHORIZATION] {
            headers.remove(name);
        }
        let traceparent = HeaderValue::try_from(head.trace.traceparent()).map_err(|_| malformed("trace"))?;
        headers.insert(TRACEPARENT, traceparent);
        // W3C Trace Context §3.3: the state belongs to the parent that was sent with it.
        if head.trace.parent.is_none() {
            headers.remove(TRACESTATE);
        }
        Ok(Self { method: head.method.clone(), scheme, authority, path, headers, wants_trailers })
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// The request without its body, which is only looked at.
    pub(super) fn request(&self, protocol: Protocol, body: &Body) -> Result<http::Request<()>, OriginError> {
        let mut headers = self.headers.clone();
        self.frame(protocol, body, &mut headers);
        let (uri, version) = match protocol {
            Protocol::Http2 => (self.absolute()?, Version::HTTP_2),
            Protocol::Http1 => {
                let host = HeaderValue::from_str(self.authority.as_str());
                headers.insert(header::HOST, host.map_err(|_| refused("authority"))?);
                (Uri::from(self.path.clone()), Version::HTTP_11)
            }
        };
        if self.wants_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            if protocol == Protocol::Http1 {
                // RFC 9110 §10.1.4: TE is for the next hop, and says so.
                headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
        }
        let mut request = http::Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn absolute(&self) -> Result<Uri, OriginError> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(self.path.clone());
        Uri::from_parts(parts).map_err(|_| refused("target"))
    }

    /// The framing is ours, made from what the body is and never from what the agent said of it (RFC 9112 §6).
    fn frame(&self, protocol: Protocol, body: &Body, headers: &mut HeaderMap) {
        let said = headers.remove(header::CONTENT_LENGTH).is_some();
        let has_meaning = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        let trailers_follow = protocol == Protocol::Http1 && headers.contains_key(header::TRAILER);
        if body.is_end_stream() {
            // RFC 9110 §8.6: without it some servers answer 411.
            if said || has_meaning {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
            }
            return;
        }
        match body.size_hint().exact() {
            Some(bytes) if !trailers_follow => {
                headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
            }
            // Said outright, because hyper takes a GET of unknown length for one without a body.
            _ if protocol == Protocol::Http1 => {
                headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            _ => {}
        }
    }
}

fn refused(what: &str) -> OriginError {
    OriginError::Malformed { why: format!("its {what} cannot be sent") }
}

/// Whether a call is gRPC (gRPC over HTTP/2, "Requests": the content-type begins so).
pub(super) fn is_grpc(head: &Head) -> bool {
    let value = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(rest) = value.and_then(|value| value.strip_prefix("application/grpc")) else { return false };
    // `application/grpc-web` is made for HTTP/1.1.
    rest.is_empty() || rest.starts_with(['+', ';', ' '])
}

/// Removes what belongs to the connection that a message came by. Never `Host` and `Authorization`, whoever names them.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != header::HOST && *name != header::AUTHORIZATION)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Removes the fields that are remit's to set: neither a refusal nor a chain can be forged by whoever is at the other end.
fn strip_ours(headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("remit-")).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

/// Makes trailers fit for the other leg.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    strip_ours(trailers);
    for name in &NO_TRAILERS {
        trailers.remove(name);
    }
}

/// Makes the head of an answer fit for the agent's leg.
pub(super) fn strip_answer(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    strip_ours(headers);
    for name in [header::ALT_SVC, HeaderName::from_static("alternate-protocol")] {
        headers.remove(name);
    }
}

/// How long the origin says that it keeps the connection, less a second for the way there.
pub(super) fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.trim().parse::<u64>().ok()?.saturating_sub(1)))
}

/// What is doubtful about where an HTTP/1.1 answer ends; hyper would choose a reading (RFC 9112 §6.3).
pub(super) fn framing_doubt(parts: &Parts) -> Option<&'static str> {
    let lengths = parts.headers.get_all(header::CONTENT_LENGTH).iter().count();
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lengths, codings.next(), codings.next()) {
        (0 | 1, None, _) => None,
        (0, Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        (_, None, _) => Some("its answer has two lengths"),
        (0, ..) => Some("its answer has a transfer coding other than `chunked`"),
        _ => Some("its answer has both a length and a transfer coding"),
    }
}

/// Whether an answer has no content, whatever its fields say (RFC 9110 §6.4.1).
pub(super) fn has_no_content(method: &Method, status: StatusCode) -> bool {
    method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether a list-valued field has a member, whatever its case.
pub(super) fn lists(headers: &HeaderMap, name: &HeaderName, member: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(member))
}
