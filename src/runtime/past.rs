//! Calls of the past: what the journal keeps of a call, as the call that it was, to be judged again.
//!
//! The journal keeps everything that a ruling looks at, but a task's labels and terms stand in the entry of its opening. Where
//! that is no longer kept, they are missing, and it is said.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Method, Version};

use crate::call::principal::Entrance;
use crate::call::{
    AgentProfile, Attributed, Call, Entropy, Head, Host, IntentName, Link, Operations, Origin, Presented,
    Principal, Scheme, SpiffeId, Target, Task, TaskId, Terms, TraceContext,
};
use crate::judge::hold;
use crate::record::{CallFacts, TaskFacts};

/// The tasks that were read of so far.
#[derive(Debug, Default)]
pub(crate) struct Past {
    tasks: HashMap<TaskId, Arc<Task>>,
    /// Calls whose task's opening is not in the journal.
    without_task: AtomicU64,
}

impl Past {
    /// Takes note of a task.
    pub(crate) fn opened(&mut self, facts: TaskFacts) {
        let TaskFacts { task: id, agent, intent, labels, opened, deadline, terms, by: _ } = facts;
        let terms = terms.map(|terms| *terms).unwrap_or_default();
        // Tasks of another node were opened there; what is known of them came with the one that was handed over.
        for link in terms.handed.iter().flat_map(|handed| &handed.links) {
            self.tasks.entry(link.task.id).or_insert_with(|| Arc::new(link.task.clone()));
        }
        self.tasks.insert(id, Arc::new(Task { id, agent, intent, labels, opened, deadline, terms }));
    }

    /// How many calls were made again without what stands in their task's opening.
    pub(crate) fn without_task(&self) -> u64 {
        self.without_task.load(Ordering::Relaxed)
    }

    /// The call; none if it was refused before it was known who made it and for what.
    pub(crate) fn call(&self, facts: &CallFacts) -> Option<Call<Attributed>> {
        let agent = facts.agent.clone()?;
        let mut operations = facts.operations.iter().cloned();
        let operations = Operations::batch(operations.next()?, operations.collect());
        let presented = Presented {
            peer: facts.peer.parse().ok()?,
            by: Entrance::Proxy,
            token: None,
            certificates: None,
            chain: None,
            process: None,
        };
        let known = |id: &TaskId| self.tasks.get(id).cloned();
        let ids = facts.task.iter().chain(facts.links.iter().map(|link| &link.task));
        let missing = ids.into_iter().any(|id| !self.tasks.contains_key(id));
        let task = |id: TaskId, agent: &SpiffeId, intent: &IntentName| {
            known(&id).unwrap_or_else(|| Arc::new(without_opening(facts, id, agent, intent)))
        };
        let profile = |profile: &Option<Box<AgentProfile>>| -> Arc<AgentProfile> {
            profile.as_deref().cloned().unwrap_or_default().into()
        };
        let links = facts.links.iter().map(|link| Link {
            task: task(link.task, &link.agent, &link.intent),
            profile: profile(&link.profile),
            history: link.history.clone(),
        });
        let own = task(facts.task?, &agent, facts.intent.as_ref()?);
        let principal = Principal { agent, evidence: facts.evidence?, claims: facts.claims.clone() };
        let recognised = Call::intercepted(head(facts)?, presented).recognise(operations);
        let approval = facts
            .approval
            .as_deref()
            .map(|given| hold::recalled(given.hold, given.by.clone(), given.policies.clone()));
        let attributed = recognised.attribute(principal, own, facts.history.clone()?).approved(approval);
        self.without_task.fetch_add(u64::from(missing), Ordering::Relaxed);
        Some(attributed.standing_in(profile(&facts.profile), links.collect()))
    }
}

fn without_opening(facts: &CallFacts, id: TaskId, agent: &SpiffeId, intent: &IntentName) -> Task {
    Task {
        id,
        agent: agent.clone(),
        intent: intent.clone(),
        labels: std::collections::BTreeMap::new(),
        opened: facts.began,
        deadline: facts.began,
        terms: Terms::default(),
    }
}

fn head(facts: &CallFacts) -> Option<Head> {
    let http = &facts.http;
    let scheme = if http.scheme == "https" { Scheme::Https } else { Scheme::Http };
    Some(Head {
        id: facts.call,
        at: facts.began,
        origin: Origin { scheme, host: Host::parse(&http.host).ok()?, port: http.port },
        method: Method::from_bytes(http.method.as_str().as_bytes()).ok()?,
        target: Target::parse(&http.path).ok()?,
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        trace: TraceContext::of(facts.call, None, &Still),
        upgrade: None,
    })
}

/// Nothing that is judged rests on these.
struct Still;

impl Entropy for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(1);
    }
}
