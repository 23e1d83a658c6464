//! What the broker needs of the world, and why a call may get no credential.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::book::LeaseBook;
use crate::call::{Clock, Entropy, Lease, TaskId};

/// Shows the end of tasks.
pub trait TaskEnds: Send + Sync {
    /// Comes to pass when the task is over; none: it is over already, or nobody knows it.
    fn ended(&self, task: TaskId) -> Option<BoxFuture<'static, ()>>;
}

/// Writes down what becomes of leases.
pub trait Witness: Send + Sync {
    /// A lease came into its state, or has been in it for too long. MUST be ready only once it is written.
    fn tell<'a>(&'a self, lease: &'a Lease, what: Told) -> BoxFuture<'a, Result<(), String>>;
}

/// What is told of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It came into its state.
    State,
    /// It should be gone, and is not.
    Overdue,
    /// An operator looked at it after it was lost.
    Seen,
    /// A service did not take its credential; `why` says what it answered.
    Rejected,
}

/// What the broker needs of the world.
pub struct Ports {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and nonces.
    pub entropy: Arc<dyn Entropy>,
    /// Keeps the leases.
    pub book: Arc<dyn LeaseBook>,
    /// Writes down what becomes of them.
    pub witness: Arc<dyn Witness>,
    /// Shows the end of tasks.
    pub tasks: Arc<dyn TaskEnds>,
}

/// Why a call gets no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// The task is over.
    #[error("its task is over")]
    Ended,
    /// Asking again cannot help.
    #[error("{0}")]
    Refused(String),
    /// Asking again can help.
    #[error("{0}")]
    Unavailable(String),
}
