//! Proofs on file: what was found of the invariants, kept beside them, so that whoever looks at the policies of a node need not
//! run a solver beside it.
//!
//! They are worth as much as the policies beside which they lie: whoever can write the one can write the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::source::PolicySource;
use super::{Proof, Verdict};
use crate::call::Timestamp;

/// What is kept of one invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "why", deny_unknown_fields)]
pub enum Found {
    /// It holds for every request.
    Proved,
    /// It does not.
    Refuted,
    /// It is not known: why.
    NotProved(String),
}

/// What was found of all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proofs {
    /// The digest of what was asked: policies, groups, schema and invariants.
    of: String,
    /// Which remit asked; another may know other operations.
    remit: String,
    /// The solver.
    pub solver: String,
    /// When, RFC 3339.
    pub at: String,
    /// By the invariant's name.
    pub found: BTreeMap<String, Found>,
}

/// What there is on file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// Proofs of something else than the set as it is now, or nothing that can be read: why.
    Unfit(String),
    /// Proofs of this very set.
    Proofs(Proofs),
}

impl Proofs {
    /// What is to be kept.
    pub fn of(source: &PolicySource, proofs: &[Proof], solver: &str, at: Timestamp) -> Self {
        let found = |proof: &Proof| match &proof.verdict {
            Verdict::Proved => Found::Proved,
            Verdict::Refuted(_) => Found::Refuted,
            Verdict::Open(why) => Found::NotProved(why.clone()),
        };
        Self {
            of: source.claimed().to_string(),
            remit: env!("CARGO_PKG_VERSION").to_owned(),
            solver: solver.to_owned(),
            at: at.to_string(),
            found: proofs.iter().map(|proof| (proof.claim.id.clone(), found(proof))).collect(),
        }
    }
}

impl Kept {
    /// What is on file for a set.
    pub fn of(source: &PolicySource) -> Self {
        let Some(file) = &source.proofs else { return Self::Nothing };
        let proofs: Proofs = match serde_json::from_str(&file.text) {
            Ok(proofs) => proofs,
            Err(error) => return Self::Unfit(format!("`{}` cannot be read: {error}", file.name)),
        };
        if proofs.of != source.claimed().to_string() {
            return Self::Unfit("policies or invariants have changed since they were proved".to_owned());
        }
        if proofs.remit != env!("CARGO_PKG_VERSION") {
            return Self::Unfit(format!("they were proved by remit {}", proofs.remit));
        }
        Self::Proofs(proofs)
    }
}
