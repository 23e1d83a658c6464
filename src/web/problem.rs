//! Errors as RFC 9457 problems.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::intent::IntentError;

/// What goes back instead of what was asked for.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// Seconds.
    retry_after: Option<u64>,
}

impl Problem {
    /// `code` is stable and for programs; `detail` is for people and says what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after: None }
    }

    /// When asking again can help (RFC 9110 §10.2.3).
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// What an answer says of it beside its body.
    pub(super) fn put_headers(&self, headers: &mut HeaderMap) {
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1: a 401 names what would do.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"remit admin\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
    }

    pub(super) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }
}

/// RFC 9457 §3.1, with a code for programs.
#[derive(Serialize, ToSchema)]
pub(super) struct ProblemBody<'a> {
    /// `urn:remit:problem:CODE`.
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    /// For people: cause and remedy.
    detail: &'a str,
    /// For programs.
    code: &'a str,
}

impl From<IntentError> for Problem {
    fn from(error: IntentError) -> Self {
        let (status, code) = match error {
            IntentError::Budget { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_budget"),
            IntentError::Configured(_) => (StatusCode::CONFLICT, "agent_configured"),
            IntentError::Cycle { .. } => (StatusCode::CONFLICT, "delegation_cycle"),
            IntentError::Depth { .. } => (StatusCode::CONFLICT, "delegation_too_deep"),
            IntentError::Elsewhere { .. } => (StatusCode::CONFLICT, "handed_elsewhere"),
            IntentError::Ended { .. } => (StatusCode::CONFLICT, "task_ended"),
            IntentError::FanOut { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_delegations"),
            IntentError::Grant(_) | IntentError::Outside { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "bad_grant")
            }
            IntentError::HostTaken { .. } => (StatusCode::CONFLICT, "host_taken"),
            IntentError::Labels { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_labels"),
            IntentError::Lent { .. } => (StatusCode::CONFLICT, "task_lent"),
            IntentError::NotTheirs { .. } | IntentError::Undeclared(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "bad_intent")
            }
            IntentError::Quarantined(_) => (StatusCode::CONFLICT, "agent_quarantined"),
            IntentError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
            IntentError::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_tasks"),
            IntentError::Ttl { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_ttl"),
            IntentError::Unknown(_) => (StatusCode::NOT_FOUND, "task_unknown"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            kind: format!("urn:remit:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
        };
        let mut answer = (self.status, Json(body)).into_response();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        self.put_headers(headers);
        answer
    }
}
