//! A call, typed by how far it has come.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::decision::{Decision, Mode, Opinion, Ruling};
use super::hold::Approval;
use super::host::Origin;
use super::id::CallId;
use super::lease::Leased;
use super::operation::Operations;
use super::principal::{Presented, Principal};
use super::receipt::Opened;
use super::target::Target;
use super::task::{AgentProfile, History, Link, Task};
use super::time::Timestamp;
use super::trace::TraceContext;

/// The field that hands a task over from node to node (ARCHITECTURE.md, "Chains"). remit alone sets it.
pub const CHAIN: HeaderName = HeaderName::from_static("remit-chain");

/// What an agent sent, less its body and its proxy credentials.
#[derive(Clone, Debug)]
pub struct Head {
    /// The call's id, also shown to the agent as `remit-call`.
    pub id: CallId,
    /// When its head was complete.
    pub at: Timestamp,
    /// Where it is to go.
    pub origin: Origin,
    /// The method, as sent.
    pub method: Method,
    /// Path and query.
    pub target: Target,
    /// The version spoken on the agent's leg.
    pub version: Version,
    /// End-to-end headers. Hop-by-hop headers, everything proxy-related and forwarding claims are gone already.
    pub headers: HeaderMap,
    /// Its place in a trace.
    pub trace: TraceContext,
    /// The protocol of an `Upgrade` request, `websocket` being the only one that is let through.
    pub upgrade: Option<Upgrade>,
}

/// Protocols that a connection may be upgraded to (RFC 9110 §7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// None: a message inside of a connection that was upgraded before.
    Message,
    /// RFC 6455.
    WebSocket,
}

/// As much of the body as the catalog asked to see. What was seen is replayed, byte for byte.
#[derive(Clone, Debug, Default)]
pub struct Peek {
    /// The first bytes.
    pub bytes: Bytes,
    /// Whether those are all.
    pub whole: bool,
}

/// A call at stage `S`.
#[derive(Debug)]
pub struct Call<S> {
    head: Head,
    stage: S,
}

/// Stage 1: it came in.
#[derive(Clone, Debug)]
pub struct Intercepted {
    /// What the connection showed of itself.
    pub presented: Presented,
}

/// Stage 2: it is known what it would do.
#[derive(Clone, Debug)]
pub struct Recognised {
    before: Intercepted,
    /// What it would do.
    pub operations: Operations,
}

/// Stage 3: it is known who does it, and for which task.
#[derive(Clone, Debug)]
pub struct Attributed {
    before: Recognised,
    /// Who.
    pub principal: Principal,
    /// For which task.
    pub task: Arc<Task>,
    /// What the task had done before.
    pub history: History,
    /// What the agent is.
    pub profile: Arc<AgentProfile>,
    /// The tasks above, nearest first. Each has to be one that could make this call too (INVARIANT I6).
    pub links: Vec<Link>,
    /// That people approved it, where it was held before.
    pub approval: Option<Arc<Approval>>,
}

/// Stage 4: it may go on.
#[derive(Debug)]
pub struct Decided {
    before: Attributed,
    /// Why; where it is only observed, what would have become of it.
    pub ruling: Ruling,
    /// Whether the ruling had any force.
    pub mode: Mode,
}

/// Stage 4, another branch: it may go on as soon as a person has approved it.
#[derive(Debug)]
pub struct Held {
    before: Attributed,
    /// Why, and who may approve.
    pub ruling: Ruling,
}

/// Stage 4, the other branch: it may not.
#[derive(Debug)]
pub struct Denied {
    before: Attributed,
    /// Why.
    pub ruling: Ruling,
}

/// Stage 5: its intention is written, and it has what the origin wants to see.
#[derive(Debug)]
pub struct Credentialed {
    before: Decided,
    /// The lease whose credential it carries; none: it goes out with what the agent sent.
    pub lease: Option<Leased>,
}

/// Stage 6: it went out.
#[derive(Debug)]
pub struct Forwarded {
    before: Credentialed,
}

