//! Which tasks there are, and how they hang together. The registry guards it with one lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::entry::{Entry, Phase};
use super::{IntentError, TaskEnd};
use crate::call::{PeerName, SpiffeId, Task, TaskId, Timestamp};

/// The tasks with which a task ends: the one above it, and the one that was handed over on this very node.
pub(super) fn parents(task: &Task) -> impl Iterator<Item = TaskId> {
    let terms = &task.terms;
    let handed = terms.handed.as_ref().filter(|handed| handed.links.is_empty());
    let handed = handed.map(|handed| handed.task).filter(|handed| Some(*handed) != terms.parent);
    terms.parent.into_iter().chain(handed)
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) tasks: HashMap<TaskId, Arc<Entry>>,
    /// Delegations that are not over.
    children: HashMap<TaskId, Vec<TaskId>>,
    pub(super) open: usize,
    /// The ended ones among `tasks`, in the order of their ends.
    ended: VecDeque<TaskId>,
    /// The standing tasks, those that are over among them.
    pub(super) standing: HashMap<SpiffeId, Arc<Task>>,
    /// What other nodes handed over, until its deadline.
    pub(super) elsewhere: HashMap<(PeerName, TaskId), Elsewhere>,
    /// The tasks that were opened for what was handed over, those that are over among them, with the task under which the
    /// agent worked anyway; until the deadline.
    pub(super) joined: HashMap<(PeerName, TaskId, TaskId), (TaskId, Timestamp)>,
}

/// A task that another node handed over, and all above it, as they count here.
pub(super) struct Elsewhere {
    /// The root first, the task itself last.
    pub(super) links: Vec<Arc<Entry>>,
    pub(super) until: Timestamp,
}

impl Known {
    pub(super) fn add(&mut self, entry: Arc<Entry>, phase: Phase) {
        let id = entry.task.id;
        if let Phase::Ended { .. } = phase {
            self.ended.push_back(id);
        } else {
            self.open += 1;
            for parent in parents(&entry.task) {
                self.children.entry(parent).or_default().push(id);
            }
        }
        self.tasks.insert(id, entry);
    }

    /// The chain that ends with `parent`, the root first.
    pub(super) fn above(&self, parent: Option<TaskId>) -> Vec<Arc<Entry>> {
        let Some(parent) = parent.and_then(|parent| self.tasks.get(&parent)) else { return Vec::new() };
        parent.above.iter().chain(std::iter::once(parent)).cloned().collect()
    }

    /// The open task that a call handed over before, from `parent` to the same agent behind the same node.
    pub(super) fn handed_before(
        &self,
        parent: TaskId,
        agent: &SpiffeId,
        lent_to: Option<&PeerName>,
    ) -> Option<Arc<Entry>> {
        let below = self.children.get(&parent)?.iter().filter_map(|child| self.tasks.get(child));
        let same = |entry: &&Arc<Entry>| {
            let (task, terms) = (&entry.task, &entry.task.terms);
            // A share that was lent to one node is not another one's too.
            let same = task.agent == *agent && terms.call.is_some() && terms.lent_to.as_ref() == lent_to;
            same && entry.lock().phase == Phase::Open
        };
        below.filter(same).max_by_key(|entry| entry.task.deadline).cloned()
    }

    /// Forgets what was handed over and is past its deadline.
    pub(super) fn forget_handed(&mut self, now: Timestamp) {
        self.elsewhere.retain(|_, elsewhere| elsewhere.until > now);
        self.joined.retain(|_, (_, until)| *until > now);
    }

    pub(super) fn check_fan_out(&self, parent: &Task, limit: usize) -> Result<(), IntentError> {
        let open = self.children.get(&parent.id).map_or(0, Vec::len);
        if open >= limit { Err(IntentError::FanOut { task: parent.id, limit }) } else { Ok(()) }
    }

    /// Why a task is to end by itself now.
    pub(super) fn due(&self, entry: &Arc<Entry>, now: Timestamp) -> Option<TaskEnd> {
        let state = entry.lock();
        if state.phase != Phase::Open {
            return None;
        }
        if entry.task.deadline <= now {
            return Some(TaskEnd::Deadline);
        }
        let exhausted = state.exhausted;
        drop(state);
        (exhausted && self.is_idle(entry)).then_some(TaskEnd::Budget)
    }

    fn is_idle(&self, entry: &Entry) -> bool {
        let below = self.children.get(&entry.task.id).into_iter().flatten();
        entry.in_flight.load(Ordering::SeqCst) == 0
            && below.filter_map(|child| self.tasks.get(child)).all(|child| self.is_idle(child))
    }

    /// Closes a task and all under it to new calls.
    pub(super) fn begin_end(
        &self,
        task: TaskId,
        why: TaskEnd,
        at: Timestamp,
        batch: &mut Vec<(Arc<Entry>, TaskEnd)>,
    ) {
        let Some(entry) = self.tasks.get(&task) else { return };
        {
            let mut state = entry.lock();
            if !matches!(state.phase, Phase::Opening | Phase::Open) {
                return;
            }
            state.phase = Phase::Ending { why, at };
        }
        batch.push((Arc::clone(entry), why));
        for child in self.children.get(&task).into_iter().flatten() {
            self.begin_end(*child, TaskEnd::Parent, at, batch);
        }
    }

    pub(super) fn publish(&mut self, entry: &Arc<Entry>, why: TaskEnd, at: Timestamp, keep: usize) {
        {
            let mut state = entry.lock();
            state.phase = Phase::Ended { why, at };
            state.ledger.forget_seen();
        }
        entry.ended.send_replace(Some(why));
        let id = entry.task.id;
        self.open = self.open.saturating_sub(1);
        self.children.remove(&id);
        for parent in parents(&entry.task) {
            if let Some(siblings) = self.children.get_mut(&parent) {
                siblings.retain(|sibling| *sibling != id);
            }
        }
        self.ended.push_back(id);
        while self.ended.len() > keep {
            if let Some(oldest) = self.ended.pop_front() {
                self.tasks.remove(&oldest);
            }
        }
    }
}
