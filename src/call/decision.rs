//! What the policies said.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The `@id` of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyId(pub Arc<str>);

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 over everything that a ruling was made under: policies and schema.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RulesDigest(pub [u8; 32]);

impl fmt::Display for RulesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RulesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The call may go on.
    Allow,
    /// It may not.
    Deny,
}

impl Decision {
    /// `allow` or `deny`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What a determining policy has to say to the caller (`@reason`, `@advice`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which policy.
    pub policy: PolicyId,
    /// Why, in the author's words.
    pub reason: Option<Arc<str>>,
    /// What to do instead, in the author's words.
    pub advice: Option<Arc<str>>,
}

/// A decision with what determined it. A proof type: only `judge::engine` makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    decision: Decision,
    reasons: Vec<Reason>,
    note: Option<Arc<str>>,
    rules: RulesDigest,
}

impl Ruling {
    /// INVARIANT I1: called in `judge/engine.rs` alone; the house test checks it. `note` says what no policy says: that
    /// none permits the call, or that an evaluation failed.
    pub(crate) fn assertion(
        decision: Decision,
        reasons: Vec<Reason>,
        note: Option<Arc<str>>,
        rules: RulesDigest,
    ) -> Self {
        Self { decision, reasons, note, rules }
    }

    /// Allow or deny.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The determining policies: the permits of an allow, the forbids of a deny, none where nothing permits.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// What no policy says.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The rules that it was made under.
    pub fn rules(&self) -> RulesDigest {
        self.rules
    }
}
