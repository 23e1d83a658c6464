//! Errors in JSON: problems, and the shapes in which families of clients look for a cause. Each has the members of the
//! problem as well, so that a reader who knows none of them finds the same everywhere.

use serde_json::{Map, Value, json};

use super::{Form, Reply, Said, status};
use crate::call::JsonError;

/// RFC 9457.
pub(super) struct Problem;

impl Form for Problem {
    fn say(&self, said: &Said<'_>) -> Reply {
        // §6.1 knows no parameter, but some clients show an error's text only where a charset says that it is one.
        Reply::new(said.status(), "application/problem+json; charset=utf-8", text(said.problem()))
    }
}

impl Form for JsonError {
    fn say(&self, said: &Said<'_>) -> Reply {
        let mut members = said.problem();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        let (message, code) = (said.message(), said.code());
        let mut http = said.status();
        match self {
            // The problem has both.
            Self::ErrorObject | Self::Message => {}
            Self::Google => drop(put("error", google(said))),
            Self::Odata => {
                let inner = json!({ "request-id": said.call_text() });
                put("error", json!({ "code": code, "message": message, "innererror": inner }));
            }
            Self::KubernetesStatus => {
                put("kind", json!("Status"));
                put("apiVersion", json!("v1"));
                put("status", json!("Failure"));
                put("reason", json!("Forbidden"));
                put("code", json!(http.as_u16()));
            }
            Self::OkFalse => {
                put("ok", json!(false));
                put("error", json!(code));
                http = said.status_inside();
            }
            Self::TypedError => {
                put("type", json!("error"));
                let kind = if http == http::StatusCode::FORBIDDEN { "permission_error" } else { code };
                put("error", json!({ "type": kind, "code": code, "message": message }));
            }
        }
        Reply::new(http, "application/json; charset=utf-8", text(members))
    }
}

/// AIP-193, with the `errors` of Google's older JSON APIs.
fn google(said: &Said<'_>) -> Value {
    let message = said.message();
    let mut metadata = Map::new();
    for (name, value) in said.facts() {
        let value = if let Value::String(text) = value { text } else { value.to_string() };
        metadata.insert(name, Value::String(value));
    }
    json!({
        "code": said.status().as_u16(),
        "message": message,
        "status": status::code(said.status()).1,
        "errors": [{ "message": message, "domain": "remit", "reason": said.code() }],
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": said.code().to_ascii_uppercase(),
            "domain": "remit",
            "metadata": metadata,
        }],
    })
}

/// RFC 6749 §5.2.
pub(super) struct OAuth;

impl Form for OAuth {
    fn say(&self, said: &Said<'_>) -> Reply {
        let error = match said.status().as_u16() {
            400 => "invalid_request",
            500.. => "temporarily_unavailable",
            _ => "access_denied",
        };
        let mut members = said.problem();
        members.insert("error".to_owned(), json!(error));
        let description: String = said.message().chars().map(describable).collect();
        members.insert("error_description".to_owned(), json!(description));
        Reply::new(said.status(), "application/json", text(members))
    }
}

/// The characters that RFC 6749 allows in a description.
fn describable(c: char) -> char {
    match c {
        '"' => '\'',
        ' '..='~' if c != '\\' => c,
        _ => '?',
    }
}

fn text(members: Map<String, Value>) -> String {
    Value::Object(members).to_string()
}
