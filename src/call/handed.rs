//! What one node hands to another with a call: the task of the agent that is invoked and all tasks above it, as the first
//! node knew them. It bounds what that agent may do; it does not say who anybody is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::TaskId;
use super::task::{History, Task};

/// What nodes call one another: 1 to 64 letters, digits, `.`, `-`, `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerName(Arc<str>);

impl PeerName {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, BadPeerName> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(letter) {
            Ok(Self(text.into()))
        } else {
            Err(BadPeerName(text.chars().take(80).collect()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PeerName {
    type Error = BadPeerName;
    fn try_from(text: String) -> Result<Self, BadPeerName> {
        Self::parse(&text)
    }
}

impl From<PeerName> for String {
    fn from(name: PeerName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// A text that cannot name a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name a node: 1 to 64 letters, digits, `.`, `-` or `_` are wanted")]
pub struct BadPeerName(String);

/// A task that a node handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handed {
    /// The node that says so.
    pub by: PeerName,
    /// The task, by its id there.
    pub task: TaskId,
    /// That task, last, and all above it, the root first. Empty where the node is this one, which knows them itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<HandedLink>,
}

/// One task of a chain that was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandedLink {
    /// The task.
    pub task: Task,
    /// What it had done: the counts, the labels, what went out. What it had seen is not told.
    pub history: History,
}
