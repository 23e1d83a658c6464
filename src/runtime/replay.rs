//! Reads back from the journal what tasks and agents did before this start. The journal is the one account of it, so what
//! policies ask of the past is as exact as the record, whatever ended the process.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use crate::call::{CallId, Decision, Operations, Outcome, TaskId};
use crate::intent::{Past, Tasks};
use crate::record::entry::What;
use crate::record::facts::CallFacts;
use crate::record::search::{Filter, search};
use crate::record::{self, Entry};

/// Refusal codes are static; those that policies or grants cause are worth their own row in a summary.
const CODES: [&str; 7] = [
    "agent_quarantined",
    "budget_exhausted",
    "held",
    "identity_invalid",
    "outside_grant",
    "policy_denied",
    "upgrade_refused",
];

/// Feeds every call of the journal to `tasks`. Blocks. MUST be done before the first call of this process.
pub(super) fn replay(state_dir: &Path, tasks: &Tasks) -> Result<(), record::JournalError> {
    let mut open = Open::new();
    search(state_dir, &Filter::default(), |found| {
        take(found.entry, tasks, &mut open);
        ControlFlow::Continue(())
    })
}

/// Calls that are opened and not closed, as they were told.
type Open = HashMap<CallId, (TaskId, Past)>;

fn take(entry: &Entry, tasks: &Tasks, open: &mut Open) {
    match &entry.what {
        What::Opened(facts) => {
            if let Some(past) = call(facts, Decision::Allow, entry) {
                tasks.replay(&past);
                open.extend(facts.task.map(|task| (facts.call, (task, past))));
            }
        }
        What::Refused(facts) => {
            let decision = facts.decision.filter(|decision| *decision != Decision::Allow);
            if let Some(past) = call(facts, decision.unwrap_or(Decision::Deny), entry) {
                tasks.replay(&past);
            }
        }
        What::Closed(closed) => {
            let Some((task, past)) = open.remove(&closed.call) else { return };
            // A window over a WebSocket stands for several messages, and was told as one.
            let messages: u64 = closed.closing.messages.values().sum();
            for _ in 1..messages {
                tasks.replay(&past);
            }
            let bytes = match closed.closing.outcome {
                Outcome::Unknown => None,
                _ => Some(closed.closing.request.bytes),
            };
            tasks.replay(&Past::Sent { task, bytes });
        }
        What::TaskOpened(task) => {
            let Some(terms) = task.terms.as_deref().filter(|terms| terms.lent_to.is_some()) else { return };
            if let Some(parent) = terms.parent {
                tasks.replay(&Past::Lent { task: parent, budget: terms.budget.clone() });
            }
        }
        _ => {}
    }
}

fn call(facts: &CallFacts, decision: Decision, entry: &Entry) -> Option<Past> {
    let (task, agent) = (facts.task?, facts.agent.clone()?);
    let mut operations = facts.operations.iter().cloned();
    let operations = Box::new(Operations::batch(operations.next()?, operations.collect()));
    let code = facts.refusal.as_ref().map(|refusal| refusal.code.as_str());
    let refusal = code.and_then(|code| CODES.into_iter().find(|known| *known == code));
    Some(Past::Call { task, agent, operations, decision, refusal, at: entry.at })
}
