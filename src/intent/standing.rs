//! The task of an agent that shows who it is but no task.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{Entry, Phase};
use super::{IntentError, STANDING_INTENT, Tasks};
use crate::call::{IntentName, SpiffeId, Task, TaskId, Terms, Timestamp};

impl Tasks {
    /// The task of an agent that shows who it is but no task: made at its first call, without a deadline, and kept through
    /// restarts. Ended by command it stays ended, and the agent is refused until the node starts again.
    pub async fn standing(&self, agent: &SpiffeId) -> Result<Arc<Task>, IntentError> {
        let known = || self.read().standing.get(agent).cloned();
        if let Some(task) = known() {
            return Ok(task);
        }
        let _turn = self.turns.lock().await;
        if let Some(task) = known() {
            return Ok(task);
        }
        let intent = standing_intent();
        let (grant, budget) = self.settings.intents.standing(&intent);
        let task = Arc::new(Task {
            id: TaskId::fresh(&*self.ports.clock, &*self.ports.entropy),
            agent: agent.clone(),
            intent,
            labels: BTreeMap::new(),
            opened: self.ports.clock.now(),
            deadline: Timestamp::NEVER,
            terms: Terms { grant, budget, ..Terms::default() },
        });
        let entry =
            Arc::new(Entry::new(Arc::clone(&task), self.agents.of(agent), Vec::new(), Phase::Opening));
        self.write().add(Arc::clone(&entry), Phase::Opening);
        self.begin(&entry).await?;
        self.write().standing.insert(agent.clone(), Arc::clone(&task));
        Ok(task)
    }

    /// Has a standing task of before have what is declared today: nobody asked for anything else.
    pub(super) fn bound_as_declared(&self, task: &mut Task) {
        let (grant, budget) = self.settings.intents.standing(&task.intent);
        task.terms.grant = grant;
        task.terms.budget = budget;
    }
}

#[expect(clippy::expect_used, reason = "the text is a constant, and a test takes this way")]
fn standing_intent() -> IntentName {
    IntentName::parse(STANDING_INTENT).expect("a constant that is a name")
}
