//! Who may vote, and what a vote comes to.

use std::sync::Arc;

use super::{Holds, Settings};
use crate::call::operator::{Operator, Role, person};
use crate::call::{Attributed, CallDigest, Hold, HoldId, HoldState, Timestamp, Vote};

/// A vote, as it is cast.
#[derive(Clone, Debug)]
pub struct Ballot {
    /// On which hold.
    pub hold: HoldId,
    /// What the voter saw.
    pub digest: CallDigest,
    /// Whether the call may go out.
    pub approves: bool,
    /// In their words.
    pub note: Option<Arc<str>>,
}

/// Why a vote does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoVote {
    /// The call is made in the voter's own name.
    #[error(
        "`{0}` is of the chain that makes this call, and cannot approve or refuse it; somebody else has to"
    )]
    Barred(String),
    /// There is no such hold.
    #[error("there is no hold {0}; `remit holds` lists those that wait")]
    Unknown(HoldId),
    /// It is decided.
    #[error("hold {hold} is {state} already")]
    Decided {
        /// Which.
        hold: HoldId,
        /// What it is.
        state: &'static str,
    },
    /// What the voter saw is not what is held.
    #[error("the digest is not that of hold {0}: look at it again")]
    OtherDigest(HoldId),
    /// Other rules are in force.
    #[error("hold {0} was made under other policies than those in force; the call has to be sent again")]
    OtherRules(HoldId),
    /// The voter is of none of the groups.
    #[error("hold {hold} asks for people of {groups}, and `{voter}` is of none of these")]
    Stranger {
        /// Which.
        hold: HoldId,
        /// Who is asked.
        groups: String,
        /// Who voted.
        voter: String,
    },
    /// One vote each.
    #[error("`{voter}` has voted on hold {hold} already")]
    Twice {
        /// Which.
        hold: HoldId,
        /// Who voted.
        voter: String,
    },
    /// The operator may not vote at all.
    #[error("`{0}` does not have the role `approver`")]
    WrongRole(String),
}

impl Holds {
    /// The hold as it is after a vote under the rules of now.
    pub fn vote(
        &self,
        ballot: &Ballot,
        voter: &Operator,
        rules: &str,
        now: Timestamp,
    ) -> Result<Hold, NoVote> {
        let who = || voter.id.to_string();
        if !voter.may(Role::Approver) {
            return Err(NoVote::WrongRole(who()));
        }
        let hold = self.get(ballot.hold).ok_or(NoVote::Unknown(ballot.hold))?;
        let id = hold.id;
        if hold.state != HoldState::Waiting || now >= hold.until {
            let state = if hold.state == HoldState::Waiting { "expired" } else { hold.state.as_str() };
            return Err(NoVote::Decided { hold: id, state });
        }
        if hold.digest != ballot.digest {
            return Err(NoVote::OtherDigest(id));
        }
        if hold.rules != rules {
            return Err(NoVote::OtherRules(id));
        }
        if hold.barred.iter().any(|name| person(name) == voter.person()) {
            return Err(NoVote::Barred(who()));
        }
        if hold.votes.iter().any(|vote| vote.by == voter.id || *vote.person == *voter.person()) {
            return Err(NoVote::Twice { hold: id, voter: who() });
        }
        let groups: Vec<_> = hold.wants.keys().filter(|group| voter.groups.has(group)).cloned().collect();
        if groups.is_empty() {
            let groups: Vec<_> = hold.wants.keys().map(|group| format!("`{group}`")).collect();
            return Err(NoVote::Stranger { hold: id, groups: groups.join(", "), voter: who() });
        }
        let Ballot { approves, note, .. } = ballot.clone();
        let mut after = (**hold).clone();
        after.votes.push(Vote {
            by: voter.id.clone(),
            person: voter.person().into(),
            at: now,
            approves,
            groups,
            note,
        });
        if !approves {
            (after.state, after.since) = (HoldState::Refused, now);
        } else if after.missing().is_empty() {
            let until = now.plus(self.settings().good_for);
            (after.state, after.since) = (HoldState::Approved { until }, now);
        }
        Ok(after)
    }
}

/// In whose name a call is made: they may not approve it.
pub(super) fn barred(stage: &Attributed, settings: &Settings) -> Vec<Arc<str>> {
    let terms = &stage.task.terms;
    let agents = std::iter::once(&stage.principal.agent)
        .chain(&terms.actors)
        .chain(stage.links.iter().map(|link| &link.task.agent));
    let mut all: Vec<Arc<str>> = agents.map(|agent| agent.as_str().into()).collect();
    let owner = terms.on_behalf_of.as_ref().filter(|_| !settings.owner_votes);
    all.extend(owner.map(|subject| Arc::from(subject.as_str())));
    all.sort();
    all.dedup();
    all
}
