//! What of tasks has to outlive the process, and the port to whoever keeps it.
//!
//! Narrow on purpose: an implementation may be a database in this process, or another node. Nothing on the way of a call
//! waits for it; what a task did is not kept here but rebuilt from the journal ([`Tasks::replay`](super::Tasks::replay)).

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use super::{Registration, TaskEnd};
use crate::call::{SpiffeId, Task, TaskId, Timestamp};

/// Keeps tasks. Each method is ready only once what it was told is durable.
pub trait TaskBook: Send + Sync {
    /// A task begins.
    fn open<'a>(&'a self, task: &'a Task) -> BoxFuture<'a, Result<(), BookError>>;

    /// Tasks end, all of them or none. Those that it does not know, or that are over, it leaves as they are.
    fn end<'a>(
        &'a self,
        tasks: &'a [(TaskId, TaskEnd)],
        at: Timestamp,
    ) -> BoxFuture<'a, Result<(), BookError>>;

    /// An agent is put into quarantine since some time, or let out.
    fn quarantine<'a>(
        &'a self,
        agent: &'a SpiffeId,
        since: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), BookError>>;

    /// An agent is registered so, or not any more.
    fn register<'a>(
        &'a self,
        agent: &'a SpiffeId,
        registration: Option<&'a Registration>,
    ) -> BoxFuture<'a, Result<(), BookError>>;

    /// Everything that is kept, less the oldest of the ended tasks beyond `ended`. Blocks; for the start.
    fn load(&self, ended: usize) -> Result<Kept, BookError>;
}

/// What was kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The tasks, parents before their children.
    pub tasks: Vec<KeptTask>,
    /// Agents in quarantine, and since when.
    pub quarantined: Vec<(SpiffeId, Timestamp)>,
    /// Agents that were registered.
    pub agents: BTreeMap<SpiffeId, Registration>,
}

/// One task that was kept.
#[derive(Clone, Debug)]
pub struct KeptTask {
    /// The task.
    pub task: Task,
    /// Its end, if it is over.
    pub ended: Option<(TaskEnd, Timestamp)>,
}

/// The store did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of tasks fails: {0}; see to the disk under state.dir")]
pub struct BookError(pub String);
