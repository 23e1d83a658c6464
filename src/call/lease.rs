//! A credential that has an owner, a term and an end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id::{LeaseId, TaskId};
use super::operation::ServiceName;
use super::operator::OperatorId;
use super::secret::Secret;
use super::time::Timestamp;

/// How far a lease has come. It only moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LeaseState {
    /// The provider was asked; whether it gave anything is not known yet.
    Minting,
    /// It can be used.
    Active,
    /// Its task is over: it cannot be used any more, and the provider is to be told.
    Revoking,
    /// The provider said that it is gone.
    Revoked,
    /// Nobody can take it back, or nobody had to: its time was up.
    Expired,
    /// Nobody knows whether it still works somewhere: a person has to look.
    Lost,
}

impl LeaseState {
    /// All, in order.
    pub const ALL: [Self; 6] =
        [Self::Minting, Self::Active, Self::Revoking, Self::Revoked, Self::Expired, Self::Lost];

    /// `minting`, `active`, `revoking`, `revoked`, `expired` or `lost`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minting => "minting",
            Self::Active => "active",
            Self::Revoking => "revoking",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Lost => "lost",
        }
    }

    /// Whether remit does nothing more about it.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Revoked | Self::Expired | Self::Lost)
    }

    /// Whether nothing more can be done with it or about it.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Revoked | Self::Expired)
    }
}

impl fmt::Display for LeaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What must not reach an agent, and what it is shown in its place.
#[derive(Clone, Debug)]
pub struct Leak {
    /// The credential, as it is sent.
    pub secret: Secret<String>,
    /// The placeholder that the agent knows it by.
    pub instead: String,
}

/// What a provider answered an agent with.
#[derive(Clone, Debug)]
pub struct Given {
    /// The credential.
    pub what: Handout,
    /// When it ends, where the provider says so.
    pub expires: Option<Timestamp>,
}

/// A credential in an answer.
#[derive(Clone, Debug)]
pub enum Handout {
    /// One text, which is sent.
    Token(Secret<String>),
    /// A key of AWS's, which signs.
    AwsKey {
        /// No secret.
        id: String,
        /// What signatures are made of.
        secret: Secret<String>,
        /// Of temporary keys; it is sent beside the signature.
        session: Option<Secret<String>>,
    },
}

impl Handout {
    /// All that it is made of.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Token(token) => vec![token.reveal()],
            Self::AwsKey { id, secret, session } => {
                let session = session.as_ref().map(|session| session.reveal().as_str());
                [id.as_str(), secret.reveal()].into_iter().chain(session).collect()
            }
        }
    }
}

/// How long taking a lease back may take before somebody should look.
pub const OVERDUE: Duration = Duration::from_secs(5);

/// A lease, as much of it as anybody may see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// For which task.
    pub task: TaskId,
    /// For which service: a name of the catalog, or a host.
    pub service: ServiceName,
    /// Who gives it: `fixed`, `oauth`.
    pub provider: Arc<str>,
    /// What it may do, in the provider's words.
    pub scope: String,
    /// How far it has come.
    pub state: LeaseState,
    /// Since when.
    pub since: Timestamp,
    /// When it was asked for.
    pub minted: Timestamp,
    /// When it ends by itself; none: never, or nobody knows.
    pub until: Option<Timestamp>,
    /// Whether it ends with its task or soon after; a key that was there before and stays is not.
    pub short_lived: bool,
    /// What is in the way of its next state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When its task was over, where it was not by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_ended: Option<Timestamp>,
    /// Who looked at it after it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// The word of an operator who looked at a lease that was lost: nothing of it works any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whose word.
    pub by: OperatorId,
    /// When it was given.
    pub at: Timestamp,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Lease {
    /// Whether it should be gone by now and is not: it is being taken back for too long, or its task is over and it is not even
    /// that.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let due = match self.state {
            LeaseState::Revoking => Some(self.since),
            LeaseState::Minting | LeaseState::Active => self.task_ended,
            LeaseState::Revoked | LeaseState::Expired | LeaseState::Lost => None,
        };
        due.is_some_and(|due| now.since(due) > OVERDUE)
    }

    /// Whether nobody has to do anything about it any more.
    pub fn is_done(&self) -> bool {
        self.state.is_over() || self.seen.is_some()
    }

    /// What a call tells of the lease that it carried.
    pub fn as_used(&self) -> Leased {
        Leased { id: self.id, provider: self.provider.clone(), short_lived: self.short_lived }
    }
}

/// Why an operator's word on a lease is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeenError {
    /// There is none.
    #[error("no such lease is known")]
    Unknown,
    /// remit knows better.
    #[error("it is {0} and not lost: remit knows what becomes of it, and nobody has to look")]
    NotLost(LeaseState),
    /// The word could not be written down.
    #[error("it cannot be written down: {0}")]
    Unwritten(String),
}

/// The lease that a call carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// Which.
    pub id: LeaseId,
    /// Who gave it.
    pub provider: Arc<str>,
    /// Whether it ends with its task or soon after.
    pub short_lived: bool,
}

/// The answer to "is everything gone?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Gone {
    /// Nothing that the task was given works any more.
    Yes,
    /// Yes, by the word of an operator who looked at what was lost.
    Attested {
        /// Whose word, the latest of them.
        by: OperatorId,
        /// When it was given.
        #[serde(serialize_with = "as_text")]
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// Not yet: something works until then, and nobody can take it back.
    Until {
        /// The last of them.
        #[serde(serialize_with = "as_text")]
        #[schema(value_type = String, format = DateTime)]
        at: Timestamp,
    },
    /// remit has let go of everything, but a key behind it was there before, and stays.
    Stays,
    /// Something is in use or being taken back.
    No,
    /// Nobody knows of something whether it still works.
    Unknown,
}

impl Gone {
    /// Of a task's leases.
    pub fn of<'a>(leases: impl IntoIterator<Item = &'a Lease>, now: Timestamp) -> Self {
        leases.into_iter().map(|lease| Self::of_one(lease, now)).fold(Self::Yes, Self::worse)
    }

    fn of_one(lease: &Lease, now: Timestamp) -> Self {
        match (lease.state, lease.until) {
            (LeaseState::Minting | LeaseState::Active | LeaseState::Revoking, _) => Self::No,
            (LeaseState::Lost, _) => match &lease.seen {
                Some(Seen { by, at, .. }) => Self::Attested { by: by.clone(), at: *at },
                None => Self::Unknown,
            },
            (LeaseState::Expired, Some(at)) if at > now => Self::Until { at },
            (LeaseState::Expired, None) => Self::Stays,
            (LeaseState::Revoked | LeaseState::Expired, _) => Self::Yes,
        }
    }

    fn worse(self, other: Self) -> Self {
        let rank = |gone: &Self| match gone {
            Self::Yes => (0, 0),
            Self::Attested { at, .. } => (1, at.unix_ns()),
            Self::Stays => (2, 0),
            Self::Until { at } => (3, at.unix_ns()),
            Self::No => (4, 0),
            Self::Unknown => (5, 0),
        };
        if rank(&other) > rank(&self) { other } else { self }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `serialize_with` gives a reference")]
fn as_text<S: serde::Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

/// What an agent is configured with in the place of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dummy {
    /// For which service.
    pub service: ServiceName,
    /// The environment variables in which its client looks for a credential, and what is to stand there.
    pub env: std::collections::BTreeMap<String, String>,
    /// The text itself.
    pub placeholder: String,
}
