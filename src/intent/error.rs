//! Why a task cannot be had.

use super::TaskEnd;
use crate::call::TaskId;

/// Why a task cannot be opened, joined or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// It is over.
    #[error("task `{task}` is over: {why}; open a new one")]
    Ended {
        /// Which one.
        task: TaskId,
        /// Why.
        why: TaskEnd,
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
    /// Not one of this node's.
    #[error(
        "task `{0}` is not known to this node: it was opened before the node last started, or elsewhere, or ended long ago; open a new one"
    )]
    Unknown(TaskId),
}
