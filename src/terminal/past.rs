//! Calls of the past: what the journal keeps of a call, as the call that it was, to be judged again.
//!
//! The journal keeps everything that a ruling looks at but one thing: what a task's labels are stands in the entry of its
//! opening. Where that is no longer kept, the labels are missing, and it is said.

use std::collections::HashMap;

use http::{HeaderMap, Method, Version};

use crate::call::principal::Entrance;
use crate::call::{
    Attributed, Call, Entropy, Head, Host, Operations, Origin, Presented, Principal, Scheme, Target, Task,
    TaskId, TraceContext,
};
use crate::record::{CallFacts, TaskFacts, What};

/// The tasks that were read of so far.
#[derive(Debug, Default)]
pub(super) struct Past {
    tasks: HashMap<TaskId, TaskFacts>,
    /// Calls whose task's opening is not in the journal.
    pub(super) without_task: u64,
}

impl Past {
    /// Takes note of an entry; gives the call that it opens or refuses, if it is known who made it.
    pub(super) fn read(&mut self, what: What) -> Option<Call<Attributed>> {
        match what {
            What::TaskOpened(task) => {
                self.tasks.insert(task.task, task);
                None
            }
            What::Opened(facts) | What::Refused(facts) => self.call(&facts),
            _ => None,
        }
    }

    /// The call; none if it was refused before it was known who made it and for what.
    pub(super) fn call(&mut self, facts: &CallFacts) -> Option<Call<Attributed>> {
        let agent = facts.agent.clone()?;
        let mut operations = facts.operations.iter().cloned();
        let operations = Operations::batch(operations.next()?, operations.collect());
        let opened = self.tasks.get(&facts.task?);
        self.without_task += u64::from(opened.is_none());
        let task = Task {
            id: facts.task?,
            agent: agent.clone(),
            intent: facts.intent.clone()?,
            labels: opened.map(|task| task.labels.clone()).unwrap_or_default(),
            opened: opened.map_or(facts.began, |task| task.opened),
            deadline: opened.map_or(facts.began, |task| task.deadline),
            terms: opened.and_then(|task| task.terms.as_deref().cloned()).unwrap_or_default(),
        };
        let presented = Presented {
            peer: facts.peer.parse().ok()?,
            by: Entrance::Proxy,
            token: None,
            certificates: None,
            chain: None,
            process: None,
        };
        let principal = Principal { agent, evidence: facts.evidence? };
        let recognised = Call::intercepted(head(facts)?, presented).recognise(operations);
        Some(recognised.attribute(principal, task.into(), facts.history.clone()?))
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
