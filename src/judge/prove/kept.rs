//! Proofs on file: what was found of the invariants, kept beside them, so that whoever looks at the policies of a node need not
//! run a solver beside it.
//!
//! They are worth as much as the policies beside which they lie: whoever can write the one can write the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use sha2::{Digest as _, Sha256};

use super::super::engine::Rules;
use super::super::error::LoadErrors;
use super::super::schema;
use super::super::source::PolicySource;
use super::super::vocabulary::Vocabulary;
use super::{Proof, Verdict, invariant};
use crate::call::{RulesDigest, Timestamp};

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
    /// The digest of what was asked: policies, groups, schema and invariants, and what they name of the catalog, with its classes.
    of: String,
    /// Which remit asked; another may ask otherwise.
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
    pub fn of(
        source: &PolicySource,
        vocabulary: &dyn Vocabulary,
        proofs: &[Proof],
        (solver, at): (&str, Timestamp),
    ) -> Result<Self, LoadErrors> {
        let found = |proof: &Proof| match &proof.verdict {
            Verdict::Proved => Found::Proved,
            Verdict::Refuted(_) => Found::Refuted,
            Verdict::Open(why) => Found::NotProved(why.clone()),
        };
        Ok(Self {
            of: asked(source, vocabulary)?,
            remit: env!("CARGO_PKG_VERSION").to_owned(),
            solver: solver.to_owned(),
            at: at.to_string(),
            found: proofs.iter().map(|proof| (proof.claim.id.clone(), found(proof))).collect(),
        })
    }
}

impl Kept {
    /// What is on file for a set.
    pub fn of(source: &PolicySource, vocabulary: &dyn Vocabulary) -> Self {
        let Some(file) = &source.proofs else { return Self::Nothing };
        let proofs: Proofs = match serde_json::from_str(&file.text) {
            Ok(proofs) => proofs,
            Err(error) => return Self::Unfit(format!("`{}` cannot be read: {error}", file.name)),
        };
        match asked(source, vocabulary) {
            Ok(asked) if asked == proofs.of => {}
            Ok(_) => {
                let why = "policies, invariants or the catalog have changed since they were proved";
                return Self::Unfit(why.to_owned());
            }
            Err(errors) => return Self::Unfit(format!("the policies cannot be loaded: {errors}")),
        }
        if proofs.remit != env!("CARGO_PKG_VERSION") {
            return Self::Unfit(format!("they were proved by remit {}", proofs.remit));
        }
        Self::Proofs(proofs)
    }
}

fn asked(source: &PolicySource, vocabulary: &dyn Vocabulary) -> Result<String, LoadErrors> {
    let mut named = Rules::load(source, vocabulary)?.named().clone();
    named.add(&invariant::read(source, vocabulary)?.1);
    let all = Sha256::new().chain_update(source.claimed().0).chain_update(schema::declare(&named));
    Ok(RulesDigest(all.finalize().into()).to_string())
}
