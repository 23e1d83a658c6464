//! The thread that waits for the disk, so that the one that writes does not: a read is not held up by the act before it.
//!
//! Group commit: whoever comes while one `fdatasync` runs is answered together by the next.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::checkpoint::{self, LogKey};
use super::disk::Disk;
use super::error::JournalError;
use super::inbox::{Answer, Fate};
use super::merkle::{Frontier, Hash};
use super::segment::Segment;
use super::writer::Health;

/// What nobody waits for becomes durable after this long all the same.
const IDLE_SYNC: Duration = Duration::from_secs(1);

/// After a failure the disk is asked again this often.
pub(super) const RETRY: Duration = Duration::from_millis(250);

/// An entry whose caller waits for the disk.
pub(super) struct Waiter {
    pub(super) seq: u64,
    pub(super) answer: Answer,
}

/// The journal after some append: what a checkpoint says.
#[derive(Clone, Copy)]
pub(super) struct Head {
    size: u64,
    root: Hash,
}

impl Head {
    pub(super) fn of(tree: &Frontier) -> Self {
        Self { size: tree.size(), root: tree.root() }
    }
}

/// What the writer hands over.
pub(super) struct Syncs {
    /// Guards the list. Never held while the disk works.
    pending: Mutex<Pending>,
    wake: Condvar,
}

#[derive(Default)]
struct Pending {
    waiters: Vec<Waiter>,
    /// The segment that was appended to. A rotation syncs the one before.
    dirty: Option<Arc<Segment>>,
    /// The journal as of the last append.
    head: Option<Head>,
    stop: bool,
}

impl Syncs {
    pub(super) fn new() -> Self {
        Self { pending: Mutex::default(), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was appended to `segment`; these wait for it to be durable.
    pub(super) fn push(&self, segment: &Arc<Segment>, waiters: Vec<Waiter>, head: Head) {
        let mut pending = self.lock();
        let first = pending.dirty.is_none();
        pending.dirty = Some(Arc::clone(segment));
        if first || !waiters.is_empty() {
            self.wake.notify_one();
        }
        pending.waiters.extend(waiters);
        pending.head = Some(head);
    }

    /// There is still something to do for `segment`, after a pause.
    fn again(&self, segment: Arc<Segment>, head: Option<Head>) {
        let mut pending = self.lock();
        pending.dirty.get_or_insert(segment);
        pending.head = pending.head.or(head);
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits until there is something to do; `None`: nothing, and nothing will come.
    fn take(&self, pause: Duration) -> Option<Pending> {
        let idle = |p: &mut Pending| p.waiters.is_empty() && p.dirty.is_none() && !p.stop;
        let pending = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let unhurried = |p: &mut Pending| p.waiters.is_empty() && !p.stop;
        let waited = self.wake.wait_timeout_while(pending, pause, unhurried);
        let mut pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        let stop = pending.stop;
        let taken = Pending { stop, ..std::mem::take(&mut *pending) };
        pending.stop = stop;
        (taken.dirty.is_some() || !stop).then_some(taken)
    }
}

/// Runs until [`Syncs::stop`] and all is durable, or the disk says no at the very end. Then the lock goes.
pub(super) fn run(syncs: &Syncs, health: &Health, mut sealer: Sealer, lock: File) {
    let mut pause = IDLE_SYNC;
    while let Some(Pending { waiters, dirty, head, stop }) = syncs.take(pause) {
        let Some(segment) = dirty else { continue };
        match segment.sync() {
            Ok(()) => {
                pause = IDLE_SYNC;
                health.set_syncing(None);
                for waiter in waiters {
                    (waiter.answer)(Fate::Written(waiter.seq));
                }
                let pace = if stop { Pace::Last } else { Pace::Steady };
                if let (Some(later), Pace::Steady) = (sealer.seal(head, pace), pace) {
                    syncs.again(segment, Some(later));
                }
            }
            Err(error) => {
                pause = RETRY;
                health.set_syncing(Some(error.clone()));
                tracing::error!(error = %error, "the journal is not durable; calls are refused");
                for waiter in waiters {
                    (waiter.answer)(Fate::Doubtful(waiter.seq, error.clone()));
                }
                if stop {
                    break;
                }
                syncs.again(segment, head);
            }
        }
    }
    drop(lock);
}

/// Signs what is durable.
pub(super) struct Sealer {
    pub(super) folder: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    /// Without a key there are no checkpoints.
    pub(super) key: Option<Arc<LogKey>>,
    /// When the last checkpoint was signed.
    pub(super) last: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum Pace {
    /// No more than one in [`IDLE_SYNC`].
    Steady,
    /// Now: there will be no other.
    Last,
}

impl Sealer {
    /// Signs `head`, which MUST be durable; gives it back where it is to be signed later.
    fn seal(&mut self, head: Option<Head>, pace: Pace) -> Option<Head> {
        let (Some(head), Some(key)) = (head, &self.key) else { return None };
        if pace == Pace::Steady && self.last.is_some_and(|last| last.elapsed() < IDLE_SYNC) {
            return Some(head);
        }
        self.last = Some(Instant::now());
        let signed: Result<(), JournalError> =
            checkpoint::write(&self.folder, key, head.size, head.root, self.disk.as_ref());
        match signed {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(error = %error, "the checkpoint is late; entries are durable all the same");
                Some(head)
            }
        }
    }
}
