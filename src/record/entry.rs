//! One entry: a line of canonical JSON.
//!
//! Canonical means: the fields in the order in which they are declared here, no white space, no floating-point numbers,
//! one newline behind. So `serde_json::to_string` of a read entry gives back the line, byte for byte. Version 1 may
//! gain fields and kinds; whatever changes the meaning of a field makes version 2.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::error::JournalError;
use super::facts::{CallFacts, RefusalFacts, TaskFacts, Text};
use super::hold::{HoldFacts, VoteFacts};
use super::lease::LeaseFacts;
use crate::call::{
    AgentProfile, CallId, Closing, EntryId, Host, OperatorId, PeerName, SpiffeId, TaskId, Timestamp,
};

/// The version that this node writes.
pub const VERSION: u8 = 1;

/// The longest line, bytes. A longer entry is refused before it is written, a longer line is damage.
pub const LINE_LIMIT_BYTES: usize = 16 << 20;

/// What stands in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the format.
    pub v: u8,
    /// Its place: 0 for the first entry of a node, then up by one.
    pub seq: EntryId,
    /// When it was written.
    #[serde(with = "instant")]
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub what: What,
}

/// What an entry says: `kind` and `data` in the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
pub enum What {
    /// A call is about to be forwarded.
    Opened(Box<CallFacts>),
    /// An opened call came to its end.
    Closed(Box<Closed>),
    /// A call was refused before it was opened: opening and closing at once.
    Refused(Box<CallFacts>),
    /// A connection ended before it carried a call.
    TurnedAway {
        /// Address and port of the other end.
        peer: String,
        /// The authority that it asked for, as it spelt it.
        authority: Option<Text>,
        /// Why.
        refusal: RefusalFacts,
    },
    /// Somebody may now act for a purpose.
    TaskOpened(TaskFacts),
    /// And no longer.
    TaskEnded {
        /// Which task.
        task: TaskId,
        /// By what.
        why: Text,
        /// The operator who did it; absent where no operator did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<OperatorId>,
    },
    /// Its tokens hold longer.
    TaskRenewed {
        /// Which task.
        task: TaskId,
        /// Until when.
        #[serde(with = "instant")]
        until: Timestamp,
        /// The operator who did it; absent where no operator did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<OperatorId>,
    },
    /// People are asked about a call.
    HoldOpened(Box<HoldFacts>),
    /// Somebody said yes or no.
    HoldVoted(Box<VoteFacts>),
    /// A hold came into another state: approved, refused, expired, spent by a call, or void.
    HoldSettled(Box<HoldFacts>),
    /// A credential was given for a task.
    LeaseMinted(Box<LeaseFacts>),
    /// It is not used any more, and whoever gave it is to be told; with `overdue`: and it should be gone by now.
    LeaseRevoking(Box<LeaseFacts>),
    /// Whoever gave it says that it is gone.
    LeaseRevoked(Box<LeaseFacts>),
    /// Its time was up, or nobody can take it back: it works until `until`, or stays what it was.
    LeaseExpired(Box<LeaseFacts>),
    /// Nobody knows whether it works somewhere.
    LeaseLost(Box<LeaseFacts>),
    /// An operator looked at one that was lost: nothing of it works any more.
    LeaseSeen(Box<LeaseFacts>),
    /// A service did not take the credential of a lease that is in use. Told once of each.
    LeaseRejected(Box<LeaseFacts>),
    /// An agent is registered from here on; without a profile: no more.
    AgentRegistered {
        /// Which agent.
        agent: SpiffeId,
        /// What was put down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<Box<AgentProfile>>,
        /// Where it answers, so that calls there hand it tasks.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hosts: Vec<Host>,
        /// The node that it works behind.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        behind: Option<PeerName>,
        /// The operator who did it; absent where no operator did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<OperatorId>,
    },
    /// An agent may do nothing from here on.
    AgentQuarantined {
        /// Which agent.
        agent: SpiffeId,
        /// The operator who did it; absent where no operator did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<OperatorId>,
    },
    /// And again what it may.
    AgentReleased {
        /// Which agent.
        agent: SpiffeId,
        /// The operator who did it; absent where no operator did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<OperatorId>,
    },
    /// An operator signed in with a browser.
    OperatorSignedIn {
        /// Who.
        by: OperatorId,
    },
    /// And out.
    OperatorSignedOut {
        /// Who.
        by: OperatorId,
    },
    /// Other rules apply from here on.
    RulesLoaded {
        /// `sha256:` and 64 hex digits.
        digest: String,
        /// How many policies.
        policies: u64,
        /// Those that they take the place of; none at the node's start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// Who, or what, set it off.
        by: Text,
    },
    /// Other rules were not fit to be loaded.
    RulesRefused {
        /// Who, or what, set it off.
        by: Text,
        /// What is wrong with them.
        why: Text,
    },
    /// Other policies are asked beside those in force from here on.
    CandidateLoaded {
        /// `sha256:` and 64 hex digits.
        digest: String,
        /// How many policies.
        policies: u64,
        /// Who, or what, set it off.
        by: Text,
    },
    /// Other policies were to be asked beside those in force, and are not fit to be.
    CandidateRefused {
        /// Who, or what, set it off.
        by: Text,
        /// What is wrong with them.
        why: Text,
    },
    /// Other settings apply from here on.
    ConfigurationLoaded {
        /// Which file, or `built in`.
        source: Text,
        /// `sha256:` and 64 hex digits of the file.
        digest: Option<String>,
    },
    /// An issuing CA was made.
    CaMade {
        /// `sha256:` and 64 hex digits of the certificate.
        fingerprint: String,
    },
    /// A node began to write here.
    NodeStarted {
        /// Its version.
        version: Text,
    },
    /// And stopped in good order.
    NodeStopped {
        /// Its version.
        version: Text,
    },
    /// The oldest entries are not kept any longer. Their leaf hashes are, so what is signed can be checked all the same.
    Retired {
        /// The first entry that is kept.
        before: EntryId,
        /// How many bytes of entries went.
        bytes: u64,
        /// By which rule: `age`, `size`.
        why: Text,
    },
    /// At start the last line was found half-written and was cut off. It had been promised to nobody.
    TailCut {
        /// The segment's file name.
        segment: String,
        /// How many bytes went.
        bytes: u64,
    },
    /// The journal could not be written for a while, and can again. Calls of that time were refused.
    WritingFailed {
        /// Since when.
        #[serde(with = "instant")]
        since: Timestamp,
        /// What the disk said.
        error: Text,
        /// How many calls and events were not taken.
        refused: u64,
    },
}

