//! A call's place in its task: it counts as under way, and its share of the budgets is spoken for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::entry::Entry;
use super::ledger::Whose;
use super::{IntentError, Obstacle, TaskEnd, Tasks};
use crate::call::money::Cost;
use crate::call::{AgentProfile, Class, Decision, History, Link, Operations, Task, TaskId, Timestamp};

/// What a call gets when it joins its task.
#[derive(Debug)]
pub struct Attached {
    /// The task.
    pub task: Arc<Task>,
    /// What its agent is.
    pub profile: Arc<AgentProfile>,
    /// What the task had done before this call.
    pub history: History,
    /// The tasks above, nearest first.
    pub links: Vec<Link>,
    /// Shows the task's end. MUST be looked at before every wait of the call, and while it waits.
    pub ended: watch::Receiver<Option<TaskEnd>>,
    /// Why the call lies outside of the task, or of one above it; it MUST be refused then.
    pub obstacle: Option<Obstacle>,
    /// Its place. The call MUST keep it to its end.
    pub place: Place,
}

/// Counts one call as under way for as long as it is kept, and holds its share of every budget until it is settled.
/// Dropped unsettled it gives the share back.
pub struct Place {
    entry: Arc<Entry>,
    class: Class,
    cost: Cost,
    reserved: AtomicBool,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place(in {})", self.entry.task.id)
    }
}

impl Tasks {
    /// Joins a call to its task, and reserves its share of the budgets of the task and of every task above it. The call
    /// is registered first and only then the task is found open or over.
    ///
    /// A task past its deadline is over here at once, before [`Tasks::expire`] has come by to say so.
    pub fn attach(&self, task: TaskId, operations: &Operations) -> Result<Attached, IntentError> {
        let entry = self.find(task).ok_or(IntentError::Unknown(task))?;
        if let Some(to) = &entry.task.terms.lent_to {
            return Err(IntentError::Lent { task, to: to.clone() });
        }
        let class = operations.class();
        let place = Place::register(Arc::clone(&entry), class, Cost::of(operations));
        let ended = entry.ended.subscribe();
        let now = self.ports.clock.now();
        let chain: Vec<&Arc<Entry>> = entry.above.iter().chain(std::iter::once(&entry)).collect();
        let mut locked = Entry::lock_all(&chain);
        for (link, state) in chain.iter().zip(&locked) {
            link.check_open(state, now).map_err(|error| match error {
                // To the caller its own task is what is over.
                IntentError::Ended { task: over, .. } if over != task => {
                    IntentError::Ended { task, why: TaskEnd::Parent }
                }
                error => error,
            })?;
        }
        let terms = chain
            .iter()
            .zip(&mut locked)
            .try_for_each(|(link, state)| link.check_terms(state, operations, &place.cost));
        if terms.is_ok() {
            for state in &mut locked {
                state.reserve(class, &place.cost);
            }
            place.has_reserved();
        }
        let histories = chain.iter().zip(&locked).map(|(link, state)| link.history(state, operations, now));
        let mut links: Vec<_> = chain
            .iter()
            .zip(histories)
            .map(|(link, history)| Link {
                task: Arc::clone(&link.task),
                profile: link.agent.profile(),
                history,
            })
            .collect();
        drop(locked);
        let Some(Link { task, profile, history }) = links.pop() else {
            return Err(IntentError::Unknown(task));
        };
        links.reverse();
        Ok(Attached { task, profile, history, links, ended, obstacle: terms.err(), place })
    }
}

impl Place {
    /// Registers a call. Nothing is reserved yet.
    pub(super) fn register(entry: Arc<Entry>, class: Class, cost: Cost) -> Self {
        entry.in_flight.fetch_add(1, Ordering::SeqCst);
        Self { entry, class, cost, reserved: AtomicBool::new(false) }
    }

    pub(super) fn has_reserved(&self) {
        self.reserved.store(true, Ordering::SeqCst);
    }

    /// Counts the call, once its decision is known and whatever becomes of it later; MUST be called once. A call that is
    /// let through is spent from the task's budget and from that of every task above it.
    pub fn settle(
        &self,
        operations: &Operations,
        decision: Decision,
        refusal: Option<&'static str>,
        at: Timestamp,
    ) {
        let reserved = self.reserved.swap(false, Ordering::SeqCst);
        for (link, whose) in self.links() {
            let mut state = link.lock();
            if reserved {
                state.release(self.class, &self.cost);
            }
            state.ledger.settle(operations, decision, refusal, whose);
        }
        self.entry.agent.settle(operations, decision, at);
    }

    /// Takes bytes that are about to go out from the budget of the task and of every task above it: from all or from none.
    pub fn spend_bytes(&self, bytes: u64) -> Result<(), Obstacle> {
        let mut taken: Vec<&Arc<Entry>> = Vec::new();
        for (link, _) in self.links() {
            if let Err(obstacle) = link.take_bytes(bytes) {
                for entry in taken {
                    entry.give_back_bytes(bytes);
                }
                return Err(obstacle);
            }
            taken.push(link);
        }
        Ok(())
    }

    /// Gives back what was taken and did not go out.
    pub fn give_back_bytes(&self, bytes: u64) {
        if bytes > 0 {
            for (link, _) in self.links() {
                link.give_back_bytes(bytes);
            }
        }
    }

    /// Whether some task of the chain may send so many bytes and no more.
    pub fn has_budget_of_bytes(&self) -> bool {
        self.links().any(|(link, _)| link.task.terms.budget.bytes.is_some())
    }

    /// The chain, the root first.
    fn links(&self) -> impl Iterator<Item = (&Arc<Entry>, Whose)> {
        let above = self.entry.above.iter().map(|entry| (entry, Whose::Descendants));
        above.chain(std::iter::once((&self.entry, Whose::Own)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.reserved.swap(false, Ordering::SeqCst) {
            for (link, _) in self.links() {
                link.lock().release(self.class, &self.cost);
            }
        }
        if self.entry.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.entry.quiet.notify_waiters();
        }
    }
}
