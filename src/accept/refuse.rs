//! From a refusal to the wire, in the protocol that the caller speaks: problem+json (RFC 9457), or a gRPC status.
//!
//! What is said: the cause, the operation, the class, the policies, and what to do next. What is never said: anything
//! that the request carried (a page that echoes headers echoes secrets).

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, PROXY_AUTHENTICATE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::body::Body;
use crate::call::{CallId, Dialect, Fault, Head, Refusal, Retry, Scheme};

/// How a caller wants to be spoken to.
#[derive(Clone, Debug)]
pub struct Wording {
    call: Option<CallId>,
    grpc: bool,
    /// Inside a tunnel the client takes remit for the origin, and a 407 for nonsense.
    tunnel: bool,
}

impl Wording {
    /// As the request was worded.
    pub fn of(head: &Head) -> Self {
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // gRPC over HTTP/2: `application/grpc` and `application/grpc+proto`, but not gRPC-Web.
        let grpc = content_type.is_some_and(|text| {
            text.strip_prefix("application/grpc").is_some_and(|rest| !rest.starts_with("-web"))
        });
        Self { call: Some(head.id), grpc, tunnel: head.origin.scheme == Scheme::Https }
    }

    /// For what never became a call.
    pub fn plain() -> Self {
        Self { call: None, grpc: false, tunnel: false }
    }
}

/// The refusal as an answer.
pub fn answer(refusal: &Refusal, wording: &Wording) -> Response<Body> {
    let mut response = if wording.grpc { grpc(refusal) } else { problem(refusal, wording.call) };
    let headers = response.headers_mut();
    headers.insert("remit-refusal", HeaderValue::from_static(refusal.code()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(id) = wording.call.and_then(|id| HeaderValue::try_from(id.to_string()).ok()) {
        headers.insert("remit-call", id);
    }
    if let Retry::After(wait) = refusal.retry() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
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

/// What a client gets over a WebSocket in the place of what its message asked for. `None`: nothing that it could make sense
/// of, so the connection is to end with [`close_reason`].
pub fn message(refusal: &Refusal, dialect: &Dialect, call: CallId) -> Option<String> {
    let text = format!("{refusal}. {}", refusal.advice());
    let facts = json!({ "code": refusal.code(), "call": call, "advice": refusal.advice() });
    let answer = match dialect {
        Dialect::None => return None,
        Dialect::JsonRpc { id } => {
            let id: Value = serde_json::from_str(id).unwrap_or_default();
            // JSON-RPC 2.0 §5.1 leaves -32000 to -32099 to servers.
            let error = json!({ "code": -32003, "message": text, "data": facts });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
        Dialect::GraphQl { id, old } => {
            let error = json!({ "message": text, "extensions": facts });
            let payload = if *old { error } else { json!([error]) };
            json!({ "id": id, "type": "error", "payload": payload })
        }
        Dialect::Event { event } => {
            let error = json!({
                "type": "invalid_request_error", "code": refusal.code(), "message": text, "param": null,
                "event_id": event, "call": call,
            });
            json!({ "type": "error", "event_id": format!("remit_{call}"), "status": refusal.status().as_u16(), "error": error })
        }
    };
    Some(answer.to_string())
}

/// The reason of a close frame that ends a WebSocket (RFC 6455 §5.5.1 leaves it 123 bytes).
pub fn close_reason(refusal: &Refusal, call: CallId) -> String {
    format!("remit: {} ({call}): {refusal}", refusal.code())
}

/// RFC 9110 §11.7.1. Basic first: some clients look at the first challenge alone.
const CHALLENGES: [&str; 2] = ["Basic realm=\"remit\", charset=\"UTF-8\"", "Bearer realm=\"remit\""];

fn problem(refusal: &Refusal, call: Option<CallId>) -> Response<Body> {
    let mut response = Response::new(Body::full(document(refusal, call)));
    *response.status_mut() = refusal.status();
    response.headers_mut().insert(CONTENT_TYPE, PROBLEM);
    response
}

/// RFC 9457 §6.1 knows no parameter, but octokit shows an error's text only where a charset says that it is one.
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json; charset=utf-8");

/// The problem document.
fn document(refusal: &Refusal, call: Option<CallId>) -> Bytes {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("type", json!(format!("urn:remit:refusal:{}", refusal.code())));
    put("title", json!(title(refusal)));
    put("status", json!(refusal.status().as_u16()));
    put("detail", json!(format!("{}. {}", refusal, refusal.advice())));
    put("code", json!(refusal.code()));
    put("fault", json!(fault(refusal.fault())));
    put("advice", json!(refusal.advice()));
    // Where the SDKs of OpenAI, Anthropic and Stripe, and most of those made after them, look for the cause.
    let message = format!("{refusal}. {}", refusal.advice());
    put("error", json!({ "type": refusal.code(), "code": refusal.code(), "message": message }));
    if let Some(call) = call {
        put("call", json!(call));
    }
    if let Refusal::PolicyDenied { class, operation, ruling } = refusal {
        put("operation", json!(operation));
        put("class", json!(class));
        let policies: Vec<_> = ruling.reasons().iter().map(|reason| &reason.policy).collect();
        put("policies", json!(policies));
        let reasons: Vec<_> = ruling.reasons().iter().filter_map(|reason| reason.reason.as_deref()).collect();
        put("reasons", json!(reasons));
    }
    if let Retry::After(wait) = refusal.retry() {
        put("retry_after_s", json!(wait.as_secs()));
    }
    Bytes::from(Value::Object(members).to_string())
}

fn title(refusal: &Refusal) -> &'static str {
    match refusal.fault() {
        Fault::Agent if matches!(refusal, Refusal::PolicyDenied { .. }) => "remit: not permitted",
        Fault::Agent => "remit: the request cannot be let through",
        Fault::Operator => "remit: the operator must act",
        Fault::Origin => "remit: the origin failed",
        Fault::Remit => "remit: temporarily unavailable",
    }
}

const fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Agent => "agent",
        Fault::Operator => "operator",
        Fault::Origin => "origin",
        Fault::Remit => "remit",
    }
}

/// gRPC's own `Percent-Encoded` (PROTOCOL-HTTP2): all but printable ASCII, and `%`.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// A trailers-only answer: HTTP 200, the status in the headers.
fn grpc(refusal: &Refusal) -> Response<Body> {
    let code = match refusal.status() {
        StatusCode::BAD_REQUEST => 3,
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED | StatusCode::MISDIRECTED_REQUEST => 7,
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => 16,
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => 4,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => 14,
        _ => 2,
    };
    let message = format!("{refusal}. {}", refusal.advice());
    let message = utf8_percent_encode(&message, GRPC_MESSAGE).to_string();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(code));
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert("grpc-message", message);
    }
    response
}

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
    let body = document(refusal, None);
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
