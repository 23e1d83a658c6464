//! The policy enforcement point: the walk of a call, top to bottom. The one file where the rooms meet.
//!
//! It knows no protocol, no service, no policy: it calls the rooms in order and turns what they refuse into a
//! [`Refusal`]. Every way out of here is either an answer of the origin or a refusal, and every way out is recorded.

mod beside;
mod capturing;
mod card;
mod closing;
pub mod desk;
mod equipping;
mod handing;
mod heartbeat;
mod holding;
mod messages;
pub mod meters;
mod modes;
mod refusals;
mod standing;
mod toll;
mod tools;

use std::sync::Arc;

use http::{HeaderValue, Response};
use tokio::sync::watch;

use crate::accept::{Agent, TurnedAway, Walk, Walked, refuse};
use crate::body::Body;
use crate::call::stage::Upgrade;
use crate::call::{
    Account, Attributed, Call, Clock, Decided, Decision, Denied, Entropy, Intercepted, Mode, Opened,
    Operations, Opinion, Outcome, Peek, Presented, Principal, Recognised, Refusal, Ruled, Timestamp,
};
use crate::catalog::Catalog;
use crate::identity::{Chains, Claim, Identity, IdentityError};
use crate::intent::{Attached, Place, TaskEnd, Tasks};
use crate::judge::Rules;
use crate::lease::{Broker, formats};
use crate::origin::{Answer, Upstream};
use crate::record::{Event, Journal};

use beside::Beside;
use closing::Closer;
use desk::Desk;
use holding::{Bench, Sent};
use messages::{Messages, Speaker};
use meters::{Meters, Step};
pub use modes::Modes;
use standing::Standing;
use toll::Toll;
use tools::Listener;

/// What names operations, and what rules on them by these names: swapped together, or not at all.
#[derive(Clone, Debug)]
pub struct Law {
    /// Names operations.
    pub catalog: Arc<Catalog>,
    /// Rules.
    pub rules: Arc<Rules>,
    /// Would take their place: asked beside them, and without any force.
    pub candidate: Option<Arc<Rules>>,
    /// How often these were loaded since the node started, beginning with 1.
    pub generation: u64,
}

/// The rooms, in the order of the walk.
#[derive(Clone)]
pub struct Pep {
    /// Names operations and rules. A call keeps what it began with.
    pub law: watch::Receiver<Law>,
    /// What a ruling does.
    pub modes: Arc<Modes>,
    /// Tells who asks.
    pub identity: Identity,
    /// Signs what is handed over.
    pub chains: Arc<Chains>,
    /// Tells for which task.
    pub tasks: Arc<Tasks>,
    /// Where held calls wait for people.
    pub desk: Arc<Desk>,
    /// Gives credentials.
    pub leases: Arc<Broker>,
    /// Writes down.
    pub journal: Arc<Journal>,
    /// Forwards.
    pub upstream: Upstream,
    /// Tells how long it took.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub meters: Arc<Meters>,
    /// For the ids of messages.
    pub entropy: Arc<dyn Entropy>,
}

/// What holds a call to its task while it is under way.
struct Leash {
    ended: watch::Receiver<Option<TaskEnd>>,
    place: Arc<Place>,
    toll: Toll,
}

impl Leash {
    /// Comes to pass when the task ends.
    async fn cut(ended: &mut watch::Receiver<Option<TaskEnd>>) -> &'static str {
        match ended.wait_for(Option::is_some).await {
            Ok(_) => "it ended while the call was under way",
            // The registry is gone, and with it whoever could end the task.
            Err(_) => "the node is stopping",
        }
    }

    async fn cut_for_good(mut ended: watch::Receiver<Option<TaskEnd>>) -> &'static str {
        Self::cut(&mut ended).await
    }
}

impl Walk for Pep {
    fn admit(&self, presented: &Presented) -> Result<(), Refusal> {
        let claim = self.identity.attribute(presented).map_err(|error| refusals::identity(&error))?;
        match claim {
            // Asked again at every call; here only so that a client learns it before it builds a tunnel.
            Claim::Token { task, .. } | Claim::Port { task } => {
                let ended = *self.tasks.ended(task).map_err(|error| refusals::intent(&error))?.borrow();
                ended.map_or(Ok(()), |why| Err(Refusal::TaskEnded { why: why.to_string() }))
            }
            Claim::Svid { .. } | Claim::Neighbour { .. } | Claim::Assumed { .. } => Ok(()),
        }
    }

