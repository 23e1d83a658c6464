//! What there is to say of a refusal, whatever the form.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::call::{CallId, Class, Fault, OperationId, Refusal, Retry, Ruling};

/// A refusal of a call.
pub(super) struct Said<'a> {
    pub(super) refusal: &'a Refusal,
    pub(super) call: Option<CallId>,
}

impl Said<'_> {
    /// The cause, and what to do about it.
    pub(super) fn message(&self) -> String {
        let cause = self.refusal.to_string();
        // Where an author's own sentence stands at the end, it has its full stop.
        format!("{}. {}", cause.trim_end_matches('.'), self.refusal.advice())
    }

    pub(super) fn code(&self) -> &'static str {
        self.refusal.code()
    }

    pub(super) fn status(&self) -> StatusCode {
        self.refusal.status()
    }

    /// The status where a protocol tells errors in the body of an answer that says 200. Who has not said who it is gets a
    /// challenge all the same: that is between the client's HTTP library and remit.
    pub(super) fn status_inside(&self) -> StatusCode {
        if self.is_challenge() { self.status() } else { StatusCode::OK }
    }

    pub(super) fn is_challenge(&self) -> bool {
        self.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
    }

    /// The id of the call, or nothing.
    pub(super) fn call_text(&self) -> String {
        self.call.map(|id| id.to_string()).unwrap_or_default()
    }

    /// For programs: code, call, operation, policies, who may approve.
    pub(super) fn facts(&self) -> Map<String, Value> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("code", json!(self.code()));
        put("fault", json!(fault(self.refusal.fault())));
        put("advice", json!(self.refusal.advice()));
        if let Some(call) = self.call {
            put("call", json!(call));
        }
        if let Some((class, operation, ruling)) = ruled(self.refusal) {
            put("operation", json!(operation));
            put("class", json!(class));
            let policies: Vec<_> = ruling.reasons().iter().map(|reason| &reason.policy).collect();
            put("policies", json!(policies));
            let reasons: Vec<_> = ruling.told().filter_map(|reason| reason.reason.as_deref()).collect();
            put("reasons", json!(reasons));
        }
        if let Refusal::Held { hold, ruling, .. } = self.refusal {
            put("hold", json!(hold));
            put("approvers", json!(ruling.approvers()));
        }
        if let Retry::After(wait) = self.refusal.retry() {
            put("retry_after_s", json!(wait.as_secs()));
        }
        members
    }

    /// The problem document (RFC 9457), which the other forms in JSON begin with: whoever reads JSON by hand finds the same
    /// members everywhere.
    pub(super) fn problem(&self) -> Map<String, Value> {
        let message = self.message();
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("type", json!(format!("urn:remit:refusal:{}", self.code())));
        put("title", json!(title(self.refusal)));
        put("status", json!(self.status().as_u16()));
        put("detail", json!(message));
        // Where those look for the cause that know no problems.
        put("message", json!(message));
        put("error", json!({ "type": self.code(), "code": self.code(), "message": message }));
        members.extend(self.facts());
        members
    }
}

fn ruled(refusal: &Refusal) -> Option<(Class, &OperationId, &Ruling)> {
    match refusal {
        Refusal::PolicyDenied { class, operation, ruling }
        | Refusal::Held { class, operation, ruling, .. } => Some((*class, operation, ruling)),
        _ => None,
    }
}

fn title(refusal: &Refusal) -> &'static str {
    match (refusal, refusal.fault()) {
        (Refusal::PolicyDenied { .. }, _) => "remit: not permitted",
        (Refusal::Held { .. }, _) => "remit: held for a person",
        (_, Fault::Agent) => "remit: the request cannot be let through",
        (_, Fault::Operator) => "remit: the operator must act",
        (_, Fault::Origin) => "remit: the origin failed",
        (_, Fault::Remit) => "remit: temporarily unavailable",
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
