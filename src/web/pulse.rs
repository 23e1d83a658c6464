//! What happens now, summed up as it happens: for the console's first page.
//!
//! One follower of the journal keeps counts and the latest calls for everybody who looks, so that ten thousand events a minute
//! cost one reader and not one for each page. Everything here is bounded and may be lost: the journal has it all.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::call::{CallId, Class, Decision, Outcome, Recognition, SpiffeId, Timestamp};
use crate::record::{CallFacts, Closed, Entry, Follow, What};

use super::calls::decision_of;

/// Seconds that one bar of the plot stands for.
pub(super) const BAR_S: u64 = 5;
/// Bars of the plot: a quarter of an hour.
pub(super) const BARS: usize = 180;
/// Latest calls that are kept.
const LATEST: usize = 200;
/// Calls whose end is waited for. Beyond, their end is not shown.
const OPEN: usize = 20_000;
/// Agents that are told apart within one bar; the others are counted together.
const AGENTS: usize = 64;
/// Operations at hosts that are known as gaps, and agents with drift.
const GAPS: usize = 500;
/// Entries of before the start that are read.
pub(super) const WARM: u64 = 20_000;
/// Entries that are read at one time.
const AT_ONCE: usize = 2_048;
/// The least time between two beats, so that what comes meanwhile is summed up.
const BEAT: Duration = Duration::from_millis(250);
/// How long to wait after the journal could not be read.
const PAUSE: Duration = Duration::from_secs(5);

/// Calls by class and decision. A call without operations (refused before it was recognised) counts as a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally([[u32; 3]; 3]);

impl Tally {
    fn add(&mut self, class: Class, decision: Decision, calls: u32) {
        let (class, decision) = (place(class), spot(decision));
        if let Some(count) = self.0.get_mut(class).and_then(|row| row.get_mut(decision)) {
            *count = count.saturating_add(calls);
        }
    }

    pub(super) fn of(&self, class: Class, decision: Decision) -> u32 {
        self.0.get(place(class)).and_then(|row| row.get(spot(decision))).copied().unwrap_or_default()
    }

    pub(super) fn decided(&self, decision: Decision) -> u32 {
        Class::ALL.into_iter().map(|class| self.of(class, decision)).sum()
    }

    pub(super) fn classed(&self, class: Class) -> u32 {
        Decision::ALL.into_iter().map(|decision| self.of(class, decision)).sum()
    }

    pub(super) fn all(&self) -> u32 {
        Class::ALL.into_iter().map(|class| self.classed(class)).sum()
    }

    fn merge(&mut self, other: &Self) {
        for class in Class::ALL {
            for decision in Decision::ALL {
                self.add(class, decision, other.of(class, decision));
            }
        }
    }
}

const fn place(class: Class) -> usize {
    match class {
        Class::Read => 0,
        Class::Act => 1,
        Class::Delegate => 2,
    }
}

const fn spot(decision: Decision) -> usize {
    match decision {
        Decision::Allow => 0,
        Decision::Hold => 1,
        Decision::Deny => 2,
    }
}

/// How a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Open,
    Refused(String),
    Ended { outcome: Outcome, status: Option<u16>, duration_ns: u64 },
}

/// A call that was seen lately.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) call: CallId,
    pub(super) at: Timestamp,
    pub(super) agent: Option<SpiffeId>,
    pub(super) operation: Option<String>,
    pub(super) class: Option<Class>,
    pub(super) decision: Decision,
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) stands: Stands,
}

/// What the catalog did not know for certain.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) host: String,
    pub(super) operation: String,
    pub(super) how: Recognition,
    pub(super) calls: u64,
    pub(super) latest: CallId,
}

/// Something that does otherwise than it was learnt to.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    pub(super) calls: u64,
    pub(super) operation: String,
    pub(super) latest: CallId,
}

