//! What of leases is counted.

use super::provider::MintError;
use crate::call::meter::Counter;

/// The counters.
#[derive(Debug, Default)]
pub struct Meters {
    mints: [Counter; RESULTS.len()],
    /// Credentials that a service did not take.
    pub(super) rejected: Counter,
    /// Attempts to take a lease back that came to nothing.
    pub(super) revocations_failed: Counter,
}

const RESULTS: [&str; 5] = ["given", "unavailable", "refused", "too_wide", "unknown"];

impl Meters {
    pub(super) fn minted<T>(&self, result: &Result<T, MintError>) {
        let at = match result {
            Ok(_) => 0,
            Err(MintError::Unavailable(_)) => 1,
            Err(MintError::Refused(_)) => 2,
            Err(MintError::TooWide(_)) => 3,
            Err(MintError::Unknown(_) | MintError::Stray(_)) => 4,
        };
        if let Some(counter) = self.mints.get(at) {
            counter.add();
        }
    }

    /// How often a credential was asked for, by what came of it.
    pub fn mints(&self) -> impl Iterator<Item = (&'static str, u64)> {
        RESULTS.into_iter().zip(&self.mints).map(|(result, counter)| (result, counter.count()))
    }

    /// How often a service did not take the credential of a lease.
    pub fn rejected(&self) -> u64 {
        self.rejected.count()
    }

    /// How often a lease was to be taken back and was not.
    pub fn revocations_failed(&self) -> u64 {
        self.revocations_failed.count()
    }
}
