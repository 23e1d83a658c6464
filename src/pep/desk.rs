//! The desk at which held calls wait for people. One clerk takes everything in turn: it works out what becomes of a hold
//! (`judge::hold`), has it written into the journal, then kept, and only then is it so. An approval is spent that way before
//! its call goes out, so that nothing that happens in between lets the call out twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::Law;
use crate::call::card::Difference;
use crate::call::meter::Counter;
use crate::call::operator::Operator;
use crate::call::{Approval, Card, Clock, Hold, HoldId, HoldState, Timestamp};
use crate::intent::Tasks;
use crate::judge::hold::{
    Answer, Asked, Ballot, HoldBook, HoldBookError, HoldRow, Holds, NoVote, Settings, approval,
};
use crate::lease::Vault;
use crate::record::{Event, Journal, JournalError};

/// How many orders wait for the clerk; further ones wait to be taken.
const ORDERS: usize = 1_024;
/// How many connections wait at one time, and how many of those for one hold: each keeps its body.
const SEATS: usize = 4_096;
const SEATS_OF_ONE: usize = 16;
/// How often holds are looked through for what time makes of them.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How long what became of holds can be looked up.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

/// Holds, as everybody sees them.
pub struct Desk {
    patience: Duration,
    seen: Arc<RwLock<Seen>>,
    orders: mpsc::Sender<Order>,
    rung: watch::Receiver<u64>,
    closing: watch::Sender<bool>,
    ends: Arc<Ends>,
    seats: Arc<Mutex<Seats>>,
}

/// Connections that wait, by hold.
#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<HoldId, usize>,
    all: usize,
}

/// One connection that waits; free again when it is dropped.
pub(super) struct Seat {
    seats: Arc<Mutex<Seats>>,
    hold: HoldId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.all -= 1;
        if let Some(taken) = seats.taken.get_mut(&self.hold) {
            *taken -= 1;
            if *taken == 0 {
                seats.taken.remove(&self.hold);
            }
        }
    }
}

/// How often holds came into each state, as [`HoldState::NAMES`] has them.
#[derive(Debug, Default)]
struct Ends([Counter; HoldState::NAMES.len()]);

struct Seen {
    holds: Holds,
    cards: HashMap<HoldId, Arc<Card>>,
}

/// What the clerk works with.
pub struct Ports {
    /// For what time makes of holds.
    pub clock: Arc<dyn Clock>,
    /// Keeps them.
    pub book: Arc<dyn HoldBook>,
    /// Writes down what becomes of them.
    pub journal: Arc<Journal>,
    /// Seals what people are shown.
    pub vault: Vault,
    /// Knows which tasks are over.
    pub tasks: Arc<Tasks>,
    /// Knows which rules are in force.
    pub law: watch::Receiver<Law>,
}

