//! Holds: who is asked, what their votes come to, and that an approval is good for one call, once.
//!
//! Pure: every change is worked out here and handed back as the hold that it makes; whoever keeps holds (`pep::desk`) writes it
//! down and only then takes it in with [`Holds::put`]. So nothing that was not written ever let a call out.

mod ballot;
mod book;
mod digest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use ballot::{Ballot, NoVote};
pub use book::{HoldBook, HoldBookError, HoldRow};
pub use digest::{Read, digest, is_bound};

use crate::call::operator::OperatorId;
use crate::call::{
    Approval, Attributed, CallDigest, Head, Hold, HoldId, HoldState, PolicyId, Quorum, Ruling, SpiffeId,
    TaskId, Timestamp,
};

/// What the operator decided about holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long people are asked.
    pub asked_for: Duration,
    /// How long an approval may wait for its call.
    pub good_for: Duration,
    /// How long a no stands: the same call is refused without asking again.
    pub no_stands_for: Duration,
    /// How many calls of one task may wait at one time.
    pub waiting_per_task: usize,
    /// How many of one agent, in all its tasks.
    pub waiting_per_agent: usize,
    /// How many times a minute people are asked for one agent.
    pub asks_per_minute: usize,
    /// Whether the person whom a task is for may vote on its calls.
    pub owner_votes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            asked_for: Duration::from_secs(3_600),
            good_for: Duration::from_secs(600),
            no_stands_for: Duration::from_secs(3_600),
            waiting_per_task: 20,
            waiting_per_agent: 50,
            asks_per_minute: 20,
            owner_votes: false,
        }
    }
}

/// How many holds that are over are remembered; the oldest go first.
const REMEMBERED: usize = 10_000;
/// What `asks_per_minute` counts within.
const MINUTE: Duration = Duration::from_secs(60);

/// A call that was ruled to be held: the hold that it is, if nobody was asked yet.
#[derive(Clone, Debug)]
pub struct Asked(Hold);

impl Asked {
    /// Of a call, and what holds it. `id` is what the hold is to be called.
    pub fn of(
        head: &Head,
        stage: &Attributed,
        ruling: &Ruling,
        digest: CallDigest,
        (id, now): (HoldId, Timestamp),
        settings: &Settings,
    ) -> Self {
        let strongest = stage.operations.strongest();
        let wants = ruling.quorums().into_iter().map(|Quorum { group, votes }| (group.into(), votes));
        Self(Hold {
            id,
            digest,
            call: head.id,
            asks: 1,
            task: stage.task.id,
            agent: stage.principal.agent.clone(),
            operation: strongest.id.clone(),
            class: strongest.class,
            rules: ruling.rules().to_string(),
            policies: ruling.reasons().iter().map(|reason| reason.policy.clone()).collect(),
            wants: wants.collect(),
            barred: ballot::barred(stage, settings),
            asked: now,
            until: now.plus(settings.asked_for).min(stage.task.deadline),
            state: HoldState::Waiting,
            since: now,
            votes: Vec::new(),
        })
    }
}

/// What becomes of a call that is to be held. What is boxed is to be kept, and then [`Holds::put`].
#[derive(Clone, Debug)]
pub enum Answer {
    /// Its approval waited for it, and is spent with this.
    Approved(Box<Hold>),
    /// Nobody is asked any more: people have had enough, for now.
    Enough {
        /// Of what.
        why: String,
    },
    /// People are asked from now on.
    Fresh(Box<Hold>),
    /// People are asked already.
    Joined(Box<Hold>),
    /// Somebody said no.
    Refused(Arc<Hold>),
}

/// All holds that are known.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    settings: Settings,
    all: BTreeMap<HoldId, Arc<Hold>>,
    /// The latest hold of each digest.
    latest: HashMap<CallDigest, HoldId>,
    /// When people were asked last, by agent.
    asked: HashMap<SpiffeId, VecDeque<Timestamp>>,
}

impl Holds {
    /// With what was kept.
    pub fn new(settings: Settings, kept: impl IntoIterator<Item = Hold>) -> Self {
        let mut holds = Self { settings, ..Self::default() };
        kept.into_iter().for_each(|hold| {
            let _forgotten = holds.put(hold);
        });
        holds
    }

