//! What an entry says of a lease. Nothing of it is secret: neither the credential nor what takes it back is known here.

use serde::{Deserialize, Serialize};

use super::entry::instant;
use super::facts::Text;
use crate::call::{Lease, LeaseId, OperatorId, TaskId};

/// A lease, as it was when it came into the state that the kind of the entry names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseFacts {
    /// Its id.
    pub lease: LeaseId,
    /// For which task.
    pub task: TaskId,
    /// For which service.
    pub service: Text,
    /// Who gives it.
    pub provider: Text,
    /// What it may do, in the provider's words.
    pub scope: Text,
    /// When it ends by itself; absent: never, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Text>,
    /// Whether it ends with its task or soon after.
    pub short_lived: bool,
    /// Whether it should have come further by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
    /// What is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Text>,
    /// The operator who looked at it after it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_by: Option<OperatorId>,
    /// What that operator found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
}

impl LeaseFacts {
    pub(super) fn of(lease: &Lease, overdue: bool) -> Self {
        Self {
            lease: lease.id,
            task: lease.task,
            service: Text::new(&lease.service.0),
            provider: Text::new(&lease.provider),
            scope: Text::new(&lease.scope),
            until: lease.until.map(|at| Text::new(&instant::to_text(at))),
            short_lived: lease.short_lived,
            overdue,
            why: lease.why.as_deref().map(Text::new),
            seen_by: lease.seen.as_ref().map(|seen| seen.by.clone()),
            note: lease.seen.as_ref().and_then(|seen| seen.note.as_deref()).map(Text::new),
        }
    }
}
