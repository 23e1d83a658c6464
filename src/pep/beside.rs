//! The candidate: policies that would take the place of those in force, asked beside them.
//!
//! It MUST NOT matter to a call. What goes on is put before it while the origin is waited for; what is refused has no hurry.
//! If it fails, nothing is said of it, and a candidate that panics is no candidate for that call.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Law;
use super::meters::Meters;
use crate::call::{Attributed, Call, Decision, Opinion};
use crate::judge::Rules;

/// What a candidate would rule; nothing where it fails.
pub(super) fn ask(candidate: &Rules, call: &Call<Attributed>) -> Option<Opinion> {
    let ruling = catch_unwind(AssertUnwindSafe(|| candidate.rule(call)));
    if ruling.is_err() {
        tracing::error!(call.id = %call.head().id, "the candidate policies broke on this call");
    }
    Some(Opinion::of_candidate(&ruling.ok()?))
}

/// A call under way that is to be put before a candidate once.
pub(super) struct Beside {
    candidate: Option<Arc<Rules>>,
    call: Arc<Call<Attributed>>,
    live: Decision,
    meters: Arc<Meters>,
    opinion: Option<Opinion>,
}

impl Beside {
    pub(super) fn of(law: &Law, call: Arc<Call<Attributed>>, live: Decision, meters: &Arc<Meters>) -> Self {
        Self { candidate: law.candidate.clone(), call, live, meters: meters.clone(), opinion: None }
    }

    /// Asks as soon as there is time for it, and never comes to pass.
    pub(super) async fn meanwhile(&mut self) -> Infallible {
        self.ask();
        std::future::pending().await
    }

    /// What the candidate says; asked now, if there was no time before.
    pub(super) fn opinion(mut self) -> Option<Opinion> {
        self.ask();
        self.opinion
    }

    fn ask(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            self.opinion = ask(&candidate, &self.call);
            if let Some(opinion) = &self.opinion {
                self.meters.compared(self.live, opinion.decision);
            }
        }
    }
}
