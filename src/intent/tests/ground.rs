//! A world that stands still until it is told to move, a book in memory, and a registry that waits for itself.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::call::{Clock, Decision, Entropy, History, Operations, SpiffeId, Task, TaskId, Timestamp};
use crate::intent::{
    BookError, Delegation, IntentError, Kept, KeptTask, NewTask, Past, Ports, Registration, Settings,
    TaskBook, TaskEnd, Tasks,
};

const START_S: u64 = 1_800_000_000;

#[derive(Debug)]
pub(crate) struct World {
    now_ns: AtomicU64,
    drawn: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { now_ns: AtomicU64::new(START_S * 1_000_000_000), drawn: AtomicU64::new(0) })
    }

    pub(crate) fn pass(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap();
        self.now_ns.fetch_add(ns, Ordering::SeqCst);
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ns(self.now_ns.load(Ordering::SeqCst))
    }
}

impl Entropy for World {
    fn fill(&self, buffer: &mut [u8]) {
        let drawn = self.drawn.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        buffer.fill(0);
        buffer[8..16].copy_from_slice(&drawn);
    }
}

/// Keeps what it is told, or fails.
#[derive(Default)]
pub(crate) struct Memory {
    kept: Mutex<Kept>,
    pub(crate) fails: AtomicBool,
}

impl Memory {
    fn then(&self, change: impl FnOnce(&mut Kept)) -> Result<(), BookError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(BookError("the test says so".into()));
        }
        change(&mut self.kept.lock().unwrap());
        Ok(())
    }

    pub(crate) fn end_of(&self, task: TaskId) -> Option<TaskEnd> {
        let kept = self.kept.lock().unwrap();
        kept.tasks.iter().find(|kept| kept.task.id == task).unwrap().ended.map(|(why, _)| why)
    }
}

impl TaskBook for Memory {
    fn open<'a>(&'a self, task: &'a Task) -> BoxFuture<'a, Result<(), BookError>> {
        let done = self.then(|kept| kept.tasks.push(KeptTask { task: task.clone(), ended: None }));
        async move { done }.boxed()
    }

    fn end<'a>(
        &'a self,
        tasks: &'a [(TaskId, TaskEnd)],
        at: Timestamp,
    ) -> BoxFuture<'a, Result<(), BookError>> {
        let done = self.then(|kept| {
            for one in &mut kept.tasks {
                let end = tasks.iter().find(|(task, _)| *task == one.task.id);
                one.ended = one.ended.or(end.map(|(_, why)| (*why, at)));
            }
        });
        async move { done }.boxed()
    }

    fn quarantine<'a>(
        &'a self,
        agent: &'a SpiffeId,
        since: Option<Timestamp>,
    ) -> BoxFuture<'a, Result<(), BookError>> {
        let done = self.then(|kept| {
            kept.quarantined.retain(|(other, _)| other != agent);
            kept.quarantined.extend(since.map(|since| (agent.clone(), since)));
        });
        async move { done }.boxed()
    }

    fn register<'a>(
        &'a self,
        agent: &'a SpiffeId,
        registration: Option<&'a Registration>,
    ) -> BoxFuture<'a, Result<(), BookError>> {
        let done = self.then(|kept| match registration {
            Some(registration) => drop(kept.agents.insert(agent.clone(), registration.clone())),
            None => drop(kept.agents.remove(agent)),
        });
        async move { done }.boxed()
    }

    fn load(&self, _ended: usize) -> Result<Kept, BookError> {
        Ok(self.kept.lock().unwrap().clone())
    }
}

/// A registry whose changes are waited for.
pub(crate) struct Registry {
    tasks: Tasks,
    pub(crate) world: Arc<World>,
    pub(crate) book: Arc<Memory>,
    pub(crate) settings: Settings,
}

impl Deref for Registry {
    type Target = Tasks;
    fn deref(&self) -> &Tasks {
        &self.tasks
    }
}

