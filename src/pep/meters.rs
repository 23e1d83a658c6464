//! What the walk counts: decisions, refusals, ends, and how long each stage held a call up.

use std::time::Duration;

use crate::call::meter::{Counter, Histogram};
use crate::call::{Class, Decision, Outcome, Refusal};

/// The stages in which remit itself takes time, in the order of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The catalog, and as much of the body as it wants to see.
    Recognise,
    /// Identity and task.
    Attribute,
    /// The policies.
    Judge,
    /// The journal, until the entry is written as strongly as its class asks for.
    Record,
}

impl Step {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Recognise, Self::Attribute, Self::Judge, Self::Record];

    /// `recognise`, `attribute`, `judge` or `record`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recognise => "recognise",
            Self::Attribute => "attribute",
            Self::Judge => "judge",
            Self::Record => "record",
        }
    }
}

const DECISIONS: [Decision; 3] = Decision::ALL;
const OUTCOMES: [Outcome; 7] = [
    Outcome::Answered,
    Outcome::OriginFailed,
    Outcome::AgentGone,
    Outcome::Revoked,
    Outcome::Abandoned,
    Outcome::Unequipped,
    Outcome::Unknown,
];

/// One for each code, and one for what has none.
#[derive(Debug)]
struct ByCode([Counter; Refusal::CODES.len() + 1]);

impl Default for ByCode {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

/// The walk's counters.
#[derive(Debug, Default)]
pub struct Meters {
    /// By class (the last: refused before it had one) and decision.
    calls: [[Counter; DECISIONS.len()]; 4],
    /// As [`Refusal::CODES`]; the last: any other.
    refusals: ByCode,
    /// By decision, of calls that were only observed.
    observed: [Counter; DECISIONS.len()],
    /// By the decision of the rules in force and that of the candidate.
    compared: [[Counter; DECISIONS.len()]; DECISIONS.len()],
    opened: Counter,
    outcomes: [Counter; OUTCOMES.len()],
    steps: [Histogram; 4],
    /// By class.
    commits: [Histogram; 3],
    /// From the moment a call may go out until the head of its answer is there.
    origin: Histogram,
}

impl Meters {
    pub(super) fn decided(&self, class: Option<Class>, decision: Decision) {
        let class = class.map_or(3, index);
        if let Some(counter) = self.calls.get(class).and_then(|counters| counters.get(place(decision))) {
            counter.add();
        }
    }

    pub(super) fn observed(&self, decision: Decision) {
        if let Some(counter) = self.observed.get(place(decision)) {
            counter.add();
        }
    }

    pub(super) fn compared(&self, live: Decision, candidate: Decision) {
        let counter = self.compared.get(place(live)).and_then(|counters| counters.get(place(candidate)));
        if let Some(counter) = counter {
            counter.add();
        }
    }

    pub(super) fn refused(&self, code: &str) {
        let at = Refusal::CODES.iter().position(|one| *one == code).unwrap_or(Refusal::CODES.len());
        if let Some(counter) = self.refusals.0.get(at) {
            counter.add();
        }
    }

    pub(super) fn opened(&self, class: Class, took: Duration) {
        self.opened.add();
        self.decided(Some(class), Decision::Allow);
        if let Some(commits) = self.commits.get(index(class)) {
            commits.add(took);
        }
    }

    pub(super) fn ended(&self, outcome: Outcome) {
        let at = OUTCOMES.iter().position(|one| *one == outcome);
        if let Some(counter) = at.and_then(|at| self.outcomes.get(at)) {
            counter.add();
        }
    }

    pub(super) fn step(&self, step: Step, took: Duration) {
        let at = Step::ALL.iter().position(|one| *one == step);
        if let Some(histogram) = at.and_then(|at| self.steps.get(at)) {
            histogram.add(took);
        }
    }

    pub(super) fn answered(&self, took: Duration) {
        self.origin.add(took);
    }

    /// Calls by class (`none`: refused before it had one) and decision.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let classes = Class::ALL.map(Class::as_str).into_iter().chain(["none"]);
        classes.zip(&self.calls).flat_map(|(class, counters)| {
            DECISIONS.iter().zip(counters).map(move |(decision, c)| (class, decision.as_str(), c.count()))
        })
    }

    /// What would have become of calls that were only observed.
    pub fn observations(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DECISIONS.iter().zip(&self.observed).map(|(decision, counter)| (decision.as_str(), counter.count()))
    }

    /// Calls that a candidate was asked about, by the decision of the rules in force and by its own.
    pub fn comparisons(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        DECISIONS.iter().zip(&self.compared).flat_map(|(live, counters)| {
            let by = DECISIONS.iter().zip(counters);
            by.map(move |(candidate, counter)| (live.as_str(), candidate.as_str(), counter.count()))
        })
    }

    /// Refusals by code, connections that were turned away among them.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let codes = Refusal::CODES.into_iter().chain(["other"]);
        codes.zip(&self.refusals.0).map(|(code, counter)| (code, counter.count()))
    }

    /// Ends of opened calls.
    pub fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        OUTCOMES.into_iter().zip(&self.outcomes).map(|(outcome, counter)| (outcome, counter.count()))
    }

    /// Calls that are on their way.
    pub fn open(&self) -> u64 {
        let ended: u64 = self.outcomes().map(|(_, count)| count).sum();
        self.opened.count().saturating_sub(ended)
    }

    /// How long each stage took.
    pub fn steps(&self) -> impl Iterator<Item = (Step, &Histogram)> {
        Step::ALL.into_iter().zip(&self.steps)
    }

    /// How long openings waited for the journal, by class.
    pub fn commits(&self) -> impl Iterator<Item = (Class, &Histogram)> {
        Class::ALL.into_iter().zip(&self.commits)
    }

    /// How long origins took to begin their answers.
    pub fn origin(&self) -> &Histogram {
        &self.origin
    }
}

fn place(decision: Decision) -> usize {
    match decision {
        Decision::Allow => 0,
        Decision::Deny => 1,
        Decision::Hold => 2,
    }
}

fn index(class: Class) -> usize {
    match class {
        Class::Read => 0,
        Class::Act => 1,
        Class::Delegate => 2,
    }
}
