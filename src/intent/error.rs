//! Why a task cannot be had, and why a call lies outside of it.

use super::{BookError, TaskEnd};
use crate::call::grant::{BadGrant, Line, Part};
use crate::call::{IntentName, PeerName, SpiffeId, TaskId};

/// Why a task cannot be opened, delegated, joined or ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// It would take more than it may.
    #[error("a budget of {wanted} {line} is more than the {allowed} that {of} has")]
    Budget {
        /// Which line.
        line: Line,
        /// What was wanted.
        wanted: u64,
        /// What there is.
        allowed: u64,
        /// Whose limit it is: the intent, or the parent task.
        of: Within,
    },
    /// The configuration names it.
    #[error("agent `{0}` is put down in the configuration, which wins; change it there")]
    Configured(SpiffeId),
    /// A chain that closes on itself.
    #[error("`{agent}` is in this delegation already; a task is never delegated back up its own chain")]
    Cycle {
        /// Who.
        agent: SpiffeId,
    },
    /// Too long a chain.
    #[error("a task is delegated {limit} times at most, one under the other")]
    Depth {
        /// How often.
        limit: usize,
    },
    /// What was handed over went somewhere else.
    #[error("the chain went with a call to `{host}`, where `{agent}` does not answer")]
    Elsewhere {
        /// Who presents it.
        agent: SpiffeId,
        /// Where it went.
        host: String,
    },
    /// It is over.
    #[error("task `{task}` is over: {why}; open a new one")]
    Ended {
        /// Which one.
        task: TaskId,
        /// Why.
        why: TaskEnd,
    },
    /// Too many children.
    #[error("task `{task}` has {limit} open delegations, and no more are taken; end one")]
    FanOut {
        /// The parent.
        task: TaskId,
        /// How many.
        limit: usize,
    },
    /// A name that cannot be granted.
    #[error(transparent)]
    Grant(#[from] BadGrant),
    /// A host where another agent answers.
    #[error("`{agent}` answers at `{host}` already, and one agent answers at one host")]
    HostTaken {
        /// Which host.
        host: String,
        /// Who answers there.
        agent: SpiffeId,
    },
    /// It is worked on behind another node.
    #[error("task `{task}` is lent to the node `{to}`, and takes no calls here")]
    Lent {
        /// Which task.
        task: TaskId,
        /// To which node.
        to: PeerName,
    },
    /// Labels without bound.
    #[error(
        "the labels are refused: at most {count} are taken, with a name of 1 to {bytes} bytes and a value of at most {bytes}"
    )]
    Labels {
        /// Most labels.
        count: usize,
        /// Longest name or value, bytes.
        bytes: usize,
    },
    /// The intent is not this agent's.
    #[error("intent `{intent}` is not declared for `{agent}`")]
    NotTheirs {
        /// What for.
        intent: IntentName,
        /// Who.
        agent: SpiffeId,
    },
    /// It would reach further than it may.
    #[error("the {part} of the grant reach further than {of}")]
    Outside {
        /// Which part.
        part: Part,
        /// What bounds it.
        of: Within,
    },
    /// The agent is in quarantine.
    #[error("agent `{0}` is in quarantine; an operator lets it out with `remit agent release ID`")]
    Quarantined(SpiffeId),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] BookError),
    /// No room.
    #[error(
        "{limit} tasks are open, and no more are taken; end one (`remit task list`, `remit task end ID`)"
    )]
    TooMany {
        /// How many are taken.
        limit: usize,
    },
    /// Too long, or no time at all.
    #[error(
        "a task lives between {min_s} s and {max_s} s, not {wanted_ms} ms; open a new one when it is over"
    )]
    Ttl {
        /// The shortest, seconds.
        min_s: u64,
        /// The longest, seconds.
        max_s: u64,
        /// What was wanted, milliseconds.
        wanted_ms: u128,
    },
    /// Intents are declared, and this is none of them.
    #[error("intent `{0}` is not declared; policies/intents.toml names those that are")]
    Undeclared(IntentName),
    /// Not one of this node's.
    #[error(
        "task `{0}` is not known to this node: it was opened elsewhere, or ended long ago; open a new one"
    )]
    Unknown(TaskId),
}

/// What bounds a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Within {
    /// What was declared for its intent.
    #[error("its intent")]
    Intent,
    /// The task that it is delegated from.
    #[error("the task that it is delegated from")]
    Parent,
}

/// Why a call lies outside of its task, or of one above it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// A budget is used up.
    #[error("the budget of {limit} {line} of task `{task}` is used up")]
    Exhausted {
        /// Whose budget.
        task: TaskId,
        /// Which line.
        line: Line,
        /// How much it was.
        limit: u64,
    },
    /// It is not in the grant.
    #[error("`{operation}` is outside of the {part} that task `{task}` of `{agent}` was granted")]
    Outside {
        /// Whose grant.
        task: TaskId,
        /// Who has that task.
        agent: SpiffeId,
        /// Which operation.
        operation: String,
        /// Which part of the grant.
        part: Part,
    },
    /// What it would spend cannot be told.
    #[error(
        "task `{task}` has a budget of money, and what this call would spend cannot be told: an amount or its currency is missing, or cannot be read"
    )]
    Unpriced {
        /// Whose budget.
        task: TaskId,
    },
    /// Somebody in the chain is in quarantine.
    #[error("agent `{agent}` is in quarantine")]
    Quarantined {
        /// Who.
        agent: SpiffeId,
    },
}
