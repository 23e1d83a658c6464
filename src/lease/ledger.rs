//! The state machine of leases, in memory: what each of them is now.
//!
//! ```text
//! minting -> active -> revoking -> revoked
//!    |          |          |
//!    v          v          v
//!   lost     expired    expired      (nothing was given: forgotten)
//! ```
//!
//! It moves one way, and each move gives the row that the book has to have.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::book::Row;
use crate::call::{Lease, LeaseId, LeaseState, Secret, Seen, TaskId, Timestamp};

/// Leases that are over and are still shown.
const SHOWN: usize = 10_000;

/// One lease, with what takes it back.
pub(super) struct Record {
    pub(super) lease: Lease,
    pub(super) entry: Arc<str>,
    pub(super) sealed: Option<Vec<u8>>,
    pub(super) handle: Option<Secret<String>>,
    /// Whether it was told that it should be gone by now.
    overdue_told: bool,
    /// Whether it was told that a service did not take it.
    rejected_told: bool,
}

impl Record {
    pub(super) fn new(lease: Lease, entry: Arc<str>) -> Self {
        Self { lease, entry, sealed: None, handle: None, overdue_told: false, rejected_told: false }
    }

    fn row(&self) -> Row {
        Row { lease: self.lease.clone(), entry: self.entry.clone(), sealed: self.sealed.clone() }
    }
}

/// All leases that are known.
#[derive(Default)]
pub(super) struct Ledger {
    records: BTreeMap<LeaseId, Record>,
}

/// Whether a lease may come from one state into another.
pub(super) fn may_turn(from: LeaseState, to: LeaseState) -> bool {
    use LeaseState::{Active, Expired, Lost, Minting, Revoked, Revoking};
    matches!(
        (from, to),
        (Minting, Active | Lost) | (Active, Revoking | Expired | Lost) | (Revoking, Revoked | Expired | Lost)
    )
}

impl Ledger {
    /// A lease is about to be asked for, or comes from the book.
    pub(super) fn begin(&mut self, record: Record) -> Row {
        let row = record.row();
        self.records.insert(record.lease.id, record);
        row
    }

    /// It was given.
    pub(super) fn activate(
        &mut self,
        id: LeaseId,
        now: Timestamp,
        change: impl FnOnce(&mut Record),
    ) -> Option<Row> {
        self.turn(id, LeaseState::Active, now, None)?;
        let record = self.records.get_mut(&id)?;
        change(record);
        Some(record.row())
    }

    /// It comes into another state; none: it does not.
    pub(super) fn turn(
        &mut self,
        id: LeaseId,
        to: LeaseState,
        now: Timestamp,
        why: Option<String>,
    ) -> Option<Row> {
        let record = self.records.get_mut(&id)?;
        if !may_turn(record.lease.state, to) {
            return None;
        }
        (record.lease.state, record.lease.since, record.lease.why) = (to, now, why);
        if to.is_over() {
            (record.sealed, record.handle) = (None, None);
        }
        Some(record.row())
    }

    /// Nothing was given.
    pub(super) fn forget(&mut self, id: LeaseId) {
        self.records.remove(&id);
    }

    /// What is in the way of its next state.
    pub(super) fn hindered(&mut self, id: LeaseId, why: &str) {
        if let Some(record) = self.records.get_mut(&id) {
            record.lease.why = Some(why.to_owned());
        }
    }

    /// The provider says that it ends then.
    pub(super) fn ends(&mut self, id: LeaseId, until: Option<Timestamp>) {
        if let Some(record) = self.records.get_mut(&id) {
            record.lease.until = until.or(record.lease.until);
        }
    }

    /// The name of its entry and what takes it back; none: nothing does.
    pub(super) fn handle(&self, id: LeaseId) -> Option<(Arc<str>, Secret<String>)> {
        let record = self.records.get(&id)?;
        Some((record.entry.clone(), record.handle.clone()?))
    }

    pub(super) fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.records.get(&id).map(|record| &record.lease)
    }

    /// The leases of a task that are in use.
    pub(super) fn active_of(&self, task: TaskId) -> Vec<LeaseId> {
        let all = self.records.values().map(|record| &record.lease);
        all.filter(|lease| lease.task == task && lease.state == LeaseState::Active)
            .map(|lease| lease.id)
            .collect()
    }

    /// Leases in use whose time is up.
    pub(super) fn run_out(&self, now: Timestamp) -> Vec<LeaseId> {
        let is_over = |lease: &&Lease| {
            lease.state == LeaseState::Active && lease.until.is_some_and(|until| until <= now)
        };
        self.records.values().map(|record| &record.lease).filter(is_over).map(|lease| lease.id).collect()
    }

    /// Leases that should be gone and of which nobody told that yet.
    pub(super) fn overdue(&mut self, now: Timestamp) -> Vec<Lease> {
        let late = |record: &&mut Record| !record.overdue_told && record.lease.is_overdue(now);
        let late = self.records.values_mut().filter(late).map(|record| {
            record.overdue_told = true;
            record.lease.clone()
        });
        late.collect()
    }

    /// A task is over: its leases should be gone soon.
    pub(super) fn task_ended(&mut self, task: TaskId, now: Timestamp) {
        let theirs = self.records.values_mut().map(|record| &mut record.lease);
        for lease in theirs.filter(|lease| lease.task == task && !lease.state.is_settled()) {
            lease.task_ended.get_or_insert(now);
        }
    }

    /// A service did not take it; none: that was told before, or it is no lease.
    pub(super) fn rejected(&mut self, id: LeaseId, why: &str) -> Option<Lease> {
        let record = self.records.get_mut(&id).filter(|record| !record.rejected_told)?;
        record.rejected_told = true;
        Some(Lease { why: Some(why.to_owned()), ..record.lease.clone() })
    }

    /// An operator's word on one that is lost.
    pub(super) fn seen(&mut self, id: LeaseId, seen: Seen) -> Option<Row> {
        let record = self.records.get_mut(&id).filter(|record| record.lease.state == LeaseState::Lost)?;
        record.lease.seen.get_or_insert(seen);
        // Whoever looked has ended what there was.
        (record.sealed, record.handle) = (None, None);
        Some(record.row())
    }

    /// All, oldest first; those of one task, if one is named.
    pub(super) fn list(&self, task: Option<TaskId>) -> Vec<Lease> {
        let all = self.records.values().map(|record| &record.lease);
        all.filter(|lease| task.is_none_or(|task| lease.task == task)).cloned().collect()
    }

    /// Lets go of the oldest that are over.
    pub(super) fn tidy(&mut self) {
        let over = self.records.values().filter(|record| record.lease.is_done());
        let over: Vec<_> = over.map(|record| record.lease.id).collect();
        for id in over.iter().take(over.len().saturating_sub(SHOWN)) {
            self.records.remove(id);
        }
    }
}
