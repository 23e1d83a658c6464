//! What becomes of a call that is held: people are asked, its connection waits as long as the operator lets it, and then it
//! is ruled on again, or refused. The same call, sent again later, finds its approval here.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::desk::{DeskError, Said};
use super::{Law, Leash, Pep, card};
use crate::accept::Agent;
use crate::body::Body;
use crate::call::{
    Approval, Attributed, Call, Class, Decided, Decision, Held, HoldId, HoldState, OperationId, OperatorId,
    Opinion, Peek, Refusal, Ruled,
};
use crate::intent::{Place, TaskEnd};
use crate::judge::hold::{Asked, Read, digest};

/// The longest body that can be held, bytes: people see it whole, and memory is bounded.
const HELD_BYTES: usize = 256 << 10;
/// How long the desk may take to say whether people are asked, however little patience there is.
const ASK_TIME: Duration = Duration::from_secs(10);
/// How long a body may take to be there as a whole.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What a call waits with.
pub(super) struct Bench<'a> {
    /// What would be sent.
    pub(super) sent: Sent<'a>,
    /// Who waits; nobody, where there is no connection to keep waiting.
    pub(super) agent: Option<&'a mut Agent>,
}

/// What would be sent beside the head.
pub(super) enum Sent<'a> {
    /// The message of a WebSocket.
    Message(&'a Peek),
    /// A body, read as far as the peek.
    Request(&'a mut Body, &'a mut Peek),
}

/// While it is there, whoever watches over the agent's connection knows that the call waits for a person.
struct HeldUp(Option<Arc<AtomicBool>>);

impl HeldUp {
    fn of(agent: Option<&Agent>) -> Self {
        let held = agent.map(Agent::held);
        if let Some(held) = &held {
            held.store(true, Relaxed);
        }
        Self(held)
    }
}

impl Drop for HeldUp {
    fn drop(&mut self) {
        if let Some(held) = &self.0 {
            held.store(false, Relaxed);
        }
    }
}

impl Bench<'_> {
    /// All of it; otherwise why it cannot be held.
    async fn whole(&mut self) -> Result<Bytes, &'static str> {
        const LONG: &str = "its body is longer than what a person can be shown";
        match &mut self.sent {
            Sent::Message(message) if message.whole && message.bytes.len() <= HELD_BYTES => {
                Ok(message.bytes.clone())
            }
            Sent::Message(_) => Err(LONG),
            Sent::Request(body, peek) => match timeout(BODY_TIME, body.peek(HELD_BYTES)).await {
                Ok(Ok(_)) if body.has_trailers() => Err("fields follow its body (trailers)"),
                Ok(Ok(seen)) if seen.whole && seen.bytes.len() <= HELD_BYTES => {
                    **peek = seen;
                    Ok(peek.bytes.clone())
                }
                Ok(Ok(_)) => Err(LONG),
                Ok(Err(_)) => Err("its body broke off"),
                Err(_) => Err("its body did not come to an end"),
            },
        }
    }

    /// Whether what waits looks like JSON-RPC, whose answers may come as events.
    fn looks_like_rpc(&self) -> bool {
        match &self.sent {
            Sent::Message(_) => false,
            Sent::Request(_, peek) => {
                let bytes = peek.bytes.trim_ascii_start();
                bytes.starts_with(b"{") && bytes.windows(9).any(|part| part == b"\"jsonrpc\"")
            }
        }
    }

    async fn gone(&mut self) {
        match &mut self.agent {
            Some(agent) => agent.gone().await,
            None => std::future::pending().await,
        }
    }
}

impl Pep {
    /// Has a call wait for people. Comes back with it once it may go on.
    pub(super) async fn hold(
        &self,
        mut held: Call<Held>,
        (law, opinion): (&Law, Option<Opinion>),
        place: &Place,
        ended: &mut watch::Receiver<Option<TaskEnd>>,
        mut bench: Bench<'_>,
    ) -> Result<Call<Decided>, Refusal> {
        let patience = if bench.agent.is_some() { self.desk.patience() } else { Duration::ZERO };
        let until = Instant::now() + patience;
        let body = match bench.whole().await {
            Ok(body) => body,
            Err(why) => {
                let (class, operation) = strongest(&held);
                let refusal = Refusal::HoldImpossible { class, operation, why };
                return Err(self.turn_down(&held, opinion.as_ref(), place, refusal).await);
            }
        };
        let is_rpc = law.catalog.speaks_rpc(held.head());
        loop {
            let said = tokio::select! {
                biased;
                why = Leash::cut(ended) => {
                    let refusal = Refusal::TaskEnded { why: why.to_owned() };
                    return Err(self.turn_down(&held, opinion.as_ref(), place, refusal).await);
                }
                said = timeout(ASK_TIME, self.ask_people(&held, law, &body, is_rpc)) => said,
            };
            let next = match said.unwrap_or(Err(DeskError::Slow)) {
                Ok(Said::Approved(approval)) if !self.is_under_the_same_rules(&approval) => held.reconsider(),
                Ok(Said::Approved(approval)) => {
                    tracing::info!(call.id = %held.head().id, hold.id = %approval.hold(), "approved: a held call goes on");
                    held.release(approval)
                }
                Ok(Said::Waiting(waits)) => {
                    match self.wait(&held, waits.id, until, ended, &mut bench).await {
                        // Under the rules of now: they may have changed, and so may what the task has done.
                        Ok(()) => held.reconsider(),
                        Err(refusal) => {
                            return Err(self.turn_down(&held, opinion.as_ref(), place, refusal).await);
                        }
                    }
                }
                no => {
                    let refusal = unasked(no, &held);
                    return Err(self.turn_down(&held, opinion.as_ref(), place, refusal).await);
                }
            };
            match self.again(next) {
                Ruled::Allowed(call) => return Ok(call),
                Ruled::Denied(call) => return Err(self.deny(&call, opinion.as_ref(), place).await),
                Ruled::Held(call) => held = call,
            }
        }
    }

