//! What of holds has to outlive the process, and the port to whoever keeps it.

use futures_util::future::BoxFuture;

use crate::call::{Hold, Timestamp};

/// Keeps holds. Each method is ready only once what it was told is durable.
pub trait HoldBook: Send + Sync {
    /// A hold is now so, whether it was there before or not.
    fn keep(&self, row: HoldRow) -> BoxFuture<'_, Result<(), HoldBookError>>;

    /// All that are kept, oldest first, less those that were over before `since`. Blocks; for the start.
    fn load_holds(&self, since: Timestamp) -> Result<Vec<HoldRow>, HoldBookError>;
}

/// One hold as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRow {
    /// The hold.
    pub hold: Hold,
    /// What people are shown of the call, sealed.
    pub card: Vec<u8>,
}

/// The store did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of holds fails: {0}; see to the disk under state.dir")]
pub struct HoldBookError(pub String);
