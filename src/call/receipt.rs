//! Proofs of what was written, and what a closing entry says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decision::Opinion;
use super::id::{CallId, EntryId};
use super::lease::Leased;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The origin answered and the agent has the whole answer.
    Answered,
    /// The origin could not be reached, broke off, or broke a rule.
    OriginFailed,
    /// The agent went away, or broke a rule, before the end.
    AgentGone,
    /// The task ended under it.
    Revoked,
    /// remit dropped it without an end: a panic, a cancelled future.
    Abandoned,
    /// There was no credential for it, so it never went out.
    Unequipped,
    /// remit stopped before the end was written; found at the next start.
    Unknown,
}

impl Outcome {
    /// As it stands in the journal: `answered`, `origin_failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::OriginFailed => "origin_failed",
            Self::AgentGone => "agent_gone",
            Self::Revoked => "revoked",
            Self::Abandoned => "abandoned",
            Self::Unequipped => "unequipped",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of a body that passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyFacts {
    /// Bytes that passed, decoded from any transfer coding.
    pub bytes: u64,
    /// SHA-256 of those bytes in lower-case hex; absent while nothing passed.
    pub sha256: Option<String>,
    /// Whether the end was reached.
    pub complete: bool,
}

/// What the closing entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// How it ended.
    pub outcome: Outcome,
    /// The origin's status code.
    pub status: Option<u16>,
    /// The `grpc-status` of the answer, from its trailers or its head.
    pub grpc_status: Option<u16>,
    /// The code of the refusal that the agent got instead of an answer.
    pub refusal: Option<String>,
    /// One line on what went wrong.
    pub error: Option<String>,
    /// The agent's body.
    pub request: BodyFacts,
    /// The origin's body.
    pub response: BodyFacts,
    /// From interception to the end, nanoseconds.
    pub duration_ns: u64,
    /// From interception to the decision, nanoseconds.
    pub decided_ns: u64,
    /// From interception to the head of the origin's answer, nanoseconds.
    pub first_byte_ns: Option<u64>,
    /// Of a window over a WebSocket: how many messages it counted, by operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub messages: BTreeMap<String, u64>,
    /// What a candidate for the place of the policies would have ruled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Box<Opinion>>,
    /// The lease that it carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Box<Leased>>,
}

impl Closing {
    /// A closing entry with nothing but its outcome.
    pub fn bare(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: None,
            grpc_status: None,
            refusal: None,
            error: None,
            request: BodyFacts::default(),
            response: BodyFacts::default(),
            duration_ns: 0,
            decided_ns: 0,
            first_byte_ns: None,
            messages: BTreeMap::new(),
            candidate: None,
            lease: None,
        }
    }
}

/// Where closing entries go. `record` implements it; it MUST NOT block and MUST NOT lose the entry while the process lives.
pub trait CloseBook: Send + Sync {
    /// Takes the closing entry of a call that was opened at `opened`.
    fn close(&self, call: CallId, opened: EntryId, closing: Closing);
}

/// Proof that a call's intention is written. A proof type: only `record::journal` makes one.
///
/// It is consumed by [`Opened::close`]; dropped without (a panic, a cancelled future) it closes the call as
/// [`Outcome::Abandoned`], so every opened call is closed once (INVARIANT I3).
pub struct Opened {
    call: CallId,
    entry: EntryId,
    book: Option<Arc<dyn CloseBook>>,
}

impl Opened {
    /// INVARIANT I2: called in `record/journal.rs` alone, after the write; the house test checks it.
    pub(crate) fn assertion(call: CallId, entry: EntryId, book: Arc<dyn CloseBook>) -> Self {
        Self { call, entry, book: Some(book) }
    }

    /// The call.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// Where the opening entry stands.
    pub fn entry(&self) -> EntryId {
        self.entry
    }

    /// Writes the closing entry.
    pub fn close(mut self, closing: Closing) {
        if let Some(book) = self.book.take() {
            book.close(self.call, self.entry, closing);
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(book) = self.book.take() {
            book.close(self.call, self.entry, Closing::bare(Outcome::Abandoned));
        }
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({} at {})", self.call, self.entry)
    }
}

/// Proof that a refused call, or a closing, is in the journal. A proof type: only `record::journal` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    entry: EntryId,
}

impl Receipt {
    /// Called in `record/journal.rs` alone, after the write; the house test checks it.
    pub(crate) fn assertion(entry: EntryId) -> Self {
        Self { entry }
    }

    /// Where it stands.
    pub fn entry(self) -> EntryId {
        self.entry
    }
}
