//! JSON-RPC 2.0, and what is spoken over it: the Model Context Protocol and A2A, agent to agent.
//!
//! Every message of a batch is an operation; a notification (no `id`) runs as well. A tool is what its server's `tools/list`
//! said of it (remembered, see `Catalog::remember_tools`); without that it is an act at least, for nothing vouches for
//! its name. MCP 2025-11-25; A2A 0.3 (`message/send`) and 1.0 (`SendMessage`, and its REST binding).

use crate::call::{Class, Operation};

use super::ai;
use super::json::Json;
use super::naming::{self, Words};
use super::reading::{Certain, Reading, Told};
use super::tools::{self, Said, Server};

/// How many messages a batch may have.
const MESSAGES: usize = 500;

pub(super) fn read(reading: &Reading<'_>) -> Told {
    let certain = is_place(reading);
    if reading.place.is_exact() && !certain {
        return Told::Nothing;
    }
    if let Some((class, rule)) = rest_binding(reading) {
        return Told::Instead(vec![reading.inferred(class, rule)]);
    }
    let content = reading.request.content;
    let messages: Vec<&Json> =
        content.objects().filter(|object| is_message(object)).take(MESSAGES + 1).collect();
    let mut found: Vec<Operation> =
        messages.iter().take(MESSAGES).flat_map(|message| operations(reading, message)).collect();
    if messages.len() > MESSAGES {
        found.push(reading.unknown(Class::Delegate, "more JSON-RPC messages than are read"));
    }
    if certain && !found.is_empty() {
        if let Some(why) = content.trouble {
            found.push(reading.unknown(Class::Delegate, why.0));
        }
        // Something in the batch is no message.
        if content.objects().count() > messages.len() {
            found.push(reading.unknown(Class::Act, "a JSON-RPC batch with something else in it"));
        }
    }
    Told::by(Certain::if_place(certain), found)
}

/// The path says that the server speaks JSON-RPC; so does the root, where REST has nothing.
pub(super) fn is_place(reading: &Reading<'_>) -> bool {
    let speaks = reading.path_has(&["mcp", "a2a", "rpc", "jsonrpc", "sse"]);
    let host = reading.request.host.split('.').next().unwrap_or_default();
    let session = ["sessionId", "session_id"].iter().any(|name| reading.request.query.has(name));
    speaks
        || matches!(host, "mcp" | "a2a" | "rpc") && !reading.place.is_exact()
        || (reading.path.is_empty() && reading.place.entry.is_none() && !reading.has_actions("POST"))
        || (session && reading.path_has(&["message", "messages"]))
}

fn is_message(object: &Json) -> bool {
    object.has("jsonrpc")
        || (object.texts("method").any(|_| true) && (object.has("params") || object.has("id")))
}

/// All that one message could be taken for: each `method`, if there are several.
fn operations(reading: &Reading<'_>, message: &Json) -> Vec<Operation> {
    let mut methods = message.texts("method").peekable();
    if methods.peek().is_none() {
        let answers = message.has("result") || message.has("error");
        let why =
            if answers { "an answer to the server's request" } else { "a JSON-RPC message without a method" };
        return vec![reading.inferred(Class::Act, why)];
    }
    methods.take(MESSAGES).flat_map(|method| by_method(reading, method, message)).collect()
}

fn by_method(reading: &Reading<'_>, method: &str, message: &Json) -> Vec<Operation> {
    if method == "tools/call" {
        return calls(reading, message);
    }
    let mut found = by_plain_method(reading, method);
    found.ai = ai::of_mcp(method, None);
    vec![found]
}

/// Anything but a tool call.
fn by_plain_method(reading: &Reading<'_>, method: &str) -> Operation {
    if let Some(known) = reading.action("CALL", method).or_else(|| reading.action("POST", method)) {
        return known;
    }
    if let Some((class, rule)) = class(method) {
        return reading.inferred(class, &format!("`{method}`: {rule}"));
    }
    let verdict = naming::judge("CALL", Words { name: method, path: "" });
    let agents = reading.path_has(&["mcp", "a2a"]) || method.contains('/');
    // An extension of MCP or A2A that is not known may be anything.
    let floor = if agents { Class::Act } else { Class::Read };
    reading.inferred(verdict.class.max(floor), &format!("JSON-RPC `{method}`: {}", verdict.rule))
}

fn calls(reading: &Reading<'_>, message: &Json) -> Vec<Operation> {
    let names: Vec<&str> =
        message.fields("params").flat_map(|params| params.texts("name")).take(MESSAGES).collect();
    if names.is_empty() {
        return vec![reading.unknown(Class::Act, "a tool call that names no tool")];
    }
    let told = |name| Operation { ai: ai::of_mcp("tools/call", Some(name)), ..tool(reading, name) };
    names.into_iter().map(told).collect()
}