/// The end of an opened call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which call.
    pub call: CallId,
    /// Where its opening entry stands.
    pub opened: EntryId,
    /// How it ended.
    pub closing: Closing,
}

impl What {
    /// The kind, as it stands in the line.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Closed(_) => "closed",
            Self::Refused(_) => "refused",
            Self::TurnedAway { .. } => "turned_away",
            Self::TaskOpened(_) => "task_opened",
            Self::TaskEnded { .. } => "task_ended",
            Self::TaskRenewed { .. } => "task_renewed",
            Self::HoldOpened(_) => "hold_opened",
            Self::HoldVoted(_) => "hold_voted",
            Self::HoldSettled(_) => "hold_settled",
            Self::LeaseMinted(_) => "lease_minted",
            Self::LeaseRevoking(_) => "lease_revoking",
            Self::LeaseRevoked(_) => "lease_revoked",
            Self::LeaseExpired(_) => "lease_expired",
            Self::LeaseLost(_) => "lease_lost",
            Self::LeaseSeen(_) => "lease_seen",
            Self::LeaseRejected(_) => "lease_rejected",
            Self::AgentRegistered { .. } => "agent_registered",
            Self::AgentQuarantined { .. } => "agent_quarantined",
            Self::AgentReleased { .. } => "agent_released",
            Self::OperatorSignedIn { .. } => "operator_signed_in",
            Self::OperatorSignedOut { .. } => "operator_signed_out",
            Self::RulesLoaded { .. } => "rules_loaded",
            Self::RulesRefused { .. } => "rules_refused",
            Self::CandidateLoaded { .. } => "candidate_loaded",
            Self::CandidateRefused { .. } => "candidate_refused",
            Self::ConfigurationLoaded { .. } => "configuration_loaded",
            Self::CaMade { .. } => "ca_made",
            Self::NodeStarted { .. } => "node_started",
            Self::NodeStopped { .. } => "node_stopped",
            Self::Retired { .. } => "retired",
            Self::TailCut { .. } => "tail_cut",
            Self::WritingFailed { .. } => "writing_failed",
        }
    }

    /// The part of the line behind the number and the time; made by whoever asks, so that the writer only glues.
    pub(super) fn to_json(&self) -> Result<String, JournalError> {
        let json = serde_json::to_string(self).map_err(|e| JournalError::Unwritable(e.to_string()))?;
        // Room for version, number and time.
        let limit_bytes = LINE_LIMIT_BYTES - 128;
        if json.len() > limit_bytes {
            return Err(JournalError::TooLong { bytes: json.len(), limit_bytes });
        }
        Ok(json)
    }
}

/// Glues a whole line, newline included, out of [`What::to_json`].
pub(super) fn push_line(out: &mut Vec<u8>, seq: u64, at: Timestamp, what: &str) {
    use std::io::Write as _;
    let rest = what.strip_prefix('{').unwrap_or(what);
    let _infallible = writeln!(out, r#"{{"v":{VERSION},"seq":{seq},"at":"{}",{rest}"#, instant::to_text(at));
}

/// Times as RFC 3339 in UTC with nine digits behind the point: readable, sortable, and nothing is lost.
pub(super) mod instant {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::call::Timestamp;

    pub(in crate::record) fn to_text(at: Timestamp) -> String {
        // 2^64 nanoseconds end in 2554, well inside jiff's range.
        let at = jiff::Timestamp::from_nanosecond(at.unix_ns().into()).unwrap_or_default();
        format!("{at:.9}")
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` gives a reference")]
    pub(in crate::record) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&to_text(*at))
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let at: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        let ns = u64::try_from(at.as_nanosecond()).map_err(|_| D::Error::custom("it is before 1970"))?;
        Ok(Timestamp::from_unix_ns(ns))
    }
}
