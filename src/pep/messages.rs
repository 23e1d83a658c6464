//! The walk of a WebSocket's messages: each is recognised, attributed, judged and recorded like a call of its own.
//!
//! A message that acts or delegates has an entry of its own, written before it goes out. Those that read, and those that are
//! no more than what the upgrade itself was let through for, are judged one by one and counted into one window a second; its
//! opening entry is written before the first of them goes out (INVARIANT I2). A refused message does not go out.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_PROTOCOL;

use super::closing::nanoseconds;
use super::holding::{Bench, Sent};
use super::{Law, Pep};
use crate::accept::refuse;
use crate::call::stage::Upgrade;
use crate::call::{
    Call, CallId, Class, Closing, Decided, Decision, Dialect, Head, Opened, Operation, Operations, Opinion,
    Outcome, Peek, Presented, Refusal, SpanId, Timestamp, TraceContext,
};
use crate::catalog::{MESSAGE_BYTES, Spoken};
use crate::intent::Place;
use crate::lease::formats;
use crate::origin::{Ear, Gate, Scrubber, Verdict};

/// How long messages are counted into one entry.
const WINDOW: Duration = Duration::from_secs(1);
/// How many operations a window tells apart; the rest are counted together.
const WINDOW_OPERATIONS: usize = 32;
/// RFC 6455 §7.4.1: it breaks a policy.
const POLICY_VIOLATION: u16 = 1008;

/// How many messages of the origin's are looked at for the tools that were asked for.
const ANSWERS: u32 = 100;

/// Learns from the origin's answers to `tools/list` (MCP), as `Listener` does over HTTP.
struct Student {
    pep: Pep,
    opened: Head,
    /// How many messages are still looked at.
    left: AtomicU32,
}

impl Ear for Student {
    fn wants(&self) -> usize {
        if self.left.load(Relaxed) == 0 { 0 } else { MESSAGE_BYTES }
    }

    fn hear(&self, message: &[u8]) {
        let catalog = self.pep.law.borrow().catalog.clone();
        // Only the task of this connection counts, so nothing comes between.
        let left = self.left.load(Relaxed).saturating_sub(1);
        let Some(drifted) = catalog.remember_spoken_tools(&self.opened, message) else {
            return self.left.store(left, Relaxed);
        };
        self.left.store(0, Relaxed);
        for tool in drifted {
            let server = &self.opened.origin;
            tracing::warn!(%server, %tool, "a tool is described otherwise than before: it is an act from now on");
        }
    }
}

/// Who opened the WebSocket.
pub(super) struct Speaker {
    head: Head,
    presented: Presented,
    upgrade: Operation,
}

impl Speaker {
    pub(super) fn of(call: &Call<Decided>) -> Self {
        let (head, presented) = (call.head().clone(), call.stage().presented.clone());
        Self { head, presented, upgrade: call.stage().operations.strongest().clone() }
    }
}

/// Stands between an agent and the other end of its WebSocket.
pub(super) struct Messages {
    pep: Pep,
    speaker: Speaker,
    /// The subprotocol that the origin chose (RFC 6455 §4.2.2).
    protocol: Option<String>,
    /// The message that is on its way.
    under_way: Option<Entry>,
    window: Option<Window>,
    student: Arc<Student>,
    /// What keeps the credential of the upgrade from the agent.
    scrubber: Option<Scrubber>,
}

/// An open entry.
struct Entry {
    opened: Opened,
    at: Timestamp,
    closing: Closing,
}

/// Messages that are counted together.
struct Window {
    entry: Entry,
    last: Timestamp,
}

impl Messages {
    pub(super) fn new(pep: Pep, speaker: Speaker, answer: &HeaderMap) -> Self {
        let protocol = answer.get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
        let student = Student { pep: pep.clone(), opened: speaker.head.clone(), left: AtomicU32::new(0) };
        let (protocol, student) = (protocol.map(str::to_owned), Arc::new(student));
        Self { pep, speaker, protocol, under_way: None, window: None, student, scrubber: None }
    }

    /// With what must not reach the agent.
    pub(super) fn scrubbing(mut self, scrubber: Option<Scrubber>) -> Self {
        self.scrubber = scrubber;
        self
    }

    /// The head of a message: that of the upgrade, with an id, a time and a span of its own.
    fn head(&self) -> Head {
        let opened = &self.speaker.head;
        let id = CallId::fresh(&*self.pep.clock, &*self.pep.entropy);
        let trace = TraceContext {
            parent: Some(opened.trace.span),
            span: SpanId::of_call(id),
            ..opened.trace.clone()
        };
        Head { id, at: self.pep.clock.now(), trace, upgrade: Some(Upgrade::Message), ..opened.clone() }
    }

