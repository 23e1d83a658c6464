//! Attributed, second half: for which task, with what right, and with what history?
//!
//! [`Tasks`] knows the open tasks of this node, what each may do and what each has done. Tasks and their ends are kept
//! by a [`TaskBook`] and survive the process; what they did is rebuilt from the journal ([`Tasks::replay`]). It must not
//! decide anything that policies decide: it says what a task was granted, and they read the [`History`](crate::call::History) that is kept
//! here.
//!
//! A call is registered with its task before the task is found open, so there is no moment in which a task can end
//! without the call hearing of it: either the call is refused, or its receiver shows the end. An end is written down
//! before it is published, and published before it is acknowledged.

mod agents;
mod book;
mod chain;
mod declared;
mod ending;
mod entry;
mod error;
mod hand;
mod join;
mod known;
mod ledger;
mod place;
mod registry;
mod replay;
mod standing;
#[cfg(test)]
pub(crate) mod tests;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::{Binding, Budget, Grant, IntentName, SpiffeId, Subject};

pub use agents::{AgentLine, DEFAULT_LEARNING, Invoked, Registration};
pub use book::{BookError, Kept, KeptTask, TaskBook};
pub use chain::Delegation;
pub use declared::Intents;
pub use error::{IntentError, Obstacle, Within};
pub use hand::HandedOver;
pub use join::Joined;
pub use ledger::{DISTINCT_PER_TASK, SummaryRow};
pub use place::{Attached, Place};
pub use registry::{Ended, Ports, Tasks};
pub use replay::Past;
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

/// How much is kept, and what the operator put down.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Open tasks at most; further ones are refused, since putting one out would end somebody's work.
    pub open_tasks: usize,
    /// Ended tasks that can still be shown; the one that ended first goes first.
    pub ended_tasks: usize,
    /// Longest life of a task, at most [`MAX_TTL`].
    pub max_ttl: Duration,
    /// Delegations one under the other, at most.
    pub depth: usize,
    /// Open delegations of one task, at most.
    pub fan_out: usize,
    /// Agents that are remembered, at most; beyond, they share one memory.
    pub agents: usize,
    /// The agents that were put down.
    pub registered: BTreeMap<SpiffeId, Registration>,
    /// The intents that were declared.
    pub intents: Intents,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            open_tasks: 10_000,
            ended_tasks: 1_000,
            max_ttl: MAX_TTL,
            depth: 4,
            fan_out: 32,
            agents: 10_000,
            registered: BTreeMap::new(),
            intents: Intents::default(),
        }
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
    /// From now to its deadline, within [`MIN_TTL`] and the longest that is allowed.
    pub ttl: Duration,
    /// For whom.
    pub on_behalf_of: Option<Subject>,
    /// What it may touch, within what its intent may.
    pub grant: Grant,
    /// How much, within what its intent may.
    pub budget: Budget,
    /// What its tokens are bound to; none: what was put down for the agent.
    pub binding: Option<Binding>,
}

/// Why a task is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    /// Its budget was used up.
    Budget,
    /// Somebody said so: an operator, or `remit run` whose child is gone.
    Command,
    /// Its time was up.
    Deadline,
    /// The node stops. Only calls hear of this; the task goes on when the node does.
    Drain,
    /// All tasks of its agent's owner were ended.
    Owner,
    /// The task that it was delegated from is over.
    Parent,
    /// Its agent was put into quarantine.
    Quarantine,
    /// All tasks were ended at once.
    Stop,
    /// It never properly began: its opening could not be recorded, or nobody could be told its token.
    Withdrawn,
}

impl TaskEnd {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Budget,
        Self::Command,
        Self::Deadline,
        Self::Drain,
        Self::Owner,
        Self::Parent,
        Self::Quarantine,
        Self::Stop,
        Self::Withdrawn,
    ];

    /// `budget`, `command`, `deadline`, `drain`, `owner`, `parent`, `quarantine`, `stop` or `withdrawn`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Command => "command",
            Self::Deadline => "deadline",
            Self::Drain => "drain",
            Self::Owner => "owner",
            Self::Parent => "parent",
            Self::Quarantine => "quarantine",
            Self::Stop => "stop",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == name)
    }
}

impl fmt::Display for TaskEnd {
    /// As the rest of `the task is over: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Budget => "its budget is used up",
            Self::Command => "it was ended by command",
            Self::Deadline => "its deadline has passed",
            Self::Drain => "the node is stopping",
            Self::Owner => "all tasks of its agent's owner were ended",
            Self::Parent => "the task that it was delegated from is over",
            Self::Quarantine => "an agent of its chain was put into quarantine",
            Self::Stop => "all tasks were ended",
            Self::Withdrawn => "its opening could not be completed",
        })
    }
}
