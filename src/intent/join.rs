//! What other nodes handed over: the agent that was invoked works here for a task that began elsewhere.
//!
//! Its task here lies under every task of the chain, each of which stands in this registry with its grant, its agent and what
//! it had touched: grants and policies are asked for each, and what is done here counts in each. The budget of the task that
//! was handed over is spent here and nowhere else, by however many tasks here work for it. It lies under the task that the agent
//! works under anyway, its standing one where it has no other, so that being invoked never adds to what an agent may do.

use std::sync::Arc;

use super::entry::Entry;
use super::known::{Elsewhere, Known};
use super::registry::{Birth, Tasks};
use super::{IntentError, NewTask, TaskEnd};
use crate::call::{Budget, Grant, Handed, HandedLink, SpiffeId, Task, TaskId, Timestamp};

/// A task here for one that was handed over.
#[derive(Debug)]
pub struct Joined {
    /// The task.
    pub task: Arc<Task>,
    /// Whether this call opened it, which MUST be recorded then.
    pub opened: bool,
}

impl Tasks {
    /// A task that is open, for whoever has to know it before a call joins it.
    pub fn task(&self, task: TaskId) -> Result<Arc<Task>, IntentError> {
        let entry = self.find(task).ok_or(IntentError::Unknown(task))?;
        entry.check_open(&entry.lock(), self.ports.clock.now())?;
        Ok(Arc::clone(&entry.task))
    }

    /// The task here of `agent` for `handed`, opened if need be. `host` is where the call went that brought it; `own` is the
    /// task that the agent works under anyway. The caller MUST have seen that the chain holds and that it is this agent's.
    pub async fn join(
        &self,
        handed: &Handed,
        agent: &SpiffeId,
        host: &str,
        own: TaskId,
    ) -> Result<Joined, IntentError> {
        if !self.agents.may_be_at(agent, host) {
            return Err(IntentError::Elsewhere {
                agent: agent.clone(),
                host: host.chars().take(80).collect(),
            });
        }
        if let Some(joined) = self.joined_before(handed, agent, own) {
            return joined;
        }
        // One after the other, so that the calls that an agent begins with open one task.
        let _turn = self.turns.lock().await;
        if let Some(joined) = self.joined_before(handed, agent, own) {
            return joined;
        }
        let now = self.ports.clock.now();
        let what = self.write().handed_task(self, handed, agent, now)?;
        let deadline = self.earliest_end(&what, handed, own)?;
        if what.depth() > self.settings.depth {
            return Err(IntentError::Depth { limit: self.settings.depth });
        }
        let wanted = NewTask {
            agent: agent.clone(),
            intent: what.intent.clone(),
            labels: what.labels.clone(),
            ttl: deadline.since(now),
            on_behalf_of: what.terms.on_behalf_of.clone(),
            grant: Grant::default(),
            budget: Budget::default(),
            binding: None,
        };
        let key = (handed.by.clone(), handed.task, own);
        let birth = Birth { handed: Some(Box::new(handed.clone())), ..Birth::default() };
        let task = self.open_under(wanted, Some(own), birth).await?;
        self.write().joined.insert(key, (task.id, what.deadline));
        Ok(Joined { task, opened: true })
    }

    /// The task that an earlier call opened. One that is over stays over; one of another agent is nobody else's, whatever
    /// the node that signed says.
    fn joined_before(
        &self,
        handed: &Handed,
        agent: &SpiffeId,
        own: TaskId,
    ) -> Option<Result<Joined, IntentError>> {
        let known = self.read();
        let (task, _) = *known.joined.get(&(handed.by.clone(), handed.task, own))?;
        let elsewhere = known.elsewhere.get(&(handed.by.clone(), handed.task));
        let Some(entry) = known.tasks.get(&task) else {
            return Some(Err(IntentError::Ended { task, why: TaskEnd::Command }));
        };
        if entry.task.agent != *agent {
            return Some(Err(IntentError::Unknown(handed.task)));
        }
        if let Some(elsewhere) = elsewhere {
            elsewhere.learn(handed);
        }
        Some(Ok(Joined { task: Arc::clone(&entry.task), opened: false }))
    }

    fn earliest_end(&self, what: &Task, handed: &Handed, own: TaskId) -> Result<Timestamp, IntentError> {
        let own = self.task(own)?.deadline;
        let above = handed.links.iter().map(|link| link.task.deadline);
        Ok(above.chain([own]).fold(what.deadline, Timestamp::min))
    }
}

impl Elsewhere {
    /// Takes in what a newer chain tells of the same tasks.
    fn learn(&self, handed: &Handed) {
        for (link, told) in self.links.iter().zip(&handed.links) {
            link.learn(&told.history);
        }
    }
}

impl Known {
    /// The task that was handed over; those of another node are put beside ours, with all above them.
    fn handed_task(
        &mut self,
        tasks: &Tasks,
        handed: &Handed,
        agent: &SpiffeId,
        now: Timestamp,
    ) -> Result<Arc<Task>, IntentError> {
        self.forget_handed(now);
        if handed.links.is_empty() {
            let entry = self.tasks.get(&handed.task).ok_or(IntentError::Unknown(handed.task))?;
            entry.check_open(&entry.lock(), now)?;
            return Ok(Arc::clone(&entry.task));
        }
        let key = (handed.by.clone(), handed.task);
        let limit = tasks.settings.open_tasks;
        if self.elsewhere.len() >= limit && !self.elsewhere.contains_key(&key) {
            return Err(IntentError::TooMany { limit });
        }
        let elsewhere = self.elsewhere.entry(key).or_insert_with(|| elsewhere(tasks, handed));
        elsewhere.learn(handed);
        let task = elsewhere.links.last().map(|entry| Arc::clone(&entry.task));
        let task = task.ok_or(IntentError::Unknown(handed.task))?;
        if task.deadline <= now || task.agent != *agent {
            return Err(IntentError::Ended { task: handed.task, why: TaskEnd::Deadline });
        }
        if task.terms.actors.contains(agent) {
            return Err(IntentError::Cycle { agent: agent.clone() });
        }
        Ok(task)
    }

    /// All tasks above one that was handed over, the root first, the one that was handed over last.
    pub(super) fn handed_above(&mut self, tasks: &Tasks, handed: &Handed) -> Vec<Arc<Entry>> {
        if handed.links.is_empty() {
            return self.above(Some(handed.task));
        }
        let key = (handed.by.clone(), handed.task);
        self.elsewhere.entry(key).or_insert_with(|| elsewhere(tasks, handed)).links.clone()
    }
}

/// What a task above may spend is not for this node to count: the one that was handed over had its share taken out of it.
fn elsewhere(tasks: &Tasks, handed: &Handed) -> Elsewhere {
    let last = handed.links.len().saturating_sub(1);
    let entry = |(n, link): (usize, &HandedLink)| {
        let mut link = link.clone();
        if n < last {
            link.task.terms.budget = Budget::default();
        }
        Arc::new(Entry::of_elsewhere(&link, tasks.agent(&link.task.agent)))
    };
    let until = handed.links.last().map(|link| link.task.deadline).unwrap_or_default();
    Elsewhere { links: handed.links.iter().enumerate().map(entry).collect(), until }
}
