//! For which purpose: the task that a call belongs to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::TaskId;
use super::principal::SpiffeId;
use super::time::Timestamp;

/// The name of a declared intent: 1 to 64 letters, digits, `.`, `-`, `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IntentName(Arc<str>);

impl IntentName {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, BadIntentName> {
        let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(letter) {
            Ok(Self(text.into()))
        } else {
            Err(BadIntentName(text.chars().take(80).collect()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IntentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for IntentName {
    type Error = BadIntentName;
    fn try_from(text: String) -> Result<Self, BadIntentName> {
        Self::parse(&text)
    }
}

impl From<IntentName> for String {
    fn from(name: IntentName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// A text that cannot name an intent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name an intent: 1 to 64 letters, digits, `.`, `-` or `_` are wanted")]
pub struct BadIntentName(String);

/// A task: declared purpose, owner and end. It does not change while it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Who works on it.
    pub agent: SpiffeId,
    /// What for.
    pub intent: IntentName,
    /// Words of the operator's own, visible to policies.
    pub labels: BTreeMap<String, String>,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it ends by itself.
    pub deadline: Timestamp,
}

/// What the task had done before this call, as the policies see it. Counts are of calls that were let through,
/// this one not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Calls of class read.
    pub reads: u64,
    /// Calls of class act.
    pub acts: u64,
    /// Calls of class delegate.
    pub delegates: u64,
    /// Calls that were refused.
    pub denials: u64,
    /// Whether the task has been let through to this service before.
    pub service_seen: bool,
    /// Whether the task has been let through with this operation before.
    pub operation_seen: bool,
}
