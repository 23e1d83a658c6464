//! Many tasks that end together: by time or budget, by their owner, all of them.

use super::registry::{Ended, Tasks};
use super::{IntentError, TaskEnd};
use crate::call::Timestamp;

impl Tasks {
    /// Ends every task whose deadline is not after `now`, or whose budget is used up and that has no call under way.
    pub async fn expire(&self, now: Timestamp) -> Result<Vec<Ended>, IntentError> {
        let due: Vec<_> = {
            let known = self.read();
            known.tasks.values().filter_map(|entry| Some((entry.task.id, known.due(entry, now)?))).collect()
        };
        self.end_these(due).await
    }

    /// Ends every open task.
    pub async fn end_all(&self, why: TaskEnd) -> Result<Vec<Ended>, IntentError> {
        let all: Vec<_> = self.read().tasks.keys().map(|task| (*task, why)).collect();
        self.end_these(all).await
    }

    /// Ends every open task of the agents that `owner` answers for, and what was delegated from them.
    pub async fn end_owned(&self, owner: &str) -> Result<Vec<Ended>, IntentError> {
        let theirs: Vec<_> = {
            let known = self.read();
            let found = known.tasks.values().filter(|entry| entry.agent.profile().owner == owner);
            found.map(|entry| (entry.task.id, TaskEnd::Owner)).collect()
        };
        self.end_these(theirs).await
    }
}
