//! For which purpose: the task that a call belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::grant::{Budget, Grant};
use super::handed::{Handed, PeerName};
use super::id::{CallId, TaskId};
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
    /// For whom, from whom, and how far it reaches.
    #[serde(default)]
    pub terms: Terms,
}

impl Task {
    /// Whether it goes on for as long as its agent comes: the one that nobody opened for an agent that shows who it is.
    pub fn is_standing(&self) -> bool {
        self.deadline == Timestamp::NEVER
    }

    /// How many delegations lie above it.
    pub fn depth(&self) -> usize {
        self.terms.actors.len()
    }
}

/// On which terms a task was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Terms {
    /// The person or system for whom the work is done (the subject of RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<Subject>,
    /// The task that it was delegated from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskId>,
    /// Who delegated, nearest first: the nested `act` claims of RFC 8693 §4.1. Evidence; it gives no right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<SpiffeId>,
    /// What it may touch.
    #[serde(skip_serializing_if = "Grant::is_everything")]
    pub grant: Grant,
    /// How much it may do.
    #[serde(skip_serializing_if = "Budget::is_endless")]
    pub budget: Budget,
    /// What its tokens are bound to.
    #[serde(skip_serializing_if = "Binding::is_none")]
    pub binding: Binding,
    /// The call that invoked its agent, where remit opened it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// The node that it was handed over to. It takes no calls here then, and its budget counts as spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lent_to: Option<PeerName>,
    /// Where it comes from, if a call brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub handed: Option<Box<Handed>>,
}

/// What a token has to come with (RFC 8705 §3, "proof of possession"), beside itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// Nothing: whoever has it may use it.
    #[default]
    None,
    /// A channel on which the agent showed an X.509-SVID of its own. The name is bound and not the key, since SVIDs
    /// rotate within the hour.
    #[serde(rename = "x509-svid")]
    X509Svid,
    /// A channel on which this very certificate was shown, whoever issued it (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    Certificate(Thumbprint),
}

/// SHA-256 of a certificate's DER; base64url without padding where it is written (RFC 8705 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Of a certificate in DER.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// As it is written.
    pub fn parse(text: &str) -> Result<Self, BadThumbprint> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| BadThumbprint(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

impl TryFrom<String> for Thumbprint {
    type Error = BadThumbprint;
    fn try_from(text: String) -> Result<Self, BadThumbprint> {
        Self::parse(&text)
    }
}

impl From<Thumbprint> for String {
    fn from(thumbprint: Thumbprint) -> Self {
        thumbprint.to_string()
    }
}

/// A text that is no thumbprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no thumbprint: the SHA-256 of a certificate is wanted, in base64url without padding")]
pub struct BadThumbprint(String);

impl Binding {
    /// Whether the token stands alone.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// A person or a system on whose behalf an agent works: 1 to 256 printable characters, such as `user:ada@example.org`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(Arc<str>);

impl Subject {
    /// Parses a name.
    pub fn parse(text: &str) -> Result<Self, BadSubject> {
        let sound = (1..=256).contains(&text.len()) && !text.chars().any(char::is_control);
        if sound { Ok(Self(text.into())) } else { Err(BadSubject(text.chars().take(80).collect())) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Subject {
    type Error = BadSubject;
    fn try_from(text: String) -> Result<Self, BadSubject> {
        Self::parse(&text)
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.0.as_ref().to_owned()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names nobody: 1 to 256 printable bytes are wanted, such as `user:ada@example.org`")]
pub struct BadSubject(String);

/// What an agent is, as the operator put it down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentProfile {
    /// Whether anybody put it down. The rest is empty where not.
    pub registered: bool,
    /// What kind of thing it is.
    pub kind: AgentKind,
    /// Who answers for it.
    pub owner: String,
    /// Where it runs: `production`, `staging`.
    pub environment: String,
    /// What it is there for.
    pub purpose: String,
    /// Words of the operator's own.
    pub labels: BTreeMap<String, String>,
}

/// Whether something decides for itself what it does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    /// It does.
    #[default]
    Agent,
    /// It does the same few things each time.
    Integration,
}

impl AgentKind {
    /// `agent` or `integration`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Integration => "integration",
        }
    }
}

/// A task above the one that a call is made for, with what it had done: the call has to be one that it could make too.
#[derive(Clone, Debug)]
pub struct Link {
    /// The ancestor.
    pub task: Arc<Task>,
    /// What its agent is.
    pub profile: Arc<AgentProfile>,
    /// What it had done, its descendants' calls among it.
    pub history: History,
}

/// What the task had done before this call, as the policies see it. Counts are of calls that were let through,
/// this one not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts, each by itself, and no state")]
pub struct History {
    /// Calls of class read.
    pub reads: u64,
    /// Calls of class act.
    pub acts: u64,
    /// Calls of class delegate.
    pub delegates: u64,
    /// Calls that were refused, held ones among them.
    pub denials: u64,
    /// Calls that were held for a person.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub holds: u64,
    /// Whether the task has been let through to this service before.
    pub service_seen: bool,
    /// Whether the task has been let through with this operation before.
    pub operation_seen: bool,
    /// Whether the task has been let through to the very objects of this call before; false where it has none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub resource_seen: bool,
    /// Whether the task has read the very objects of this call before; false where it has none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub resource_read: bool,
    /// Labels of all that the task was let through to.
    #[serde(default, skip_serializing_if = "no_labels")]
    pub labels: Arc<BTreeSet<Arc<str>>>,
    /// Recipients outside of the operator's domains that the task sent to, counted each time.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub external: u64,
    /// Bytes of request bodies that went out.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub bytes_out: u64,
    /// What the agent did in all its tasks.
    #[serde(default, skip_serializing_if = "AgentHistory::is_empty")]
    pub agent: AgentHistory,
}

/// What an agent did in all its tasks, this call not among it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHistory {
    /// Calls of class read.
    pub reads: u64,
    /// Calls of class act.
    pub acts: u64,
    /// Calls of class delegate.
    pub delegates: u64,
    /// Calls that were refused, held ones among them.
    pub denials: u64,
    /// Calls that were held for a person.
    #[serde(default, skip_serializing_if = "is_nought")]
    pub holds: u64,
    /// Whether it has been let through to this service before.
    pub service_seen: bool,
    /// Whether it has been let through with this operation before.
    pub operation_seen: bool,
    /// Whether it is an integration that does something else than what it was learnt to do.
    pub drift: bool,
}

impl AgentHistory {
    /// Whether it did nothing yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn no_labels(labels: &Arc<BTreeSet<Arc<str>>>) -> bool {
    labels.is_empty()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `skip_serializing_if` gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `skip_serializing_if` gives a reference")]
fn is_nought(value: &u64) -> bool {
    *value == 0
}
