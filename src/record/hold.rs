//! What entries say of holds and of approvals. Of the call itself nothing but its digest: what would be sent stands on the
//! card, which is not for the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::instant;
use super::facts::Text;
use crate::call::{
    Approval, CallDigest, CallId, Class, Hold, HoldId, HoldState, OperationId, OperatorId, PolicyId,
    SpiffeId, TaskId, Vote,
};

/// A hold, as it was when it came into the state that the entry names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldFacts {
    /// Its id.
    pub hold: HoldId,
    /// `waiting`, `approved`, `refused`, `expired`, `spent`, `void`.
    pub state: String,
    /// What an approval is for.
    pub digest: CallDigest,
    /// The call that was held first.
    pub call: CallId,
    /// For which task.
    pub task: TaskId,
    /// Whose.
    pub agent: SpiffeId,
    /// The strongest of what it would do.
    pub operation: OperationId,
    /// How strong that is.
    pub class: Class,
    /// The policies that hold it.
    pub policies: Vec<PolicyId>,
    /// Under which rules.
    pub rules: String,
    /// How many people of which groups have to approve.
    pub wants: BTreeMap<Arc<str>, u32>,
    /// Until when people are asked; of an approved one, until when that is good.
    pub until: Text,
    /// How many calls were held for it.
    pub asks: u64,
    /// Who approved, or refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<OperatorId>,
    /// The call that went out with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_by: Option<CallId>,
    /// Why there is nothing to approve any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Text>,
}

impl HoldFacts {
    pub(super) fn of(hold: &Hold) -> Self {
        let (spent_by, why, until) = match &hold.state {
            HoldState::Spent { call } => (Some(*call), None, hold.until),
            HoldState::Void { why } => (None, Some(Text::new(why)), hold.until),
            HoldState::Approved { until } => (None, None, *until),
            HoldState::Expired | HoldState::Refused | HoldState::Waiting => (None, None, hold.until),
        };
        let by = match &hold.state {
            HoldState::Refused => hold.refuser().map(|vote| vote.by.clone()).into_iter().collect(),
            _ => hold.approvers(),
        };
        Self {
            hold: hold.id,
            state: hold.state.as_str().to_owned(),
            digest: hold.digest,
            call: hold.call,
            task: hold.task,
            agent: hold.agent.clone(),
            operation: hold.operation.clone(),
            class: hold.class,
            policies: hold.policies.clone(),
            rules: hold.rules.clone(),
            wants: hold.wants.clone(),
            until: Text::new(&instant::to_text(until)),
            asks: hold.asks,
            by,
            spent_by,
            why,
        }
    }
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteFacts {
    /// On which hold.
    pub hold: HoldId,
    /// What they saw.
    pub digest: CallDigest,
    /// For which task.
    pub task: TaskId,
    /// Who.
    pub by: OperatorId,
    /// Whether the call may go out.
    pub approves: bool,
    /// For which groups that counts.
    pub groups: Vec<Arc<str>>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
}

impl VoteFacts {
    pub(super) fn of(hold: &Hold, vote: &Vote) -> Self {
        Self {
            hold: hold.id,
            digest: hold.digest,
            task: hold.task,
            by: vote.by.clone(),
            approves: vote.approves,
            groups: vote.groups.clone(),
            note: vote.note.as_deref().map(Text::new),
        }
    }
}

/// That people approved a call, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalFacts {
    /// Which hold that was.
    pub hold: HoldId,
    /// Who did.
    pub by: Vec<OperatorId>,
    /// The policies that it lifted.
    pub policies: Vec<PolicyId>,
}

impl ApprovalFacts {
    pub(super) fn of(approval: &Approval) -> Self {
        Self { hold: approval.hold(), by: approval.by().to_vec(), policies: approval.policies().to_vec() }
    }
}
