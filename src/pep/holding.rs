//! What becomes of a call that is held: people are asked, its connection waits as long as the operator lets it, and then it
//! is ruled on again, or refused. The same call, sent again later, finds its approval here.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::desk::Said;
use super::{Law, Leash, Pep, card};
use crate::accept::Agent;
use crate::body::Body;
use crate::call::{
    Attributed, Call, Decided, Decision, Held, HoldId, HoldState, OperatorId, Opinion, Peek, Refusal, Ruled,
};
use crate::intent::{Place, TaskEnd};
use crate::judge::hold::{Asked, digest};

/// The longest body that can be held, bytes: people see it whole, and memory is bounded. As much as the catalog reads.
const HELD_BYTES: usize = 1 << 20;
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
            Sent::Message(message) if message.whole => Ok(message.bytes.clone()),
            Sent::Message(_) => Err(LONG),
            Sent::Request(_, peek) if peek.whole => Ok(peek.bytes.clone()),
            Sent::Request(body, peek) => match timeout(BODY_TIME, body.peek(HELD_BYTES)).await {
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
                let strongest = held.stage().operations.strongest();
                let (class, operation) = (strongest.class, strongest.id.clone());
                let refusal = Refusal::HoldImpossible { class, operation, why };
                return Err(self.turn_down(held, opinion.as_ref(), place, refusal).await);
            }
        };
        loop {
            let (head, stage) = (held.head(), held.stage());
            let digest = digest(head, stage, &body, stage.ruling.rules());
            let fresh = HoldId::fresh(&*self.clock, &*self.entropy);
            let asked = Asked::of(
                head,
                stage,
                &stage.ruling,
                digest,
                (fresh, self.clock.now()),
                self.desk.settings(),
            );
            let card = card::of(&law.catalog, &self.tasks, head, stage, &stage.ruling, &body);
            let hold = match self.desk.ask(asked, card).await {
                Ok(Said::Approved(approval)) => {
                    tracing::info!(call.id = %head.id, hold.id = %approval.hold(), "a held call goes on, approved");
                    match self.again(held.release(approval)) {
                        Ruled::Allowed(call) => return Ok(call),
                        Ruled::Denied(call) => return Err(self.deny(&call, opinion.as_ref(), place).await),
                        Ruled::Held(call) => held = call,
                    }
                    continue;
                }
                Ok(Said::Waiting(hold)) => hold.id,
                Ok(Said::Refused(hold)) => {
                    let (class, operation) = (hold.class, hold.operation.clone());
                    let vote = hold.refuser();
                    let by = vote.map_or_else(OperatorId::local, |vote| vote.by.clone());
                    let note = vote.and_then(|vote| vote.note.clone());
                    let refusal = Refusal::ApprovalRefused { class, operation, hold: hold.id, by, note };
                    return Err(self.turn_down(held, opinion.as_ref(), place, refusal).await);
                }
                Ok(Said::Enough(why)) => {
                    return Err(self
                        .turn_down(held, opinion.as_ref(), place, Refusal::TooManyHolds { why })
                        .await);
                }
                Err(error) => {
                    let refusal = Refusal::HoldsUnavailable { why: error.to_string() };
                    return Err(self.turn_down(held, opinion.as_ref(), place, refusal).await);
                }
            };
            let strongest = held.stage().operations.strongest();
            let (class, operation) = (strongest.class, strongest.id.clone());
            let ruling = Box::new(held.stage().ruling.clone());
            let held_up = HeldUp::of(bench.agent.as_deref());
            let waits_no_longer = async {
                tokio::select! {
                    () = bench.gone() => {}
                    () = self.desk.closed() => {}
                    () = sleep_until(until) => {}
                }
            };
            let settled = tokio::select! {
                biased;
                why = Leash::cut(ended) => Err(Refusal::TaskEnded { why: why.to_owned() }),
                state = self.desk.settled(hold) => Ok(state),
                // People are asked all the same: it may come again.
                () = waits_no_longer => {
                    Err(Refusal::Held { class, operation: operation.clone(), hold, ruling })
                }
            };
            drop(held_up);
            match settled {
                Err(refusal) => return Err(self.turn_down(held, opinion.as_ref(), place, refusal).await),
                Ok(Some(HoldState::Expired)) => {
                    let refusal = Refusal::ApprovalExpired { class, operation, hold };
                    return Err(self.turn_down(held, opinion.as_ref(), place, refusal).await);
                }
                // Under the rules of now: they may have changed, and so may what the task has done.
                Ok(_) => match self.again(held.reconsider()) {
                    Ruled::Allowed(call) => return Ok(call),
                    Ruled::Denied(call) => return Err(self.deny(&call, opinion.as_ref(), place).await),
                    Ruled::Held(call) => held = call,
                },
            }
        }
    }

    fn again(&self, call: Call<Attributed>) -> Ruled {
        let rules = self.law.borrow().rules.clone();
        let ruling = rules.rule(&call);
        call.decide(ruling)
    }

    async fn turn_down(
        &self,
        held: Call<Held>,
        opinion: Option<&Opinion>,
        place: &Place,
        refusal: Refusal,
    ) -> Refusal {
        self.settle(place, held.stage(), Decision::Hold, Some(refusal.code()));
        self.refuse(held.account().beside(opinion), Decision::Hold, refusal).await
    }
}
