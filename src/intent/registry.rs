//! The tasks of this node: opened, delegated, joined, ended.
//!
//! Two kinds of lock, never held over a wait: one over the map of all tasks, which calls only read, and one in each task
//! (`entry`). What changes a task goes through the book in between: first it takes no call any more, then its end is
//! durable, then everybody is told.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::watch;

use super::agents::{Agent, Agents};
use super::chain::{self, Delegation};
use super::entry::{Entry, Phase};
use super::known::{self, Known};
use super::view::{TaskLine, TaskView};
use super::{AgentLine, BookError, IntentError, NewTask, Registration, Settings, TaskBook, TaskEnd};
use super::{MAX_LABEL_BYTES, MAX_LABELS, MIN_TTL};
use crate::call::{
    AgentProfile, CallId, Clock, Entropy, Handed, PeerName, SpiffeId, Task, TaskId, Terms, Timestamp,
};

/// A task that is over, and why.
pub type Ended = (Arc<Task>, TaskEnd);

/// What the registry needs of the world.
pub struct Ports {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub entropy: Arc<dyn Entropy>,
    /// Keeps the tasks.
    pub book: Arc<dyn TaskBook>,
}

/// The tasks of this node.
pub struct Tasks {
    pub(super) settings: Settings,
    pub(super) ports: Ports,
    pub(super) agents: Agents,
    /// For what is handed over, which is opened one after the other.
    pub(super) turns: tokio::sync::Mutex<()>,
    /// Guards which tasks there are.
    known: RwLock<Known>,
}

/// How a task came to be, where nobody asked for it.
#[derive(Default)]
pub(super) struct Birth {
    pub(super) call: Option<CallId>,
    pub(super) lent_to: Option<PeerName>,
    pub(super) handed: Option<Box<Handed>>,
}

impl Tasks {
    /// The tasks that the book kept; those that were open go on, but for the ones whose time passed meanwhile. Blocks.
    pub fn load(settings: Settings, ports: Ports) -> Result<Self, BookError> {
        let kept = ports.book.load(settings.ended_tasks)?;
        let agents = Agents::new(settings.registered.clone(), kept.agents, settings.agents);
        let turns = tokio::sync::Mutex::default();
        let tasks = Self { settings, ports, agents, turns, known: RwLock::default() };
        for (agent, _since) in kept.quarantined {
            tasks.agents.of(&agent).set_quarantined(true);
        }
        for mut one in kept.tasks {
            let mut known = tasks.write();
            let is_standing = one.task.is_standing();
            if is_standing {
                tasks.bound_as_declared(&mut one.task);
            }
            let above = tasks.all_above(&mut known, &one.task.terms);
            let phase = match one.ended {
                None if known::parents(&one.task)
                    .any(|up| known.tasks.get(&up).is_none_or(|up| up.is_over().is_some())) =>
                {
                    // Ends come in one piece with those below, so a store that says otherwise was tampered with.
                    Phase::Ended { why: TaskEnd::Parent, at: tasks.ports.clock.now() }
                }
                None => Phase::Open,
                Some((why, at)) => Phase::Ended { why, at },
            };
            let agent = tasks.agents.of(&one.task.agent);
            if let (Some(handed), Some(own)) = (&one.task.terms.handed, one.task.terms.parent) {
                let until = handed.links.last().map_or(one.task.deadline, |link| link.task.deadline);
                known.joined.insert((handed.by.clone(), handed.task, own), (one.task.id, until));
            }
            let task = Arc::new(one.task);
            if is_standing && phase == Phase::Open {
                known.standing.insert(task.agent.clone(), Arc::clone(&task));
            }
            known.add(Arc::new(Entry::new(task, agent, above, phase)), phase);
        }
        Ok(tasks)
    }

    /// Opens a task. It takes calls once the book has it.
    pub async fn open(&self, wanted: NewTask) -> Result<Arc<Task>, IntentError> {
        self.open_under(wanted, None, Birth::default()).await
    }

