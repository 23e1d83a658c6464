//! What every answer says to browsers.
//!
//! No `Strict-Transport-Security`: it goes by host and not by port, and would lock every other service of the machine out of
//! plain HTTP.

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;

/// Nothing inline, nothing from elsewhere, in nobody's frame. Pages are made for it.
pub(super) const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// What is no page is not to act as one.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

pub(super) fn harden(answer: &mut Response) {
    let headers = answer.headers_mut();
    let is_page = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let policy = if is_page { PAGE_POLICY } else { DATA_POLICY };
    let fixed = |name, value| (name, HeaderValue::from_static(value));
    // Answers carry tokens and what agents did. What never changes may say otherwise itself.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.extend([
        fixed(X_CONTENT_TYPE_OPTIONS, "nosniff"),
        fixed(CONTENT_SECURITY_POLICY, policy),
        fixed(X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: forms would be sent with `Origin: null`, which is nobody's.
        fixed(REFERRER_POLICY, "same-origin"),
        fixed(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        fixed(
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ]);
}
