//! What the console, `/v1/calls` and `/v1/events` ask of the node beside the tasks: they only look.

use futures_util::future::BoxFuture;

use crate::call::{CallId, EntryId, Timestamp};
use crate::judge::prove::{Claim, Kept};
use crate::judge::{Explanation, SourceFile};
use crate::record::{CallFacts, Follow};

/// What the node lets be looked at; `runtime` implements it.
pub trait Insight: Send + Sync {
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// Reads the journal from an entry on, and waits for more.
    fn follow(&self, from: EntryId) -> Follow;
    /// How the node is.
    fn health(&self) -> Health;
    /// The policies, as they are on disk or in the binary, tried by their own cases.
    fn policies(&self) -> BoxFuture<'_, Result<Policies, String>>;
    /// What other policies would have ruled on the latest calls.
    fn replay(&self, draft: SourceFile, calls: usize) -> BoxFuture<'_, Result<Difference, String>>;
    /// Why the rules in force would rule on a call of the past as they do.
    fn explain(&self, call: Box<CallFacts>) -> BoxFuture<'_, Result<Explained, String>>;
}

/// How the node is.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Entries in the journal, ever.
    pub entries: u64,
    /// Why the journal cannot be written, if so.
    pub failing: Option<String>,
    /// What is on disk and not fit to be in force.
    pub refused: Option<String>,
    /// Who tells of the calls, and how far behind they are.
    pub export: Vec<Export>,
    /// SHA-256 of the issuing CA's certificate, hex.
    pub ca_fingerprint: String,
    /// When it ends.
    pub ca_until: Option<Timestamp>,
    /// Calls under way.
    pub open_calls: u64,
    /// Names of services whose policies are only observed, or `everything`.
    pub observed: Vec<String>,
}

/// A follower of the journal that tells others.
#[derive(Clone, Debug)]
pub struct Export {
    /// Which: `otlp`.
    pub follower: String,
    /// Entries that are not yet told.
    pub behind: u64,
    /// The age of the oldest of them.
    pub waiting_since: Option<Timestamp>,
    /// Spans that were taken.
    pub taken: u64,
    /// Spans that never will be.
    pub rejected: u64,
    /// What went wrong last.
    pub error: Option<String>,
}

/// A policy set, for people.
#[derive(Clone, Debug)]
pub struct Policies {
    /// Where they come from: a folder, or the binary.
    pub place: String,
    /// The digest of what was read.
    pub digest: String,
    /// Policies and schema.
    pub files: Vec<SourceFile>,
    /// How many cases went as expected.
    pub passed: usize,
    /// Those that did not, and what else is wrong.
    pub failed: Vec<String>,
    /// What is claimed of all requests.
    pub invariants: Vec<Claim>,
    /// Whether it was proved.
    pub proofs: Kept,
}

/// What became of calls that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Whose calls.
    pub agent: String,
    /// Which operation.
    pub operation: String,
    /// Its class.
    pub class: crate::call::Class,
    /// What was ruled.
    pub then: crate::call::Decision,
    /// What is ruled by the draft.
    pub now: crate::call::Decision,
    /// How many.
    pub calls: u64,
    /// One of them.
    pub example: CallId,
}

/// What a draft would change.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// The digest of the draft.
    pub digest: String,
    /// How many policies it has.
    pub policies: usize,
    /// Calls that were judged.
    pub calls: u64,
    /// Calls that nobody was known to have made.
    pub unattributed: u64,
    /// Calls whose task's opening is not in the journal any more.
    pub without_task: u64,
    /// What is ruled otherwise, the most frequent first.
    pub kinds: Vec<Kind>,
}

/// Why a call is ruled as it is.
#[derive(Clone, Debug)]
pub struct Explained {
    /// By operation and link.
    pub parts: Vec<Explanation>,
    /// The digest of the rules that were asked.
    pub rules: String,
}
