//! Who keeps leases: one for each task, entry and scope, asked for once however many calls wait for it.
//!
//! What a lease is has one place, [`Ledger`]; every change is made there first, handed to the book in the same breath, and only
//! then acted upon. So no lease is used before its row is on disk, and none after its task is over (INVARIANT I5).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{OwnedMutexGuard, watch};

use super::book::{LeaseBookError, Row};
use super::captured::Captured;
use super::entry::Entry;
use super::held::{Fit, Held};
use super::ledger::{Ledger, Record};
use super::meters::Meters;
use super::placeholder::Placeholders;
use super::ports::{LeaseError, Ports, Told};
use super::possession::Possession;
use super::provider::{MintError, Minted, Need};
use super::revoke;
use super::seal::{Seal, Sealed, derived};
use crate::call::{Lease, LeaseId, LeaseState, Operations, Secret, Task, TaskId, Timestamp};

/// Bytes of the key in the file, at least.
const KEY_BYTES: usize = 32;
/// Scopes of one task.
const MOST_SCOPES: usize = 256;
/// How long a refusal of a provider's answers for it, milliseconds: a burst of calls asks once.
const REFUSAL_MS: u64 = 1_000;

/// The leases of this node.
pub struct Broker {
    pub(super) entries: Vec<Entry>,
    pub(super) placeholders: Placeholders,
    pub(super) seal: Seal,
    pub(super) ports: Ports,
    pub(super) ledger: Mutex<Ledger>,
    /// Tokens that agents were answered with.
    pub(super) captured: Captured,
    /// How much is under way with providers.
    pub(super) busy: watch::Sender<usize>,
    /// What was counted.
    pub meters: Meters,
    tasks: RwLock<HashMap<TaskId, Arc<OfTask>>>,
}

/// The leases of one task.
pub(super) struct OfTask {
    id: TaskId,
    over: AtomicBool,
    /// By entry and scope. Few.
    slots: Mutex<Vec<(usize, String, Arc<Slot>)>>,
    /// Whether it does not survive the node.
    endless: bool,
}

/// The lease that is in use for one entry and scope.
#[derive(Default)]
pub(super) struct Slot {
    current: ArcSwapOption<Held>,
    /// Whoever has it asks the provider.
    turn: Arc<tokio::sync::Mutex<()>>,
    refused: Mutex<Option<(Timestamp, LeaseError)>>,
}

/// What is to be minted, with all that it takes.
struct Order {
    of: Arc<OfTask>,
    slot: Arc<Slot>,
    entry: usize,
    scope: String,
    task: Arc<Task>,
    operations: Operations,
}

impl Broker {
    /// Of these entries, with what the file of the key holds; none: that is too short to be a key.
    pub fn new(entries: Vec<Entry>, key: &Secret<Vec<u8>>, ports: Ports) -> Option<Arc<Self>> {
        if key.reveal().len() < KEY_BYTES {
            return None;
        }
        let seal = Seal::new(&derived(key, "seal"), ports.entropy.clone())?;
        Some(Arc::new(Self {
            entries,
            placeholders: Placeholders::new(derived(key, "placeholder")),
            seal,
            ports,
            ledger: Mutex::default(),
            captured: Captured::default(),
            busy: watch::Sender::new(0),
            meters: Meters::default(),
            tasks: RwLock::default(),
        }))
    }

