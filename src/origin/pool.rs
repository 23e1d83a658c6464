//! Connections that are kept: HTTP/2 shared, HTTP/1.1 one at a time, last in first out.
//!
//! Keyed by task and lease as well as by origin: what is bound to a connection (a login by NTLM, a byte too many after an
//! answer) never meets another task (THREATS 64), nor another credential of the same task. A burst to an origin makes one dial until it is known that the origin has no
//! HTTP/2. Everything is bounded: per key, in all, and in time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Limits;
use super::connection::{Fresh, Http1, Http2, Stream};
use super::dial::Protocol;
use super::error::OriginError;
use super::resolve::Route;
use crate::call::meter::Counter;
use crate::call::{LeaseId, Origin, TaskId};

/// Origins whose protocol is remembered.
const REMEMBERED: usize = 4096;

/// Who shares connections: the calls of one task that carry the same credential, or none of remit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Family {
    pub(super) task: TaskId,
    pub(super) lease: Option<LeaseId>,
}

/// One end of a connection: the name, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) origin: Origin,
    pub(super) route: Route,
}

/// What makes two connections interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) family: Family,
}

/// A connection for one request.
pub(super) enum Lent {
    Http1 {
        connection: Http1,
        /// Whether it served before: only then can it have died of old age.
        reused: bool,
        /// The pool's count of forgettings when it was made.
        generation: u64,
    },
    Http2 {
        stream: Stream,
        reused: bool,
    },
}

impl Lent {
    pub(super) fn reused(&self) -> bool {
        match self {
            Self::Http1 { reused, .. } | Self::Http2 { reused, .. } => *reused,
        }
    }
}

/// How the pool is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolFacts {
    /// HTTP/1.1 connections that wait for a request.
    pub idle_http1: u64,
    /// HTTP/2 connections.
    pub shared_http2: u64,
    /// Requests for which a connection was dialled.
    pub made: u64,
    /// Requests that went over a connection that was there.
    pub reused: u64,
}

type DialEnd = Option<Result<(), OriginError>>;

#[derive(Default)]
struct Slot {
    shared: Vec<Arc<Http2>>,
    /// Oldest first.
    idle: Vec<Http1>,
    /// The dial that others wait for.
    dial: Option<watch::Receiver<DialEnd>>,
}

#[derive(Default)]
struct Inside {
    slots: HashMap<Key, Slot>,
    /// What origins chose in ALPN.
    chosen: HashMap<Place, Protocol>,
    /// How often everything was forgotten.
    generation: u64,
    reaping: bool,
}

/// The pool. Its lock guards `Inside` and is held for lookups in maps only.
pub(super) struct Pool {
    inside: Mutex<Inside>,
    limits: Limits,
    made: Counter,
    reused: Counter,
}

/// What to do for a connection.
enum Next {
    Use(Lent),
    /// It may need a moment.
    Try(Http1, u64),
    /// Someone else dials.
    Wait(watch::Receiver<DialEnd>),
    /// Dial; tell those who wait, if there may be any.
    Dial(Option<Leading>, u64),
}

/// The dial that others wait for. Dropped without an end (its request was called off), it makes room for the next.
struct Leading {
    pool: Arc<Pool>,
    key: Key,
    told: watch::Sender<DialEnd>,
}

