//! The tasks of this node, in memory.
//!
//! One lock guards everything; it is held for look-ups and additions, never over a wait. Each room asks once per call,
//! so the lock is taken twice per call (attach, settle) for about a microsecond.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::ledger::Ledger;
use super::view::{TaskLine, TaskState, TaskView};
use super::{Attached, InFlight, IntentError, NewTask, Settings, TaskEnd};
use super::{MAX_LABEL_BYTES, MAX_LABELS, MAX_TTL, MIN_TTL, STANDING_INTENT};
use crate::call::{
    Clock, Decision, Entropy, History, IntentName, Operations, SpiffeId, Task, TaskId, Timestamp,
};

/// The tasks of this node.
pub struct Tasks {
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Guards all that is known of tasks.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    tasks: HashMap<TaskId, Entry>,
    open: usize,
    /// The ended ones among `tasks`, in the order of their ends.
    ended: VecDeque<TaskId>,
    standing: HashMap<SpiffeId, Arc<Task>>,
}

struct Entry {
    task: Arc<Task>,
    state: TaskState,
    ended: watch::Sender<Option<TaskEnd>>,
    in_flight: Arc<AtomicU64>,
    ledger: Ledger,
}

impl Tasks {
    /// A registry without tasks.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { settings, clock, entropy, known: Mutex::default() }
    }

    /// Opens a task.
    pub fn open(&self, wanted: NewTask) -> Result<Arc<Task>, IntentError> {
        check(&wanted)?;
        let NewTask { agent, intent, labels, ttl } = wanted;
        let opened = self.clock.now();
        let id = TaskId::fresh(&*self.clock, &*self.entropy);
        let task = Arc::new(Task { id, agent, intent, labels, opened, deadline: opened.plus(ttl) });
        let mut known = self.lock();
        if known.open >= self.settings.open_tasks {
            return Err(IntentError::TooMany { limit: self.settings.open_tasks });
        }
        known.add(&task);
        Ok(task)
    }

    /// The task of an agent that the operator assumes: made at its first call, without a deadline, once while the node
    /// runs. Ended by command it stays ended, and the agent is refused until the node starts again.
    pub fn standing(&self, agent: &SpiffeId) -> Arc<Task> {
        let mut known = self.lock();
        if let Some(task) = known.standing.get(agent) {
            return Arc::clone(task);
        }
        let task = Arc::new(Task {
            id: TaskId::fresh(&*self.clock, &*self.entropy),
            agent: agent.clone(),
            intent: standing_intent(),
            labels: std::collections::BTreeMap::new(),
            opened: self.clock.now(),
            deadline: Timestamp::from_unix_ns(u64::MAX),
        });
        known.add(&task);
        known.standing.insert(agent.clone(), Arc::clone(&task));
        task
    }

    /// Joins a call to its task. The call is registered first and only then the task is found open or over: under the
    /// one lock the order cannot be seen, but it is what stays right once an end is written elsewhere first.
    ///
    /// A task past its deadline is over here at once, before [`Tasks::expire`] has come by to say so.
    pub fn attach(&self, task: TaskId, operations: &Operations) -> Result<Attached, IntentError> {
        let known = self.lock();
        let entry = known.tasks.get(&task).ok_or(IntentError::Unknown(task))?;
        let in_flight = InFlight::register(&entry.in_flight);
        let ended = entry.ended.subscribe();
        entry.check_open(self.clock.now())?;
        let history = entry.ledger.history(operations);
        Ok(Attached { task: Arc::clone(&entry.task), history, ended, in_flight })
    }

    /// The history as a call with these operations would find it now; for a call that is judged again.
    pub fn history(&self, task: TaskId, operations: &Operations) -> Result<History, IntentError> {
        let known = self.lock();
        let entry = known.tasks.get(&task).ok_or(IntentError::Unknown(task))?;
        entry.check_open(self.clock.now())?;
        Ok(entry.ledger.history(operations))
    }

    /// Counts a call, once its decision is known and whatever became of it later; MUST be called once per attached
    /// call. Calls that outlive their task are counted too, while the task can still be shown.
    pub fn settle(
        &self,
        task: TaskId,
        operations: &Operations,
        decision: Decision,
        refusal: Option<&'static str>,
    ) {
        if let Some(entry) = self.lock().tasks.get_mut(&task) {
            entry.ledger.settle(operations, decision, refusal);
        }
    }

    /// Ends a task: every call in flight sees it, and no new one is taken. Of several that end the same task one gets
    /// `Ok`; the others are told that, and why, it is over.
    pub fn end(&self, task: TaskId, why: TaskEnd) -> Result<(), IntentError> {
        let at = self.clock.now();
        self.lock().end(task, why, at, self.settings.ended_tasks)
    }

    /// Ends every task whose deadline is not after `now`, and returns those that ended here, for the journal.
    pub fn expire(&self, now: Timestamp) -> Vec<Arc<Task>> {
        self.end_where(TaskEnd::Deadline, now, |task| task.deadline <= now)
    }

    /// Ends every open task, and returns those that ended here, for the journal.
    pub fn end_all(&self, why: TaskEnd) -> Vec<Arc<Task>> {
        self.end_where(why, self.clock.now(), |_| true)
    }

    /// Shows a task's end to whoever stands for it besides its calls: its port.
    pub fn ended(&self, task: TaskId) -> Result<watch::Receiver<Option<TaskEnd>>, IntentError> {
        let known = self.lock();
        let entry = known.tasks.get(&task).ok_or(IntentError::Unknown(task))?;
        Ok(entry.ended.subscribe())
    }

    /// All tasks that can be shown, oldest first.
    pub fn list(&self) -> Vec<TaskLine> {
        let mut lines: Vec<_> = self.lock().tasks.values().map(Entry::line).collect();
        lines.sort_by_key(|line| line.task.id);
        lines
    }

    /// One task.
    pub fn show(&self, task: TaskId) -> Option<TaskView> {
        let known = self.lock();
        let entry = known.tasks.get(&task)?;
        let TaskLine { task, state, counts, in_flight } = entry.line();
        Some(TaskView { task, state, counts, in_flight, summary: entry.ledger.summary() })
    }

    fn end_where(&self, why: TaskEnd, at: Timestamp, is_due: impl Fn(&Task) -> bool) -> Vec<Arc<Task>> {
        let mut known = self.lock();
        let open = known.tasks.values().filter(|entry| entry.state == TaskState::Open);
        let mut due: Vec<_> =
            open.filter(|entry| is_due(&entry.task)).map(|entry| Arc::clone(&entry.task)).collect();
        due.sort_by_key(|task| task.id);
        due.retain(|task| known.end(task.id, why, at, self.settings.ended_tasks).is_ok());
        due
    }

    /// A panic elsewhere cannot leave the maps half changed in a way that lets a call through, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, task: &Arc<Task>) {
        let entry = Entry {
            task: Arc::clone(task),
            state: TaskState::Open,
            ended: watch::Sender::new(None),
            in_flight: Arc::default(),
            ledger: Ledger::default(),
        };
        self.tasks.insert(task.id, entry);
        self.open += 1;
    }

    fn end(&mut self, task: TaskId, why: TaskEnd, at: Timestamp, keep: usize) -> Result<(), IntentError> {
        let entry = self.tasks.get_mut(&task).ok_or(IntentError::Unknown(task))?;
        if let TaskState::Ended { why, .. } = entry.state {
            return Err(IntentError::Ended { task, why });
        }
        entry.state = TaskState::Ended { why, at };
        entry.ended.send_replace(Some(why));
        entry.ledger.forget_seen();
        self.open -= 1;
        self.ended.push_back(task);
        while self.ended.len() > keep {
            if let Some(oldest) = self.ended.pop_front() {
                self.tasks.remove(&oldest);
            }
        }
        Ok(())
    }
}

