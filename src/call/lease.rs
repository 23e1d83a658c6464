//! A credential that has an owner, a term and an end.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// How far a lease has come. It only moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
