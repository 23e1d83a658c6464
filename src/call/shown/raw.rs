//! JSON as it was sent: fields in their order, names that occur twice, the very digits of numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value, one level of it.
pub(super) enum Raw<'a> {
    Object(Vec<(String, &'a RawValue)>),
    List(Vec<&'a RawValue>),
    Text(String),
    /// A number, `true`, `false`, `null`; as it stands.
    Other(&'a str),
}

impl<'a> Raw<'a> {
    /// Reads one level; none: it is no JSON.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        match text.as_bytes().first()? {
            b'{' => serde_json::from_str::<Fields<'a>>(text).ok().map(|fields| Self::Object(fields.0)),
            b'[' => serde_json::from_str(text).ok().map(Self::List),
            b'"' => serde_json::from_str(text).ok().map(Self::Text),
            _ => serde_json::from_str::<&RawValue>(text).ok().map(|value| Self::Other(value.get())),
        }
    }

    /// Whether it is an object or a list with something in it.
    pub(super) fn has_parts(&self) -> bool {
        match self {
            Self::Object(fields) => !fields.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Text(_) | Self::Other(_) => false,
        }
    }
}

struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(field) = map.next_entry()? {
                    all.push(field);
                }
                Ok(Fields(all))
            }
        }
        from.deserialize_map(Each)
    }
}

/// What of a JSON-RPC body stays the same when the same call is made again: all but the ids by which answers find their requests
/// (JSON-RPC 2.0 §4; MCP's `progressToken`; A2A's `messageId`). None: it is no such request, and every byte counts.
pub fn essence(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut out = Vec::with_capacity(body.len() + 64);
    match Raw::read(text)? {
        Raw::List(items) => {
            items.first()?;
            for item in items {
                request(&mut out, item.get())?;
            }
        }
        _ => request(&mut out, text)?,
    }
    Some(out)
}

/// Paths that differ from one sending to the next.
const PASSING: [&[&str]; 2] = [&["id"], &["params", "_meta", "progressToken"]];
/// And of a message that is sent to an agent (A2A).
const PASSING_OF_MESSAGES: [&[&str]; 3] =
    [&["id"], &["params", "_meta", "progressToken"], &["params", "message", "messageId"]];
/// The methods that send one.
const MESSAGES: [&str; 4] = ["message/send", "message/stream", "SendMessage", "SendStreamingMessage"];

/// One request; an answer has no method, and its id is what it is about.
fn request(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let Raw::Object(fields) = Raw::read(text)? else { return None };
    fields.iter().any(|(name, _)| name == "jsonrpc").then_some(())?;
    let (_, method) = fields.iter().find(|(name, _)| name == "method")?;
    let Raw::Text(method) = Raw::read(method.get())? else { return None };
    let passing: &[&[&str]] = if MESSAGES.contains(&&*method) { &PASSING_OF_MESSAGES } else { &PASSING };
    write(out, fields, passing);
    Some(())
}

/// Every field by name and text, with their lengths, so that no two bodies come to the same; less what passes.
fn write(out: &mut Vec<u8>, fields: Vec<(String, &serde_json::value::RawValue)>, passing: &[&[&str]]) {
    out.push(b'{');
    for (name, value) in fields {
        let below: Vec<&[&str]> = passing
            .iter()
            .filter_map(|path| path.split_first().filter(|(first, _)| **first == name).map(|(_, rest)| rest))
            .collect();
        // A field that passes is a text or a number: with something else in it, it may mean something else.
        let scalar = !value.get().starts_with(['{', '[']);
        if scalar && below.iter().any(|rest| rest.is_empty()) {
            continue;
        }
        put(out, name.as_bytes());
        match Raw::read(value.get()) {
            Some(Raw::Object(inner)) if below.iter().any(|rest| !rest.is_empty()) => {
                write(out, inner, &below);
            }
            _ => put(out, value.get().as_bytes()),
        }
    }
    out.push(b'}');
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}
