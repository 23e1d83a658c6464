//! The place of the follower that exports spans.

use serde::{Deserialize, Serialize};

use super::error::TelemetryError;
use crate::call::EntryId;
use crate::record::{Cursor, JournalError};

/// A follower's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    v: u8,
    /// Everything before this is told, but for what is still open.
    pub(super) next: EntryId,
    /// Openings before `next` whose closing stands at `next` or later.
    pub(super) open: Vec<EntryId>,
}

impl Place {
    pub(super) fn new(next: EntryId, open: Vec<EntryId>) -> Self {
        Self { v: 1, next, open }
    }

    /// The place that was kept; none at the first start. One that cannot be understood counts as the very beginning:
    /// everything is told again rather than something not at all.
    pub(super) fn load(cursor: &Cursor) -> Result<Option<Self>, TelemetryError> {
        let unreadable = || {
            tracing::warn!("the cursor is unreadable; all spans are sent again");
            Ok(Some(Self::new(EntryId(0), Vec::new())))
        };
        match cursor.load::<Self>() {
            Ok(Some(place)) if place.v != 1 => unreadable(),
            Ok(place) => Ok(place),
            Err(JournalError::Damaged { .. }) => unreadable(),
            Err(error) => Err(error.into()),
        }
    }
}
