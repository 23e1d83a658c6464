//! What MCP servers said of their tools.
//!
//! A server's annotations are its own claim (MCP, "Tools", trust and safety): they make a tool a read, and a policy can tell
//! such a call from one that the catalog knows. Bounded in servers and in tools each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use moka::sync::Cache;

use super::json::Json;

/// How many servers are remembered; those asked least go first.
const SERVERS: u64 = 1_000;
/// How many events of an answer are looked at.
const EVENTS: usize = 1_000;
/// How many tools of one server.
const TOOLS: usize = 1_000;

/// By server, tool: does its server call it read-only?
pub(super) struct Tools(Cache<String, Arc<HashMap<String, bool>>>);

impl Default for Tools {
    fn default() -> Self {
        Self(Cache::new(SERVERS))
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tools({} servers)", self.0.entry_count())
    }
}

impl Tools {
    pub(super) fn read_only(&self, host: &str, path: &str, tool: &str) -> Option<bool> {
        self.0.get(&key(host, path))?.get(tool).copied()
    }

    /// Takes the answer to `tools/list`, as JSON or as an event stream. Gives the names of tools that were said to change things and now are said not to.
    pub(super) fn remember(&self, host: &str, path: &str, answer: &str) -> Vec<String> {
        let listed = messages(answer);
        let results = listed.iter().flat_map(Json::objects).flat_map(|message| message.fields("result"));
        let tools = results.flat_map(|result| result.fields("tools")).flat_map(Json::each);
        let key = key(host, path);
        let before = self.0.get(&key);
        let mut now = before.as_deref().cloned().unwrap_or_default();
        let mut drifted = Vec::new();
        for tool in tools.take(TOOLS) {
            let Some(name) = tool.texts("name").next() else { continue };
            let hints: Vec<&Json> =
                tool.fields("annotations").flat_map(|hints| hints.fields("readOnlyHint")).collect();
            let read_only = !hints.is_empty() && hints.iter().all(|hint| **hint == Json::Bool(true));
            if now.len() < TOOLS || now.contains_key(name) {
                let was = now.insert(name.to_owned(), read_only);
                if was == Some(false) && read_only {
                    drifted.push(name.to_owned());
                }
            }
        }
        self.0.insert(key, Arc::new(now));
        drifted
    }
}

/// The messages of an answer: JSON, or `text/event-stream` whose `data` is JSON (HTML, server-sent events).
fn messages(answer: &str) -> Vec<Json> {
    if let Ok(messages) = Json::all(answer) {
        return messages;
    }
    let mut found = Vec::new();
    for event in answer.replace("\r\n", "\n").split("\n\n").take(EVENTS) {
        let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
        found.extend(Json::all(&data.join("\n")).unwrap_or_default());
    }
    found
}

/// A trailing slash makes no other server.
fn key(host: &str, path: &str) -> String {
    format!("{host}{}", path.trim_end_matches('/'))
}