macro_rules! builds_on {
    ($($next:ty => $last:ty),*) => {$(
        /// A later stage is all that the earlier one was.
        impl Deref for $next {
            type Target = $last;
            fn deref(&self) -> &$last {
                &self.before
            }
        }
    )*};
}
builds_on!(
    Recognised => Intercepted, Attributed => Recognised, Decided => Attributed, Denied => Attributed,
    Held => Attributed, Credentialed => Decided, Forwarded => Credentialed
);

/// What became of a decision.
#[derive(Debug)]
pub enum Ruled {
    /// It goes on.
    Allowed(Call<Decided>),
    /// It ends here.
    Denied(Call<Denied>),
    /// It waits for a person. Nothing makes a decided call of it but another ruling.
    Held(Call<Held>),
}

impl<S> Call<S> {
    /// The head of the request.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What is known at this stage.
    pub fn stage(&self) -> &S {
        &self.stage
    }
}

impl Call<Intercepted> {
    /// A call begins.
    pub fn intercepted(head: Head, presented: Presented) -> Self {
        Self { head, stage: Intercepted { presented } }
    }

    /// `catalog` has named its operations.
    pub fn recognise(self, operations: Operations) -> Call<Recognised> {
        Call { head: self.head, stage: Recognised { before: self.stage, operations } }
    }
}

impl Call<Recognised> {
    /// `identity` and `intent` have told whose it is.
    pub fn attribute(self, principal: Principal, task: Arc<Task>, history: History) -> Call<Attributed> {
        let (profile, links) = (Arc::default(), Vec::new());
        let (before, approval) = (self.stage, None);
        let stage = Attributed { before, principal, task, history, profile, links, approval };
        Call { head: self.head, stage }
    }
}

impl Call<Attributed> {
    /// What is known of the agent, and the tasks above that it was delegated from, nearest first.
    #[must_use]
    pub fn standing_in(mut self, profile: Arc<AgentProfile>, links: Vec<Link>) -> Self {
        self.stage.profile = profile;
        self.stage.links = links;
        self
    }

    /// `judge` has ruled.
    pub fn decide(self, ruling: Ruling) -> Ruled {
        let Self { head, stage: before } = self;
        match ruling.decision() {
            Decision::Allow => {
                Ruled::Allowed(Call { head, stage: Decided { before, ruling, mode: Mode::Enforce } })
            }
            Decision::Deny => Ruled::Denied(Call { head, stage: Denied { before, ruling } }),
            Decision::Hold => Ruled::Held(Call { head, stage: Held { before, ruling } }),
        }
    }

    /// `judge` has ruled, and whatever it says, the operator wants to see and not to stop such calls.
    pub fn observe(self, ruling: Ruling) -> Call<Decided> {
        Call { head: self.head, stage: Decided { before: self.stage, ruling, mode: Mode::Observe } }
    }
}

impl Call<Held> {
    /// To be ruled on again, as it was before anybody approved anything.
    pub fn reconsider(self) -> Call<Attributed> {
        let mut call = Call { head: self.head, stage: self.stage.before };
        call.stage.approval = None;
        call
    }

    /// To be ruled on again, with the approval of people.
    pub fn release(self, approval: Approval) -> Call<Attributed> {
        let mut call = self.reconsider();
        call.stage.approval = Some(Arc::new(approval));
        call
    }
}

impl Call<Attributed> {
    /// With the approval that it had when it was ruled on: for the past, judged again.
    #[must_use]
    pub fn approved(mut self, approval: Option<Approval>) -> Self {
        self.stage.approval = approval.map(Arc::new);
        self
    }
}

impl Call<Decided> {
    /// The same call as before it was decided, to be judged again; without its headers and its token, which no ruling
    /// looks at.
    pub fn again(&self) -> Call<Attributed> {
        let head = &self.head;
        let head = Head {
            id: head.id,
            at: head.at,
            origin: head.origin.clone(),
            method: head.method.clone(),
            target: head.target.clone(),
            version: head.version,
            headers: HeaderMap::new(),
            trace: head.trace.clone(),
            upgrade: head.upgrade,
        };
        let mut stage = self.stage.before.clone();
        stage.before.before.presented.token = None;
        stage.before.before.presented.chain = None;
        Call { head, stage }
    }

    /// Has it carry what hands a task to whoever answers it. `accept` took away whatever the agent sent by that name.
    #[must_use]
    pub fn bearing(mut self, chain: HeaderValue) -> Self {
        self.head.headers.insert(CHAIN, chain);
        self
    }