    /// What the operator decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes in what is kept from now on. Says which hold is not remembered any more.
    pub fn put(&mut self, hold: Hold) -> Option<HoldId> {
        let (id, digest) = (hold.id, hold.digest);
        let is_new = !self.all.contains_key(&id);
        if is_new {
            let asked = self.asked.entry(hold.agent.clone()).or_default();
            asked.push_back(hold.asked);
            while asked.len() > self.settings.asks_per_minute.max(1) {
                asked.pop_front();
            }
        }
        self.all.insert(id, Arc::new(hold));
        if is_new {
            // The one that was made last, whatever the clock says.
            self.latest.insert(digest, id);
        }
        if self.all.len() <= REMEMBERED {
            return None;
        }
        let over = self.all.values().find(|hold| !hold.state.is_open()).map(|hold| (hold.id, hold.digest))?;
        self.all.remove(&over.0);
        if self.latest.get(&over.1) == Some(&over.0) {
            self.latest.remove(&over.1);
        }
        Some(over.0)
    }

    /// One hold.
    pub fn get(&self, id: HoldId) -> Option<&Arc<Hold>> {
        self.all.get(&id)
    }

    /// All, oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Hold>> {
        self.all.values()
    }

    /// The last one of an agent and operation that was approved.
    pub fn approved_before(&self, asked: &Asked) -> Option<&Arc<Hold>> {
        let like = |hold: &&Arc<Hold>| {
            let approved = matches!(hold.state, HoldState::Approved { .. } | HoldState::Spent { .. });
            approved && hold.agent == asked.0.agent && hold.operation == asked.0.operation
        };
        self.all.values().rev().find(like)
    }

    /// What becomes of a call that is to be held.
    pub fn ask(&self, asked: &Asked, now: Timestamp) -> Answer {
        let latest = self.latest.get(&asked.0.digest).and_then(|id| self.all.get(id));
        if let Some(hold) = latest {
            match &hold.state {
                HoldState::Waiting if now < hold.until => {
                    let asks = hold.asks.saturating_add(1);
                    return Answer::Joined(Box::new(Hold { asks, ..(**hold).clone() }));
                }
                HoldState::Approved { until } if now < *until => {
                    let state = HoldState::Spent { call: asked.0.call };
                    return Answer::Approved(Box::new(Hold { state, since: now, ..(**hold).clone() }));
                }
                HoldState::Refused if now.since(hold.since) < self.settings.no_stands_for => {
                    return Answer::Refused(hold.clone());
                }
                _ => {}
            }
        }
        self.enough(asked, now)
            .map_or_else(|| Answer::Fresh(Box::new(asked.0.clone())), |why| Answer::Enough { why })
    }

    /// Why people are not to be asked again now.
    fn enough(&self, asked: &Asked, now: Timestamp) -> Option<String> {
        let Settings { waiting_per_task, waiting_per_agent, asks_per_minute, .. } = self.settings;
        let waiting = self.all.values().filter(|hold| hold.state == HoldState::Waiting && now < hold.until);
        let (mut of_task, mut of_agent) = (0, 0);
        for hold in waiting {
            of_task += usize::from(hold.task == asked.0.task);
            of_agent += usize::from(hold.agent == asked.0.agent);
        }
        if of_task >= waiting_per_task {
            return Some(format!("{of_task} calls of this task wait for a person already"));
        }
        if of_agent >= waiting_per_agent {
            return Some(format!("{of_agent} calls of this agent wait for a person already"));
        }
        let recent = self
            .asked
            .get(&asked.0.agent)
            .map_or(0, |times| times.iter().filter(|time| now.since(**time) < MINUTE).count());
        (recent >= asks_per_minute)
            .then(|| format!("people were asked {recent} times within a minute for this agent"))
    }

    /// What time, ended tasks and other rules make of the holds that are open.
    pub fn sweep(&self, now: Timestamp, rules: &str, is_over: impl Fn(TaskId) -> bool) -> Vec<Hold> {
        let void = |why: &str| HoldState::Void { why: why.into() };
        let becomes = |hold: &Hold| match &hold.state {
            _ if is_over(hold.task) => Some(void("its task is over")),
            _ if hold.rules != rules => {
                Some(void("other policies came into force; the call has to be judged under those"))
            }
            HoldState::Approved { until } if now >= *until => Some(HoldState::Expired),
            HoldState::Waiting if now >= hold.until => Some(HoldState::Expired),
            _ => None,
        };
        let open = self.all.values().filter(|hold| hold.state.is_open());
        open.filter_map(|hold| Some(Hold { state: becomes(hold)?, since: now, ..(**hold).clone() })).collect()
    }
}

/// The proof that a hold was approved: of one that [`Holds::ask`] said is spent, once that is kept.
pub fn approval(spent: &Hold) -> Option<Approval> {
    let HoldState::Spent { .. } = spent.state else { return None };
    Some(Approval::assertion(spent.id, spent.approvers(), spent.policies.clone(), spent.rules.clone()))
}

/// The same of a call of the past, as the journal tells it: for judging it again.
pub fn recalled(hold: HoldId, by: Vec<OperatorId>, policies: Vec<PolicyId>) -> Approval {
    Approval::assertion(hold, by, policies, String::new())
}