pub(crate) fn registry_with(settings: Settings) -> (Arc<World>, Registry) {
    let (world, book) = (World::new(), Arc::new(Memory::default()));
    let registry = Registry::on(settings, world.clone(), book);
    (world, registry)
}

pub(crate) fn registry() -> (Arc<World>, Registry) {
    registry_with(Settings::default())
}

/// Waits on this thread.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

impl Registry {
    fn on(settings: Settings, world: Arc<World>, book: Arc<Memory>) -> Self {
        let ports = Ports { clock: world.clone(), entropy: world.clone(), book: book.clone() };
        let tasks = Tasks::load(settings.clone(), ports).unwrap();
        Self { tasks, world, book, settings }
    }

    /// Another process on the same book.
    pub(crate) fn restart(self) -> Self {
        Self::on(self.settings, self.world, self.book)
    }

    pub(crate) fn standing(&self, agent: &SpiffeId) -> Arc<Task> {
        wait(self.tasks.standing(agent)).unwrap()
    }

    pub(crate) fn open(&self, wanted: NewTask) -> Result<Arc<Task>, IntentError> {
        wait(self.tasks.open(wanted))
    }

    pub(crate) fn delegate(&self, parent: TaskId, wanted: Delegation) -> Result<Arc<Task>, IntentError> {
        wait(self.tasks.delegate(parent, wanted))
    }

    pub(crate) fn end(&self, task: TaskId, why: TaskEnd) -> Result<(), IntentError> {
        wait(self.tasks.end(task, why)).map(drop)
    }

    pub(crate) fn expire(&self, now: Timestamp) -> Vec<Arc<Task>> {
        wait(self.tasks.expire(now)).unwrap().into_iter().map(|(task, _)| task).collect()
    }

    pub(crate) fn end_all(&self, why: TaskEnd) -> Vec<Arc<Task>> {
        wait(self.tasks.end_all(why)).unwrap().into_iter().map(|(task, _)| task).collect()
    }

    pub(crate) fn quarantine(&self, agent: &SpiffeId, quarantined: bool) -> BTreeMap<TaskId, TaskEnd> {
        let ended = wait(self.tasks.quarantine(agent, quarantined)).unwrap();
        ended.into_iter().map(|(task, why)| (task.id, why)).collect()
    }

    pub(crate) fn register(
        &self,
        agent: &SpiffeId,
        wanted: Option<&Registration>,
    ) -> Result<(), IntentError> {
        wait(self.tasks.register(agent, wanted))
    }

    pub(crate) async fn end_all_raw(&self) -> Result<usize, IntentError> {
        self.tasks.end_all(TaskEnd::Stop).await.map(|ended| ended.len())
    }

    pub(crate) async fn expire_raw(&self) -> Result<usize, IntentError> {
        self.tasks.expire(self.world.now()).await.map(|ended| ended.len())
    }

    pub(crate) async fn quarantine_raw(
        &self,
        agent: &SpiffeId,
        quarantined: bool,
    ) -> Result<usize, IntentError> {
        self.tasks.quarantine(agent, quarantined).await.map(|ended| ended.len())
    }

    pub(crate) fn history(&self, task: TaskId, operations: &Operations) -> Result<History, IntentError> {
        self.tasks.attach(task, operations).map(|attached| attached.history)
    }

    pub(crate) fn settle(
        &self,
        task: TaskId,
        operations: &Operations,
        decision: Decision,
        refusal: Option<&'static str>,
    ) {
        match self.tasks.attach(task, operations) {
            Ok(attached) => attached.place.settle(operations, decision, refusal, self.world.now()),
            // A call that outlives its task is counted as one of the past is.
            Err(_) => self.tasks.replay(&Past::Call {
                task,
                agent: super::agent(),
                operations: Box::new(operations.clone()),
                decision,
                refusal,
                at: self.world.now(),
            }),
        }
    }
}
