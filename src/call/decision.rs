//! What the policies said.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::hold::Quorum;

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

/// What a ruling does to a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It goes on only if the ruling says so.
    #[default]
    Enforce,
    /// It goes on, and what the ruling says is written down.
    Observe,
}

/// Allow, deny or hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The call may go on.
    Allow,
    /// It may not.
    Deny,
    /// It may as soon as a person has approved it.
    Hold,
}

impl Decision {
    /// All.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::Hold];

    /// `allow`, `deny` or `hold`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Hold => "hold",
        }
    }
}

/// What a determining policy has to say to the caller (`@reason`, `@advice`, `@hold`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Which policy.
    pub policy: PolicyId,
    /// Why, in the author's words.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Arc<str>>,
    /// What to do instead, in the author's words.
    #[schema(value_type = Option<String>)]
    pub advice: Option<Arc<str>>,
    /// Whose approval lifts it, where one does: `security`, `2 of security`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub hold: Option<Arc<str>>,
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

    /// Allow, deny or hold.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The determining policies: the permits of an allow, the forbids of a deny or of a hold, none where nothing permits.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// Those of them that the caller is told: of a deny not the ones that an approval would lift, if there are others, or
    /// the caller would ask for an approval that does not help.
    pub fn told(&self) -> impl Iterator<Item = &Reason> {
        let final_too = self.reasons.iter().any(|reason| reason.hold.is_none());
        let all = self.decision != Decision::Deny || !final_too;
        self.reasons.iter().filter(move |reason| all || reason.hold.is_none())
    }

    /// Whose approval it takes, for a hold: that of all of these.
    pub fn quorums(&self) -> Vec<Quorum<'_>> {
        let held = self.decision == Decision::Hold;
        let terms = self.reasons.iter().filter(|_| held).filter_map(|reason| reason.hold.as_deref());
        let mut all: Vec<_> = terms.filter_map(Quorum::parse).collect();
        all.sort_by(|a, b| (a.group, b.votes).cmp(&(b.group, a.votes)));
        all.dedup_by(|other, first| other.group == first.group);
        all
    }

    /// The groups of those.
    pub fn approvers(&self) -> BTreeSet<&str> {
        self.quorums().into_iter().map(|quorum| quorum.group).collect()
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

/// What a ruling without force would have done: of policies that are observed, or of a candidate for their place. For the
/// record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// What it would have done.
    pub decision: Decision,
    /// The determining policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyId>,
    /// What no policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The rules, where they are not those that the call was ruled under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
}

/// Characters of a note that are kept.
const NOTE_CHARS: usize = 500;

impl Opinion {
    /// Of the rules in force.
    pub fn observed(ruling: &Ruling) -> Self {
        let clean = |note: &str| note.chars().filter(|c| !c.is_control()).take(NOTE_CHARS).collect();
        Self {
            decision: ruling.decision,
            policies: ruling.reasons.iter().map(|reason| reason.policy.clone()).collect(),
            note: ruling.note().map(clean),
            rules: None,
        }
    }

    /// Of a candidate.
    pub fn of_candidate(ruling: &Ruling) -> Self {
        Self { rules: Some(ruling.rules.to_string()), ..Self::observed(ruling) }
    }
}