    /// A credential for a call of `task` under an entry, minted if there is none that fits. Comes to its end even if nobody waits:
    /// what a provider gave must not be forgotten.
    pub(super) async fn take(
        self: &Arc<Self>,
        at: usize,
        task: &Arc<Task>,
        operations: &Operations,
    ) -> Result<Arc<Held>, LeaseError> {
        let entry = self.entries.get(at).ok_or(LeaseError::Ended)?;
        let now = self.ports.clock.now();
        let scope = entry.provider.scope(&need(task, operations, now)).map_err(refused)?;
        let of = self.of_task(task)?;
        let slot = of.slot(at, &scope).ok_or_else(|| {
            let why = format!(
                "the task has leases of {MOST_SCOPES} scopes, which is as many as one may; name in its grant what it is about"
            );
            LeaseError::Refused(why)
        })?;
        let generation = entry.provider.generation();
        match slot.fit(now, generation) {
            Fit::Good(held) => return Ok(held),
            Fit::Due(held) => {
                if let Ok(turn) = slot.turn.clone().try_lock_owned() {
                    let order = Order {
                        of,
                        slot,
                        entry: at,
                        scope,
                        task: task.clone(),
                        operations: operations.clone(),
                    };
                    tokio::spawn(self.clone().mint(order, turn));
                }
                return Ok(held);
            }
            Fit::None => {}
        }
        let turn = slot.turn.clone().lock_owned().await;
        if let Fit::Good(held) | Fit::Due(held) = slot.fit(now, generation) {
            return Ok(held);
        }
        if let Some(error) = slot.refused_lately(self.ports.clock.now()) {
            return Err(error);
        }
        let order = Order { of, slot, entry: at, scope, task: task.clone(), operations: operations.clone() };
        let minting = tokio::spawn(self.clone().mint(order, turn));
        minting.await.unwrap_or_else(|_| Err(LeaseError::Unavailable("remit failed inside".to_owned())))
    }

    async fn mint(
        self: Arc<Self>,
        order: Order,
        _turn: OwnedMutexGuard<()>,
    ) -> Result<Arc<Held>, LeaseError> {
        let _busy = revoke::Busy::with(self.clone());
        let minted = self.ask(&order).await;
        let refused = minted.as_ref().err().cloned().map(|error| (self.ports.clock.now(), error));
        *order.slot.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        let held = minted?;
        let before = order.slot.current.swap(Some(held.clone()));
        if order.of.is_over() {
            order.slot.current.store(None);
            self.take_back(held.id).await;
            return Err(LeaseError::Ended);
        }
        // One that was replaced where it comes from is of no use to calls under way; one that will end soon is, to its end.
        if let Some(before) = before.filter(|before| before.generation != held.generation) {
            self.take_back(before.id).await;
        }
        Ok(held)
    }

    async fn ask(self: &Arc<Self>, order: &Order) -> Result<Arc<Held>, LeaseError> {
        let entry = self.entries.get(order.entry).ok_or(LeaseError::Ended)?;
        let now = self.ports.clock.now();
        let need = need(&order.task, &order.operations, now);
        let lease = Lease {
            id: LeaseId::fresh(&*self.ports.clock, &*self.ports.entropy),
            task: order.of.id,
            service: need.service.clone(),
            provider: entry.provider.kind().into(),
            scope: order.scope.clone(),
            state: LeaseState::Minting,
            since: now,
            minted: now,
            until: None,
            short_lived: false,
            why: None,
            task_ended: None,
            seen: None,
        };
        let id = lease.id;
        // Before the provider is asked: if this process dies in between, the next one knows that something may be out there.
        let begun = self.change(|ledger| Some(ledger.begin(Record::new(lease, entry.name.clone()))));
        if let Some((_, kept)) = begun
            && let Err(error) = kept.await
        {
            self.lock().forget(id);
            return Err(LeaseError::Unavailable(error.to_string()));
        }
        if order.of.is_over() {
            // It ended in between, and nobody comes to say so.
            self.lock().task_ended(order.task.id, self.ports.clock.now());
        }
        let generation = entry.provider.generation();
        let minted = entry.provider.mint(&need).await;
        self.meters.minted(&minted);
        match minted {
            Ok(minted) => self.keep(id, entry, generation, minted).await,
            Err(error @ (MintError::Unknown(_) | MintError::Stray(_))) => {
                tracing::error!(lease = %id, %error, "a credential may be out there that nobody takes back");
                self.turn(id, LeaseState::Lost, Some(error.to_string())).await;
                Err(refused(error))
            }
            Err(error) => {
                self.lock().forget(id);
                if let Err(error) = self.ports.book.forget(id).await {
                    tracing::error!(lease = %id, %error, "a lease that was not given cannot be taken out of the store");
                }
                Err(refused(error))
            }
        }
    }

