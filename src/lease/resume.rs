//! What becomes of leases that a process left behind.

use std::sync::{Arc, OnceLock};

use super::book::{Kept, Row};
use super::broker::Broker;
use super::held::Held;
use super::ledger::Record;
use super::possession::Possession;
use super::revoke;
use crate::call::{Lease, LeaseState};

/// The key in the file is another one than that the rows were sealed with.
const OTHER_KEY: &str = "what takes it back cannot be read: `lease.key` is another one than it was";
const NOT_TOLD: &str =
    "remit stopped before the provider had answered; look there whether something was given";

impl Broker {
    /// Takes up what the book kept. Leases of tasks that are open go on, all others are taken back.
    pub async fn resume(self: &Arc<Self>, kept: Kept) {
        for row in kept.leases {
            self.take_up(row).await;
        }
    }

    async fn take_up(self: &Arc<Self>, row: Row) {
        let Row { lease, entry, sealed } = row;
        let (id, state) = (lease.id, lease.state);
        let opened = sealed.as_ref().map(|sealed| self.seal.open_lease(sealed, &id.to_string()));
        let mut record = Record::new(lease.clone(), entry.clone());
        record.sealed = sealed;
        let (material, handle) = match opened {
            Some(Some(opened)) => (Some(opened.material), opened.handle),
            Some(None) => {
                self.lock().begin(record);
                self.turn(id, LeaseState::Lost, Some(OTHER_KEY.to_owned())).await;
                return;
            }
            None => (None, None),
        };
        record.handle.clone_from(&handle);
        self.lock().begin(record);
        match (state, handle) {
            (LeaseState::Minting, _) => {
                tracing::error!(lease = %id, service = %lease.service, "{NOT_TOLD}");
                self.turn(id, LeaseState::Lost, Some(NOT_TOLD.to_owned())).await;
            }
            (LeaseState::Active, _) => {
                let held = material.map(|material| Held {
                    id,
                    provider: lease.provider.clone(),
                    material,
                    minted: lease.minted,
                    expires: lease.until,
                    generation: 0,
                    short_lived: lease.short_lived,
                    possession: Possession::default(),
                    beside: OnceLock::new(),
                });
                if !held.is_some_and(|held| self.goes_on(&lease, &entry, held)) {
                    self.take_back(id).await;
                }
            }
            (LeaseState::Revoking, Some(handle)) => revoke::deliver(self.clone(), id, entry, handle),
            (LeaseState::Revoking, None) => {
                self.turn(id, LeaseState::Expired, None).await;
            }
            (LeaseState::Revoked | LeaseState::Expired | LeaseState::Lost, _) => {}
        }
    }

    /// Whether the task is open and the entry is there still, so that the lease is used again.
    fn goes_on(self: &Arc<Self>, lease: &Lease, entry: &str, held: Held) -> bool {
        let at = self.entries.iter().position(|one| *one.name == *entry);
        at.is_some_and(|at| self.put_back(at, &lease.scope, lease.task, held))
    }
}
