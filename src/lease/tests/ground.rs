//! A world that stands still until it is told to move, a provider that does what it is told, and a book in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::call::{
    Class, Clock, Entropy, Lease, LeaseId, LeaseState, Operation, OperationId, Operations, Recognition,
    Secret, ServiceName, SpiffeId, Task, TaskId, Terms, Timestamp,
};
use crate::lease::*;

const START_S: u64 = 1_800_000_000;

pub(super) struct World {
    now_ns: AtomicU64,
    drawn: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { now_ns: AtomicU64::new(START_S * 1_000_000_000), drawn: AtomicU64::new(0) })
    }

    pub(super) fn pass(&self, time: Duration) {
        self.now_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::SeqCst);
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

/// Keeps rows.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) rows: Mutex<BTreeMap<LeaseId, Row>>,
    pub(super) fails: AtomicBool,
}

impl Memory {
    fn then(
        &self,
        change: impl FnOnce(&mut BTreeMap<LeaseId, Row>),
    ) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        if self.fails.load(Ordering::SeqCst) {
            return std::future::ready(Err(LeaseBookError("the test says so".into()))).boxed();
        }
        change(&mut self.rows.lock().unwrap());
        std::future::ready(Ok(())).boxed()
    }

    pub(super) fn states(&self) -> Vec<LeaseState> {
        self.rows.lock().unwrap().values().map(|row| row.lease.state).collect()
    }
}

impl LeaseBook for Memory {
    fn keep(&self, row: Row) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        self.then(|rows| drop(rows.insert(row.lease.id, row)))
    }
    fn forget(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        self.then(|rows| drop(rows.remove(&lease)))
    }
    fn keep_own(&self, _entry: Arc<str>, _sealed: Vec<u8>) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        self.then(|_| ())
    }
    fn load(&self, _since: Timestamp) -> Result<Kept, LeaseBookError> {
        let leases = self.rows.lock().unwrap().values().cloned().collect();
        Ok(Kept { leases, own: Vec::new() })
    }
}

/// Hears what becomes of leases.
#[derive(Default)]
pub(super) struct Diary(pub(super) Mutex<Vec<(LeaseId, LeaseState, Told)>>, pub(super) AtomicBool);

impl Witness for Diary {
    fn tell<'a>(&'a self, lease: &'a Lease, what: Told) -> BoxFuture<'a, Result<(), String>> {
        let slow = self.1.load(Ordering::SeqCst);
        let told = (lease.id, lease.state, what);
        async move {
            if slow {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            self.0.lock().unwrap().push(told);
            Ok(())
        }
        .boxed()
    }
}

/// Tasks that end when the test says so.
#[derive(Default)]
pub(super) struct Tasks(Mutex<BTreeMap<TaskId, watch::Sender<bool>>>);

impl Tasks {
    pub(super) fn open(&self, task: TaskId) {
        self.0.lock().unwrap().entry(task).or_insert_with(|| watch::channel(false).0);
    }

    pub(super) fn end(&self, task: TaskId) {
        if let Some(told) = self.0.lock().unwrap().get(&task) {
            told.send_replace(true);
        }
    }
}

impl TaskEnds for Tasks {
    fn ended(&self, task: TaskId) -> Option<BoxFuture<'static, ()>> {
        let mut told = self.0.lock().unwrap().get(&task)?.subscribe();
        let wait = async move {
            if told.wait_for(|over| *over).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Some(wait.boxed())
    }
}

/// What a provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    Give,
    Refuse,
    BeAway,
    /// It gives, and the answer is lost.
    LoseTheAnswer,
    /// It takes connections and never answers.
    Hang,
}

/// Gives numbered tokens and remembers which of them work.
pub(super) struct Giver {
    pub(super) does: Mutex<Does>,
    pub(super) asked: AtomicU64,
    pub(super) working: Mutex<HashSet<String>>,
    pub(super) life: Mutex<Option<Duration>>,
    pub(super) can_revoke: AtomicBool,
    pub(super) generation: AtomicU64,
    /// Minting waits for a permit.
    pub(super) gate: tokio::sync::Semaphore,
    world: Arc<World>,
}

impl Giver {
    pub(super) fn working(&self) -> usize {
        self.working.lock().unwrap().len()
    }

    pub(super) fn set(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }
}

