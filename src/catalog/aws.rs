//! The protocols of AWS and of those who copied them: the action is named in a header, a field or the path.
//!
//! json: `X-Amz-Target: Prefix.Action`. query and ec2: `Action=` in query or form. rpc-v2-cbor: `/service/S/operation/Action`
//! (Smithy). rest-json and rest-xml are plain REST. Where the action is named twice, every name counts.

use http::HeaderName;

use crate::call::{Class, Operation};

use super::naming::{self, Words};
use super::reading::{Certain, Reading, Told};

static TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// How many names of actions one request may have.
const ACTIONS: usize = 20;

pub(super) fn read(reading: &Reading<'_>) -> Told {
    if reading.place.is_exact() {
        return Told::Nothing;
    }
    let listed = reading.has_actions("POST");
    let mut names: Vec<String> = Vec::new();
    let targets: Vec<&str> =
        reading.request.headers.get_all(&TARGET).iter().filter_map(|value| value.to_str().ok()).collect();
    for target in &targets {
        let target = target.trim();
        names.push(target.rsplit_once('.').map_or(target, |(_, action)| action).to_owned());
    }
    let (query, form) = (reading.request.query, reading.request.content.form());
    let parts = reading.request.content.parts.iter().filter(|part| part.name.as_deref() == Some("Action"));
    let by_field: Vec<String> =
        query.all("Action").chain(form.all("Action")).chain(parts.map(|part| part.body.clone())).collect();
    let versioned = query.has("Version") || form.has("Version");
    let by_query = !by_field.is_empty() && (listed || versioned);
    if by_query {
        names.extend(by_field);
    }
    if let [.., service, _, operation, action] = &*reading.path
        && service.eq_ignore_ascii_case("service")
        && operation.eq_ignore_ascii_case("operation")
    {
        names.push(action.to_string());
    }
    if names.is_empty() {
        return Told::Nothing;
    }
    let media = reading.request.content.media.as_str();
    let rooted = reading.path.is_empty() && (by_query || media.starts_with("application/x-amz-json"));
    let mut found: Vec<Operation> = names.iter().take(ACTIONS).map(|name| operation(reading, name)).collect();
    if names.len() > ACTIONS {
        found.push(reading.unknown(Class::Delegate, "more names of actions than are read"));
    }
    if by_query && let Some(why) = reading.request.content.trouble {
        found.push(reading.unknown(Class::Delegate, why.0));
    }
    Told::by(Certain::if_place(listed || rooted), found)
}

fn operation(reading: &Reading<'_>, action: &str) -> Operation {
    let action = action.trim();
    reading.action("POST", action).unwrap_or_else(|| {
        let verdict = naming::judge("ACTION", Words { name: action, path: "" });
        reading.inferred(verdict.class, &format!("action `{action}`: {}", verdict.rule))
    })
}

/// The names of the actions of a request, for whoever looks into their bodies.
pub(super) fn actions(reading: &Reading<'_>) -> Vec<String> {
    let targets = reading.request.headers.get_all(&TARGET).iter().filter_map(|value| value.to_str().ok());
    targets.map(|target| target.trim().rsplit('.').next().unwrap_or_default().to_owned()).collect()
}
