//! Automatic delegation: a call that invokes an agent opens a task for that agent, under the task of whoever calls.
//!
//! One for each agent that a task invokes, however often it does. If the agent works behind another node, the task is lent to
//! that node: it takes no calls here, and its budget, a share of what is left, counts as spent in every task above from that
//! moment on, since nobody here will hear how much of it is used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::chain::{self, Delegation};
use super::entry::Entry;
use super::registry::{Birth, Tasks};
use super::{IntentError, Invoked, MIN_TTL};
use crate::call::grant::Line;
use crate::call::{Budget, CallId, Grant, HandedLink, Host, PeerName, Task, TaskId};

/// What was handed over.
#[derive(Debug)]
pub struct HandedOver {
    /// The task of the agent that is invoked.
    pub task: Arc<Task>,
    /// Whether this call opened it, which MUST be recorded then.
    pub opened: bool,
    /// The task itself, last, and all above it, the root first, with what they had done.
    pub links: Vec<HandedLink>,
}

impl Tasks {
    /// The agent that is invoked by a delegation to `host`.
    pub fn invoked(&self, host: &Host) -> Option<Invoked> {
        self.agents.at(host)
    }

    /// Hands a task to the agent that `call`, a call of `parent`, invokes. `own` is what this node is called; at another node a
    /// task is lent for `lease` at the most.
    pub async fn hand_over(
        &self,
        parent: TaskId,
        invoked: &Invoked,
        call: CallId,
        own: &PeerName,
        lease: Duration,
    ) -> Result<HandedOver, IntentError> {
        // One after the other, so that two calls at once do not open two tasks where one would do.
        let _turn = self.turns.lock().await;
        let now = self.ports.clock.now();
        let lent_to = invoked.behind.clone().filter(|node| node != own);
        let before = self.read().handed_before(parent, &invoked.agent, lent_to.as_ref());
        if let Some(entry) = before.filter(|entry| entry.task.deadline > now.plus(MIN_TTL)) {
            return Ok(HandedOver { task: Arc::clone(&entry.task), opened: false, links: links(&entry) });
        }
        let above = self.find(parent).ok_or(IntentError::Unknown(parent))?;
        above.check_open(&above.lock(), now)?;
        let loan = Loan::take(&above, lent_to.as_ref().map(|_| invoked.lends_percent));
        let ttl = lent_to.as_ref().map(|_| lease.min(above.task.deadline.since(now)));
        let wanted = Delegation {
            to: invoked.agent.clone(),
            intent: None,
            labels: BTreeMap::new(),
            ttl,
            grant: Grant::default(),
            budget: loan.budget.clone(),
            binding: None,
        };
        let wanted = chain::under(&above.task, wanted, self.settings.depth, now)?;
        let birth = Birth { call: Some(call), lent_to, handed: None };
        let task = self.open_under(wanted, Some(parent), birth).await?;
        loan.keep();
        let entry = self.find(task.id).ok_or(IntentError::Unknown(task.id))?;
        Ok(HandedOver { links: links(&entry), task, opened: true })
    }
}

/// The task of an entry, last, and all above it, as another node is told of them.
fn links(entry: &Arc<Entry>) -> Vec<HandedLink> {
    let told = |link: &Arc<Entry>| {
        let mut task = (*link.task).clone();
        // What it was handed over with stands in the chain as links of its own.
        task.terms.handed = None;
        task.terms.lent_to = None;
        HandedLink { task, history: link.lock().ledger.told(link.bytes_out()) }
    };
    entry.above.iter().chain(std::iter::once(entry)).map(told).collect()
}

/// What is taken from a task and from all above it to be lent. Dropped before it is kept, it goes back.
struct Loan<'a> {
    chain: Vec<&'a Arc<Entry>>,
    budget: Budget,
    kept: bool,
}

impl<'a> Loan<'a> {
    /// Takes a share of what is left of each limited line: of the least that is left in any task of the chain.
    fn take(from: &'a Arc<Entry>, percent: Option<u8>) -> Self {
        let chain: Vec<_> = from.above.iter().chain(std::iter::once(from)).collect();
        let Some(percent) = percent else {
            return Self { chain: Vec::new(), budget: Budget::default(), kept: true };
        };
        let mut locked = Entry::lock_all(&chain);
        let left = |line: Line| {
            let each = chain.iter().zip(&locked).filter_map(|(link, state)| {
                let limit = link.task.terms.budget.line(line)?;
                Some(limit.saturating_sub(link.spent(state, line)))
            });
            each.min()
        };
        let share = |left: u64| left / 100 * u64::from(percent) + left % 100 * u64::from(percent) / 100;
        let currencies = chain.iter().flat_map(|link| link.task.terms.budget.money.keys().copied());
        let mut budget = Budget::by_line(currencies, |line| left(line).map(share));
        for state in &mut locked {
            state.lend(&budget.without_bytes());
        }
        drop(locked);
        let bytes = budget.bytes.unwrap_or_default();
        let mut taken: Vec<&Arc<Entry>> = Vec::new();
        for link in &chain {
            if link.take_bytes(bytes).is_err() {
                // Others were quicker: there is less left than there was.
                for link in &taken {
                    link.give_back_bytes(bytes);
                }
                budget.bytes = Some(0);
                break;
            }
            taken.push(link);
        }
        Self { chain, budget, kept: false }
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for link in &self.chain {
            link.lock().take_back(&self.budget.without_bytes());
            link.give_back_bytes(self.budget.bytes.unwrap_or_default());
        }
    }
}