impl Provider for Giver {
    fn kind(&self) -> &'static str {
        "giver"
    }

    fn scope(&self, need: &Need<'_>) -> Result<String, MintError> {
        Ok(need.class.as_str().to_owned())
    }

    fn mint<'a>(&'a self, _need: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>> {
        async move {
            self.gate.acquire().await.unwrap().forget();
            self.gate.add_permits(1);
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            let does = *self.does.lock().unwrap();
            match does {
                Does::Refuse => return Err(MintError::Refused("no".into())),
                Does::BeAway => return Err(MintError::Unavailable("away".into())),
                Does::Give | Does::LoseTheAnswer | Does::Hang => {}
            }
            let token = format!("real-{number}");
            self.working.lock().unwrap().insert(token.clone());
            if does == Does::LoseTheAnswer {
                return Err(MintError::Unknown("the answer was lost".into()));
            }
            let life = *self.life.lock().unwrap();
            let handle = self.can_revoke.load(Ordering::SeqCst).then(|| Secret::new(token.clone()));
            let expires = life.map(|life| self.world.now().plus(life));
            Ok(Minted { material: Material::Token(Secret::new(token)), expires, handle })
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, handle: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>> {
        let does = *self.does.lock().unwrap();
        let told = match does {
            Does::Give => {
                self.working.lock().unwrap().remove(handle.reveal());
                Ok(Returned::Revoked)
            }
            Does::Hang => return std::future::pending().boxed(),
            Does::Refuse | Does::BeAway | Does::LoseTheAnswer => Err(MintError::Unavailable("away".into())),
        };
        std::future::ready(told).boxed()
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

/// A broker, and all that is around it.
pub(super) struct House {
    pub(super) world: Arc<World>,
    pub(super) book: Arc<Memory>,
    pub(super) diary: Arc<Diary>,
    pub(super) tasks: Arc<Tasks>,
    pub(super) giver: Arc<Giver>,
    pub(super) broker: Arc<Broker>,
}

impl House {
    pub(super) fn new() -> Self {
        let world = World::new();
        let giver = Giver {
            does: Mutex::new(Does::Give),
            asked: AtomicU64::new(0),
            working: Mutex::default(),
            life: Mutex::new(Some(Duration::from_secs(600))),
            can_revoke: AtomicBool::new(true),
            generation: AtomicU64::new(0),
            gate: tokio::sync::Semaphore::new(1),
            world: world.clone(),
        };
        let (book, diary, tasks) = (Arc::default(), Arc::default(), Arc::default());
        Self::on(world, book, diary, tasks, Arc::new(giver))
    }

    fn on(
        world: Arc<World>,
        book: Arc<Memory>,
        diary: Arc<Diary>,
        tasks: Arc<Tasks>,
        giver: Arc<Giver>,
    ) -> Self {
        let ports = Ports {
            clock: world.clone(),
            entropy: world.clone(),
            book: book.clone(),
            witness: diary.clone(),
            tasks: tasks.clone(),
        };
        let entry = |service: &str, place: Place, look: &str| Entry {
            name: format!("{service}/giver").into(),
            service: service.into(),
            hosts: Vec::new(),
            classes: Vec::new(),
            place,
            signing_name: None,
            scheme: None,
            untaken: Vec::new(),
            look: Look::of(look),
            env: vec!["KEY".to_owned()],
            observed: true,
            provider: giver.clone(),
        };
        let entries = vec![
            entry("things", Place::default(), "tok_"),
            entry("other", Place::Query { name: "key".into() }, "AKIA"),
        ];
        let key = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec());
        let broker = Broker::new(entries, &key, ports).unwrap();
        Self { world, book, diary, tasks, giver, broker }
    }

    /// The process is gone, and another one takes up what it left.
    pub(super) async fn die_and_start(&self) -> Self {
        let Self { world, book, diary, tasks, giver, .. } = self;
        let next = Self::on(world.clone(), book.clone(), diary.clone(), tasks.clone(), giver.clone());
        next.broker.resume(next.book.load(Timestamp::default()).unwrap()).await;
        next
    }

    pub(super) fn task(&self, n: u64) -> Arc<Task> {
        let task = task(n);
        self.tasks.open(task.id);
        task
    }

    /// The token that a call would carry.
    pub(super) async fn token(&self, task: &Arc<Task>, class: Class) -> Result<String, LeaseError> {
        let held = self.broker.take(0, task, &operations("things", class)).await?;
        match &held.material {
            Material::Token(token) => Ok(token.reveal().clone()),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn states(&self) -> Vec<LeaseState> {
        self.broker.leases(None).iter().map(|lease| lease.state).collect()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.world.now()
    }

    /// Lets everything that is under way come to its end.
    pub(super) async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) fn task(n: u64) -> Arc<Task> {
    Arc::new(Task {
        id: TaskId::fresh(&*World::new(), &Numbered(n)),
        agent: SpiffeId::parse("spiffe://example.org/agent/a").unwrap(),
        intent: crate::call::IntentName::parse("test").unwrap(),
        labels: BTreeMap::new(),
        opened: Timestamp::from_unix_s(START_S),
        deadline: Timestamp::from_unix_s(START_S + 3_600),
        terms: Terms::default(),
    })
}

struct Numbered(u64);

impl Entropy for Numbered {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
        buffer[8..16].copy_from_slice(&self.0.to_be_bytes());
    }
}

pub(super) fn operations(service: &str, class: Class) -> Operations {
    Operations::one(Operation {
        id: OperationId(format!("{service}:do").into()),
        service: ServiceName(service.into()),
        class,
        resource: None,
        how: Recognition::Exact,
        facts: crate::call::Facts::default(),
        because: "test".into(),
        ai: None,
    })
}