    async fn walk(&self, call: Call<Intercepted>, body: Body, agent: Agent) -> Walked {
        if heartbeat::is_wanted(call.head()) {
            return heartbeat::walk(self.clone(), call, body, agent).await;
        }
        self.walk_now(call, body, agent).await
    }

    async fn turn_away(&self, turned: TurnedAway) {
        let TurnedAway { peer, authority, refusal } = turned;
        self.meters.refused(refusal.code());
        let event = Event::TurnedAway { peer, authority: authority.as_deref(), refusal: &refusal };
        if let Err(error) = self.journal.note(event).await {
            tracing::error!(%error, %peer, "a connection was turned away and cannot be recorded");
        }
    }
}

impl Pep {
    /// The walk of a call, and how its answer begins.
    async fn walk_now(&self, call: Call<Intercepted>, body: Body, agent: Agent) -> Walked {
        let law = self.law.borrow().clone();
        let (head, mut peek) = (call.head().clone(), Peek::default());
        let id = head.id;
        // On the heap: it is too large to be moved about.
        let mut walked = match Box::pin(self.go(&law, call, body, agent, &mut peek)).await {
            Ok(walked) => walked,
            Err(refusal) => {
                self.meters.refused(refusal.code());
                let wording = refuse::Wording::of(&head, law.catalog.wire(&head, &peek));
                return refuse::answer(&refusal, &wording).into();
            }
        };
        if let Ok(id) = HeaderValue::try_from(id.to_string()) {
            walked.answer.headers_mut().insert("remit-call", id);
        }
        walked
    }

    /// Steps 3 to 9 of the walk (ARCHITECTURE.md). What was seen of the body is left in `peek`.
    async fn go(
        &self,
        law: &Law,
        call: Call<Intercepted>,
        mut body: Body,
        mut agent: Agent,
        peek: &mut Peek,
    ) -> Result<Walked, Refusal> {
        let began = self.clock.now();
        let (call, lists_tools) = self.recognise(&law.catalog, call, &mut body, peek).await?;
        let began = self.step(Step::Recognise, began);
        let (call, mut leash) = self.attribute(call, toll::announced(&body)).await?;
        let call = self.examine(&law.catalog, call, peek, &leash.place).await?;
        let began = self.step(Step::Attribute, began);
        let bench = Bench { sent: Sent::Request(&mut body, peek), agent: Some(&mut agent) };
        let call = self.decide(law, call, &mut leash, bench).await?;
        let call = self.hand_over(call, &leash.place).await?;
        let waited = call.stage().approval.is_some();
        // How long people took says nothing of remit.
        let began = if waited { self.clock.now() } else { self.step(Step::Judge, began) };
        let opened = self.open(&call, &leash.place).await?;
        let ended = self.step(Step::Record, began);
        self.meters.opened(call.stage().operations.class(), ended.since(began));
        let listener = lists_tools.then(|| Listener::new(law.catalog.clone(), call.head().clone()));
        let mut walked = self.forward(law, call, opened, leash, body, agent).await?;
        if let Some(listener) = listener {
            walked.answer = listener.listen(walked.answer);
        }
        Ok(walked)
    }

    /// Names what the call would do, and whether its answer tells of tools (MCP).
    async fn recognise(
        &self,
        catalog: &Catalog,
        call: Call<Intercepted>,
        body: &mut Body,
        peek: &mut Peek,
    ) -> Result<(Call<Recognised>, bool), Refusal> {
        if let Some(limit_bytes) = catalog.wants_body(call.head()) {
            match body.peek(limit_bytes).await {
                Ok(seen) => *peek = seen,
                Err(error) => {
                    let refusal = Refusal::BadRequest { why: format!("its body broke off: {error}") };
                    return Err(self.refuse(call.account(), Decision::Deny, refusal).await);
                }
            }
        }
        let brought = formats::brought(call.head(), &peek.bytes, formats::is_placeholder);
        let operations = catalog.recognise(call.head(), peek).bringing(brought);
        let lists_tools = catalog.lists_tools(call.head(), peek);
        Ok((call.recognise(operations), lists_tools))
    }