impl Leading {
    fn tell(self, end: Result<(), OriginError>) {
        // Nobody waiting is no failure.
        let _ = self.told.send(Some(end));
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        let mut inside = self.pool.lock();
        if let Some(slot) = inside.slots.get_mut(&self.key) {
            slot.dial = None;
            if slot.is_empty() {
                inside.slots.remove(&self.key);
            }
        }
    }
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let (made, reused) = (Counter::default(), Counter::default());
        Arc::new(Self { inside: Mutex::new(Inside::default()), limits, made, reused })
    }

    /// What is kept, and how often it served.
    pub(super) fn facts(&self) -> PoolFacts {
        let inside = self.lock();
        let of = |each: fn(&Slot) -> usize| inside.slots.values().map(each).sum::<usize>() as u64;
        PoolFacts {
            idle_http1: of(|slot| slot.idle.len()),
            shared_http2: of(|slot| slot.shared.len()),
            made: self.made.count(),
            reused: self.reused.count(),
        }
    }

    /// A connection to `key`: a kept one, or what `dial` makes. Dropping the future drops the dial; those who waited for
    /// it dial themselves.
    pub(super) async fn connection<D, F>(self: &Arc<Self>, key: &Key, dial: D) -> Result<Lent, OriginError>
    where
        D: Fn() -> F,
        F: Future<Output = Result<Fresh, OriginError>>,
    {
        loop {
            match self.next(key) {
                Next::Use(lent) => {
                    self.reused.add();
                    return Ok(lent);
                }
                Next::Try(mut connection, generation) => {
                    if connection.is_ready().await {
                        self.reused.add();
                        return Ok(Lent::Http1 { connection, reused: true, generation });
                    }
                }
                Next::Wait(mut ended) => {
                    if let Ok(end) = ended.wait_for(Option::is_some).await
                        && let Some(Err(error)) = &*end
                    {
                        return Err(error.clone());
                    }
                }
                Next::Dial(leading, generation) => {
                    self.made.add();
                    let fresh = dial().await;
                    let end = fresh.as_ref().map(drop).map_err(Clone::clone);
                    let lent = fresh.map(|fresh| self.take_in(key, fresh, generation));
                    if let Some(leading) = leading {
                        leading.tell(end);
                    }
                    return lent;
                }
            }
        }
    }

    fn next(self: &Arc<Self>, key: &Key) -> Next {
        let mut inside = self.lock();
        let generation = inside.generation;
        if let Some(slot) = inside.slots.get_mut(key) {
            slot.shared.retain(|http2| !http2.is_closed());
            if let Some(stream) = slot.shared.iter().find_map(Http2::place) {
                return Next::Use(Lent::Http2 { stream, reused: true });
            }
            while let Some(http1) = slot.idle.pop() {
                if http1.is_fit() {
                    return Next::Try(http1, generation);
                }
            }
            if let Some(dial) = &slot.dial {
                return Next::Wait(dial.clone());
            }
        }
        if inside.chosen.get(&key.place) == Some(&Protocol::Http1) {
            return Next::Dial(None, generation);
        }
        let (told, ended) = watch::channel(None);
        inside.slots.entry(key.clone()).or_default().dial = Some(ended);
        Next::Dial(Some(Leading { pool: self.clone(), key: key.clone(), told }), generation)
    }

    /// A connection that was just made: remembered and, if it can be shared, shared.
    fn take_in(self: &Arc<Self>, key: &Key, fresh: Fresh, generation: u64) -> Lent {
        let mut inside = self.lock();
        let protocol = match fresh {
            Fresh::Http1(_) => Protocol::Http1,
            Fresh::Http2(_) => Protocol::Http2,
        };
        if inside.chosen.len() >= REMEMBERED {
            inside.chosen.clear();
        }
        inside.chosen.insert(key.place.clone(), protocol);
        match fresh {
            Fresh::Http1(connection) => Lent::Http1 { connection, reused: false, generation },
            Fresh::Http2(http2) => {
                // INVARIANT: a place on a new connection exists unless the origin allows no stream at all; then the
                // request waits on the connection itself, within the limit for the head.
                let stream = http2.place().unwrap_or_else(|| http2.overdraw());
                if generation == inside.generation {
                    inside.slots.entry(key.clone()).or_default().shared.push(http2);
                    self.bound(&mut inside);
                }
                Lent::Http2 { stream, reused: false }
            }
        }
    }

    /// Takes an HTTP/1.1 connection back whose answer was read to its end.
    pub(super) fn give_back(self: &Arc<Self>, key: &Key, mut connection: Http1, generation: u64) {
        connection.used = Instant::now();
        let mut inside = self.lock();
        if generation != inside.generation || !connection.is_fit() {
            return;
        }
        let slot = inside.slots.entry(key.clone()).or_default();
        if slot.idle.len() >= self.limits.pool_per_origin && !slot.idle.is_empty() {
            slot.idle.remove(0);
        }
        slot.idle.push(connection);
        self.bound(&mut inside);
    }

    /// Closes what is kept for `key`: one connection died of age, and the others are as old.
    pub(super) fn discard(&self, key: &Key) {
        if let Some(slot) = self.lock().slots.get_mut(key) {
            slot.idle.clear();
            slot.shared.clear();
        }
    }

    fn bound(self: &Arc<Self>, inside: &mut Inside) {
        if inside.unused() > self.limits.pool_total {
            inside.drop_oldest();
        }
        self.reap_later(inside);
    }

    /// Forgets all connections: unused ones close now, those in use after their answer.
    pub(super) fn forget(&self) {
        let mut inside = self.lock();
        inside.generation += 1;
        inside.chosen.clear();
        inside.slots.clear();
    }

    /// Starts the task that closes what was unused for too long; it ends when nothing is kept.
    fn reap_later(self: &Arc<Self>, inside: &mut Inside) {
        if std::mem::replace(&mut inside.reaping, true) {
            return;
        }
        let pool = Arc::downgrade(self);
        let every = (self.limits.pool_idle / 2).max(Duration::from_secs(1));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(pool) = pool.upgrade() else { return };
                let mut inside = pool.lock();
                inside.sweep(pool.limits.pool_idle);
                if inside.slots.is_empty() {
                    inside.reaping = false;
                    return;
                }
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.shared.is_empty() && self.dial.is_none()
    }
}

impl Inside {
    fn sweep(&mut self, limit: Duration) {
        self.slots.retain(|_, slot| {
            slot.idle.retain(Http1::is_fit);
            slot.shared.retain(|http2| {
                !http2.is_closed() && http2.idle_since().is_none_or(|since| since.elapsed() < limit)
            });
            !slot.is_empty()
        });
    }

    fn unused(&self) -> usize {
        let of = |slot: &Slot| {
            slot.idle.len() + slot.shared.iter().filter(|http2| http2.idle_since().is_some()).count()
        };
        self.slots.values().map(of).sum()
    }

    fn drop_oldest(&mut self) {
        let oldest = |slot: &Slot| {
            let http1 = slot.idle.first().map(|http1| http1.used);
            slot.shared.iter().filter_map(|http2| http2.idle_since()).chain(http1).min()
        };
        let of = |(key, slot): (&Key, &Slot)| Some((oldest(slot)?, key.clone()));
        let found = self.slots.iter().filter_map(of).min_by_key(|(at, _)| *at);
        let Some((at, key)) = found else { return };
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.idle.retain(|http1| http1.used != at);
            slot.shared.retain(|http2| http2.idle_since() != Some(at));
        }
    }
}
