//! The agents of this node: what the operator put down of each, what each did in all its tasks, and who is in quarantine.
//!
//! An agent that was not put down is not refused here; it is listed as unregistered and policies can ask. For an
//! integration the operations of its learning time are its fixed set; another one afterwards is `drift`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::IntentError;
use super::ledger::DISTINCT_PER_TASK;
use super::view::Counts;
use crate::call::grant::Pattern;
use crate::call::{
    AgentHistory, AgentKind, AgentProfile, Binding, Class, Decision, Host, OperationId, Operations, PeerName,
    ServiceName, SpiffeId, Timestamp,
};

/// How long an integration is watched before another operation counts as drift, where nothing else is said.
pub const DEFAULT_LEARNING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What an operator put down of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registration {
    /// Kind, owner, environment, purpose, labels.
    pub profile: AgentProfile,
    /// What its tokens are bound to.
    pub binding: Binding,
    /// How long it is watched from its first call on; for integrations.
    pub learning: Option<Duration>,
    /// Its fixed set of operations, where the operator knows it; nothing is learnt then.
    pub operations: Vec<Pattern>,
    /// The hosts at which it is invoked: a call of class delegate that goes there hands it a task.
    pub hosts: Vec<Host>,
    /// The node that it works behind, which what is handed over is told; none: nothing is told.
    pub behind: Option<PeerName>,
    /// Percent of what is left of a budget that is lent to another node with a task.
    pub lends_percent: Option<u8>,
}

/// An agent that a call invokes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoked {
    /// Who.
    pub agent: SpiffeId,
    /// The node that it works behind.
    pub behind: Option<PeerName>,
    /// Percent of what is left of a budget that it is lent.
    pub lends_percent: u8,
}

/// How much is lent where nothing is said: what is left after that is enough for another agent, and for more of its own.
const DEFAULT_LENDS_PERCENT: u8 = 50;

/// All agents.
#[derive(Debug)]
pub(super) struct Agents {
    /// By the configuration, which wins.
    configured: BTreeMap<SpiffeId, Registration>,
    /// By the API.
    registered: RwLock<BTreeMap<SpiffeId, Registration>>,
    limit: usize,
    known: RwLock<HashMap<SpiffeId, Arc<Agent>>>,
    /// Stands for agents beyond the limit, so that what they do is bounded and still judged.
    others: Arc<Agent>,
}

/// One agent.
#[derive(Debug)]
pub(super) struct Agent {
    put_down: ArcSwap<PutDown>,
    quarantined: AtomicBool,
    /// Guards what it did.
    done: Mutex<Done>,
}

/// What of a registration counts at a call.
#[derive(Debug)]
struct PutDown {
    profile: Arc<AgentProfile>,
    binding: Binding,
    learning: Duration,
    fixed: Vec<Pattern>,
}

impl PutDown {
    fn of(registration: Option<&Registration>) -> Self {
        let registration = registration.cloned().unwrap_or_default();
        Self {
            profile: Arc::new(registration.profile),
            binding: registration.binding,
            learning: registration.learning.unwrap_or(DEFAULT_LEARNING),
            fixed: registration.operations,
        }
    }

    fn drifts(&self, done: &Done, operation: &OperationId, now: Timestamp) -> bool {
        if !self.fixed.is_empty() {
            return !self.fixed.iter().any(|known| known.covers(&operation.0));
        }
        !self.is_learning(done, now) && !done.learnt.contains(operation)
    }

    fn is_learning(&self, done: &Done, now: Timestamp) -> bool {
        done.first.is_none_or(|first| now.since(first) < self.learning)
    }
}

#[derive(Debug, Default)]
struct Done {
    counts: Counts,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    services: HashSet<ServiceName>,
    operations: HashSet<OperationId>,
    learnt: HashSet<OperationId>,
}

