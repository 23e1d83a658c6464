//! What of leases has to outlive the process, and the port to whoever keeps it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::call::{Lease, LeaseId, Timestamp};

/// Keeps leases. Each method is ready only once what it was told is durable.
pub trait LeaseBook: Send + Sync {
    /// A lease is now so, whether it was there before or not.
    fn keep(&self, row: Row) -> BoxFuture<'_, Result<(), LeaseBookError>>;

    /// Nothing was given: there is no such lease.
    fn forget(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), LeaseBookError>>;

    /// A secret of a provider's own, such as a refresh token that changes with each use; sealed.
    fn keep_own(&self, entry: Arc<str>, sealed: Vec<u8>) -> BoxFuture<'_, Result<(), LeaseBookError>>;

    /// All that is kept, less those that were over before `since`. Blocks; for the start.
    fn load(&self, since: Timestamp) -> Result<Kept, LeaseBookError>;
}

/// One lease as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What everybody may see.
    pub lease: Lease,
    /// The name of its `[[leases]]` entry.
    pub entry: Arc<str>,
    /// The credential and what revokes it, sealed; none: there is none, or it is of no use any more.
    pub sealed: Option<Vec<u8>>,
}

/// What was kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Leases, oldest first.
    pub leases: Vec<Row>,
    /// Secrets of providers' own, by entry, sealed.
    pub own: Vec<(Arc<str>, Vec<u8>)>,
}

/// The store did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of leases fails: {0}; see to the disk under state.dir")]
pub struct LeaseBookError(pub String);
