//! What tasks and agents did before the process began, read back from the journal: the one account of it that survives.

use super::Tasks;
use super::ledger::Whose;
use crate::call::{Budget, Decision, Operations, SpiffeId, TaskId, Timestamp};

/// Something that the journal tells of a task.
#[derive(Clone, Debug)]
pub enum Past {
    /// A call was let through, or refused.
    Call {
        /// Its task.
        task: TaskId,
        /// Its agent.
        agent: SpiffeId,
        /// What it did.
        operations: Box<Operations>,
        /// What became of it.
        decision: Decision,
        /// The code of the refusal.
        refusal: Option<&'static str>,
        /// When.
        at: Timestamp,
    },
    /// A share of a task's budget was lent to another node.
    Lent {
        /// The task.
        task: TaskId,
        /// How much.
        budget: Budget,
    },
    /// Bytes went out with a call.
    Sent {
        /// Its task.
        task: TaskId,
        /// How many; none: the process ended before that was known.
        bytes: Option<u64>,
    },
}

impl Tasks {
    /// Takes in one fact, in the order of the journal, before the first call of this process.
    ///
    /// How much of a body went out when the process was killed is known to nobody. A budget of bytes counts as used up
    /// then, since it must never be overspent.
    pub fn replay(&self, past: &Past) {
        match past {
            Past::Call { task, agent, operations, decision, refusal, at } => {
                self.agent(agent).settle(operations, *decision, *at);
                let Some(entry) = self.find(*task) else { return };
                for above in &entry.above {
                    above.lock().ledger.settle(operations, *decision, *refusal, Whose::Descendants);
                }
                entry.lock().ledger.settle(operations, *decision, *refusal, Whose::Own);
            }
            Past::Lent { task, budget } => {
                let Some(entry) = self.find(*task) else { return };
                for link in entry.above.iter().chain(std::iter::once(&entry)) {
                    link.lock().lend(&budget.without_bytes());
                    link.bytes_were_sent(budget.bytes.or(Some(0)));
                }
            }
            Past::Sent { task, bytes } => {
                let Some(entry) = self.find(*task) else { return };
                for link in entry.above.iter().chain(std::iter::once(&entry)) {
                    link.bytes_were_sent(*bytes);
                }
            }
        }
    }
}