    /// What was given is on disk and in the journal before anybody uses it.
    async fn keep(
        self: &Arc<Self>,
        id: LeaseId,
        entry: &Entry,
        generation: u64,
        minted: Minted,
    ) -> Result<Arc<Held>, LeaseError> {
        let Minted { material, expires, handle } = minted;
        let short_lived = expires.is_some() || handle.is_some();
        let sealed = Sealed { material, handle };
        // A key that was there before is there after a restart too, and is not copied.
        let shut = short_lived.then(|| self.seal.shut_lease(&sealed, &id.to_string())).flatten();
        let Sealed { material, handle } = sealed;
        let held = Arc::new(Held {
            id,
            provider: entry.provider.kind().into(),
            material,
            minted: self.ports.clock.now(),
            expires,
            generation,
            short_lived,
            possession: Possession::default(),
            beside: OnceLock::new(),
        });
        let now = held.minted;
        let done = self.change(|ledger| {
            ledger.activate(id, now, |record| {
                (record.lease.until, record.lease.short_lived) = (expires, short_lived);
                (record.handle, record.sealed) = (handle, shut);
            })
        });
        let done = match done {
            None => Err("it was called off".to_owned()),
            Some((lease, kept)) => match kept.await {
                Ok(()) => self.ports.witness.tell(&lease, Told::State).await,
                Err(error) => Err(error.to_string()),
            },
        };
        if let Err(why) = done {
            self.take_back(id).await;
            return Err(LeaseError::Unavailable(why));
        }
        Ok(held)
    }

    /// The task's leases; whoever asks first has its end watched.
    pub(super) fn of_task(self: &Arc<Self>, task: &Task) -> Result<Arc<OfTask>, LeaseError> {
        if let Some(of) = self.tasks.read().unwrap_or_else(PoisonError::into_inner).get(&task.id) {
            return Ok(of.clone());
        }
        self.watch_task(task.id, task.is_standing()).ok_or(LeaseError::Ended)
    }

    /// None: the task is over.
    pub(super) fn watch_task(self: &Arc<Self>, task: TaskId, endless: bool) -> Option<Arc<OfTask>> {
        let mut tasks = self.tasks.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = tasks.get(&task) {
            return Some(of.clone());
        }
        let mut ended = self.ports.tasks.ended(task)?;
        if (&mut ended).now_or_never().is_some() {
            return None;
        }
        let of = OfTask { id: task, over: AtomicBool::new(false), slots: Mutex::default(), endless };
        let of = Arc::new(of);
        tasks.insert(task, of.clone());
        revoke::when(self.clone(), ended, task);
        Some(of)
    }