fn tool(reading: &Reading<'_>, name: &str) -> Operation {
    let verdict = naming::judge("CALL", Words { name, path: "" });
    let path = reading.path_text();
    let session = tools::session(reading.request.headers);
    let server = Server { host: reading.request.host, path: &path, session };
    let said = reading.catalog.tools.said_of(&server, name);
    if let Some(known) = reading.action("CALL", name).filter(|_| said != Said::Drifted) {
        return known;
    }
    match said {
        Said::ReadOnly => {
            reading.inferred(Class::Read, &format!("tool `{name}`: its server calls it read-only"))
        }
        Said::Drifted => {
            let why = "its server describes it otherwise than before";
            let mut operation =
                reading.inferred(verdict.class.max(Class::Act), &format!("tool `{name}`: {why}"));
            operation.facts.drifted = true;
            operation
        }
        Said::Nothing => reading.inferred(
            verdict.class.max(Class::Act),
            &format!(
                "tool `{name}`: {}",
                if verdict.class == Class::Delegate { verdict.rule } else { "nothing vouches for it" }
            ),
        ),
    }
}

/// The methods of MCP and A2A, sorted.
const METHODS: [(&str, Class); 50] = [
    ("CancelTask", Class::Act),
    ("CreateTaskPushNotificationConfig", Class::Delegate),
    ("DeleteTaskPushNotificationConfig", Class::Act),
    ("GetAgentCard", Class::Read),
    ("GetExtendedAgentCard", Class::Read),
    ("GetTask", Class::Read),
    ("GetTaskPushNotificationConfig", Class::Read),
    ("ListTaskPushNotificationConfig", Class::Read),
    ("ListTaskPushNotificationConfigs", Class::Read),
    ("ListTasks", Class::Read),
    ("SendMessage", Class::Delegate),
    ("SendStreamingMessage", Class::Delegate),
    ("SetTaskPushNotificationConfig", Class::Delegate),
    ("SubscribeToTask", Class::Read),
    ("TaskSubscription", Class::Read),
    ("agent/authenticatedExtendedCard", Class::Read),
    ("agent/getAuthenticatedExtendedCard", Class::Read),
    ("agent/getCard", Class::Read),
    ("completion/complete", Class::Read),
    ("elicitation/create", Class::Delegate),
    ("initialize", Class::Read),
    ("logging/setLevel", Class::Act),
    ("message/send", Class::Delegate),
    ("message/stream", Class::Delegate),
    ("notifications/cancelled", Class::Act),
    ("notifications/initialized", Class::Read),
    ("notifications/message", Class::Read),
    ("notifications/progress", Class::Read),
    ("notifications/roots/list_changed", Class::Read),
    ("ping", Class::Read),
    ("prompts/get", Class::Read),
    ("prompts/list", Class::Read),
    ("resources/list", Class::Read),
    ("resources/read", Class::Read),
    ("resources/subscribe", Class::Act),
    ("resources/templates/list", Class::Read),
    ("resources/unsubscribe", Class::Act),
    ("roots/list", Class::Read),
    ("sampling/createMessage", Class::Delegate),
    ("tasks/cancel", Class::Act),
    ("tasks/get", Class::Read),
    ("tasks/list", Class::Read),
    ("tasks/pushNotificationConfig/delete", Class::Act),
    ("tasks/pushNotificationConfig/get", Class::Read),
    ("tasks/pushNotificationConfig/list", Class::Read),
    ("tasks/pushNotificationConfig/set", Class::Delegate),
    ("tasks/resubscribe", Class::Read),
    ("tasks/result", Class::Read),
    ("tasks/send", Class::Delegate),
    ("tools/list", Class::Read),
];

/// Whether MCP or A2A has such a method.
pub(super) fn is_known(method: &str) -> bool {
    method == "tools/call" || class(method).is_some()
}

/// What a method of MCP or A2A does.
pub(super) fn class(method: &str) -> Option<(Class, &'static str)> {
    let at = METHODS.binary_search_by(|(name, _)| (*name).cmp(method)).ok()?;
    let (_, class) = METHODS.get(at)?;
    Some((*class, "a method of MCP or A2A"))
}

/// The REST binding of A2A 1.0: `POST /v1/message:send`.
fn rest_binding(reading: &Reading<'_>) -> Option<(Class, &'static str)> {
    if !reading.place.services.is_empty() {
        return None;
    }
    match (reading.verb, reading.last().as_str()) {
        ("POST", "message:send" | "message:stream") => {
            Some((Class::Delegate, "A2A: gives a task to an agent"))
        }
        ("GET" | "POST", last) if last.ends_with(":subscribe") && reading.path_has(&["tasks"]) => {
            Some((Class::Read, "A2A: follows a task"))
        }
        ("POST", "pushnotificationconfigs") => Some((Class::Delegate, "A2A: registers a callback")),
        _ => None,
    }
}

#[cfg(test)]
pub(super) fn methods() -> impl Iterator<Item = &'static str> {
    METHODS.iter().map(|(name, _)| *name)
}
