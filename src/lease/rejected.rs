//! Whether an answer says that the credential itself was not taken, which is another thing than a call that is not allowed.
//!
//! 401 says it (RFC 9110 §15.5.2), `invalid_token` does (RFC 6750 §3.1), and AWS says it in the code of an error, with 400 or
//! 403. Some services say it with 200 and an `error`; which, the catalog knows. What it says is told with the lease; an answer is never held back for it.

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use memchr::memmem;

/// As much of an error is read.
pub(super) const ERROR_BYTES: usize = 4_096;
/// Codes by which AWS does not know a key, or not any more ("Common Errors" of the services, "Error Responses" of S3).
const AWS_CODES: [&str; 7] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// What the head of an answer says.
pub(super) fn in_head(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    if status == StatusCode::UNAUTHORIZED {
        return Some("it answered 401".to_owned());
    }
    let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let invalid = status.is_client_error()
        && challenges.any(|value| memmem::find(value.as_bytes(), b"\"invalid_token\"").is_some());
    invalid.then(|| format!("it answered {}: invalid_token", status.as_u16()))
}

/// Whether a signed call may have been answered so in its body.
pub(super) fn may_be_in_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN)
}

/// What an answer says that looks like a success.
pub(super) fn in_success(untaken: &[String], body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Said {
        error: String,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    untaken.contains(&said.error).then(|| format!("it answered 200: {}", said.error))
}

/// What the error of a signed call says.
pub(super) fn in_aws_error(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let named = headers.get("x-amzn-errortype").map(http::HeaderValue::as_bytes).unwrap_or_default();
    let says = |code: &&&str| [named, body].iter().any(|text| memmem::find(text, code.as_bytes()).is_some());
    let code = AWS_CODES.iter().find(says)?;
    Some(format!("it answered {}: {code}", status.as_u16()))
}

/// By its media type.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}