    /// A task is over: nothing of it is used any more, and all of it is taken back.
    pub(super) async fn end_task(self: &Arc<Self>, task: TaskId) {
        // Before anybody can see that it is not there any more: whoever closes the node waits for what is told of its leases.
        let _busy = revoke::Busy::with(self.clone());
        let of = self.tasks.write().unwrap_or_else(PoisonError::into_inner).remove(&task);
        if let Some(of) = of {
            of.over.store(true, Ordering::SeqCst);
            of.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        self.captured.end(task);
        let theirs = {
            let mut ledger = self.lock();
            ledger.task_ended(task, self.ports.clock.now());
            ledger.active_of(task)
        };
        // At once: one provider that is slow, or a disk, must not keep the others waiting.
        join_all(theirs.into_iter().map(|lease| self.take_back(lease))).await;
    }

    /// Tasks that do not survive the node, and those whose end nobody had the time to hear of yet.
    pub(super) fn tasks_to_end(&self) -> Vec<TaskId> {
        let is_over = |task| self.ports.tasks.ended(task).is_none_or(|ended| ended.now_or_never().is_some());
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        tasks.values().filter(|of| of.endless || is_over(of.id)).map(|of| of.id).collect()
    }

    /// Has a lease end that is in use. From here on nobody uses it.
    pub(super) async fn take_back(self: &Arc<Self>, id: LeaseId) {
        let _busy = revoke::Busy::with(self.clone());
        let handle = self.lock().handle(id);
        let Some((entry, handle)) = handle else {
            // There is nobody to tell: it ends by itself, or stays what it was.
            self.turn(id, LeaseState::Expired, None).await;
            return;
        };
        if self.turn(id, LeaseState::Revoking, None).await.is_some() {
            revoke::deliver(self.clone(), id, entry, handle);
        }
    }

    /// A service did not take the credential of a lease. It is asked for anew, but not more often than every few seconds: an agent
    /// can have a service say no as often as it likes.
    pub(super) async fn rejected(self: &Arc<Self>, id: LeaseId, why: &str) {
        self.meters.rejected.add();
        // In a statement of its own: the lock must not be held while it is written.
        let first = self.lock().rejected(id, why);
        if let Some(lease) = first {
            tracing::warn!(lease = %id, task = %lease.task, service = %lease.service, why, "a service does not take the credential of a lease");
            if let Err(error) = self.ports.witness.tell(&lease, Told::Rejected).await {
                tracing::error!(lease = %id, %error, "that a service does not take a lease cannot be recorded");
            }
        }
        let now = self.ports.clock.now();
        for slot in self.slots_now() {
            let current = slot.current.load_full().filter(|held| held.id == id && held.may_be_replaced(now));
            if let Some(held) = current {
                slot.current.store(None);
                self.take_back(held.id).await;
            }
        }
    }

    fn slots_now(&self) -> Vec<Arc<Slot>> {
        let tasks = self.tasks.read().unwrap_or_else(PoisonError::into_inner);
        tasks.values().flat_map(|of| of.slots_now()).collect()
    }

    /// Puts a lease back that the book kept, of a task that is open.
    pub(super) fn put_back(self: &Arc<Self>, at: usize, scope: &str, task: TaskId, held: Held) -> bool {
        let Some(of) = self.watch_task(task, false) else { return false };
        let Some(slot) = of.slot(at, scope) else { return false };
        slot.current.store(Some(Arc::new(held)));
        true
    }

    /// Moves a lease on, durably, and tells of it; none: it was there already, or further.
    pub(super) async fn turn(&self, id: LeaseId, to: LeaseState, why: Option<String>) -> Option<Lease> {
        let now = self.ports.clock.now();
        let (lease, kept) = self.change(|ledger| ledger.turn(id, to, now, why))?;
        if let Err(error) = kept.await {
            // What is on disk is further back, so the next start does it again.
            tracing::error!(lease = %id, state = %to, %error, "the state of a lease cannot be kept");
        }
        if let Err(error) = self.ports.witness.tell(&lease, Told::State).await {
            tracing::error!(lease = %id, state = %to, %error, "what became of a lease cannot be recorded");
        }
        Some(lease)
    }

    /// Changes the ledger and hands the row to the book before anybody else can: rows reach it in the order of the changes.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Ledger) -> Option<Row>,
    ) -> Option<(Lease, BoxFuture<'_, Result<(), LeaseBookError>>)> {
        let mut ledger = self.lock();
        let row = change(&mut ledger)?;
        let lease = row.lease.clone();
        Some((lease, self.ports.book.keep(row)))
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfTask {
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// None: there are as many as there may be. Scopes can follow what an agent writes into its requests.
    fn slot(&self, entry: usize, scope: &str) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., slot)) = slots.iter().find(|(at, named, _)| *at == entry && named == scope) {
            return Some(slot.clone());
        }
        if slots.len() >= MOST_SCOPES {
            return None;
        }
        let slot = Arc::new(Slot::default());
        slots.push((entry, scope.to_owned(), slot.clone()));
        Some(slot)
    }

    fn slots_now(&self) -> Vec<Arc<Slot>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().map(|(.., slot)| slot.clone()).collect()
    }
}

impl Slot {
    fn fit(&self, now: Timestamp, generation: u64) -> Fit {
        self.current.load_full().map_or(Fit::None, |held| held.fit(now, generation))
    }

    fn refused_lately(&self, now: Timestamp) -> Option<LeaseError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, error) = refused.as_ref()?;
        (now.unix_ms().saturating_sub(at.unix_ms()) < REFUSAL_MS).then(|| error.clone())
    }
}

fn need<'a>(task: &'a Task, operations: &'a Operations, now: Timestamp) -> Need<'a> {
    let strongest = operations.strongest();
    Need { task, service: &strongest.service, class: strongest.class, operations, until: task.deadline, now }
}

fn refused(error: MintError) -> LeaseError {
    match error {
        MintError::Unavailable(why) | MintError::Unknown(why) => LeaseError::Unavailable(why),
        MintError::Refused(why) | MintError::TooWide(why) | MintError::Stray(why) => LeaseError::Refused(why),
    }
}
