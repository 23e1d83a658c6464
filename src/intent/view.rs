//! What is shown of a task.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::TaskEnd;
use super::ledger::SummaryRow;
use crate::call::money::Money;
use crate::call::{Class, Decision, Task, Timestamp};

/// Whether a task still takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// It takes calls.
    Open,
    /// It is over.
    Ended {
        /// Why.
        why: TaskEnd,
        /// Since when.
        at: Timestamp,
    },
}

/// How many calls were settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// Let through, of class read.
    pub reads: u64,
    /// Let through, of class act.
    pub acts: u64,
    /// Let through, of class delegate.
    pub delegates: u64,
    /// Refused, or held and not let through.
    pub denials: u64,
    /// Of those, the ones that only a person's approval lacked.
    pub holds: u64,
}

impl Counts {
    pub(super) fn add(&mut self, class: Class, decision: Decision) {
        let count = match (decision, class) {
            (Decision::Deny | Decision::Hold, _) => &mut self.denials,
            (Decision::Allow, Class::Read) => &mut self.reads,
            (Decision::Allow, Class::Act) => &mut self.acts,
            (Decision::Allow, Class::Delegate) => &mut self.delegates,
        };
        *count += 1;
        self.holds += u64::from(decision == Decision::Hold);
    }
}

/// A task in a listing.
#[derive(Clone, Debug)]
pub struct TaskLine {
    /// The task itself.
    pub task: Arc<Task>,
    /// Whether it is over.
    pub state: TaskState,
    /// What it has done.
    pub counts: Counts,
    /// Calls that have begun and not ended.
    pub in_flight: u64,
    /// Bytes of request bodies that went out, those of its delegations among them.
    pub bytes_out: u64,
    /// Money that requests named, those of its delegations among them.
    pub money: Money,
}

/// A task by itself, with the table of what it did.
#[derive(Clone, Debug)]
pub struct TaskView {
    /// The task itself.
    pub task: Arc<Task>,
    /// Whether it is over.
    pub state: TaskState,
    /// What it has done.
    pub counts: Counts,
    /// Calls that have begun and not ended.
    pub in_flight: u64,
    /// Bytes of request bodies that went out, those of its delegations among them.
    pub bytes_out: u64,
    /// Money that requests named, those of its delegations among them.
    pub money: Money,
    /// What it has done, call by call alike.
    pub summary: Vec<SummaryRow>,
}
