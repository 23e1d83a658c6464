//! What can be asked of entries, and what an entry answers: its [`Shape`].

use serde::{Deserialize, Serialize};

use super::entry::What;
use super::facts::CallFacts;
use crate::call::{CallId, Class, Decision, OperatorId, SpiffeId, TaskId, Timestamp};

/// What to look for; what is empty asks nothing, and everything that is asked must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A SPIFFE ID, or the last part of one.
    pub agent: Option<String>,
    /// A task.
    pub task: Option<TaskId>,
    /// The class of one of the call's operations.
    pub class: Option<Class>,
    /// What was decided; a call that was refused before any policy was asked counts as denied.
    pub decision: Option<Decision>,
    /// The id of one of the call's operations; `github:*` means all that begin so.
    pub operation: Option<String>,
    /// The host that was called.
    pub host: Option<String>,
    /// The kind of the entry, as it stands in the line.
    pub kind: Option<String>,
    /// The operator who did it, with or without the kind of evidence before the name; of rules also what set them off.
    pub by: Option<String>,
    /// The call.
    pub call: Option<CallId>,
    /// Written at this time or later.
    pub since: Option<Timestamp>,
    /// Written before this time.
    pub until: Option<Timestamp>,
}

/// As much of an entry as a filter can ask for, less time and call: many entries have one shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<SpiffeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<TaskId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    operations: Vec<(String, Class)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<OperatorId>,
}

/// The kind of the end of a call, which says nothing of the call but its id.
pub(super) const CLOSED: &str = "closed";
/// The kind of its beginning.
pub(super) const OPENED: &str = "opened";

impl Shape {
    pub(super) fn of(what: &What) -> Self {
        let bare = Self {
            kind: what.kind().to_owned(),
            agent: None,
            task: None,
            host: None,
            decision: None,
            operations: Vec::new(),
            by: None,
        };
        match what {
            What::Opened(facts) | What::Refused(facts) => bare.called(facts),
            What::TaskOpened(task) => {
                Self { agent: Some(task.agent.clone()), task: Some(task.task), by: task.by.clone(), ..bare }
            }
            What::TaskEnded { task, by, .. } | What::TaskRenewed { task, by, .. } => {
                Self { task: Some(*task), by: by.clone(), ..bare }
            }
            What::AgentRegistered { agent, by, .. }
            | What::AgentQuarantined { agent, by }
            | What::AgentReleased { agent, by } => {
                Self { agent: Some(agent.clone()), by: by.clone(), ..bare }
            }
            What::OperatorSignedIn { by } | What::OperatorSignedOut { by } => {
                Self { by: Some(by.clone()), ..bare }
            }
            What::RulesLoaded { by, .. }
            | What::RulesRefused { by, .. }
            | What::CandidateLoaded { by, .. }
            | What::CandidateRefused { by, .. } => Self { by: Some(OperatorId(by.as_str().into())), ..bare },
            What::HoldOpened(hold) | What::HoldSettled(hold) => {
                Self { agent: Some(hold.agent.clone()), task: Some(hold.task), ..bare }
            }
            What::HoldVoted(vote) => Self { task: Some(vote.task), by: Some(vote.by.clone()), ..bare },
            What::LeaseMinted(lease)
            | What::LeaseRevoking(lease)
            | What::LeaseRevoked(lease)
            | What::LeaseExpired(lease)
            | What::LeaseLost(lease)
            | What::LeaseSeen(lease)
            | What::LeaseRejected(lease) => Self { task: Some(lease.task), ..bare },
            _ => bare,
        }
    }

    fn called(self, facts: &CallFacts) -> Self {
        Self {
            agent: facts.agent.clone(),
            task: facts.task,
            host: Some(facts.http.host.clone()),
            decision: facts.decision.or(facts.refusal.as_ref().map(|_| Decision::Deny)),
            operations: facts.operations.iter().map(|one| (one.id.to_string(), one.class)).collect(),
            ..self
        }
    }

    /// The shape of the closing of a call that was opened in this one.
    pub(super) fn closing(&self) -> Self {
        Self { kind: CLOSED.to_owned(), ..self.clone() }
    }

    /// Whether it is a closing that does not know whose: its opening stands in an older segment.
    fn is_stray(&self) -> bool {
        self.kind == CLOSED && self.host.is_none()
    }
}

impl Filter {
    /// Whether it asks anything.
    pub(super) fn asks(&self) -> bool {
        let of_time = self.since.is_some() || self.until.is_some();
        of_time || self.kind.is_some() || self.call.is_some() || self.asks_of_shapes()
    }

    /// Whether it asks more than time, kind and call.
    pub(super) fn asks_of_shapes(&self) -> bool {
        self.agent.is_some()
            || self.task.is_some()
            || self.class.is_some()
            || self.decision.is_some()
            || self.operation.is_some()
            || self.host.is_some()
            || self.by.is_some()
    }

    /// Whether what it asks, less time, kind and call, holds.
    pub(super) fn matches(&self, shape: &Shape) -> bool {
        let some = |asked: &dyn Fn(&(String, Class)) -> bool| shape.operations.iter().any(asked);
        self.is_agent(shape.agent.as_ref())
            && self.task.is_none_or(|task| shape.task == Some(task))
            && self.class.is_none_or(|class| some(&|(_, is)| *is == class))
            && self.decision.is_none_or(|wanted| shape.decision == Some(wanted))
            && self.operation.as_deref().is_none_or(|wanted| some(&|(id, _)| named(id, wanted)))
            && self.host.as_deref().is_none_or(|host| shape.host.as_deref() == Some(host))
            && self
                .by
                .as_deref()
                .is_none_or(|by| shape.by.as_ref().is_some_and(|is| &*is.0 == by || is.bare() == by))
    }

    /// False only where no entry of this shape can match, nor an opening be one whose closing does.
    pub(super) fn may_match(&self, shape: &Shape) -> bool {
        let of_kind = match self.kind.as_deref() {
            None => true,
            Some(CLOSED) => shape.kind == CLOSED || shape.kind == OPENED,
            Some(kind) => shape.kind == kind,
        };
        of_kind && (shape.is_stray() || self.matches(shape))
    }

    fn is_agent(&self, agent: Option<&SpiffeId>) -> bool {
        let Some(wanted) = self.agent.as_deref() else { return true };
        let Some(agent) = agent.map(SpiffeId::as_str) else { return false };
        agent == wanted || agent.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/'))
    }
}

fn named(id: &str, wanted: &str) -> bool {
    wanted.strip_suffix('*').map_or(id == wanted, |beginning| id.starts_with(beginning))
}