/// An agent as it is shown.
#[derive(Clone, Debug)]
pub struct AgentLine {
    /// Who.
    pub id: SpiffeId,
    /// What was put down.
    pub profile: Arc<AgentProfile>,
    /// Whether it may do nothing.
    pub quarantined: bool,
    /// Its first settled call.
    pub first: Option<Timestamp>,
    /// Its last settled call.
    pub last: Option<Timestamp>,
    /// What it did in all its tasks.
    pub counts: Counts,
    /// How many different operations it was let through with.
    pub operations: usize,
}

impl Agents {
    /// Those of the configuration, and those that were registered by the API before, as far as the configuration does not
    /// name them.
    pub(super) fn new(
        configured: BTreeMap<SpiffeId, Registration>,
        mut registered: BTreeMap<SpiffeId, Registration>,
        limit: usize,
    ) -> Self {
        registered.retain(|id, _| !configured.contains_key(id));
        let known = configured.iter().chain(&registered);
        let known = known.map(|(id, entry)| (id.clone(), Arc::new(Agent::new(Some(entry))))).collect();
        let (registered, known) = (RwLock::new(registered), RwLock::new(known));
        Self { configured, registered, limit, known, others: Arc::new(Agent::new(None)) }
    }

    /// Whether an agent can be registered so, or forgotten.
    pub(super) fn check(&self, id: &SpiffeId, wanted: Option<&Registration>) -> Result<(), IntentError> {
        if self.configured.contains_key(id) {
            return Err(IntentError::Configured(id.clone()));
        }
        let Some(wanted) = wanted else { return Ok(()) };
        let registered = self.registered.read().unwrap_or_else(PoisonError::into_inner);
        if registered.len() >= self.limit && !registered.contains_key(id) {
            return Err(IntentError::TooMany { limit: self.limit });
        }
        for host in &wanted.hosts {
            let mut others =
                self.configured.iter().chain(registered.iter()).filter(|(other, _)| *other != id);
            if let Some((other, _)) = others.find(|(_, entry)| entry.hosts.contains(host)) {
                return Err(IntentError::HostTaken { host: host.to_string(), agent: other.clone() });
            }
        }
        Ok(())
    }

    /// Registers an agent, or forgets what was registered. Its calls from now on are those of an agent so put down.
    pub(super) fn put_down(&self, id: &SpiffeId, wanted: Option<&Registration>) {
        {
            let mut registered = self.registered.write().unwrap_or_else(PoisonError::into_inner);
            match wanted {
                Some(wanted) => drop(registered.insert(id.clone(), wanted.clone())),
                None => drop(registered.remove(id)),
            }
        }
        let put_down = Arc::new(PutDown::of(wanted));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Beyond the limit too: somebody answers for it.
        known.entry(id.clone()).or_insert_with(|| Arc::new(Agent::new(wanted))).put_down.store(put_down);
    }

    fn registration<T>(&self, id: &SpiffeId, look: impl FnOnce(&Registration) -> T) -> Option<T> {
        if let Some(entry) = self.configured.get(id) {
            return Some(look(entry));
        }
        self.registered.read().unwrap_or_else(PoisonError::into_inner).get(id).map(look)
    }

