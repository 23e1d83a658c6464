//! What MCP servers said of their tools.
//!
//! A server's annotations are its own claim (MCP, "Tools", trust and safety): they make a tool a read, and a policy can tell
//! such a call from one that the catalog knows. Bounded in servers and in tools each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::json::Json;

/// How many servers, and how many sessions, are remembered; those asked least go first.
const SERVERS: u64 = 1_000;
/// How many events of an answer are looked at.
const EVENTS: usize = 1_000;
/// How many tools of one server.
const TOOLS: usize = 1_000;

/// Whom a client speaks to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    /// `Mcp-Session-Id`; empty where there is none.
    pub(super) session: &'a str,
}

/// The session that a request belongs to (MCP, "Session Management").
pub(super) fn session(headers: &HeaderMap) -> &str {
    headers.get("mcp-session-id").and_then(|id| id.to_str().ok()).unwrap_or_default()
}

/// What is known of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It was listed in two ways.
    Drifted,
    /// Nothing, or that it changes things.
    Nothing,
    /// Its server calls it read-only, in this session.
    ReadOnly,
}

/// How a tool was described first.
#[derive(Clone, Copy)]
struct Described {
    digest: [u8; 32],
    drifted: bool,
}

/// What servers said of their tools.
pub(super) struct Tools {
    /// By server and session, tool: does its server call it read-only?
    sessions: Cache<String, Arc<HashMap<String, bool>>>,
    /// By server, tool, over all sessions.
    servers: Cache<String, Arc<HashMap<String, Described>>>,
}

impl Default for Tools {
    fn default() -> Self {
        Self { sessions: Cache::new(SERVERS), servers: Cache::new(SERVERS) }
    }
}

impl Tools {
    pub(super) fn forget(&self) {
        self.sessions.invalidate_all();
        self.servers.invalidate_all();
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tools({} servers)", self.servers.entry_count())
    }
}

impl Server<'_> {
    /// A trailing slash makes no other server.
    fn key(&self) -> String {
        format!("{}{}", self.host, self.path.trim_end_matches('/'))
    }

    fn session_key(&self) -> String {
        format!("{}\n{}", self.key(), self.session)
    }
}

impl Tools {
    /// Whether the server listed any, so that it speaks MCP.
    pub(super) fn listed_by(&self, server: &Server<'_>) -> bool {
        self.servers.contains_key(&server.key())
    }

    pub(super) fn said_of(&self, server: &Server<'_>, tool: &str) -> Said {
        if self.servers.get(&server.key()).is_some_and(|tools| tools.get(tool).is_some_and(|had| had.drifted))
        {
            return Said::Drifted;
        }
        let listed = self.sessions.get(&server.session_key());
        let read_only = listed.and_then(|tools| tools.get(tool).copied()).unwrap_or(false);
        if read_only { Said::ReadOnly } else { Said::Nothing }
    }

    /// Takes the answer to `tools/list`, as JSON or as an event stream. Gives the names of tools that are described otherwise
    /// than when they were listed first; `None` where it lists none.
    pub(super) fn remember(&self, server: &Server<'_>, answer: &str) -> Option<Vec<String>> {
        let messages = messages(answer);
        let results = messages.iter().flat_map(Json::objects).flat_map(|message| message.fields("result"));
        let tools = results.flat_map(|result| result.fields("tools")).flat_map(Json::each);
        let mut tools = tools.peekable();
        tools.peek()?;
        let (key, session) = (server.key(), server.session_key());
        let mut listed = self.sessions.get(&session).as_deref().cloned().unwrap_or_default();
        let mut described = self.servers.get(&key).as_deref().cloned().unwrap_or_default();
        let mut drifted = Vec::new();
        for tool in tools.take(TOOLS) {
            let Some(name) = tool.texts("name").next() else { continue };
            let hints: Vec<&Json> =
                tool.fields("annotations").flat_map(|hints| hints.fields("readOnlyHint")).collect();
            let read_only = !hints.is_empty() && hints.iter().all(|hint| **hint == Json::Bool(true));
            if listed.len() < TOOLS || listed.contains_key(name) {
                listed.insert(name.to_owned(), read_only);
            }
            let mut digest = Sha256::new();
            digested(tool, &mut digest);
            let digest = digest.finalize().into();
            let room = described.len() < TOOLS;
            match described.get_mut(name) {
                Some(first) if first.digest != digest && !first.drifted => {
                    first.drifted = true;
                    drifted.push(name.to_owned());
                }
                None if room => {
                    described.insert(name.to_owned(), Described { digest, drifted: false });
                }
                Some(_) | None => {}
            }
        }
        self.sessions.insert(session, Arc::new(listed));
        self.servers.insert(key, Arc::new(described));
        Some(drifted)
    }
}

/// A digest of a value: two that differ in anything but the order of fields have two.
fn digested(value: &Json, digest: &mut Sha256) {
    let mut put = |tag: u8, text: &str| {
        digest.update([tag]);
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    };
    match value {
        Json::Null => put(0, ""),
        Json::Bool(truth) => put(1, if *truth { "t" } else { "" }),
        Json::Number(number) => put(2, &number.to_string()),
        Json::Text(text) => put(3, text),
        Json::List(list) => {
            put(4, &list.len().to_string());
            for one in list {
                digested(one, digest);
            }
        }
        Json::Fields(fields) => {
            put(5, &fields.len().to_string());
            let mut fields: Vec<(&str, &Json)> =
                fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
            fields.sort_by_key(|(name, _)| *name);
            for (name, value) in fields {
                digest.update((name.len() as u64).to_be_bytes());
                digest.update(name);
                digested(value, digest);
            }
        }
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