    /// Opens a task under `parent`, inside of what that has.
    pub async fn delegate(&self, parent: TaskId, wanted: Delegation) -> Result<Arc<Task>, IntentError> {
        let above = self.find(parent).ok_or(IntentError::Unknown(parent))?;
        let now = self.ports.clock.now();
        above.check_open(&above.lock(), now)?;
        let wanted = chain::under(&above.task, wanted, self.settings.depth, now)?;
        self.open_under(wanted, Some(parent), Birth::default()).await
    }

    pub(super) async fn open_under(
        &self,
        wanted: NewTask,
        parent: Option<TaskId>,
        birth: Birth,
    ) -> Result<Arc<Task>, IntentError> {
        let entry = self.enter(wanted, parent, birth)?;
        self.begin(&entry).await?;
        Ok(Arc::clone(&entry.task))
    }

    /// Has a task take calls as soon as the book has it.
    pub(super) async fn begin(&self, entry: &Arc<Entry>) -> Result<(), IntentError> {
        // Dropped half-way, or refused by the book, it goes out again.
        let withdrawing = Withdrawing { tasks: self, entry };
        self.ports.book.open(&entry.task).await?;
        let over = {
            let mut state = entry.lock();
            if state.phase == Phase::Opening {
                state.phase = Phase::Open;
            }
            match state.phase {
                Phase::Opening | Phase::Open => None,
                Phase::Ending { why, .. } | Phase::Ended { why, .. } => Some(why),
            }
        };
        std::mem::forget(withdrawing);
        let Some(why) = over else { return Ok(()) };
        // It was ended before the book had it, so the book may have missed its end.
        let task = entry.task.id;
        self.ports.book.end(&[(task, why)], self.ports.clock.now()).await?;
        Err(IntentError::Ended { task, why })
    }

    /// Takes a place among the tasks, without taking calls yet.
    fn enter(
        &self,
        wanted: NewTask,
        parent: Option<TaskId>,
        birth: Birth,
    ) -> Result<Arc<Entry>, IntentError> {
        let bounded =
            self.settings.intents.bound(&wanted.intent, &wanted.agent, &wanted.grant, &wanted.budget)?;
        let longest = bounded.longest.unwrap_or(self.settings.max_ttl).min(self.settings.max_ttl);
        check(&wanted, longest)?;
        bounded.grant.check()?;
        let agent = self.agents.of(&wanted.agent);
        if agent.is_quarantined() {
            return Err(IntentError::Quarantined(wanted.agent));
        }
        let opened = self.ports.clock.now();
        let id = TaskId::fresh(&*self.ports.clock, &*self.ports.entropy);
        let mut known = self.write();
        let nearest = match parent {
            None => None,
            Some(parent) => Some(known.tasks.get(&parent).cloned().ok_or(IntentError::Unknown(parent))?),
        };
        if let Some(nearest) = &nearest
            && birth.handed.is_none()
        {
            known.check_fan_out(&nearest.task, self.settings.fan_out)?;
        }
        let Birth { call, lent_to, handed } = birth;
        let terms = Terms { parent, call, lent_to, handed, ..Terms::default() };
        let above = self.all_above(&mut known, &terms);
        // The nearest is not all: what was handed over may have ended since it was looked at.
        above.iter().try_for_each(|up| up.check_open(&up.lock(), opened))?;
        let actors = match (&terms.handed, above.last()) {
            // It is the very task that was handed over, as it is worked on here.
            (Some(_), Some(handed)) => handed.task.terms.actors.clone(),
            (None, Some(nearest)) => {
                let task = &nearest.task;
                std::iter::once(&task.agent).chain(&task.terms.actors).cloned().collect()
            }
            (_, None) => Vec::new(),
        };
        if known.open >= self.settings.open_tasks {
            return Err(IntentError::TooMany { limit: self.settings.open_tasks });
        }
        let NewTask { agent: name, intent, labels, ttl, on_behalf_of, binding, .. } = wanted;
        let binding = binding.unwrap_or(agent.binding());
        let (grant, budget) = (bounded.grant, bounded.budget);
        let terms = Terms { on_behalf_of, actors, grant, budget, binding, ..terms };
        let deadline = opened.plus(ttl);
        let task = Arc::new(Task { id, agent: name, intent, labels, opened, deadline, terms });
        let entry = Arc::new(Entry::new(task, agent, above, Phase::Opening));
        known.add(Arc::clone(&entry), Phase::Opening);
        Ok(entry)
    }

