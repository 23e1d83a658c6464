//! A lease in use: the credential itself, in memory, and for how long it fits.

use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::possession::Possession;
use super::provider::Material;
use crate::call::{LeaseId, Leased, Timestamp};

/// Replaced this long before its end at the latest.
const MARGIN: Duration = Duration::from_secs(60);
/// One that a service did not take is not asked for anew sooner.
const AGAIN: Duration = Duration::from_secs(10);

/// A credential in use.
pub(super) struct Held {
    pub(super) id: LeaseId,
    pub(super) provider: Arc<str>,
    pub(super) material: Material,
    pub(super) minted: Timestamp,
    pub(super) expires: Option<Timestamp>,
    /// The provider's when it was asked for.
    pub(super) generation: u64,
    pub(super) short_lived: bool,
    /// Of a token that is bound to a key.
    pub(super) possession: Possession,
    /// What its user makes of it and wants to have at hand.
    pub(super) beside: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// Whether a credential can be used.
pub(super) enum Fit {
    /// Yes.
    Good(Arc<Held>),
    /// Yes, but the next one should be asked for.
    Due(Arc<Held>),
    /// No.
    None,
}

impl Held {
    /// The last fifth of its life, at most a minute, is for asking for the next one; with a quarter of that left nobody begins
    /// with it any more.
    pub(super) fn fit(self: Arc<Self>, now: Timestamp, generation: u64) -> Fit {
        if self.generation != generation {
            return Fit::None;
        }
        let Some(expires) = self.expires else { return Fit::Good(self) };
        let margin = (expires.since(self.minted) / 5).min(MARGIN);
        let left = expires.since(now);
        match () {
            () if left > margin => Fit::Good(self),
            () if left > margin / 4 => Fit::Due(self),
            () => Fit::None,
        }
    }

    /// Whether it is old enough to be asked for anew.
    pub(super) fn may_be_replaced(&self, now: Timestamp) -> bool {
        self.short_lived && now.since(self.minted) >= AGAIN
    }

    /// What a call tells of it.
    pub(super) fn as_used(&self) -> Leased {
        Leased { id: self.id, provider: self.provider.clone(), short_lived: self.short_lived }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({})", self.id)
    }
}