impl Entry {
    fn check_open(&self, now: Timestamp) -> Result<(), IntentError> {
        let task = self.task.id;
        match self.state {
            TaskState::Ended { why, .. } => Err(IntentError::Ended { task, why }),
            TaskState::Open if now >= self.task.deadline => {
                Err(IntentError::Ended { task, why: TaskEnd::Deadline })
            }
            TaskState::Open => Ok(()),
        }
    }

    fn line(&self) -> TaskLine {
        TaskLine {
            task: Arc::clone(&self.task),
            state: self.state,
            counts: self.ledger.counts(),
            in_flight: self.in_flight.load(Ordering::SeqCst),
        }
    }
}

fn check(wanted: &NewTask) -> Result<(), IntentError> {
    if !(MIN_TTL..=MAX_TTL).contains(&wanted.ttl) {
        let (min_s, max_s) = (MIN_TTL.as_secs(), MAX_TTL.as_secs());
        return Err(IntentError::Ttl { min_s, max_s, wanted_ms: wanted.ttl.as_millis() });
    }
    let fits = |(name, value): (&String, &String)| {
        (1..=MAX_LABEL_BYTES).contains(&name.len()) && value.len() <= MAX_LABEL_BYTES
    };
    if wanted.labels.len() > MAX_LABELS || !wanted.labels.iter().all(fits) {
        return Err(IntentError::Labels { count: MAX_LABELS, bytes: MAX_LABEL_BYTES });
    }
    Ok(())
}

#[expect(clippy::expect_used, reason = "the text is a constant, and a test takes this way")]
fn standing_intent() -> IntentName {
    IntentName::parse(STANDING_INTENT).expect("a constant that is a name")
}
