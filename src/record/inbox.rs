//! What waits for the writer.
//!
//! One queue for all, so a closing entry never overtakes its opening. Calls and events come in through a bounded number
//! of places; closings do not wait for one, because nobody may be made to wait when a call ends: there is at most one
//! for each opening, so they are bounded by the calls that are open.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::JournalError;
use crate::call::EntryId;

/// Calls and events that may wait. Who finds the queue full waits in turn, up to the caller's own deadline.
pub(super) const PLACES: usize = 1024;

/// Entries that one write takes at most.
pub(super) const BATCH_LIMIT: usize = 512;

/// How long an order that nobody waits for may wait for company. Waking the writer costs several times what writing an entry
/// does, so under load the end of one call goes to the file with the beginning of the next. What a SIGKILL takes with it
/// in this time is closed as unknown by the next start, as any call that was open.
const NAP: Duration = Duration::from_millis(5);

/// After so many naps in which nothing came the writer sleeps until it is woken.
const NAPS: u32 = 4;

/// What a waiting caller hears. It is called on the writer's threads and MUST NOT block.
pub(super) type Answer = Box<dyn FnOnce(Fate) + Send>;

/// What became of an entry.
pub(super) enum Fate {
    /// It is written, as strongly as was asked.
    Written(u64),
    /// It stands in the journal at this place, but the disk did not say that it will stay.
    Doubtful(u64, JournalError),
    /// It is not in the journal.
    Refused(JournalError),
}

/// How strongly an entry is to be written before its caller hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    /// `write` has returned.
    Appended,
    /// `fdatasync` has returned.
    Durable,
}

/// What an entry does to the calls that are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Opens,
    /// The call that this entry opened.
    Closes(EntryId),
    Neither,
}

/// One entry to be written.
pub(super) struct Order {
    /// [`What::to_json`](super::entry::What::to_json).
    pub(super) what: String,
    pub(super) strength: Strength,
    pub(super) effect: Effect,
    /// Nobody, where the journal itself is the caller: such an entry is tried until it is written.
    pub(super) answer: Option<Answer>,
}

pub(super) struct Inbox {
    /// Guards the queue. Held for pushes and takes only.
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

struct Waiting {
    orders: VecDeque<Order>,
    phase: Phase,
    /// Somebody waits for one of the orders, or they waited for company long enough.
    urgent: bool,
    /// The writer looks again by itself, after a [`NAP`].
    naps: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Open,
    /// What waits is still written.
    Stopping,
    /// Nobody writes any more.
    Over,
}

/// What the writer finds.
pub(super) enum Taken {
    Orders(Vec<Order>),
    /// Nothing came within the time.
    Nothing,
    /// Nothing waits and nothing will.
    Stop,
}

impl Inbox {
    pub(super) fn new() -> Self {
        let waiting = Waiting { orders: VecDeque::new(), phase: Phase::Open, urgent: false, naps: false };
        Self { waiting: Mutex::new(waiting), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an order in. Once the writer has ended it is dropped, and its caller hears that by the dropped answer.
    pub(super) fn push(&self, order: Order) {
        let mut waiting = self.lock();
        if waiting.phase == Phase::Over {
            return;
        }
        let awaited = order.answer.is_some();
        waiting.orders.push_back(order);
        if awaited || !waiting.naps {
            waiting.urgent = true;
            drop(waiting);
            self.wake.notify_one();
        }
    }

    /// Puts back what could not be written, in its old order, before all else.
    pub(super) fn put_back(&self, orders: Vec<Order>) {
        let mut waiting = self.lock();
        waiting.urgent |= !orders.is_empty();
        for order in orders.into_iter().rev() {
            waiting.orders.push_front(order);
        }
    }

    /// Waits for orders; no longer than `patience` if there is one.
    pub(super) fn take(&self, patience: Option<Duration>) -> Taken {
        let idle = |waiting: &mut Waiting| !waiting.urgent && waiting.phase == Phase::Open;
        let mut waiting = self.lock();
        if let Some(limit) = patience {
            let waited = self.wake.wait_timeout_while(waiting, limit, idle);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        } else {
            waiting.naps = true;
            for _ in 0..NAPS {
                let waited = self.wake.wait_timeout_while(waiting, NAP, idle);
                waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
                if !waiting.orders.is_empty() || waiting.phase != Phase::Open {
                    break;
                }
            }
            waiting.naps = false;
            if waiting.orders.is_empty() {
                waiting = self.wake.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if waiting.orders.is_empty() {
            waiting.urgent = false;
            return if waiting.phase == Phase::Open { Taken::Nothing } else { Taken::Stop };
        }
        let count = waiting.orders.len().min(BATCH_LIMIT);
        let orders = waiting.orders.drain(..count).collect();
        waiting.urgent = !waiting.orders.is_empty();
        Taken::Orders(orders)
    }

    /// Waits until somebody who can be answered comes, or the time is over: after a failure, what the journal itself
    /// wants to write shall not make it try in a tight loop.
    pub(super) fn rest(&self, pause: Duration) {
        let quiet = |waiting: &mut Waiting| {
            waiting.phase == Phase::Open && waiting.orders.iter().all(|order| order.answer.is_none())
        };
        let _rested = self.wake.wait_timeout_while(self.lock(), pause, quiet);
    }

    pub(super) fn stopping(&self) -> bool {
        self.lock().phase != Phase::Open
    }

    /// No more will come; what is there is still written.
    pub(super) fn stop(&self) {
        let mut waiting = self.lock();
        if waiting.phase == Phase::Open {
            waiting.phase = Phase::Stopping;
        }
        self.wake.notify_all();
    }

    /// The writer has ended; whoever waits hears it.
    pub(super) fn close(&self) {
        let mut waiting = self.lock();
        waiting.phase = Phase::Over;
        let left = std::mem::take(&mut waiting.orders);
        drop(waiting);
        // Outside the lock: an answer that is dropped may lead back here.
        drop(left);
    }
}
