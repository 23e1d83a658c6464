//! One task as this node holds it: its phase, what it did, what of its budget is spoken for.
//!
//! A lock for each task: calls of different tasks do not wait for one another. Who locks several, locks from the root
//! of the delegation downwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::agents::{Agent, count_of};
use super::ledger::Ledger;
use super::view::{TaskLine, TaskState};
use super::{IntentError, Obstacle, TaskEnd};
use crate::call::grant::Line;
use crate::call::money::{self, Cost, Money};
use crate::call::{Budget, Class, HandedLink, History, Operations, Task, Timestamp};

pub(super) struct Entry {
    pub(super) task: Arc<Task>,
    pub(super) agent: Arc<Agent>,
    /// The tasks above, the root first.
    pub(super) above: Vec<Arc<Entry>>,
    pub(super) ended: watch::Sender<Option<TaskEnd>>,
    pub(super) in_flight: AtomicU64,
    /// Told whenever the last call that is under way has gone.
    pub(super) quiet: Notify,
    /// Bytes that went out, those of descendants among them.
    bytes_out: AtomicU64,
    /// Guards phase, ledger and reservations.
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) ledger: Ledger,
    /// Calls that were let in and are not settled yet.
    reserved: [u64; 3],
    /// And the money that they would spend.
    money: Money,
    /// What of the budget was lent to other nodes, less the bytes, which count as sent. It never comes back.
    lent: Budget,
    /// Set by the first call that found the whole budget used up; the task ends once nothing of it is under way.
    pub(super) exhausted: bool,
}

/// Where a task is on its way. It only ever goes down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is being written down; it takes no call.
    Opening,
    /// It takes calls.
    Open,
    /// Its end is being written down; it takes no call any more.
    Ending { why: TaskEnd, at: Timestamp },
    /// It is over, and everybody has been told.
    Ended { why: TaskEnd, at: Timestamp },
}

impl Entry {
    pub(super) fn new(task: Arc<Task>, agent: Arc<Agent>, above: Vec<Arc<Entry>>, phase: Phase) -> Self {
        let told = match phase {
            Phase::Opening | Phase::Open | Phase::Ending { .. } => None,
            Phase::Ended { why, .. } => Some(why),
        };
        let lent = Budget::default();
        let (ledger, money) = (Ledger::default(), Money::new());
        let state = State { phase, ledger, reserved: [0; 3], money, lent, exhausted: false };
        Self {
            task,
            agent,
            above,
            ended: watch::Sender::new(told),
            in_flight: AtomicU64::new(0),
            quiet: Notify::new(),
            bytes_out: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// Stands for a task that another node handed over, with what it had done there.
    pub(super) fn of_elsewhere(link: &HandedLink, agent: Arc<Agent>) -> Self {
        let entry = Self::new(Arc::new(link.task.clone()), agent, Vec::new(), Phase::Open);
        entry.learn(&link.history);
        entry
    }

    /// Takes in what a task had done at the node that handed it over.
    pub(super) fn learn(&self, history: &History) {
        self.lock().ledger.learn(history);
    }

    /// A panic elsewhere cannot leave the state half changed in a way that lets a call through, so poison is ignored.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks all of a chain, and gives the locks in its order. They are taken in one order for all chains, since two of them may
    /// share tasks: that of the ids, and of two alike (another node chose one of them) that of their place in memory.
    pub(super) fn lock_all<'a>(chain: &[&'a Arc<Self>]) -> Vec<MutexGuard<'a, State>> {
        if let [only] = chain {
            return vec![only.lock()];
        }
        let mut order: Vec<(usize, &'a Arc<Self>)> = chain.iter().copied().enumerate().collect();
        order.sort_by_key(|(_, entry)| (entry.task.id, Arc::as_ptr(entry).addr()));
        let mut locked: Vec<_> = order.into_iter().map(|(n, entry)| (n, entry.lock())).collect();
        locked.sort_by_key(|(n, _)| *n);
        locked.into_iter().map(|(_, state)| state).collect()
    }

