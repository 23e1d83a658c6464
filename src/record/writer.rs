//! The thread that appends: the only one that gives out numbers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::disk::Disk;
use super::entry::{self, What};
use super::error::JournalError;
use super::facts::Text;
use super::inbox::{Effect, Fate, Inbox, Order, Strength, Taken};
use super::leaves::Leaves;
use super::merkle::Frontier;
use super::segment::{self, Segment};
use super::syncer::{Head, RETRY, Syncs, Waiter};
use crate::call::{Clock, Timestamp};

/// Why nothing can be written, if so. Shared with whoever asks how the journal is.
#[derive(Default)]
pub(super) struct Health(Mutex<Ills>);

#[derive(Default)]
struct Ills {
    writing: Option<JournalError>,
    syncing: Option<JournalError>,
}

impl Health {
    fn set_writing(&self, ill: Option<JournalError>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).writing = ill;
    }

    pub(super) fn set_syncing(&self, ill: Option<JournalError>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).syncing = ill;
    }

    fn syncing(&self) -> Option<JournalError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).syncing.clone()
    }

    pub(super) fn ill(&self) -> Option<JournalError> {
        let ills = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ills.writing.clone().or_else(|| ills.syncing.clone())
    }
}

pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) syncs: Arc<Syncs>,
    pub(super) health: Arc<Health>,
    /// The number of the next entry: what followers may read up to.
    pub(super) written: watch::Sender<u64>,
    /// The segment that is appended to; none in a new journal.
    pub(super) segment: Option<Arc<Segment>>,
    pub(super) next: u64,
    /// The tree over all entries.
    pub(super) tree: Frontier,
    /// The hashes beside the entries.
    pub(super) leaves: Leaves,
    /// Where the calls that are open were opened.
    pub(super) open: BTreeSet<u64>,
    /// The first of them, for [`Keeper`](super::keeper::Keeper).
    pub(super) oldest_open: Arc<AtomicU64>,
    /// Tells it of each segment that is over.
    pub(super) sealed: mpsc::Sender<()>,
    /// Set while nothing can be written.
    pub(super) trouble: Option<Trouble>,
}

/// A time without a journal; told in an entry once it is over.
pub(super) struct Trouble {
    since: Timestamp,
    error: JournalError,
    refused: u64,
}

/// Where a batch of lines ends up.
struct Batch {
    lines: Vec<u8>,
    /// The number of the first order's entry.
    first: u64,
    /// The number of the next entry after it.
    next: u64,
}

impl Writer {
    /// Runs until [`Inbox::stop`] and nothing waits, or the disk says no at the very end.
    pub(super) fn run(mut self) {
        loop {
            match self.inbox.take(self.trouble.as_ref().map(|_| RETRY)) {
                Taken::Orders(orders) => self.commit(orders),
                // In trouble: the entry that tells of it is the probe whether it is over.
                Taken::Nothing => self.commit(Vec::new()),
                Taken::Stop => {
                    // The last attempt; it also takes back what a failed one left.
                    if self.trouble.is_some() {
                        self.commit(Vec::new());
                    }
                    break;
                }
            }
            if self.trouble.is_some() {
                if self.inbox.stopping() {
                    break;
                }
                self.inbox.rest(RETRY);
            }
        }
        self.inbox.close();
        self.syncs.stop();
    }

    fn commit(&mut self, orders: Vec<Order>) {
        match self.append(&orders) {
            Ok((segment, first)) => {
                if self.trouble.take().is_some() {
                    self.health.set_writing(None);
                    tracing::info!("the journal can be written again");
                }
                self.note_open(first, &orders);
                self.written.send_replace(self.next);
                let mut waiters = Vec::new();
                for (seq, order) in (first..).zip(orders) {
                    match (order.answer, order.strength) {
                        (Some(answer), Strength::Durable) => waiters.push(Waiter { seq, answer }),
                        (Some(answer), Strength::Appended) => answer(Fate::Written(seq)),
                        (None, _) => {}
                    }
                }
                self.syncs.push(&segment, waiters, Head::of(&self.tree));
            }
            Err(error) => self.fail(orders, &error),
        }
    }

    fn note_open(&mut self, first: u64, orders: &[Order]) {
        for (seq, order) in (first..).zip(orders) {
            let _was_there = match order.effect {
                Effect::Opens => self.open.insert(seq),
                Effect::Closes(opened) => self.open.remove(&opened.0),
                Effect::Neither => false,
            };
        }
        self.oldest_open.store(self.open.first().copied().unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Writes a batch as a whole or not at all.
    fn append(&mut self, orders: &[Order]) -> Result<(Arc<Segment>, u64), JournalError> {
        // While the disk does not keep what it was given, nothing more is given to it.
        if let Some(error) = self.health.syncing() {
            return Err(error);
        }
        let batch = self.glue(orders)?;
        let segment = self.segment_for(batch.lines.len() as u64)?;
        segment.append(&batch.lines)?;
        let lines = batch.lines.split_inclusive(|&byte| byte == b'\n');
        let leaves: Vec<_> =
            lines.map(|line| self.tree.push(line.strip_suffix(b"\n").unwrap_or(line))).collect();
        self.leaves.write(self.disk.as_ref(), &self.folder, segment.first(), self.next, &leaves);
        self.next = batch.next;
        Ok((segment, batch.first))
    }

    fn glue(&self, orders: &[Order]) -> Result<Batch, JournalError> {
        let now = self.clock.now();
        let mut lines = Vec::with_capacity(orders.iter().map(|order| order.what.len() + 96).sum());
        let mut next = self.next;
        if let Some(Trouble { since, error, refused }) = &self.trouble {
            let error = Text::new(&error.to_string());
            let told = What::WritingFailed { since: *since, error, refused: *refused }.to_json()?;
            entry::push_line(&mut lines, next, now, &told);
            next += 1;
        }
        let first = next;
        for order in orders {
            entry::push_line(&mut lines, next, now, &order.what);
            next += 1;
        }
        Ok(Batch { lines, first, next })
    }

    /// The current segment, or a new one where the batch would make it longer than wanted. A batch is never split, so
    /// a segment is as long as one batch at least.
    fn segment_for(&mut self, bytes: u64) -> Result<Arc<Segment>, JournalError> {
        if let Some(segment) = &self.segment {
            if segment.len() == 0 || segment.len() + bytes <= self.segment_bytes {
                return Ok(Arc::clone(segment));
            }
            // A segment that is not the last one is whole and durable: recovery relies on it.
            segment.sync()?;
        }
        let is_first = self.segment.is_none();
        let path = segment::path(&self.folder, self.next);
        let storage = self.disk.create(&path).map_err(|e| JournalError::disk("create", &path, e))?;
        let segment = Arc::new(Segment::new(path, storage, 0));
        self.segment = Some(Arc::clone(&segment));
        if !is_first {
            let _nobody_keeps_house = self.sealed.send(());
        }
        Ok(segment)
    }

    /// Whoever waits hears it; what nobody waits for is tried again.
    fn fail(&mut self, orders: Vec<Order>, error: &JournalError) {
        self.health.set_writing(Some(error.clone()));
        let trouble = self.trouble.get_or_insert_with(|| {
            tracing::error!(error = %error, "the journal cannot be written; calls are refused");
            Trouble { since: self.clock.now(), error: error.clone(), refused: 0 }
        });
        let mut unanswered = Vec::new();
        for order in orders {
            match order.answer {
                Some(answer) => {
                    trouble.refused += 1;
                    answer(Fate::Refused(error.clone()));
                }
                None => unanswered.push(order),
            }
        }
        self.inbox.put_back(unanswered);
    }
}
