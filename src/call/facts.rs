//! What an operation is about, beside its name: what its resource lies in, how the data in it is labelled, what the request
//! says of money, people and reach, and which way data goes. Bounded, and without anything secret: of recipients only how
//! many there are, and their domains.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::operation::{Class, Resource};

/// Which way the call mainly moves data, seen from the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the service to the agent.
    In,
    /// From the agent to the service, or by the service to others.
    Out,
}

impl Direction {
    /// What a call of a class does where nothing else is known.
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Read => Self::In,
            Class::Act | Class::Delegate => Self::Out,
        }
    }

    /// `in` or `out`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What the catalog tells of an operation from the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the resource lies in, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<Resource>,
    /// Labels of the data in the resource: `pii`, `source-code`, `secret`, `untrusted`, `financial`, and the operator's own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<Arc<str>>,
    /// Where the catalog says so; else the class tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// What the request says.
    #[serde(default, skip_serializing_if = "Args::is_empty")]
    pub args: Args,
    /// The tool that is called is described otherwise than when it was first listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
    /// The published format of a long-lived key of the agent's own that the call carries: `github`, `aws`. Never the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought_key: Option<Arc<str>>,
}

impl Facts {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How many domains of recipients are told.
pub const DOMAINS: usize = 20;

/// Fields of a request that mean the same at every service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Args {
    /// Money, in the smallest unit of its currency; the largest amount, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// ISO 4217, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// How many are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<u64>,
    /// How many of those are outside of the operator's own domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<u64>,
    /// Their domains, at most [`DOMAINS`].
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub domains: BTreeSet<String>,
    /// Who may see it: `public`, `private`, or the service's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
    /// The branch that is written to, less `refs/heads/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How many things it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// A declared field could not be read, or says two things: what is above may be less than what is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unclear: bool,
}

impl Args {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