/// All of it, at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) at: Timestamp,
    /// Oldest first; the last one is under way.
    pub(super) bars: Vec<Tally>,
    /// Of all bars, the busiest first.
    pub(super) agents: Vec<(Arc<str>, Tally)>,
    /// Latest first.
    pub(super) calls: Vec<Live>,
    /// Calls under way.
    pub(super) open: usize,
    /// Calls that wait for a person.
    pub(super) waiting: usize,
}

#[derive(Default)]
struct Bar {
    number: u64,
    all: Tally,
    agents: HashMap<Arc<str>, Tally>,
}

#[derive(Default)]
struct State {
    bars: VecDeque<Bar>,
    latest: VecDeque<Live>,
    /// How many of the latest were dropped at the front.
    dropped: usize,
    /// Where the calls under way are among the latest, counted from the first that ever was.
    open: HashMap<CallId, usize>,
    gaps: BTreeMap<(String, String), Gap>,
    drifts: BTreeMap<String, Drift>,
}

/// The pulse of a node.
pub struct Pulse {
    state: Mutex<State>,
    beats: watch::Sender<u64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { state: Mutex::default(), beats: watch::Sender::new(0) }
    }
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pulse({})", *self.beats.borrow())
    }
}

impl Pulse {
    /// From which entry on it should follow a journal that has reached `end`.
    pub fn begin(end: crate::call::EntryId) -> crate::call::EntryId {
        crate::call::EntryId(end.0.saturating_sub(WARM))
    }

