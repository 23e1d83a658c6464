//! What agents are offered: MCP's `tools/list` (2025-06-18, "Tools") and A2A's agent card (0.3 and 1.0).

use serde_json::Value;

use super::document::{items, text};
use super::{Described, Description, Doubt};
use crate::call::Class;
use crate::catalog::manifest::Protocol;

/// The tools of an MCP server. Only its own `readOnlyHint` makes one a read.
pub(super) fn mcp(document: &Value) -> Result<Description, String> {
    let list = document.get("result").unwrap_or(document);
    if !list.is_array() && list.get("tools").is_none() {
        return Err("it has no `tools`".to_owned());
    }
    let mut description = Description { protocol: Some(Protocol::Mcp), ..Description::default() };
    let tools: Vec<&Value> =
        list.as_array().map_or_else(|| items(list, "tools").collect(), |all| all.iter().collect());
    for tool in tools {
        let name = text(tool, "name");
        if name.is_empty() {
            continue;
        }
        let hint = |key: &str| tool.pointer(&format!("/annotations/{key}")).and_then(Value::as_bool);
        let reads = hint("readOnlyHint") == Some(true);
        if reads && hint("destructiveHint") == Some(true) {
            description.doubts.push(Doubt {
                operation: name.to_owned(),
                class: Some(Class::Act),
                why: "annotated as reading only and as destructive".to_owned(),
            });
        }
        let reads = reads && hint("destructiveHint") != Some(true);
        description.operations.push(Described {
            verb: "CALL".to_owned(),
            template: format!("#{name}"),
            name: name.to_owned(),
            published: reads.then(|| (Class::Read, "annotated readOnlyHint".to_owned())),
            floor: (!reads).then_some(Class::Act),
        });
    }
    Ok(description)
}

/// The methods of A2A: 0.x name, 1.0 name, REST verb and path, class.
const METHODS: [(&str, &str, &str, &str, Class); 11] = [
    ("message/send", "SendMessage", "POST", "/message:send", Class::Delegate),
    ("message/stream", "SendStreamingMessage", "POST", "/message:stream", Class::Delegate),
    ("tasks/get", "GetTask", "GET", "/tasks/{id}", Class::Read),
    ("tasks/list", "ListTasks", "GET", "/tasks", Class::Read),
    ("tasks/cancel", "CancelTask", "POST", "/tasks/{id}:cancel", Class::Act),
    ("tasks/resubscribe", "SubscribeToTask", "POST,GET", "/tasks/{id}:subscribe", Class::Read),
    (
        "tasks/pushNotificationConfig/set",
        "CreateTaskPushNotificationConfig",
        "POST",
        "/tasks/{id}/pushNotificationConfigs",
        Class::Delegate,
    ),
    (
        "tasks/pushNotificationConfig/get",
        "GetTaskPushNotificationConfig",
        "GET",
        "/tasks/{id}/pushNotificationConfigs/{config}",
        Class::Read,
    ),
    (
        "tasks/pushNotificationConfig/list",
        "ListTaskPushNotificationConfigs",
        "GET",
        "/tasks/{id}/pushNotificationConfigs",
        Class::Read,
    ),
    (
        "tasks/pushNotificationConfig/delete",
        "DeleteTaskPushNotificationConfig",
        "DELETE",
        "/tasks/{id}/pushNotificationConfigs/{config}",
        Class::Act,
    ),
    ("agent/getAuthenticatedExtendedCard", "GetExtendedAgentCard", "GET", "/extendedAgentCard", Class::Read),
];

/// The agent of a card: every agent has the same methods, at its own place.
pub(super) fn a2a(document: &Value) -> Result<Description, String> {
    let mut places: Vec<url::Url> = Vec::new();
    let interfaces =
        ["supportedInterfaces", "additionalInterfaces"].into_iter().flat_map(|key| items(document, key));
    let urls = interfaces.map(|interface| text(interface, "url"));
    for text in std::iter::once(text(document, "url")).chain(urls).filter(|text| !text.is_empty()) {
        places.push(url::Url::parse(text).map_err(|error| format!("`{text}` is no URL: {error}"))?);
    }
    let mut description = Description {
        title: text(document, "name").into(),
        version: text(document, "version").into(),
        protocol: Some(Protocol::A2a),
        ..Description::default()
    };
    let card = ("GET".to_owned(), "/.well-known/agent-card.json".to_owned());
    description.push("card", vec![card], Class::Read);
    for (old, new, verb, path, class) in METHODS {
        let mut at: Vec<_> = [old, new].map(|name| ("CALL".to_owned(), format!("#{name}"))).to_vec();
        for place in &places {
            let base = place.path().trim_end_matches('/');
            at.push((verb.to_owned(), format!("{base}{path}")));
            at.push((verb.to_owned(), format!("{base}/v1{path}")));
        }
        description.push(old, at, class);
    }
    for place in places {
        description.hosts.extend(place.host_str().map(str::to_owned));
        description.endpoints.push(place.path().to_owned());
    }
    description.hosts.dedup();
    description.endpoints.dedup();
    Ok(description)
}

impl Description {
    fn push(&mut self, name: &str, places: Vec<(String, String)>, class: Class) {
        let published = Some((class, "defined by the protocol".to_owned()));
        for (verb, template) in places {
            let (name, published) = (name.to_owned(), published.clone());
            self.operations.push(Described { verb, template, name, published, floor: None });
        }
    }
}