    /// All tasks above one with these terms: those that it was delegated from, then those that were handed over with it.
    fn all_above(&self, known: &mut Known, terms: &Terms) -> Vec<Arc<Entry>> {
        let mut above = known.above(terms.parent);
        let handed = terms.handed.as_ref().map(|handed| known.handed_above(self, handed));
        for link in handed.into_iter().flatten() {
            // Both ways may lead through one task, which then counts once.
            above.retain(|known| !Arc::ptr_eq(known, &link));
            above.push(link);
        }
        above
    }

    /// Ends a task and every task under it: no new call is taken, the end is durable, every call under way sees it. Of
    /// several that end the same task one gets `Ok`, with all that ended; the others are told that, and why, it is over,
    /// once it is.
    ///
    /// Where the book fails the task ends all the same, and the error says that it would come back with a restart.
    pub async fn end(&self, task: TaskId, why: TaskEnd) -> Result<Vec<Ended>, IntentError> {
        let entry = self.find(task).ok_or(IntentError::Unknown(task))?;
        if entry.is_over().is_none() {
            let ended = self.end_these(vec![(task, why)]).await;
            if !matches!(&ended, Ok(ended) if ended.is_empty()) {
                return ended;
            }
        }
        let why = match entry.ended.subscribe().wait_for(Option::is_some).await {
            Ok(told) => told.unwrap_or(why),
            Err(_) => why,
        };
        Err(IntentError::Ended { task, why })
    }

    /// Puts an agent into quarantine, and ends every task that it has a part in; or lets it out. What it was delegated,
    /// and what it delegated, ends with it.
    pub async fn quarantine(&self, id: &SpiffeId, quarantined: bool) -> Result<Vec<Ended>, IntentError> {
        let agent = self.agents.own(id)?;
        if quarantined {
            // Before it is durable: from here on nothing new passes.
            agent.set_quarantined(true);
        }
        let since = quarantined.then(|| self.ports.clock.now());
        self.ports.book.quarantine(id, since).await?;
        if !quarantined {
            agent.set_quarantined(false);
            return Ok(Vec::new());
        }
        let theirs: Vec<_> = {
            let known = self.read();
            let has_part = |entry: &&Arc<Entry>| {
                entry.task.agent == *id || entry.above.iter().any(|up| up.task.agent == *id)
            };
            let its = |entry: &Arc<Entry>| (entry.task.id, TaskEnd::Quarantine);
            known.tasks.values().filter(has_part).map(its).collect()
        };
        self.end_these(theirs).await
    }

    /// Whether [`Tasks::register`] would do it.
    pub fn can_register(&self, id: &SpiffeId, wanted: Option<&Registration>) -> Result<(), IntentError> {
        self.agents.check(id, wanted)
    }

    /// Registers an agent, changes what was registered, or (without anything wanted) forgets it.
    pub async fn register(&self, id: &SpiffeId, wanted: Option<&Registration>) -> Result<(), IntentError> {
        self.agents.check(id, wanted)?;
        self.ports.book.register(id, wanted).await?;
        self.agents.put_down(id, wanted);
        Ok(())
    }

    /// Shows every call the end of the node; the tasks themselves stay open, and go on with the next start.
    pub fn cut_all(&self) {
        for entry in self.read().tasks.values() {
            entry.ended.send_if_modified(|told| {
                let open = told.is_none();
                told.get_or_insert(TaskEnd::Drain);
                open
            });
        }
    }

