//! The candidate: another policy set, `policies.candidate`, that is asked about every call beside the one in force.
//!
//! It MUST NOT matter to what is in force. A candidate that cannot be loaded is none: the node starts and runs without one,
//! and log and journal say why.

use std::sync::Arc;

use super::config::Config;
use crate::call::RulesDigest;
use crate::judge::{Loader, PolicySource, Rules, Vocabulary};
use crate::pep::Law;
use crate::record::{Event, Journal};

/// Loads candidates one after the other.
#[derive(Debug, Default)]
pub(super) struct Candidate {
    loader: Loader,
    /// Why there is none although one was asked for.
    problem: Option<String>,
}

impl Candidate {
    /// The candidate of a configuration, whole and tried by its own cases, as if it were to come into force.
    pub(super) fn load(&mut self, config: &Config, vocabulary: &dyn Vocabulary) -> Option<Arc<Rules>> {
        self.problem = None;
        let source = PolicySource::dir(config.policies_candidate.as_deref()?);
        match source.and_then(|source| self.loader.load_tried(&source, vocabulary)) {
            Ok(rules) => Some(Arc::new(rules)),
            Err(errors) => {
                self.problem = Some(errors.to_string());
                None
            }
        }
    }

    /// Why there is none although one was asked for.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }
}

/// The digest of a law's candidate.
pub(super) fn digest(law: &Law) -> Option<RulesDigest> {
    law.candidate.as_ref().map(|rules| rules.digest())
}

/// Says in log and journal which candidate is asked from here on, or why none is.
pub(super) async fn tell(journal: &Journal, law: &Law, problem: Option<&str>, by: &str) {
    let event = match (&law.candidate, problem) {
        (Some(rules), _) => {
            let (digest, policies) = (rules.digest(), rules.policies().len());
            tracing::info!(%digest, by, "a candidate is asked beside the policies in force");
            Event::CandidateLoaded { digest, policies, by }
        }
        (None, Some(why)) => {
            tracing::error!(by, "the candidate policies are not fit, and none is asked:\n{why}");
            Event::CandidateRefused { by, why }
        }
        (None, None) => return,
    };
    if let Err(error) = journal.note(event).await {
        tracing::error!(%error, "what became of the candidate policies cannot be recorded");
    }
}
