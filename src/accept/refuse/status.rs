//! gRPC, gRPC-Web and Connect: a status of `google.rpc.Code`.

use http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;

use super::{Form, Reply, Said};

/// gRPC's own `Percent-Encoded` (PROTOCOL-HTTP2): all but printable ASCII, and `%`.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// The number and the name of the code that says most nearly what an HTTP status says.
pub(super) fn code(status: StatusCode) -> (u16, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => (3, "INVALID_ARGUMENT"),
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED | StatusCode::MISDIRECTED_REQUEST => {
            (7, "PERMISSION_DENIED")
        }
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => (16, "UNAUTHENTICATED"),
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => (4, "DEADLINE_EXCEEDED"),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => (14, "UNAVAILABLE"),
        StatusCode::TOO_MANY_REQUESTS => (8, "RESOURCE_EXHAUSTED"),
        // "Not until the state of the system has been explicitly fixed": somebody has to approve.
        StatusCode::TOO_EARLY => (9, "FAILED_PRECONDITION"),
        _ => (2, "UNKNOWN"),
    }
}

/// Under the media type of the request; gRPC-Web has its own.
pub(super) struct Grpc<'a>(pub(super) &'a str);

impl Form for Grpc<'_> {
    /// A trailers-only answer: HTTP 200, the status in the headers.
    fn say(&self, said: &Said<'_>) -> Reply {
        let message = utf8_percent_encode(&said.message(), GRPC_MESSAGE).to_string();
        let reply = Reply::new(StatusCode::OK, "application/grpc", "")
            .field("grpc-status", code(said.status()).0.to_string())
            .field("grpc-message", message);
        Reply { media: self.0.parse().unwrap_or(reply.media), ..reply }
    }
}

/// The Connect protocol, "Error Codes" and "Error End-Stream".
pub(super) struct Connect;

impl Form for Connect {
    fn say(&self, said: &Said<'_>) -> Reply {
        let code = code(said.status()).1.to_ascii_lowercase();
        let body = json!({ "code": code, "message": said.message() });
        Reply::new(said.status(), "application/json", body.to_string())
    }
}
