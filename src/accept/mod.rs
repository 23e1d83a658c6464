//! Intercepted: a byte stream becomes a call.
//!
//! What may enter: HTTP requests in absolute form, CONNECT tunnels with TLS inside (or, to ports other than 443, plain HTTP). What may
//! not: anything that HTTP allows two readings of, tunnels whose CONNECT target, SNI and `Host` differ, other protocols.
//! This room decides nothing else; it hands each call to a [`Walk`] and writes what comes back.
//!
//! In order: [`listen`] takes a connection, [`connect`] reads what it asks for, [`intercept`] ends the agent's TLS with a
//! leaf from [`ca`], [`serve`] reads requests, [`head`] makes a call of each, [`refuse`] words what is refused.

pub mod ca;
pub mod connect;
mod door;
pub mod head;
pub mod intercept;
pub mod listen;
pub mod refuse;
pub mod serve;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Response;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::body::framing::Limits;
use crate::body::{Body, Pending};
use crate::call::port::Neighbours;
use crate::call::veil::{veil, without_user};
use crate::call::{Call, Clock, Entropy, Intercepted, Presented, Refusal};

use ca::Ca;

/// What this room hands its calls to; `pep` implements it.
pub trait Walk: Send + Sync + 'static {
    /// Whether whoever presents this may open a tunnel at all. What happens in the tunnel is judged call by call.
    fn admit(&self, presented: &Presented) -> Result<(), Refusal>;

    /// Takes one call through the house and comes back with the answer. It is never dropped half-way: who asks and
    /// leaves at once is on record all the same. Nothing may go out for an agent that is [`Agent::gone`].
    fn walk(&self, call: Call<Intercepted>, body: Body, agent: Agent) -> impl Future<Output = Walked> + Send;

    /// Records what never became a call.
    fn turn_away(&self, turned: TurnedAway) -> impl Future<Output = ()> + Send;
}

/// Whoever waits for the answer of a call.
pub struct Agent {
    /// The connection itself, if the request asks for an upgrade.
    pub upgrade: Option<Pending>,
    /// Its other half goes when the agent's connection or stream does.
    waits: oneshot::Receiver<Infallible>,
    /// Whether its call waits for a person.
    held: Arc<AtomicBool>,
}

impl Agent {
    /// An agent that waits for as long as the other half of `waits` is kept.
    pub(crate) fn waiting(upgrade: Option<Pending>, waits: oneshot::Receiver<Infallible>) -> Self {
        Self { upgrade, waits, held: Arc::default() }
    }

    /// Whether its call waits for a person: set by whoever has it wait.
    pub fn held(&self) -> Arc<AtomicBool> {
        self.held.clone()
    }

    /// Comes to pass when nobody waits for the answer any more.
    pub async fn gone(&mut self) {
        let Err(_) = (&mut self.waits).await;
    }
}

/// What a walk comes back with.
pub struct Walked {
    /// What the agent gets.
    pub answer: Response<Body>,
    /// After a `101`: what carries the connection from then on. It runs on by itself.
    pub afterwards: Option<BoxFuture<'static, ()>>,
}

impl From<Response<Body>> for Walked {
    fn from(answer: Response<Body>) -> Self {
        Self { answer, afterwards: None }
    }
}

/// A connection or a request that ended before it was a call.
#[derive(Debug)]
pub struct TurnedAway {
    /// The other end.
    pub peer: SocketAddr,
    /// Where it wanted to go, as far as it said.
    pub authority: Option<String>,
    /// Why it may not.
    pub refusal: Refusal,
}

/// Bounds of this room.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Heads of HTTP/1 requests.
    pub limits: Limits,
    /// From the `200` to CONNECT until the tunnel's TLS handshake is done.
    pub handshake_time: Duration,
    /// Connections at once; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// Streams at once on one HTTP/2 connection (RFC 9113 §5.1.2).
    pub streams: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            handshake_time: Duration::from_secs(15),
            connections: 8_192,
            streams: 256,
        }
    }
}

/// Everything that a connection needs.
pub struct Front<W> {
    walk: Arc<W>,
    ca: Arc<Ca>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Stands for refused heads; see [`crate::body::framing`].
    marker: Arc<str>,
    /// Turns true when no new work is taken.
    drain: watch::Receiver<bool>,
    /// Tells which process connected, where somebody asks for that.
    neighbours: Option<Arc<dyn Neighbours>>,
    /// Places for those who look for a process.
    looks: Arc<Semaphore>,
}

impl<W: Walk> Front<W> {
    /// Puts the room together. `drain` turns true when remit stops.
    pub fn new(
        walk: Arc<W>,
        ca: Arc<Ca>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        drain: watch::Receiver<bool>,
        neighbours: Option<Arc<dyn Neighbours>>,
    ) -> Arc<Self> {
        let mut random = [0; 16];
        entropy.fill(&mut random);
        let marker = format!("/{:032x}", u128::from_be_bytes(random)).into();
        let looks = Arc::new(Semaphore::new(connect::LOOKS));
        Arc::new(Self { walk, ca, settings, clock, entropy, marker, drain, neighbours, looks })
    }

    async fn turn_away(&self, peer: SocketAddr, authority: Option<String>, refusal: Refusal) {
        // What is asked for may carry user and password.
        let authority = authority.map(|authority| veil(without_user(&authority), "").into_owned());
        tracing::debug!(%peer, authority, code = refusal.code(), "turned away: {refusal}");
        self.walk.turn_away(TurnedAway { peer, authority, refusal }).await;
    }
}

/// Waits until a flag turns true, or whoever could turn it is gone.
async fn turns_true(flag: &mut watch::Receiver<bool>) {
    let _gone_counts_too = flag.wait_for(|flag| *flag).await;
}
