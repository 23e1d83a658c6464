//! What else an auditor must know: changes of privilege, and connections that never became a call.

use std::net::SocketAddr;

use super::entry::What;
use super::facts::{RefusalFacts, TaskFacts, Text};
use super::hold::{HoldFacts, VoteFacts};
use super::lease::LeaseFacts;
use crate::call::{
    AgentProfile, Hold, HoldState, Host, Lease, LeaseState, OperatorId, PeerName, Refusal, RulesDigest,
    SpiffeId, Task, TaskId, Timestamp, Vote,
};

/// Something worth an entry of its own, see [`Journal::note`](super::Journal::note).
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A connection ended before it carried a call.
    TurnedAway {
        /// The other end.
        peer: SocketAddr,
        /// The authority that it asked for, as it spelt it.
        authority: Option<&'a str>,
        /// Why.
        refusal: &'a Refusal,
    },
    /// A task was opened.
    TaskOpened {
        /// Which.
        task: &'a Task,
        /// The operator who did it, if one did.
        by: Option<&'a OperatorId>,
    },
    /// A task ended.
    TaskEnded {
        /// Which.
        task: TaskId,
        /// By what: `operator`, `deadline`, `command ended`.
        why: &'a str,
        /// The operator who did it, if one did.
        by: Option<&'a OperatorId>,
    },
    /// A task's tokens hold longer.
    TaskRenewed {
        /// Which.
        task: TaskId,
        /// Until when.
        until: Timestamp,
        /// The operator who did it, if one did.
        by: Option<&'a OperatorId>,
    },
    /// A hold came into its state.
    Hold(&'a Hold),
    /// Somebody voted on a hold.
    Voted(&'a Hold, &'a Vote),
    /// A lease came into its state.
    Lease(&'a Lease),
    /// A lease should be gone, and is not.
    LeaseOverdue(&'a Lease),
    /// An operator looked at a lease that was lost.
    LeaseSeen(&'a Lease),
    /// A service did not take the credential of a lease.
    LeaseRejected(&'a Lease),
    /// An agent was registered, or otherwise than before.
    AgentRegistered {
        /// Which.
        agent: &'a SpiffeId,
        /// As what; none: it is registered no more.
        profile: Option<&'a AgentProfile>,
        /// Where it answers.
        hosts: &'a [Host],
        /// The node that it works behind.
        behind: Option<&'a PeerName>,
        /// The operator who did it, if one did.
        by: Option<&'a OperatorId>,
    },
    /// An agent was put into quarantine.
    AgentQuarantined {
        /// Which.
        agent: &'a SpiffeId,
        /// The operator who did it, if one did.
        by: Option<&'a OperatorId>,
    },
    /// An agent was let out of quarantine.
    AgentReleased {
        /// Which.
        agent: &'a SpiffeId,
        /// The operator who did it, if one did.
        by: Option<&'a OperatorId>,
    },
    /// An operator signed in with a browser.
    OperatorSignedIn(&'a OperatorId),
    /// And out.
    OperatorSignedOut(&'a OperatorId),
    /// Rules were loaded.
    RulesLoaded {
        /// Which.
        digest: RulesDigest,
        /// How many policies.
        policies: usize,
        /// The rules that they take the place of.
        from: Option<RulesDigest>,
        /// Who, or what, set it off: `start`, `file change`, `signal`, or an operator's id.
        by: &'a str,
    },
    /// Rules were to be loaded and are not fit to be; those before stay in force.
    RulesRefused {
        /// Who, or what, set it off.
        by: &'a str,
        /// What is wrong with them.
        why: &'a str,
    },
    /// Other policies are asked beside those in force.
    CandidateLoaded {
        /// Which.
        digest: RulesDigest,
        /// How many policies.
        policies: usize,
        /// Who, or what, set it off.
        by: &'a str,
    },
    /// Other policies were to be asked beside those in force and are not fit to be.
    CandidateRefused {
        /// Who, or what, set it off.
        by: &'a str,
        /// What is wrong with them.
        why: &'a str,
    },
    /// Settings were loaded.
    ConfigurationLoaded {
        /// Which file, or `built in`.
        source: &'a str,
        /// SHA-256 of the file.
        digest: Option<[u8; 32]>,
    },
    /// An issuing CA was made.
    CaMade {
        /// SHA-256 of its certificate.
        fingerprint: [u8; 32],
    },
    /// The node began.
    NodeStarted {
        /// Its version.
        version: &'a str,
    },
    /// The node ends in good order.
    NodeStopped {
        /// Its version.
        version: &'a str,
    },
}

impl Event<'_> {
    pub(super) fn what(&self) -> What {
        match *self {
            Self::TurnedAway { peer, authority, refusal } => What::TurnedAway {
                peer: peer.to_string(),
                authority: authority.map(Text::new),
                refusal: RefusalFacts::of(refusal, None),
            },
            Self::TaskOpened { task, by } => {
                What::TaskOpened(TaskFacts { by: by.cloned(), ..TaskFacts::from(task) })
            }
            Self::TaskEnded { task, why, by } => {
                What::TaskEnded { task, why: Text::new(why), by: by.cloned() }
            }
            Self::TaskRenewed { task, until, by } => What::TaskRenewed { task, until, by: by.cloned() },
            Self::Hold(hold) if hold.state == HoldState::Waiting => {
                What::HoldOpened(Box::new(HoldFacts::of(hold)))
            }
            Self::Hold(hold) => What::HoldSettled(Box::new(HoldFacts::of(hold))),
            Self::Voted(hold, vote) => What::HoldVoted(Box::new(VoteFacts::of(hold, vote))),
            Self::Lease(lease) => lease_entry(lease, LeaseFacts::of(lease, false)),
            // Whatever state it is held up in, it is on its way out.
            Self::LeaseOverdue(lease) => What::LeaseRevoking(Box::new(LeaseFacts::of(lease, true))),
            Self::LeaseSeen(lease) => What::LeaseSeen(Box::new(LeaseFacts::of(lease, false))),
            Self::LeaseRejected(lease) => What::LeaseRejected(Box::new(LeaseFacts::of(lease, false))),
            Self::AgentRegistered { agent, profile, hosts, behind, by } => What::AgentRegistered {
                agent: agent.clone(),
                profile: profile.cloned().map(Box::new),
                hosts: hosts.to_vec(),
                behind: behind.cloned(),
                by: by.cloned(),
            },
            Self::AgentQuarantined { agent, by } => {
                What::AgentQuarantined { agent: agent.clone(), by: by.cloned() }
            }
            Self::AgentReleased { agent, by } => {
                What::AgentReleased { agent: agent.clone(), by: by.cloned() }
            }
            Self::OperatorSignedIn(by) => What::OperatorSignedIn { by: by.clone() },
            Self::OperatorSignedOut(by) => What::OperatorSignedOut { by: by.clone() },
            Self::RulesRefused { by, why } => What::RulesRefused { by: Text::new(by), why: Text::new(why) },
            Self::RulesLoaded { digest, policies, from, by } => What::RulesLoaded {
                digest: digest.to_string(),
                from: from.map(|from| from.to_string()),
                policies: u64::try_from(policies).unwrap_or(u64::MAX),
                by: Text::new(by),
            },
            Self::CandidateLoaded { digest, policies, by } => What::CandidateLoaded {
                digest: digest.to_string(),
                policies: u64::try_from(policies).unwrap_or(u64::MAX),
                by: Text::new(by),
            },
            Self::CandidateRefused { by, why } => {
                What::CandidateRefused { by: Text::new(by), why: Text::new(why) }
            }
            Self::ConfigurationLoaded { source, digest } => What::ConfigurationLoaded {
                source: Text::new(source),
                digest: digest.map(|digest| RulesDigest(digest).to_string()),
            },
            Self::CaMade { fingerprint } => {
                What::CaMade { fingerprint: RulesDigest(fingerprint).to_string() }
            }
            Self::NodeStarted { version } => What::NodeStarted { version: Text::new(version) },
            Self::NodeStopped { version } => What::NodeStopped { version: Text::new(version) },
        }
    }

    /// Whether anybody at all can bring it about. Such an entry does not make the disk work, or a stranger could.
    pub(super) fn is_cheap_to_cause(&self) -> bool {
        matches!(self, Self::TurnedAway { .. })
    }
}

/// A lease that is being asked for is in nobody's hands, and not told; what becomes of it is.
fn lease_entry(lease: &Lease, facts: LeaseFacts) -> What {
    let facts = Box::new(facts);
    match lease.state {
        LeaseState::Minting | LeaseState::Active => What::LeaseMinted(facts),
        LeaseState::Revoking => What::LeaseRevoking(facts),
        LeaseState::Revoked => What::LeaseRevoked(facts),
        LeaseState::Expired => What::LeaseExpired(facts),
        LeaseState::Lost => What::LeaseLost(facts),
    }
}