    /// Steps 4 to 7 of the walk.
    async fn go(
        &mut self,
        head: Head,
        operations: Operations,
        covered: bool,
        message: &Peek,
    ) -> Result<(), Refusal> {
        let (at, bytes) = (head.at, message.bytes.len() as u64);
        let counted = covered || operations.class() == Class::Read;
        let call = Call::intercepted(head, self.speaker.presented.clone()).recognise(operations);
        let (call, mut leash) = self.pep.attribute(call, bytes).await?;
        let catalog = self.pep.law.borrow().catalog.clone();
        let call = self.pep.examine(&catalog, call, message, &leash.place).await?;
        if let Some(why) = *leash.ended.borrow() {
            return Err(Refusal::TaskEnded { why: why.to_string() });
        }
        // Under the rules of now, not of when the stream began.
        let law = self.pep.law.borrow().clone();
        let bench = Bench { sent: Sent::Message(message), agent: None };
        let call = self.pep.decide(&law, call, &mut leash, bench).await?;
        let opinion = self.opinion(&law, &call);
        if counted {
            self.count(call, &leash.place, at, bytes, opinion).await?;
            leash.toll.all_passes();
            return Ok(());
        }
        let mut entry = self.entry(&call, &leash.place, at, bytes).await?;
        entry.closing.candidate = opinion.map(Box::new);
        leash.toll.all_passes();
        self.under_way = Some(entry);
        Ok(())
    }

    /// What the candidate would rule on a message that goes on.
    fn opinion(&self, law: &Law, call: &Call<Decided>) -> Option<Opinion> {
        law.candidate.as_ref()?;
        self.pep.opinion(law, &call.again(), call.stage().ruling.decision())
    }

    /// Counts a message into the window of this second. Of what the candidate says of its messages the window keeps the first
    /// that is other than what was ruled.
    async fn count(
        &mut self,
        call: Call<Decided>,
        place: &Place,
        at: Timestamp,
        bytes: u64,
        opinion: Option<Opinion>,
    ) -> Result<(), Refusal> {
        let live = call.stage().ruling.decision();
        let opinion = opinion.map(Box::new);
        if self.window.as_ref().is_some_and(|window| at.since(window.entry.at) >= WINDOW) {
            self.close_window();
        }
        let name = call.stage().operations.strongest().id.to_string();
        match &mut self.window {
            None => {
                let mut entry = self.entry(&call, place, at, bytes).await?;
                entry.closing.messages.insert(name, 1);
                entry.closing.candidate = opinion;
                self.window = Some(Window { entry, last: at });
            }
            Some(window) => {
                let messages = &mut window.entry.closing.messages;
                let known = messages.len() < WINDOW_OPERATIONS || messages.contains_key(&name);
                let name = if known { name } else { "(other operations)".to_owned() };
                *messages.entry(name).or_default() += 1;
                window.entry.closing.request.bytes += bytes;
                if opinion.as_ref().is_some_and(|opinion| opinion.decision != live) {
                    let kept = &mut window.entry.closing.candidate;
                    *kept = kept.take().filter(|kept| kept.decision != live).or(opinion);
                }
                window.last = at;
                self.pep.settle(place, call.stage(), Decision::Allow, None);
            }
        }
        Ok(())
    }

    async fn entry(
        &self,
        call: &Call<Decided>,
        place: &Place,
        at: Timestamp,
        bytes: u64,
    ) -> Result<Entry, Refusal> {
        let opened = self.pep.open(call, place).await?;
        let mut closing = Closing::bare(Outcome::Answered);
        closing.decided_ns = nanoseconds(&*self.pep.clock, at);
        closing.request.bytes = bytes;
        closing.request.complete = true;
        Ok(Entry { opened, at, closing })
    }

    fn close_window(&mut self) {
        let Some(Window { entry: Entry { opened, at, mut closing }, last }) = self.window.take() else {
            return;
        };
        closing.duration_ns = u64::try_from(last.since(at).as_nanos()).unwrap_or(u64::MAX);
        opened.close(closing);
    }
}

impl Gate for Messages {
    fn limit(&self) -> usize {
        MESSAGE_BYTES
    }

    async fn ask(&mut self, message: Peek) -> Verdict {
        let Speaker { head: opened, upgrade, .. } = &self.speaker;
        let catalog = self.pep.law.borrow().catalog.clone();
        let spoken = catalog.recognise_message(opened, upgrade, self.protocol.as_deref(), &message);
        let Spoken { operations, dialect, covered, lists_tools } = spoken;
        let operations = operations.bringing(formats::brought_in(&message.bytes, formats::is_placeholder));
        let head = self.head();
        let id = head.id;
        match self.go(head, operations, covered, &message).await {
            Ok(()) => {
                if lists_tools {
                    self.student.left.store(ANSWERS, Relaxed);
                }
                Verdict::Pass
            }
            Err(refusal) => no(&refusal, &dialect, id),
        }
    }

    fn ear(&self) -> Option<Arc<dyn Ear>> {
        Some(self.student.clone())
    }

    fn scrubber(&self) -> Option<Scrubber> {
        self.scrubber.clone()
    }

    fn passed(&mut self) {
        let Some(Entry { opened, at, mut closing }) = self.under_way.take() else { return };
        closing.duration_ns = nanoseconds(&*self.pep.clock, at);
        opened.close(closing);
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.close_window();
    }
}

fn no(refusal: &Refusal, dialect: &Dialect, id: CallId) -> Verdict {
    match refuse::message(refusal, dialect, id) {
        Some(text) => Verdict::Answer(text),
        None => Verdict::Close { code: POLICY_VIOLATION, reason: refuse::close_reason(refusal, id) },
    }
}