    async fn ask_people(
        &self,
        call: &Call<Held>,
        law: &Law,
        body: &Bytes,
        is_rpc: bool,
    ) -> Result<Said, DeskError> {
        let (head, stage) = (call.head(), call.stage());
        let read = if is_rpc { Read::Rpc(body) } else { Read::Bytes(body) };
        let digest = digest(head, stage, read, stage.ruling.rules());
        let fresh = (HoldId::fresh(&*self.clock, &*self.entropy), self.clock.now());
        let asked = Asked::of(head, stage, &stage.ruling, digest, fresh, &self.desk.settings());
        let card = card::of(&law.catalog, &self.tasks, head, stage, &stage.ruling, body);
        self.desk.ask(asked, card).await
    }

    /// Waits until people have answered, or until nobody waits any more.
    async fn wait(
        &self,
        call: &Call<Held>,
        id: HoldId,
        until: Instant,
        ended: &mut watch::Receiver<Option<TaskEnd>>,
        bench: &mut Bench<'_>,
    ) -> Result<(), Refusal> {
        // Of calls that are alike, and of all together, no more wait than memory bears; the others come again.
        let Some(_seat) = self.desk.sit(id) else {
            return Err(still_held(call, id));
        };
        let _held_up = bench.looks_like_rpc().then(|| HeldUp::of(bench.agent.as_deref()));
        let waits_no_longer = async {
            tokio::select! {
                // People are asked all the same: it may come again.
                () = bench.gone() => {}
                () = self.desk.closed() => {}
                () = sleep_until(until) => {}
            }
        };
        tokio::select! {
            biased;
            why = Leash::cut(ended) => Err(Refusal::TaskEnded { why: why.to_owned() }),
            answered = self.desk.settled(id) => match answered {
                Some(HoldState::Expired) => {
                    let (class, operation) = strongest(call);
                    Err(Refusal::ApprovalExpired { class, operation, hold: id })
                }
                _ => Ok(()),
            },
            () = waits_no_longer => Err(still_held(call, id)),
        }
    }

    /// Other rules may have come since the approval was looked at: it answers those that asked.
    fn is_under_the_same_rules(&self, approval: &Approval) -> bool {
        self.law.borrow().rules.digest().to_string() == approval.rules()
    }

    fn again(&self, call: Call<Attributed>) -> Ruled {
        let rules = self.law.borrow().rules.clone();
        let ruling = rules.rule(&call);
        call.decide(ruling)
    }

    async fn turn_down(
        &self,
        held: &Call<Held>,
        opinion: Option<&Opinion>,
        place: &Place,
        refusal: Refusal,
    ) -> Refusal {
        self.settle(place, held.stage(), Decision::Hold, Some(refusal.code()));
        self.refuse(held.account().beside(opinion), Decision::Hold, refusal).await
    }
}

fn strongest(held: &Call<Held>) -> (Class, OperationId) {
    let operation = held.stage().operations.strongest();
    (operation.class, operation.id.clone())
}

/// What is said to whoever does not wait, or not any longer.
fn still_held(call: &Call<Held>, hold: HoldId) -> Refusal {
    let (class, operation) = strongest(call);
    Refusal::Held { class, operation, hold, ruling: Box::new(call.stage().ruling.clone()) }
}

/// Why people are not asked.
fn unasked(said: Result<Said, DeskError>, call: &Call<Held>) -> Refusal {
    match said {
        Ok(Said::Refused(hold)) => {
            let (class, operation) = strongest(call);
            let vote = hold.refuser();
            let by = vote.map_or_else(OperatorId::local, |vote| vote.by.clone());
            let note = vote.and_then(|vote| vote.note.clone());
            Refusal::ApprovalRefused { class, operation, hold: hold.id, by, note }
        }
        Ok(Said::Enough(why)) => Refusal::TooManyHolds { why },
        Ok(Said::Approved(_) | Said::Waiting(_)) => Refusal::Internal,
        Err(error) => Refusal::HoldsUnavailable { why: error.to_string() },
    }
}