    /// Follows the journal as long as it is written.
    pub async fn follow(self: Arc<Self>, mut entries: Follow) {
        while entries.ready().await {
            match entries.read(AT_ONCE).await {
                Ok(read) => {
                    let more = read.len() == AT_ONCE;
                    self.take(&read);
                    if !more {
                        tokio::time::sleep(BEAT).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the console does not see what happens now: the journal cannot be read");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Takes entries, in order.
    pub(super) fn take(&self, entries: &[Entry]) {
        let mut state = self.lock();
        for entry in entries {
            state.take(entry);
        }
        drop(state);
        self.beats.send_modify(|beat| *beat += 1);
    }

    /// Changes whenever something happened.
    pub(super) fn beats(&self) -> watch::Receiver<u64> {
        self.beats.subscribe()
    }

    /// What is to be seen at a moment.
    pub(super) fn picture(&self, at: Timestamp, calls: usize) -> Picture {
        let state = self.lock();
        let newest = at.unix_s() / BAR_S;
        let oldest = (newest + 1).saturating_sub(BARS as u64);
        let mut bars = vec![Tally::default(); BARS];
        let mut agents: HashMap<Arc<str>, Tally> = HashMap::new();
        for bar in state.bars.iter().filter(|bar| bar.number >= oldest) {
            let index = usize::try_from(bar.number - oldest).unwrap_or(usize::MAX).min(BARS - 1);
            if let Some(tally) = bars.get_mut(index) {
                tally.merge(&bar.all);
            }
            for (agent, tally) in &bar.agents {
                agents.entry(Arc::clone(agent)).or_default().merge(tally);
            }
        }
        let mut agents: Vec<_> = agents.into_iter().collect();
        agents.sort_by(|a, b| b.1.all().cmp(&a.1.all()).then_with(|| a.0.cmp(&b.0)));
        let calls = state.latest.iter().rev().take(calls).cloned().collect();
        Picture { at, bars, agents, calls, open: state.open.len(), waiting: 0 }
    }

    /// What the catalog did not know for certain, the most frequent first.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<_> = self.lock().gaps.values().cloned().collect();
        gaps.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.host.cmp(&b.host)));
        gaps
    }

    /// Agents that did otherwise than they were learnt to.
    pub(super) fn drifts(&self) -> BTreeMap<String, Drift> {
        self.lock().drifts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, entry: &Entry) {
        match &entry.what {
            What::Opened(facts) => {
                let at = self.call(facts, entry.at, Stands::Open);
                if self.open.len() < OPEN {
                    self.open.insert(facts.call, at);
                }
            }
            What::Refused(facts) => {
                let code = facts.refusal.as_ref().map(|refusal| refusal.code.clone());
                self.call(facts, entry.at, Stands::Refused(code.unwrap_or_default()));
            }
            What::Closed(closed) => self.close(closed),
            _ => {}
        }
    }

    /// Counts a call and keeps it; where among the latest.
    fn call(&mut self, facts: &CallFacts, at: Timestamp, stands: Stands) -> usize {
        let strongest = facts.strongest();
        let (class, decision) = (strongest.map(|operation| operation.class), decision_of(facts));
        let agent = facts.agent.as_ref().map_or("nobody known", SpiffeId::as_str);
        self.count(at, agent, class.unwrap_or(Class::Read), decision);
        self.note(facts);
        if self.latest.len() == LATEST {
            self.latest.pop_front();
            self.dropped += 1;
        }
        self.latest.push_back(Live {
            call: facts.call,
            at: facts.began,
            agent: facts.agent.clone(),
            operation: strongest.map(|operation| operation.id.to_string()),
            class,
            decision,
            method: facts.http.method.to_string(),
            host: facts.http.host.clone(),
            path: facts.http.path.clone(),
            stands,
        });
        self.dropped + self.latest.len() - 1
    }

    fn count(&mut self, at: Timestamp, agent: &str, class: Class, decision: Decision) {
        let number = at.unix_s() / BAR_S;
        // Clocks step back: what is older than the last bar goes there.
        if self.bars.back().is_none_or(|last| last.number < number) {
            self.bars.push_back(Bar { number, ..Bar::default() });
            while self.bars.len() > BARS {
                self.bars.pop_front();
            }
        }
        let Some(bar) = self.bars.back_mut() else { return };
        bar.all.add(class, decision, 1);
        let name = if bar.agents.contains_key(agent) || bar.agents.len() < AGENTS { agent } else { "others" };
        match bar.agents.get_mut(name) {
            Some(tally) => tally.add(class, decision, 1),
            None => bar.agents.entry(name.into()).or_default().add(class, decision, 1),
        }
    }

    fn note(&mut self, facts: &CallFacts) {
        for operation in facts.operations.iter().filter(|operation| operation.how != Recognition::Exact) {
            let key = (facts.http.host.clone(), operation.id.to_string());
            if let Some(gap) = self.gaps.get_mut(&key) {
                (gap.calls, gap.latest) = (gap.calls + 1, facts.call);
            } else if self.gaps.len() < GAPS {
                let (host, operation, how) = (key.0.clone(), key.1.clone(), operation.how);
                self.gaps.insert(key, Gap { host, operation, how, calls: 1, latest: facts.call });
            }
        }
        let drifted = facts.history.as_ref().is_some_and(|history| history.agent.drift);
        let (true, Some(agent), Some(strongest)) = (drifted, &facts.agent, facts.strongest()) else { return };
        if self.drifts.len() < GAPS || self.drifts.contains_key(agent.as_str()) {
            let drift = self.drifts.entry(agent.to_string());
            let drift =
                drift.or_insert_with(|| Drift { calls: 0, operation: String::new(), latest: facts.call });
            *drift =
                Drift { calls: drift.calls + 1, operation: strongest.id.to_string(), latest: facts.call };
        }
    }

    fn close(&mut self, closed: &Closed) {
        let Some(at) = self.open.remove(&closed.call).and_then(|at| at.checked_sub(self.dropped)) else {
            return;
        };
        if let Some(live) = self.latest.get_mut(at).filter(|live| live.call == closed.call) {
            let closing = &closed.closing;
            live.stands = Stands::Ended {
                outcome: closing.outcome,
                status: closing.status,
                duration_ns: closing.duration_ns,
            };
        }
    }
}