    async fn attribute(
        &self,
        call: Call<Recognised>,
        announced_bytes: u64,
    ) -> Result<(Call<Attributed>, Leash), Refusal> {
        let claim = match self.identity.attribute(&call.stage().presented) {
            Ok(claim) => claim,
            Err(error) => {
                return Err(self.refuse(call.account(), Decision::Deny, refusals::identity(&error)).await);
            }
        };
        let (task, handed) = match self.task_of(&claim, &call.stage().presented).await {
            Ok(found) => found,
            Err(refusal) => return Err(self.refuse(call.account(), Decision::Deny, refusal).await),
        };
        let attached = match self.tasks.attach(task, &call.stage().operations) {
            Ok(attached) => attached,
            Err(error) => {
                return Err(self.refuse(call.account(), Decision::Deny, refusals::intent(&error)).await);
            }
        };
        let shown = match handed {
            Some(shown) if shown.agent == attached.task.agent => Ok(shown),
            Some(Principal { agent: caller, .. }) => {
                Err(IdentityError::NotHanded { to: attached.task.agent.clone(), caller })
            }
            None => claim.principal(&attached.task),
        };
        let principal = match shown {
            Ok(principal) => principal,
            Err(error) => {
                return Err(self.refuse(call.account(), Decision::Deny, refusals::identity(&error)).await);
            }
        };
        let Attached { task, profile, history, links, ended, obstacle, place } = attached;
        let call = call.attribute(principal, task, history).standing_in(profile, links);
        let place = Arc::new(place);
        let paid = match obstacle {
            Some(obstacle) => Err(refusals::obstacle(&obstacle)),
            None if call.head().upgrade == Some(Upgrade::WebSocket) && place.has_budget_of_bytes() => {
                Err(refusals::uncounted_upgrade())
            }
            None => {
                Toll::prepay(place.clone(), announced_bytes).map_err(|obstacle| refusals::obstacle(&obstacle))
            }
        };
        match paid {
            Ok(toll) => Ok((call, Leash { ended, place, toll })),
            Err(refusal) => {
                self.settle(&place, call.stage(), Decision::Deny, Some(refusal.code()));
                Err(self.refuse(call.account(), Decision::Deny, refusal).await)
            }
        }
    }

    /// Rules on a call, and has it wait for people if that is what the ruling says.
    async fn decide(
        &self,
        law: &Law,
        call: Call<Attributed>,
        leash: &mut Leash,
        bench: Bench<'_>,
    ) -> Result<Call<Decided>, Refusal> {
        let ruling = law.rules.rule(&call);
        if self.modes.of(&call.stage().operations) == Mode::Observe {
            self.meters.observed(ruling.decision());
            return Ok(call.observe(ruling));
        }
        let decision = ruling.decision();
        // What goes on is put before the candidate later, when nothing waits for it.
        let opinion = if decision == Decision::Allow { None } else { self.opinion(law, &call, decision) };
        match call.decide(ruling) {
            Ruled::Allowed(call) => Ok(call),
            Ruled::Denied(call) => Err(self.deny(&call, opinion.as_ref(), &leash.place).await),
            // Rare, and large: no other call is to carry its weight.
            Ruled::Held(call) => {
                Box::pin(self.hold(call, (law, opinion), &leash.place, &mut leash.ended, bench)).await
            }
        }
    }

    async fn deny(&self, call: &Call<Denied>, opinion: Option<&Opinion>, place: &Place) -> Refusal {
        let (strongest, ruling) = (call.stage().operations.strongest(), &call.stage().ruling);
        let (class, operation) = (strongest.class, strongest.id.clone());
        let refusal = Refusal::PolicyDenied { class, operation, ruling: Box::new(ruling.clone()) };
        self.settle(place, call.stage(), Decision::Deny, Some(refusal.code()));
        self.refuse(call.account().beside(opinion), Decision::Deny, refusal).await
    }

    /// What the candidate would rule, if there is one.
    fn opinion(&self, law: &Law, call: &Call<Attributed>, live: Decision) -> Option<Opinion> {
        let opinion = beside::ask(law.candidate.as_deref()?, call)?;
        self.meters.compared(live, opinion.decision);
        Some(opinion)
    }

