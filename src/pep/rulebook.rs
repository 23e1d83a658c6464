//! The rules in force, and what becomes of a call that is under way when others take their place.
//!
//! A call is judged under one set from beginning to end of its ruling. If other rules come while it is under way, it is
//! judged again, as the call that it was, and cut if it would no longer be allowed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::call::{Attributed, Call, Decided, Decision, Refusal, RulesDigest, Ruling};
use crate::judge::Rules;

/// The rules in force. Read by every call, changed by whoever loads others.
#[derive(Debug)]
pub struct Rulebook {
    rules: ArcSwap<Rules>,
    generation: watch::Sender<u64>,
}

impl Rulebook {
    /// The first rules of a node.
    pub fn new(rules: Rules) -> Self {
        Self { rules: ArcSwap::from_pointee(rules), generation: watch::Sender::new(1) }
    }

    /// The rules in force.
    pub fn now(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// How often rules were loaded, beginning with 1.
    pub fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Puts other rules in force. MUST be written to the journal before.
    pub fn put(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        self.generation.send_modify(|generation| *generation += 1);
    }
}

/// A call under way, ready to be judged again.
#[derive(Clone)]
pub(super) struct Standing {
    call: Arc<Call<Attributed>>,
    /// The rules that it is allowed under.
    under: RulesDigest,
    book: Arc<Rulebook>,
    generation: watch::Receiver<u64>,
}

impl Standing {
    /// Of a call that was allowed.
    pub(super) fn of(call: &Call<Decided>, book: &Arc<Rulebook>) -> Self {
        let generation = book.generation.subscribe();
        Self {
            call: Arc::new(call.again()),
            under: call.stage().ruling.rules(),
            book: book.clone(),
            generation,
        }
    }

    /// Comes to pass when other rules are in force and do not allow the call. Rules that came after the ruling and before
    /// anybody waited here count too.
    pub(super) async fn lost(&mut self) -> Refusal {
        loop {
            self.generation.mark_unchanged();
            let rules = self.book.now();
            if rules.digest() != self.under {
                let ruling = rules.rule(&self.call);
                if ruling.decision() != Decision::Allow {
                    return self.refusal(ruling);
                }
                self.under = rules.digest();
            }
            if self.generation.changed().await.is_err() {
                // Cannot be: the book that it hangs on is held here.
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
