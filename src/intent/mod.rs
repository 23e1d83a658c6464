//! Attributed, second half: for which task, and with what history?
//!
//! [`Tasks`] knows the open tasks of this node and what each has done. It lives in memory: after a restart every task of
//! before is unknown, and its tokens, though their signatures hold, lead nowhere. It must not decide anything: whether a
//! call may go on is for the policies, which read the [`History`] that is kept here.
//!
//! A call is registered with its task before the task is found open, so there is no moment in which a task can end
//! without the call hearing of it: either the call is refused, or its receiver shows the end.

mod error;
mod ledger;
mod registry;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::call::{History, IntentName, SpiffeId, Task};

pub use error::IntentError;
pub use ledger::{DISTINCT_PER_TASK, SummaryRow};
pub use registry::Tasks;
pub use view::{Counts, TaskLine, TaskState, TaskView};

/// Shortest life of a task.
pub const MIN_TTL: Duration = Duration::from_secs(1);
/// Life of a task for which none is named.
pub const DEFAULT_TTL: Duration = Duration::from_secs(15 * 60);
/// Longest life of a task; longer ones are refused, not cut. OWASP NHI7:2025 (long-lived secrets): what an agent holds
/// is to be worthless the next day.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// The declared intent of the task that a default agent works on.
pub const STANDING_INTENT: &str = "standing";
/// Most labels on a task.
pub const MAX_LABELS: usize = 32;
/// Longest label name and longest label value, bytes.
pub const MAX_LABEL_BYTES: usize = 256;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Open tasks at most; further ones are refused, since putting one out would end somebody's work.
    pub open_tasks: usize,
    /// Ended tasks that can still be shown; the one that ended first goes first.
    pub ended_tasks: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { open_tasks: 10_000, ended_tasks: 1_000 }
    }
}

/// What is wanted of a new task.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Who works on it.
    pub agent: SpiffeId,
    /// What for.
    pub intent: IntentName,
    /// The operator's own words.
    pub labels: BTreeMap<String, String>,
    /// From now to its deadline, within [`MIN_TTL`] and [`MAX_TTL`].
    pub ttl: Duration,
}

/// Why a task is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    /// Somebody said so: an operator, or `remit run` whose child is gone.
    Command,
    /// Its time was up.
    Deadline,
    /// The node stops.
    Drain,
    /// It never properly began: its opening could not be recorded, or nobody could be told its token.
    Withdrawn,
}

impl TaskEnd {
    /// `command`, `deadline`, `drain` or `withdrawn`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Deadline => "deadline",
            Self::Drain => "drain",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for TaskEnd {
    /// As the rest of `the task is over: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command => "it was ended by command",
            Self::Deadline => "its deadline has passed",
            Self::Drain => "the node is stopping",
            Self::Withdrawn => "its opening could not be completed",
        })
    }
}

/// A call's place in its task. Dropping it takes the call off the task's list of calls in flight.
#[derive(Debug)]
pub struct Attached {
    /// The task.
    pub task: Arc<Task>,
    /// What the task had done before this call.
    pub history: History,
    /// Shows the task's end. MUST be looked at before every wait of the call, and while it waits.
    pub ended: watch::Receiver<Option<TaskEnd>>,
    /// Last, and apart, so that the other fields can be moved out while it stays.
    pub in_flight: InFlight,
}

/// Counts one call as in flight for as long as it is kept.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicU64>);

impl InFlight {
    fn register(calls: &Arc<AtomicU64>) -> Self {
        calls.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(calls))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