    /// INVARIANT I2: nothing is forwarded whose intention is not written.
    async fn open(&self, call: &Call<Decided>, place: &Place) -> Result<Opened, Refusal> {
        match self.journal.open(call).await {
            Ok(opened) => {
                self.settle(place, call.stage(), Decision::Allow, None);
                Ok(opened)
            }
            Err(error) => {
                let refusal = refusals::journal(&error);
                self.meters.decided(Some(call.stage().operations.class()), Decision::Deny);
                self.settle(place, call.stage(), Decision::Deny, Some(refusal.code()));
                Err(refusal)
            }
        }
    }

    async fn forward(
        &self,
        law: &Law,
        call: Call<Decided>,
        opened: Opened,
        leash: Leash,
        body: Body,
        mut agent: Agent,
    ) -> Result<Walked, Refusal> {
        let Leash { mut ended, place, toll } = leash;
        let mut standing = Standing::of(&call, &self.law);
        let mut beside = Beside::of(law, standing.call(), call.stage().ruling.decision(), &self.meters);
        let speaker = agent.upgrade.is_some().then(|| Speaker::of(&call));
        let (origin, at) = (call.head().origin.clone(), call.head().at);
        let call = call.equip(&opened);
        let mut closer = Closer::new(opened, at, self.clock.clone(), place, self.meters.clone());
        let carried = closer.carried();
        let stopped = toll.stopped();
        // In this order: cut first, then paid for, then measured. Nothing goes out that was not paid for.
        let body =
            body.leashed(Leash::cut_for_good(ended.clone())).gated(toll).watched(closer.request_watch());
        let sent = tokio::select! {
            biased;
            why = Leash::cut(&mut ended) => {
                let refusal = Refusal::TaskEnded { why: why.to_owned() };
                closer.refused(Outcome::Revoked, &refusal, None);
                return Err(refusal);
            }
            refusal = standing.lost() => {
                closer.refused(Outcome::Revoked, &refusal, None);
                return Err(refusal);
            }
            () = agent.gone() => {
                closer.left();
                return Err(Refusal::AgentGone);
            }
            sent = self.send(&law.catalog, call, body, &carried) => sent,
            // Last: by now the request is on its way.
            never = beside.meanwhile() => match never {},
        };
        closer.compared(beside.opinion());
        let Answer { call: _forwarded, response, upgraded } = match sent {
            Ok(answer) => answer,
            Err(error) => {
                let (mut outcome, mut refusal, why) = equipping::unsent(&error, &origin);
                if let Some(obstacle) = stopped.why() {
                    (outcome, refusal) = (Outcome::Revoked, refusals::obstacle(&obstacle));
                }
                closer.refused(outcome, &refusal, Some(why));
                return Err(refusal);
            }
        };
        closer.answered(&response);
        if let (Some(upgraded), Some(agent), Some(speaker)) = (upgraded, agent.upgrade, speaker) {
            let (head, _none) = response.into_parts();
            let cut = async move {
                tokio::select! {
                    why = Leash::cut_for_good(ended) => why,
                    why = standing.lost_for_good() => why,
                }
            };
            let gate = Messages::new(self.clone(), speaker, &head.headers).scrubbing(carried.scrubber());
            let afterwards = closer.pump(agent, upgraded, cut, gate);
            let answer = Response::from_parts(head, Body::empty());
            return Ok(Walked { answer, afterwards: Some(Box::pin(afterwards)) });
        }
        let leash = |body: Body| body.leashed(Leash::cut_for_good(ended)).leashed(standing.lost_for_good());
        Ok(response.map(|body| leash(body).watched(closer)).into())
    }

    /// Records a refusal. One that cannot be recorded is a refusal all the same.
    async fn refuse(&self, account: Account<'_>, decision: Decision, refusal: Refusal) -> Refusal {
        self.meters.decided(account.operations.map(Operations::class), decision);
        match self.journal.refuse(account, &refusal).await {
            Ok(_receipt) => refusal,
            Err(error) => {
                tracing::error!(%error, call = %account.head.id, "a refused call cannot be recorded: {refusal}");
                refusals::journal(&error)
            }
        }
    }

    /// Notes how long a stage took, and when the next one begins.
    fn step(&self, step: Step, began: Timestamp) -> Timestamp {
        let now = self.clock.now();
        self.meters.step(step, now.since(began));
        now
    }

    fn settle(&self, place: &Place, stage: &Attributed, decision: Decision, refusal: Option<&'static str>) {
        place.settle(&stage.operations, decision, refusal, self.clock.now());
    }
}
