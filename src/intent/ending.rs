//! Many tasks that end together: by time or budget, by their owner, all of them.

use std::sync::Arc;

use super::entry::Entry;
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

    /// Ends every open task that agents have a part in for whom `owner` answers: theirs, and what was delegated from them, by
    /// another node too.
    pub async fn end_owned(&self, owner: &str) -> Result<Vec<Ended>, IntentError> {
        let theirs: Vec<_> = {
            let known = self.read();
            let has_part = |entry: &Arc<Entry>| entry.agent.profile().owner == owner;
            let found =
                known.tasks.values().filter(|entry| has_part(entry) || entry.above.iter().any(has_part));
            found.map(|entry| (entry.task.id, TaskEnd::Owner)).collect()
        };
        self.end_these(theirs).await
    }
}
