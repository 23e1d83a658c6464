//! What becomes of a call that is under way when other rules come into force.
//!
//! A call is judged under one law from beginning to end of its ruling. If other rules come while it is under way, it is judged
//! again, as the call that it was, and cut if it would no longer be allowed.

use std::sync::Arc;

use tokio::sync::watch;

use super::Law;
use crate::call::{Attributed, Call, Decided, Decision, Mode, Refusal, RulesDigest, Ruling};

/// A call under way, ready to be judged again.
#[derive(Clone)]
pub(super) struct Standing {
    call: Arc<Call<Attributed>>,
    /// The rules that it is allowed under.
    under: RulesDigest,
    mode: Mode,
    law: watch::Receiver<Law>,
}

impl Standing {
    /// Of a call that was allowed.
    pub(super) fn of(call: &Call<Decided>, law: &watch::Receiver<Law>) -> Self {
        let (under, mode) = (call.stage().ruling.rules(), call.stage().mode);
        Self { call: Arc::new(call.again()), under, mode, law: law.clone() }
    }

    /// The call as it was before it was ruled on.
    pub(super) fn call(&self) -> Arc<Call<Attributed>> {
        self.call.clone()
    }

    /// Comes to pass when other rules are in force and do not allow the call. Rules that came after the ruling and before
    /// anybody waited here count too.
    pub(super) async fn lost(&mut self) -> Refusal {
        if self.mode == Mode::Observe {
            // It goes on whatever the rules say, whichever they are.
            return std::future::pending().await;
        }
        loop {
            let rules = self.law.borrow_and_update().rules.clone();
            if rules.digest() != self.under {
                let ruling = rules.rule(&self.call);
                if ruling.decision() != Decision::Allow {
                    return self.refusal(ruling);
                }
                self.under = rules.digest();
            }
            if self.law.changed().await.is_err() {
                // The node stops: no other rules will come, and its end cuts the call.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The same, for a stream that can only be cut.
    pub(super) async fn lost_for_good(mut self) -> &'static str {
        let refusal = self.lost().await;
        tracing::info!(call.id = %self.call.head().id, %refusal, "cut: other policies are in force");
        "other policies came into force, and they do not allow it"
    }

    fn refusal(&self, ruling: Ruling) -> Refusal {
        let strongest = self.call.stage().operations.strongest();
        Refusal::PolicyDenied {
            class: strongest.class,
            operation: strongest.id.clone(),
            ruling: Box::new(ruling),
        }
    }
}