    /// Waits until no call of these tasks is under way, for at most `patience`; whether that came about.
    pub async fn quiet(&self, tasks: &[TaskId], patience: Duration) -> bool {
        let entries: Vec<_> = tasks.iter().filter_map(|task| self.find(*task)).collect();
        let all = async {
            for entry in entries {
                entry.is_quiet().await;
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }

    /// Shows a task's end to whoever stands for it besides its calls: its port.
    pub fn ended(&self, task: TaskId) -> Result<watch::Receiver<Option<TaskEnd>>, IntentError> {
        let entry = self.find(task).ok_or(IntentError::Unknown(task))?;
        if let Some(why) = entry.is_over()
            && entry.ended.borrow().is_none()
        {
            return Err(IntentError::Ended { task, why });
        }
        Ok(entry.ended.subscribe())
    }

    /// All tasks that can be shown, oldest first.
    pub fn list(&self) -> Vec<TaskLine> {
        let mut lines: Vec<_> = self.read().tasks.values().map(|entry| entry.line()).collect();
        lines.sort_by_key(|line| line.task.id);
        lines
    }

    /// One task.
    pub fn show(&self, task: TaskId) -> Option<TaskView> {
        let entry = self.find(task)?;
        let TaskLine { task, state, counts, in_flight, bytes_out, money } = entry.line();
        let summary = entry.lock().ledger.summary();
        Some(TaskView { task, state, counts, in_flight, bytes_out, money, summary })
    }

    /// All agents that were put down or seen.
    pub fn agents(&self) -> Vec<AgentLine> {
        self.agents.list()
    }

    /// What was put down of an agent.
    pub fn profile(&self, agent: &SpiffeId) -> Arc<AgentProfile> {
        self.agents.of(agent).profile()
    }

    pub(super) fn agent(&self, id: &SpiffeId) -> Arc<Agent> {
        self.agents.of(id)
    }

    pub(super) fn find(&self, task: TaskId) -> Option<Arc<Entry>> {
        self.read().tasks.get(&task).cloned()
    }

    /// Ends these and all under them; those that are ending or over already are left out.
    pub(super) async fn end_these(
        &self,
        mut tasks: Vec<(TaskId, TaskEnd)>,
    ) -> Result<Vec<Ended>, IntentError> {
        let at = self.ports.clock.now();
        // In the order of opening, so parents first: what ends with its parent says so.
        tasks.sort_by_key(|(task, _)| *task);
        let batch = {
            let known = self.read();
            let mut batch = Vec::new();
            for (task, why) in &tasks {
                known.begin_end(*task, *why, at, &mut batch);
            }
            batch
        };
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        // Told even if this future is dropped: a task that takes no call must not keep its streams.
        let publishing = Publishing { tasks: self, batch, at };
        let ids: Vec<_> = publishing.batch.iter().map(|(entry, why)| (entry.task.id, *why)).collect();
        let kept = self.ports.book.end(&ids, at).await;
        let ended = publishing.batch.iter().map(|(entry, why)| (Arc::clone(&entry.task), *why)).collect();
        drop(publishing);
        kept?;
        Ok(ended)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a task out again whose opening did not come to its end.
struct Withdrawing<'a> {
    tasks: &'a Tasks,
    entry: &'a Arc<Entry>,
}

impl Drop for Withdrawing<'_> {
    fn drop(&mut self) {
        let at = self.tasks.ports.clock.now();
        let mut batch = Vec::new();
        self.tasks.read().begin_end(self.entry.task.id, TaskEnd::Withdrawn, at, &mut batch);
        drop(Publishing { tasks: self.tasks, batch, at });
    }
}

/// Tells the end of tasks when it goes.
struct Publishing<'a> {
    tasks: &'a Tasks,
    batch: Vec<(Arc<Entry>, TaskEnd)>,
    at: Timestamp,
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        let mut known = self.tasks.write();
        for (entry, why) in &self.batch {
            known.publish(entry, *why, self.at, self.tasks.settings.ended_tasks);
        }
    }
}

fn check(wanted: &NewTask, longest: Duration) -> Result<(), IntentError> {
    if !(MIN_TTL..=longest).contains(&wanted.ttl) {
        let (min_s, max_s) = (MIN_TTL.as_secs(), longest.as_secs());
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