    pub(super) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::SeqCst)
    }

    /// Takes `bytes` of the budget, or none of them.
    pub(super) fn take_bytes(&self, bytes: u64) -> Result<(), Obstacle> {
        let Some(limit) = self.task.terms.budget.bytes else {
            self.bytes_out.fetch_add(bytes, Ordering::SeqCst);
            return Ok(());
        };
        let taken = self.bytes_out.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |spent| {
            spent.checked_add(bytes).filter(|sum| *sum <= limit)
        });
        taken.map(drop).map_err(|_| {
            self.lock().exhausted = true;
            Obstacle::Exhausted { task: self.task.id, line: Line::Bytes, limit }
        })
    }

    /// Bytes of before: as many as are known, or all that there may be.
    pub(super) fn bytes_were_sent(&self, bytes: Option<u64>) {
        match (bytes, self.task.terms.budget.bytes) {
            (Some(bytes), _) => drop(self.bytes_out.fetch_add(bytes, Ordering::SeqCst)),
            (None, Some(limit)) => drop(self.bytes_out.fetch_max(limit, Ordering::SeqCst)),
            (None, None) => {}
        }
    }

    pub(super) fn give_back_bytes(&self, bytes: u64) {
        self.bytes_out.fetch_sub(bytes, Ordering::SeqCst);
    }

    /// Waits until no call is under way.
    pub(super) async fn is_quiet(&self) {
        loop {
            let gone = self.quiet.notified();
            if self.in_flight.load(Ordering::SeqCst) == 0 {
                return;
            }
            gone.await;
        }
    }

    pub(super) fn is_over(&self) -> Option<TaskEnd> {
        match self.lock().phase {
            Phase::Opening | Phase::Open => None,
            Phase::Ending { why, .. } | Phase::Ended { why, .. } => Some(why),
        }
    }

    pub(super) fn check_open(&self, state: &State, now: Timestamp) -> Result<(), IntentError> {
        let task = self.task.id;
        match state.phase {
            Phase::Ending { why, .. } | Phase::Ended { why, .. } => Err(IntentError::Ended { task, why }),
            Phase::Opening => Err(IntentError::Unknown(task)),
            Phase::Open if now >= self.task.deadline => {
                Err(IntentError::Ended { task, why: TaskEnd::Deadline })
            }
            Phase::Open => Ok(()),
        }
    }

    /// Whether grant and agent let these operations through, and the budget another call of their class.
    pub(super) fn check_terms(
        &self,
        state: &mut State,
        operations: &Operations,
        cost: &Cost,
    ) -> Result<(), Obstacle> {
        if self.agent.is_quarantined() {
            return Err(Obstacle::Quarantined { agent: self.task.agent.clone() });
        }
        for operation in operations.iter() {
            self.task.terms.grant.covers(operation).map_err(|part| Obstacle::Outside {
                task: self.task.id,
                agent: self.task.agent.clone(),
                operation: operation.id.to_string(),
                part,
            })?;
        }
        let class = operations.class();
        for (line, limit) in self.task.terms.budget.lines() {
            let concerns = matches!(line, Line::Calls | Line::Bytes) || line == Line::of(class);
            if concerns && self.spent(state, line) >= limit {
                state.exhausted |= matches!(line, Line::Calls | Line::Bytes);
                return Err(Obstacle::Exhausted { task: self.task.id, line, limit });
            }
        }
        self.check_money(state, cost)
    }

    /// Whether the budget lets so much money be spent. A task that uses up its money goes on with what costs nothing.
    fn check_money(&self, state: &State, cost: &Cost) -> Result<(), Obstacle> {
        let (task, budget) = (self.task.id, &self.task.terms.budget);
        if cost.unclear && !budget.money.is_empty() {
            return Err(Obstacle::Unpriced { task });
        }
        for (currency, amount) in &cost.money {
            let line = Line::Money(*currency);
            if let Some(limit) = budget.line(line)
                && self.spent(state, line).saturating_add(*amount) > limit
            {
                return Err(Obstacle::Exhausted { task, line, limit });
            }
        }
        Ok(())
    }

    /// How much of a line is spent, spoken for, or lent.
    pub(super) fn spent(&self, state: &State, line: Line) -> u64 {
        let [reads, acts, delegates] = state.reserved;
        let of = |class| {
            let reserved = match class {
                Class::Read => reads,
                Class::Act => acts,
                Class::Delegate => delegates,
            };
            count_of(&state.ledger.counts(), class).saturating_add(reserved)
        };
        let done = match line {
            Line::Calls => Class::ALL.into_iter().map(of).fold(0_u64, u64::saturating_add),
            Line::Reads => of(Class::Read),
            Line::Acts => of(Class::Act),
            Line::Delegates => of(Class::Delegate),
            Line::Bytes => self.bytes_out(),
            Line::Money(currency) => {
                let of = |money: &Money| money.get(&currency).copied().unwrap_or_default();
                of(state.ledger.money()).saturating_add(of(&state.money))
            }
        };
        done.saturating_add(state.lent.spent(line))
    }

    pub(super) fn history(&self, state: &State, operations: &Operations, now: Timestamp) -> History {
        state.ledger.history(operations, self.agent.history(operations, now), self.bytes_out())
    }

    pub(super) fn line(&self) -> TaskLine {
        let state = self.lock();
        TaskLine {
            task: Arc::clone(&self.task),
            state: match state.phase {
                Phase::Opening | Phase::Open => TaskState::Open,
                Phase::Ending { why, at } | Phase::Ended { why, at } => TaskState::Ended { why, at },
            },
            counts: state.ledger.counts(),
            in_flight: self.in_flight.load(Ordering::SeqCst),
            bytes_out: self.bytes_out(),
            money: state.ledger.money().clone(),
        }
    }
}

impl State {
    pub(super) fn reserve(&mut self, class: Class, cost: &Cost) {
        *self.place_of(class) += 1;
        money::add(&mut self.money, &cost.money);
    }

    pub(super) fn release(&mut self, class: Class, cost: &Cost) {
        let place = self.place_of(class);
        *place = place.saturating_sub(1);
        money::take(&mut self.money, &cost.money);
    }

    /// Notes that so much was lent.
    pub(super) fn lend(&mut self, budget: &Budget) {
        self.lent = self.lent.plus(budget);
    }

    /// Takes back what was lent to a task that never began.
    pub(super) fn take_back(&mut self, budget: &Budget) {
        self.lent = self.lent.less(budget);
    }

    fn place_of(&mut self, class: Class) -> &mut u64 {
        let [reads, acts, delegates] = &mut self.reserved;
        match class {
            Class::Read => reads,
            Class::Act => acts,
            Class::Delegate => delegates,
        }
    }
}