/// Why nothing became of an order.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The store.
    #[error(transparent)]
    Book(#[from] HoldBookError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Closed,
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The vote does not count.
    #[error(transparent)]
    Vote(#[from] NoVote),
    /// It takes too long.
    #[error("the journal or the store of holds takes too long; see to the disk under state.dir")]
    Slow,
    /// It cannot be sealed.
    #[error("what people would be shown cannot be sealed")]
    Unsealed,
}

/// What a call that is to be held is told.
#[derive(Debug)]
pub(super) enum Said {
    /// People approved it before. This once.
    Approved(Approval),
    /// Nobody is asked any more, for now.
    Enough(String),
    /// Somebody said no.
    Refused(Arc<Hold>),
    /// People are asked.
    Waiting(Arc<Hold>),
}

enum Order {
    Ask { asked: Box<Asked>, card: Box<Card>, tell: oneshot::Sender<Result<Said, DeskError>> },
    Vote { ballot: Ballot, voter: Operator, tell: oneshot::Sender<Result<Arc<Hold>, DeskError>> },
}

impl Desk {
    /// With what was kept. The future is the clerk: it has to run for as long as there are calls.
    pub fn open(
        settings: Settings,
        patience: Duration,
        kept: Vec<HoldRow>,
        ports: Ports,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + use<>) {
        let mut cards = HashMap::new();
        let mut holds = Vec::new();
        for HoldRow { mut hold, card } in kept {
            let shown = ports.vault.open(&card, &purpose(hold.id));
            let shown = shown.and_then(|text| serde_json::from_str::<Card>(text.reveal()).ok());
            if shown.is_none() && hold.state.is_open() {
                // Nobody can be asked about what they cannot see.
                let why = "what would be sent cannot be read any more; is `lease.key` another one?";
                hold.state = HoldState::Void { why: why.into() };
            }
            cards.insert(hold.id, Arc::new(shown.unwrap_or_default()));
            holds.push(hold);
        }
        let seen = Arc::new(RwLock::new(Seen { holds: Holds::new(settings, holds), cards }));
        let (orders, taken) = mpsc::channel(ORDERS);
        let (bell, rung) = watch::channel(0);
        let ends = Arc::new(Ends::default());
        let clerk = Clerk { ports, seen: seen.clone(), bell, ends: ends.clone() };
        (
            Arc::new(Self {
                patience,
                seen,
                orders,
                rung,
                closing: watch::Sender::new(false),
                seats: Arc::default(),
                ends,
            }),
            clerk.work(taken),
        )
    }

    /// What the operator decided.
    pub fn settings(&self) -> Settings {
        *self.seen().holds.settings()
    }

    /// How long a connection waits before its call is refused as held.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// All holds that are known, oldest first, with what people are shown of the calls.
    pub fn list(&self) -> Vec<(Arc<Hold>, Arc<Card>)> {
        let seen = self.seen();
        let card = |id| seen.cards.get(id).cloned().unwrap_or_default();
        seen.holds.all().map(|hold| (hold.clone(), card(&hold.id))).collect()
    }

    /// One, and what people are shown of it.
    pub fn show(&self, id: HoldId) -> Option<(Arc<Hold>, Arc<Card>)> {
        let seen = self.seen();
        let hold = seen.holds.get(id)?.clone();
        Some((hold, seen.cards.get(&id).cloned().unwrap_or_default()))
    }

    /// How many calls wait for people.
    pub fn waiting(&self) -> usize {
        self.seen().holds.all().filter(|hold| hold.state == HoldState::Waiting).count()
    }

    /// How often holds came into each state since the node started.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        HoldState::NAMES.into_iter().zip(self.ends.0.iter().map(Counter::count))
    }

    /// Lets no connection wait any longer: the node stops. Holds stay what they are.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Comes to pass when the node stops.
    pub(super) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        let _gone_or_closed = closing.wait_for(|closing| *closing).await;
    }

    /// A place to wait for a hold, if there is one left.
    pub(super) fn sit(&self, hold: HoldId) -> Option<Seat> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.taken.get(&hold).copied().unwrap_or_default();
        if seats.all >= SEATS || taken >= SEATS_OF_ONE {
            return None;
        }
        seats.all += 1;
        seats.taken.insert(hold, taken + 1);
        Some(Seat { seats: self.seats.clone(), hold })
    }

    /// Casts a vote; the hold as it is then.
    pub async fn vote(&self, ballot: Ballot, voter: Operator) -> Result<Arc<Hold>, DeskError> {
        let (tell, told) = oneshot::channel();
        self.order(Order::Vote { ballot, voter, tell }).await?;
        told.await.map_err(|_| DeskError::Closed)?
    }

    /// What becomes of a call that is to be held.
    pub(super) async fn ask(&self, asked: Asked, card: Card) -> Result<Said, DeskError> {
        let (tell, told) = oneshot::channel();
        self.order(Order::Ask { asked: Box::new(asked), card: Box::new(card), tell }).await?;
        told.await.map_err(|_| DeskError::Closed)?
    }

    /// Comes to pass when people are not asked any more.
    pub(super) async fn settled(&self, id: HoldId) -> Option<HoldState> {
        let mut rung = self.rung.clone();
        loop {
            rung.mark_unchanged();
            let state = self.seen().holds.get(id).map(|hold| hold.state.clone());
            if state != Some(HoldState::Waiting) {
                return state;
            }
            if rung.changed().await.is_err() {
                // The clerk is gone: nobody will answer. Whoever waits has a limit.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn order(&self, order: Order) -> Result<(), DeskError> {
        self.orders.send(order).await.map_err(|_| DeskError::Closed)
    }

    fn seen(&self) -> std::sync::RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Clerk {
    ports: Ports,
    seen: Arc<RwLock<Seen>>,
    bell: watch::Sender<u64>,
    ends: Arc<Ends>,
}

impl Clerk {
    async fn work(self, mut orders: mpsc::Receiver<Order>) {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        let mut law = self.ports.law.clone();
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => self.take(order).await,
                    None => return,
                },
                changed = law.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.sweep().await;
                }
                _ = tick.tick() => self.sweep().await,
            }
        }
    }

    async fn take(&self, order: Order) {
        match order {
            Order::Ask { tell, .. } if tell.is_closed() => {}
            Order::Ask { asked, card, tell } => drop(tell.send(self.ask(&asked, *card).await)),
            // Whoever is not told any more was told that it failed.
            Order::Vote { tell, .. } if tell.is_closed() => {}
            Order::Vote { ballot, voter, tell } => drop(tell.send(self.vote(&ballot, &voter).await)),
        }
    }

    async fn ask(&self, asked: &Asked, mut card: Card) -> Result<Said, DeskError> {
        let (answer, earlier) = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            let earlier = seen.holds.approved_before(asked).map(|hold| hold.id);
            let earlier = earlier.and_then(|id| Some((id, seen.cards.get(&id)?.clone())));
            (seen.holds.ask(asked, self.now()), earlier)
        };
        match answer {
            Answer::Enough { why } => Ok(Said::Enough(why)),
            Answer::Refused(hold) => Ok(Said::Refused(hold)),
            Answer::Joined(hold) => Ok(Said::Waiting(self.put(*hold, None))),
            Answer::Fresh(hold) => {
                card.difference =
                    earlier.map(|(id, before)| Difference::between(id, &before.body, &card.body));
                Ok(Said::Waiting(self.settle(*hold, Arc::new(card)).await?))
            }
            Answer::Approved(hold) => {
                let card = self.card(hold.id);
                let spent = self.settle(*hold, card).await?;
                // It is spent, or this would not be said.
                approval(&spent).map(Said::Approved).ok_or(DeskError::Closed)
            }
        }
    }

    async fn vote(&self, ballot: &Ballot, voter: &Operator) -> Result<Arc<Hold>, DeskError> {
        let rules = self.rules();
        let hold = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            seen.holds.vote(ballot, voter, &rules, self.now())?
        };
        if let Some(vote) = hold.votes.last() {
            self.ports.journal.note(Event::Voted(&hold, vote)).await?;
        }
        let card = self.card(hold.id);
        if hold.state == HoldState::Waiting {
            self.keep(hold, card).await
        } else {
            self.settle(hold, card).await
        }
    }

    /// What cannot be written now is looked at again with the next round; votes and calls look at the time themselves.
    async fn sweep(&self) {
        let (rules, now) = (self.rules(), self.now());
        let tasks = &self.ports.tasks;
        let is_over = |task| tasks.ended(task).map_or(true, |ended| ended.borrow().is_some());
        let changed = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            seen.holds.sweep(now, &rules, is_over)
        };
        for hold in changed {
            let card = self.card(hold.id);
            if let Err(error) = self.settle(hold, card).await {
                tracing::error!(%error, "what became of a hold cannot be kept");
                return;
            }
        }
    }

    /// Has a hold come into its state: written down, kept, counted.
    async fn settle(&self, hold: Hold, card: Arc<Card>) -> Result<Arc<Hold>, DeskError> {
        self.ports.journal.note(Event::Hold(&hold)).await?;
        let hold = self.keep(hold, card).await?;
        let at = HoldState::NAMES.iter().position(|name| *name == hold.state.as_str());
        if let Some(counter) = at.and_then(|at| self.ends.0.get(at)) {
            counter.add();
        }
        Ok(hold)
    }

    /// Keeps a hold, and takes it in.
    async fn keep(&self, hold: Hold, card: Arc<Card>) -> Result<Arc<Hold>, DeskError> {
        let waits = hold.state == HoldState::Waiting;
        let card = if waits || card.body.text.is_none() { card } else { Arc::new(card.without_body()) };
        let text = serde_json::to_string(&*card).map_err(|_| DeskError::Unsealed)?;
        let sealed = self.ports.vault.shut(&text, &purpose(hold.id)).ok_or(DeskError::Unsealed)?;
        self.ports.book.keep(HoldRow { hold: hold.clone(), card: sealed }).await?;
        Ok(self.put(hold, Some(card)))
    }

    fn put(&self, hold: Hold, card: Option<Arc<Card>>) -> Arc<Hold> {
        let id = hold.id;
        let waits_still = hold.state == HoldState::Waiting;
        let kept = Arc::new(hold.clone());
        {
            let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(gone) = seen.holds.put(hold) {
                seen.cards.remove(&gone);
            }
            if let Some(card) = card {
                seen.cards.insert(id, card);
            }
        }
        if waits_still {
            return kept;
        }
        self.bell.send_modify(|count| *count = count.wrapping_add(1));
        kept
    }

    fn card(&self, id: HoldId) -> Arc<Card> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.cards.get(&id).cloned().unwrap_or_default()
    }

    fn rules(&self) -> String {
        self.ports.law.borrow().rules.digest().to_string()
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }
}

/// A card is sealed for its own hold.
fn purpose(id: HoldId) -> String {
    format!("hold {id}")
}
