//! Delegation: a task under a task. Whatever the child has lies inside of what the parent has (INVARIANT I6).

use std::collections::BTreeMap;
use std::time::Duration;

use super::declared::fit;
use super::error::Within;
use super::{DEFAULT_TTL, IntentError, NewTask};
use crate::call::{Binding, Budget, Grant, IntentName, SpiffeId, Task, Timestamp};

/// What is wanted of a delegation.
#[derive(Clone, Debug)]
pub struct Delegation {
    /// To whom.
    pub to: SpiffeId,
    /// What for; none: what the parent is for.
    pub intent: Option<IntentName>,
    /// Further words of the operator's; those of the parent are taken over and cannot be changed.
    pub labels: BTreeMap<String, String>,
    /// From now to its deadline; none: 15 minutes, or what is left of the parent's.
    pub ttl: Option<Duration>,
    /// What it may touch.
    pub grant: Grant,
    /// How much.
    pub budget: Budget,
    /// What its tokens are bound to; none: what was put down for the agent.
    pub binding: Option<Binding>,
}

/// What the child of `parent` would be.
pub(super) fn under(
    parent: &Task,
    wanted: Delegation,
    depth: usize,
    now: Timestamp,
) -> Result<NewTask, IntentError> {
    let Delegation { to, intent, mut labels, ttl, grant, budget, binding } = wanted;
    if parent.depth() >= depth {
        return Err(IntentError::Depth { limit: depth });
    }
    if to == parent.agent || parent.terms.actors.contains(&to) {
        return Err(IntentError::Cycle { agent: to });
    }
    let left = parent.deadline.since(now);
    let ttl = match ttl {
        None => left.min(DEFAULT_TTL),
        Some(wanted) if wanted > left => {
            let (min_s, max_s) = (super::MIN_TTL.as_secs(), left.as_secs());
            return Err(IntentError::Ttl { min_s, max_s, wanted_ms: wanted.as_millis() });
        }
        Some(wanted) => wanted,
    };
    labels.extend(parent.labels.clone());
    let of = Within::Parent;
    Ok(NewTask {
        agent: to,
        intent: intent.unwrap_or_else(|| parent.intent.clone()),
        labels,
        ttl,
        on_behalf_of: parent.terms.on_behalf_of.clone(),
        grant: grant.within(&parent.terms.grant).map_err(|part| IntentError::Outside { part, of })?,
        budget: fit(&budget, &parent.terms.budget, of)?,
        binding,
    })
}
