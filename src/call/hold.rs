//! A call that waits for a person: what it is bound to, who has said what, and what became of it.
//!
//! One hold is for one digest: whoever approves it approves those very bytes, for that task, under those rules, once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decision::{PolicyId, RulesDigest};
use super::id::{CallId, HoldId, TaskId};
use super::operation::{Class, OperationId};
use super::operator::OperatorId;
use super::principal::SpiffeId;
use super::time::Timestamp;

/// SHA-256 over all of a call that an approval is given for: agent, task, rules, method, origin, target, header fields, body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallDigest(pub [u8; 32]);

impl fmt::Display for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&RulesDigest(self.0), f)
    }
}

impl fmt::Debug for CallDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: `sha256:` and 64 hex digits are wanted")]
pub struct NotADigest(String);

impl FromStr for CallDigest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let bad = || NotADigest(text.chars().take(100).collect());
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64).ok_or_else(bad)?;
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for CallDigest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<CallDigest> for String {
    fn from(digest: CallDigest) -> Self {
        digest.to_string()
    }
}

/// Whose approval `@hold` asks for: `security`, or `2 of security`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum<'a> {
    /// The group.
    pub group: &'a str,
    /// How many different people of it.
    pub votes: u32,
}

/// More than that many people nobody gets together.
pub const MAX_VOTES: u32 = 100;

impl<'a> Quorum<'a> {
    /// What `@hold` says; none: it makes no sense.
    pub fn parse(text: &'a str) -> Option<Self> {
        let Some((votes, group)) = text.split_once(" of ") else {
            return Some(Self { group: text, votes: 1 });
        };
        let votes = votes.parse().ok().filter(|votes| (1..=MAX_VOTES).contains(votes))?;
        Some(Self { group, votes })
    }
}

/// What one person said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub by: OperatorId,
    /// Which person that is.
    #[serde(default)]
    pub person: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// Whether it may go out.
    pub approves: bool,
    /// For which of the groups that are asked.
    pub groups: Vec<Arc<str>>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Arc<str>>,
}

/// What became of a hold. Only the first two are not the end of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum HoldState {
    /// Enough people said yes; the call has not been sent since.
    Approved {
        /// The approval is worth nothing after that.
        until: Timestamp,
    },
    /// Nobody was asked in time, or the approval was not used in time.
    Expired,
    /// Somebody said no.
    Refused,
    /// It went out, this once.
    Spent {
        /// The call that did.
        call: CallId,
    },
    /// There is nothing to approve any more.
    Void {
        /// Why.
        why: Arc<str>,
    },
    /// People are asked.
    Waiting,
}

impl HoldState {
    /// The names of all.
    pub const NAMES: [&'static str; 6] = ["approved", "expired", "refused", "spent", "void", "waiting"];

    /// `waiting`, `approved`, …
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Spent { .. } => "spent",
            Self::Void { .. } => "void",
            Self::Waiting => "waiting",
        }
    }

    /// Whether something can still become of it.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Approved { .. } | Self::Waiting)
    }
}

/// A call that waits, or waited, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// What it is for.
    pub digest: CallDigest,
    /// The call that was held first.
    pub call: CallId,
    /// How many calls were held for it: whoever sends one again joins.
    pub asks: u64,
    /// For which task.
    pub task: TaskId,
    /// Whose.
    pub agent: SpiffeId,
    /// The strongest of what it would do.
    pub operation: OperationId,
    /// How strong that is.
    pub class: Class,
    /// The rules that hold it, `sha256:…`.
    pub rules: String,
    /// The policies that an approval lifts.
    pub policies: Vec<PolicyId>,
    /// How many people of which groups have to approve.
    pub wants: BTreeMap<Arc<str>, u32>,
    /// Who may not vote, because the call is made in their name: agents of the chain, and the person it is for.
    pub barred: Vec<Arc<str>>,
    /// When it began.
    pub asked: Timestamp,
    /// Until when people are asked.
    pub until: Timestamp,
    /// What became of it.
    pub state: HoldState,
    /// Since when.
    pub since: Timestamp,
    /// What people said, oldest first.
    pub votes: Vec<Vote>,
}

impl Hold {
    /// How many people of each group are still wanted.
    pub fn missing(&self) -> BTreeMap<&Arc<str>, u32> {
        let have = |group: &Arc<str>| {
            let yes = self.votes.iter().filter(|vote| vote.approves && vote.groups.contains(group));
            u32::try_from(yes.count()).unwrap_or(u32::MAX)
        };
        let all = self.wants.iter().map(|(group, wanted)| (group, wanted.saturating_sub(have(group))));
        all.filter(|(_, missing)| *missing > 0).collect()
    }

    /// Who approved.
    pub fn approvers(&self) -> Vec<OperatorId> {
        self.votes.iter().filter(|vote| vote.approves).map(|vote| vote.by.clone()).collect()
    }

    /// Who refused it, and in which words.
    pub fn refuser(&self) -> Option<&Vote> {
        self.votes.iter().find(|vote| !vote.approves)
    }
}

/// Proof that people approved a call, once. A proof type: only `judge/hold.rs` makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    hold: HoldId,
    by: Vec<OperatorId>,
    policies: Vec<PolicyId>,
    rules: String,
}

impl Approval {
    /// Called in `judge/hold.rs` alone, where a hold is spent; the house test checks it.
    pub(crate) fn assertion(
        hold: HoldId,
        by: Vec<OperatorId>,
        policies: Vec<PolicyId>,
        rules: String,
    ) -> Self {
        Self { hold, by, policies, rules }
    }

    /// The hold that it was given for.
    pub fn hold(&self) -> HoldId {
        self.hold
    }

    /// Who gave it.
    pub fn by(&self) -> &[OperatorId] {
        &self.by
    }

    /// The rules that people were asked under, `sha256:…`.
    pub fn rules(&self) -> &str {
        &self.rules
    }

    /// The policies that it lifts, and no others.
    pub fn policies(&self) -> &[PolicyId] {
        &self.policies
    }
}