    /// The agent, remembered from now on.
    pub(super) fn of(&self, id: &SpiffeId) -> Arc<Agent> {
        if let Some(agent) = self.read().get(id) {
            return Arc::clone(agent);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.limit.max(self.configured.len()) && !known.contains_key(id) {
            return Arc::clone(&self.others);
        }
        Arc::clone(known.entry(id.clone()).or_insert_with(|| Arc::new(Agent::new(None))))
    }

    /// The agent that answers at `host`.
    pub(super) fn at(&self, host: &Host) -> Option<Invoked> {
        let registered = self.registered.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.configured.iter().chain(registered.iter());
        let (agent, entry) = all.find(|(_, entry)| entry.hosts.contains(host))?;
        let lends_percent = entry.lends_percent.unwrap_or(DEFAULT_LENDS_PERCENT);
        Some(Invoked { agent: agent.clone(), behind: entry.behind.clone(), lends_percent })
    }

    /// Whether it can be that the agent answers at a host of this name.
    pub(super) fn may_be_at(&self, agent: &SpiffeId, host: &str) -> bool {
        let answers = |entry: &Registration| {
            entry.hosts.is_empty() || entry.hosts.iter().any(|known| known.to_string() == host)
        };
        self.registration(agent, answers).unwrap_or(true)
    }

    /// The agent, if it can be put into quarantine by itself.
    pub(super) fn own(&self, id: &SpiffeId) -> Result<Arc<Agent>, IntentError> {
        let agent = self.of(id);
        if Arc::ptr_eq(&agent, &self.others) {
            return Err(IntentError::TooMany { limit: self.limit });
        }
        Ok(agent)
    }

    pub(super) fn list(&self) -> Vec<AgentLine> {
        let mut lines: Vec<_> = self.read().iter().map(|(id, agent)| agent.line(id)).collect();
        lines.sort_by(|a, b| a.id.cmp(&b.id));
        lines
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<SpiffeId, Arc<Agent>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    fn new(registration: Option<&Registration>) -> Self {
        Self {
            put_down: ArcSwap::from_pointee(PutDown::of(registration)),
            quarantined: AtomicBool::new(false),
            done: Mutex::default(),
        }
    }

    pub(super) fn profile(&self) -> Arc<AgentProfile> {
        Arc::clone(&self.put_down.load().profile)
    }

    pub(super) fn binding(&self) -> Binding {
        self.put_down.load().binding
    }

    pub(super) fn is_quarantined(&self) -> bool {
        self.quarantined.load(Ordering::SeqCst)
    }

    pub(super) fn set_quarantined(&self, quarantined: bool) {
        self.quarantined.store(quarantined, Ordering::SeqCst);
    }

    /// As a call with these operations finds it.
    pub(super) fn history(&self, operations: &Operations, now: Timestamp) -> AgentHistory {
        let (done, put_down) = (self.done(), self.put_down.load());
        AgentHistory {
            reads: done.counts.reads,
            acts: done.counts.acts,
            delegates: done.counts.delegates,
            denials: done.counts.denials,
            holds: done.counts.holds,
            service_seen: operations.iter().all(|operation| done.services.contains(&operation.service)),
            operation_seen: operations.iter().all(|operation| done.operations.contains(&operation.id)),
            drift: put_down.profile.kind == AgentKind::Integration
                && operations.iter().any(|operation| put_down.drifts(&done, &operation.id, now)),
        }
    }

    pub(super) fn settle(&self, operations: &Operations, decision: Decision, at: Timestamp) {
        let mut done = self.done();
        done.first.get_or_insert(at);
        done.last = Some(at);
        done.counts.add(operations.class(), decision);
        if decision != Decision::Allow {
            return;
        }
        let learning = self.put_down.load().is_learning(&done, at);
        for operation in operations.iter() {
            remember(&mut done.services, &operation.service);
            remember(&mut done.operations, &operation.id);
            if learning {
                remember(&mut done.learnt, &operation.id);
            }
        }
    }

    fn line(&self, id: &SpiffeId) -> AgentLine {
        let done = self.done();
        AgentLine {
            id: id.clone(),
            profile: self.profile(),
            quarantined: self.is_quarantined(),
            first: done.first,
            last: done.last,
            counts: done.counts,
            operations: done.operations.len(),
        }
    }

    fn done(&self) -> std::sync::MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a name while there is room; beyond, it looks new each time, which can only make policies stricter.
pub(super) fn remember<T: Clone + Eq + std::hash::Hash>(seen: &mut HashSet<T>, name: &T) {
    if seen.len() < DISTINCT_PER_TASK && !seen.contains(name) {
        seen.insert(name.clone());
    }
}

/// The class's count.
pub(super) const fn count_of(counts: &Counts, class: Class) -> u64 {
    match class {
        Class::Read => counts.reads,
        Class::Act => counts.acts,
        Class::Delegate => counts.delegates,
    }
}