    /// Makes it ready to leave. Asks for the proof that its intention is written (INVARIANT I2).
    pub fn equip(self, opened: &Opened) -> Call<Credentialed> {
        debug_assert_eq!(opened.call(), self.head.id, "the proof belongs to another call");
        Call { head: self.head, stage: Credentialed { before: self.stage, lease: None } }
    }
}

impl Call<Credentialed> {
    /// Has it carry the credential of a lease. `put` sees no more of the call than where a credential can stand.
    pub fn carrying<E>(
        mut self,
        lease: Leased,
        put: impl FnOnce(&Origin, &Method, &mut HeaderMap, &mut Target) -> Result<(), E>,
    ) -> Result<Self, E> {
        let Head { origin, method, headers, target, .. } = &mut self.head;
        put(origin, method, headers, target)?;
        self.stage.lease = Some(lease);
        Ok(self)
    }

    /// Has it ask for its answer in a form that can be read on the way.
    pub fn ask(&mut self, ask: impl FnOnce(&mut HeaderMap)) {
        ask(&mut self.head.headers);
    }

    /// It went out and an answer began.
    pub fn forwarded(self) -> Call<Forwarded> {
        Call { head: self.head, stage: Forwarded { before: self.stage } }
    }
}

/// All that is known of a call by now: what an entry of the journal is written from. Unlike the stages it may lack
/// parts, because a call can be refused at any of them.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The head.
    pub head: &'a Head,
    /// What the connection showed of itself.
    pub presented: &'a Presented,
    /// From stage 2 on.
    pub operations: Option<&'a Operations>,
    /// From stage 3 on.
    pub attributed: Option<&'a Attributed>,
    /// From stage 4 on.
    pub ruling: Option<&'a Ruling>,
    /// Whether that had any force.
    pub mode: Mode,
    /// What a candidate for the place of the policies would have ruled.
    pub candidate: Option<&'a Opinion>,
}

impl<'a> Account<'a> {
    /// With what a candidate for the place of the policies would have ruled.
    #[must_use]
    pub fn beside(self, candidate: Option<&'a Opinion>) -> Self {
        Self { candidate, ..self }
    }

    fn early(head: &'a Head, presented: &'a Presented, operations: Option<&'a Operations>) -> Self {
        let mode = Mode::Enforce;
        Self { head, presented, operations, attributed: None, ruling: None, mode, candidate: None }
    }

    fn late(head: &'a Head, stage: &'a Attributed, ruling: Option<&'a Ruling>) -> Self {
        Self {
            attributed: Some(stage),
            ruling,
            ..Self::early(head, &stage.presented, Some(&stage.operations))
        }
    }
}

/// A stage that can tell what it knows.
pub trait Stage: Sized {
    /// Everything known of `call`.
    fn account(call: &Call<Self>) -> Account<'_>;
}

impl<S: Stage> Call<S> {
    /// Everything known by now.
    pub fn account(&self) -> Account<'_> {
        S::account(self)
    }
}

impl Stage for Intercepted {
    fn account(call: &Call<Self>) -> Account<'_> {
        Account::early(&call.head, &call.stage.presented, None)
    }
}

impl Stage for Recognised {
    fn account(call: &Call<Self>) -> Account<'_> {
        Account::early(&call.head, &call.stage.presented, Some(&call.stage.operations))
    }
}

impl Stage for Attributed {
    fn account(call: &Call<Self>) -> Account<'_> {
        Account::late(&call.head, &call.stage, None)
    }
}

impl Stage for Decided {
    fn account(call: &Call<Self>) -> Account<'_> {
        let Decided { before, ruling, mode } = &call.stage;
        Account { mode: *mode, ..Account::late(&call.head, before, Some(ruling)) }
    }
}

impl Stage for Denied {
    fn account(call: &Call<Self>) -> Account<'_> {
        Account::late(&call.head, &call.stage.before, Some(&call.stage.ruling))
    }
}

impl Stage for Held {
    fn account(call: &Call<Self>) -> Account<'_> {
        Account::late(&call.head, &call.stage.before, Some(&call.stage.ruling))
    }
}
