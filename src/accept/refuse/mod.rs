//! From a refusal to the wire, in the protocol that the caller speaks ([`Wire`]): the client's library then raises what it
//! raises for a refusal of the service's own, with remit's words in it.
//!
//! What is said: the cause, the operation, the class, the policies, and what to do next. What is never said: anything
//! that the request carried (a page that echoes headers echoes secrets), but for the ids by which a protocol pairs answers
//! with requests. Each wire form is one [`Form`]; none knows a service.

mod aws;
mod json;
mod rpc;
mod said;
mod status;
#[cfg(test)]
mod tests;
mod xml;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::call::{CallId, Head, Refusal, Retry, Scheme, Wire};

pub use rpc::message;
use said::Said;

/// How a caller wants to be spoken to.
#[derive(Clone, Debug)]
pub struct Wording {
    call: Option<CallId>,
    wire: Wire,
    /// Inside a tunnel the client takes remit for the origin, and a 407 for nonsense.
    tunnel: bool,
}

impl Wording {
    /// As the request was worded.
    pub fn of(head: &Head, wire: Wire) -> Self {
        Self { call: Some(head.id), wire, tunnel: head.origin.scheme == Scheme::Https }
    }

    /// For what never became a call.
    pub fn plain() -> Self {
        Self { call: None, wire: Wire::Problem, tunnel: false }
    }
}

/// A wire form: how a protocol says no.
trait Form {
    /// Says it.
    fn say(&self, said: &Said<'_>) -> Reply;
}

/// What is said, less what every refusal has.
struct Reply {
    status: StatusCode,
    media: HeaderValue,
    fields: Vec<(HeaderName, String)>,
    body: Bytes,
}

impl Reply {
    fn new(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, media: HeaderValue::from_static(media), fields: Vec::new(), body: body.into() }
    }

    fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((HeaderName::from_static(name), value.into()));
        self
    }
}

impl Form for Wire {
    fn say(&self, said: &Said<'_>) -> Reply {
        match self {
            Self::Aws(form) => form.say(said),
            Self::Connect => status::Connect.say(said),
            Self::Grpc => status::Grpc("application/grpc").say(said),
            Self::GrpcWeb { media } => status::Grpc(media).say(said),
            Self::GraphQl { batch, own_media } => {
                rpc::GraphQl { batch: *batch, own_media: *own_media }.say(said)
            }
            Self::Json(form) => form.say(said),
            Self::JsonRpc(call) => call.say(said),
            Self::OAuth => json::OAuth.say(said),
            Self::Problem => json::Problem.say(said),
            Self::Soap(version) => version.say(said),
            Self::Text => Reply::new(said.status(), "text/plain; charset=utf-8", said.message() + "\n"),
            Self::WebDav => xml::WebDav.say(said),
        }
    }
}

/// The refusal as an answer.
pub fn answer(refusal: &Refusal, wording: &Wording) -> Response<Body> {
    let reply = wording.wire.say(&Said { refusal, call: wording.call });
    let mut response =
        Response::new(if reply.body.is_empty() { Body::empty() } else { Body::full(reply.body) });
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, reply.media);
    for (name, value) in reply.fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    headers.insert("remit-refusal", HeaderValue::from_static(refusal.code()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(id) = wording.call.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
        headers.insert("remit-call", id);
    }
    match refusal.retry() {
        Retry::After(wait) => headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs())),
        // What many generated clients heed: some statuses they would try again of themselves.
        Retry::Never => headers.insert("x-should-retry", HeaderValue::from_static("false")),
    };
    if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        let (status, challenge) = if wording.tunnel {
            (StatusCode::UNAUTHORIZED, WWW_AUTHENTICATE)
        } else {
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, PROXY_AUTHENTICATE)
        };
        for scheme in CHALLENGES {
            response.headers_mut().append(challenge.clone(), HeaderValue::from_static(scheme));
        }
        *response.status_mut() = status;
    }
    response
}

/// The reason of a close frame that ends a WebSocket (RFC 6455 §5.5.1 leaves it 123 bytes).
pub fn close_reason(refusal: &Refusal, call: CallId) -> String {
    format!("remit: {} ({call}): {refusal}", refusal.code())
}

/// RFC 9110 §11.7.1. Basic first: some clients look at the first challenge alone.
const CHALLENGES: [&str; 2] = ["Basic realm=\"remit\", charset=\"UTF-8\"", "Bearer realm=\"remit\""];

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The client may try again on it.
    KeepAlive,
    /// It ends.
    Close,
}

/// The refusal as the bytes of an HTTP/1.1 answer, for a CONNECT that hyper never sees.
pub(super) fn on_the_wire(refusal: &Refusal, then: Then) -> Vec<u8> {
    let response = answer(refusal, &Wording::plain());
    let body = json::Problem.say(&Said { refusal, call: None }).body;
    let mut head =
        format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", response.status(), body.len()).into_bytes();
    let close = (CONNECTION, HeaderValue::from_static("close"));
    let close = (then == Then::Close).then_some((&close.0, &close.1));
    for (name, value) in response.headers().iter().chain(close) {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&body);
    head
}
