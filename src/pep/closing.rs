//! Closes a call: gathers what is known of its end and writes it once, however the end comes about.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Response};

use super::equipping::Carried;
use super::meters::Meters;
use crate::body::{Body, BodyError, Pending, Watch};
use crate::call::{BodyFacts, Clock, Closing, Opened, Opinion, Outcome, Refusal, Timestamp};
use crate::intent::Place;
use crate::origin::{Gate, PumpEnd, Upgraded};

/// Holds the proof that a call was opened, and what its closing entry will say. Dropped without an end it closes the
/// call as abandoned ([`Opened`]).
pub(super) struct Closer {
    opened: Option<Opened>,
    at: Timestamp,
    clock: Arc<dyn Clock>,
    closing: Closing,
    request: Arc<Mutex<BodyFacts>>,
    carried: Carried,
    meters: Arc<Meters>,
    /// The call counts as in flight until it is closed.
    _place: Arc<Place>,
}

impl Closer {
    /// For a call that came in `at` and was decided just now.
    pub(super) fn new(
        opened: Opened,
        at: Timestamp,
        clock: Arc<dyn Clock>,
        place: Arc<Place>,
        meters: Arc<Meters>,
    ) -> Self {
        let mut closing = Closing::bare(Outcome::Abandoned);
        closing.decided_ns = nanoseconds(&*clock, at);
        let (request, carried) = (Arc::default(), Carried::default());
        Self { opened: Some(opened), at, clock, closing, request, carried, meters, _place: place }
    }

    /// Where to put down which lease it carries.
    pub(super) fn carried(&self) -> Carried {
        self.carried.clone()
    }

    /// Looks on while the agent's body passes.
    pub(super) fn request_watch(&self) -> impl Watch + Unpin + use<> {
        self.request.clone()
    }

    /// What a candidate would have ruled.
    pub(super) fn compared(&mut self, opinion: Option<Opinion>) {
        self.closing.candidate = opinion.map(Box::new);
    }

    /// The head of an answer is there.
    pub(super) fn answered(&mut self, response: &Response<Body>) {
        let first_byte_ns = nanoseconds(&*self.clock, self.at);
        self.meters.answered(Duration::from_nanos(first_byte_ns.saturating_sub(self.closing.decided_ns)));
        self.closing.first_byte_ns = Some(first_byte_ns);
        self.closing.status = Some(response.status().as_u16());
        self.note_grpc_status(response.headers());
    }

    /// The agent gets a refusal in the place of an answer.
    pub(super) fn refused(mut self, outcome: Outcome, refusal: &Refusal, error: Option<String>) {
        self.closing.refusal = Some(refusal.code().to_owned());
        self.closing.error = error;
        self.close(outcome);
    }

    /// Nobody waits for the answer any more, and none has begun.
    pub(super) fn left(mut self) {
        self.close(Outcome::AgentGone);
    }

    /// Carries an upgraded connection to its end.
    pub(super) async fn pump(
        mut self,
        agent: Pending,
        origin: Upgraded,
        cut: impl Future<Output = &'static str> + Send + 'static,
        mut gate: impl Gate,
    ) {
        let agent = match agent.ready().await {
            Ok(agent) => agent,
            Err(error) => {
                self.closing.error = Some(error.to_string());
                return self.close(Outcome::AgentGone);
            }
        };
        let cut = async move {
            let _why = cut.await;
        };
        let facts = origin.pump(agent, cut, &mut gate).await;
        let complete = facts.end == PumpEnd::Closed;
        let passed = |bytes| BodyFacts { bytes, sha256: None, complete };
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = passed(facts.to_origin);
        self.closing.response = passed(facts.to_agent);
        let outcome = match facts.end {
            PumpEnd::Closed => Outcome::Answered,
            PumpEnd::Cut => Outcome::Revoked,
            PumpEnd::AgentBroke(why) | PumpEnd::Refused(why) => self.because(why, Outcome::AgentGone),
            PumpEnd::OriginBroke(why) => self.because(why, Outcome::OriginFailed),
            PumpEnd::Idle(seconds) => {
                self.because(format!("nothing moved for {seconds} s"), Outcome::OriginFailed)
            }
        };
        self.close(outcome);
    }

    fn because(&mut self, why: String, outcome: Outcome) -> Outcome {
        self.closing.error = Some(why);
        outcome
    }

    fn note_grpc_status(&mut self, headers: &HeaderMap) {
        let status = headers.get("grpc-status").and_then(|value| value.to_str().ok()?.parse().ok());
        self.closing.grpc_status = status.or(self.closing.grpc_status);
    }

    fn close(&mut self, outcome: Outcome) {
        let Some(opened) = self.opened.take() else { return };
        self.meters.ended(outcome);
        self.closing.outcome = outcome;
        self.closing.lease = self.carried.lease().cloned().map(Box::new);
        self.closing.duration_ns = nanoseconds(&*self.clock, self.at);
        self.closing.request = self.request.lock().unwrap_or_else(PoisonError::into_inner).clone();
        opened.close(self.closing.clone());
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        if self.opened.is_some() {
            self.meters.ended(Outcome::Abandoned);
        }
    }
}

impl Watch for Closer {
    fn trailers(&mut self, trailers: &HeaderMap) {
        self.note_grpc_status(trailers);
    }

    fn over(&mut self, facts: BodyFacts, error: Option<&BodyError>) {
        let outcome = match error {
            _ if facts.complete => Outcome::Answered,
            Some(BodyError::Cut(_)) => Outcome::Revoked,
            Some(_) => Outcome::OriginFailed,
            None => Outcome::AgentGone,
        };
        self.closing.error = error.map(ToString::to_string);
        self.closing.response = facts;
        self.close(outcome);
    }
}

pub(super) fn nanoseconds(clock: &dyn Clock, from: Timestamp) -> u64 {
    u64::try_from(clock.now().since(from).as_nanos()).unwrap_or(u64::MAX)
}
