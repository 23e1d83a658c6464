//! The state machine of tasks against a model of it: every open, delegation, call, end, quarantine, failure of the store,
//! passing of time and restart, in any order.

use super::ground::{Registry, registry_with};
use super::{read, wanted};
use crate::call::{Budget, Clock as _, Decision, Grant, SpiffeId, TaskId};
use crate::intent::*;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

const AGENTS: usize = 4;
const DEPTH: usize = 2;
const FAN_OUT: usize = 2;
const OPEN: usize = 6;
const CALLS: u64 = 3;

fn agent(n: usize) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://example.org/agent/a{n}")).unwrap()
}

/// A task as the model knows it.
#[derive(Clone, Debug)]
struct Known {
    agent: usize,
    parent: Option<usize>,
    /// Seconds of life that are left.
    left_s: u64,
    ended: Option<TaskEnd>,
    /// What the store says of it.
    kept: Option<TaskEnd>,
    calls: u64,
    exhausted: bool,
}

#[derive(Clone, Debug, Default)]
struct Model {
    tasks: Vec<Known>,
    quarantined: [bool; AGENTS],
    store_fails: bool,
    /// It failed at some time: then a restart may bring back what was ended in the meantime, and is not tried.
    store_failed: bool,
}

#[derive(Clone, Debug)]
enum Move {
    Open { agent: usize, ttl_s: u64 },
    Delegate { parent: usize, to: usize },
    Call { task: usize },
    End { task: usize },
    EndAll,
    Quarantine { agent: usize, to: bool },
    Pass { s: u64 },
    StoreFails(bool),
    Restart,
}

impl Model {
    fn chain(&self, task: usize) -> Vec<usize> {
        std::iter::successors(Some(task), |n| self.tasks[*n].parent).collect()
    }

    fn is_open(&self, task: usize) -> bool {
        self.tasks[task].ended.is_none()
    }

    fn open_count(&self) -> usize {
        self.tasks.iter().filter(|task| task.ended.is_none()).count()
    }

    fn takes_calls(&self, task: usize) -> bool {
        self.chain(task).iter().all(|n| self.is_open(*n) && self.tasks[*n].left_s > 0)
    }

    /// The first that says no, from the root downwards, and whether its budget is why.
    fn obstacle(&self, task: usize) -> Option<(usize, bool)> {
        self.chain(task).into_iter().rev().find_map(|n| {
            let Known { agent, calls, .. } = self.tasks[n];
            match (self.quarantined[agent], calls >= CALLS) {
                (true, _) => Some((n, false)),
                (false, true) => Some((n, true)),
                (false, false) => None,
            }
        })
    }

    /// A call is tried: it counts, or finds a budget used up, or somebody in quarantine.
    fn try_call(&mut self, task: usize, count: u64) {
        if !self.takes_calls(task) {
            return;
        }
        match self.obstacle(task) {
            Some((link, used_up)) => self.tasks[link].exhausted |= used_up,
            None => {
                for n in self.chain(task) {
                    self.tasks[n].calls += count;
                }
            }
        }
    }

    fn may_open(&self, agent: usize) -> bool {
        !self.quarantined[agent] && self.open_count() < OPEN && !self.store_fails
    }

    fn may_delegate(&self, parent: usize, to: usize) -> bool {
        let chain = self.chain(parent);
        let children = self.tasks.iter().filter(|t| t.parent == Some(parent) && t.ended.is_none()).count();
        self.is_open(parent)
            && self.tasks[parent].left_s > 0
            && chain.len() <= DEPTH
            && children < FAN_OUT
            && chain.iter().all(|n| self.tasks[*n].agent != to)
            && self.may_open(to)
    }

    fn end(&mut self, task: usize, why: TaskEnd) {
        if !self.is_open(task) {
            return;
        }
        self.tasks[task].ended = Some(why);
        if !self.store_fails {
            self.tasks[task].kept = Some(why);
        }
        let below: Vec<_> = (0..self.tasks.len()).filter(|n| self.tasks[*n].parent == Some(task)).collect();
        for child in below {
            self.end(child, TaskEnd::Parent);
        }
    }

    fn expire(&mut self) {
        for n in 0..self.tasks.len() {
            if self.is_open(n) && self.tasks[n].left_s == 0 {
                self.end(n, TaskEnd::Deadline);
            } else if self.is_open(n) && self.tasks[n].exhausted {
                self.end(n, TaskEnd::Budget);
            }
        }
    }

    fn add(&mut self, agent: usize, parent: Option<usize>, left_s: u64) {
        let task = Known { agent, parent, left_s, ended: None, kept: None, calls: 0, exhausted: false };
        self.tasks.push(task);
    }
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Model;
    type Transition = Move;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Move> {
        let tasks = model.tasks.len().max(1);
        prop_oneof![
            4 => (0..AGENTS, prop_oneof![Just(5_u64), Just(100)])
                .prop_map(|(agent, ttl_s)| Move::Open { agent, ttl_s }),
            6 => (0..tasks, 0..AGENTS).prop_map(|(parent, to)| Move::Delegate { parent, to }),
            6 => (0..tasks).prop_map(|task| Move::Call { task }),
            2 => (0..tasks).prop_map(|task| Move::End { task }),
            1 => Just(Move::EndAll),
            2 => (0..AGENTS, any::<bool>()).prop_map(|(agent, to)| Move::Quarantine { agent, to }),
            2 => prop_oneof![Just(1_u64), Just(5)].prop_map(|s| Move::Pass { s }),
            1 => any::<bool>().prop_map(Move::StoreFails),
            2 => Just(Move::Restart),
        ]
        .boxed()
    }

    fn preconditions(model: &Model, step: &Move) -> bool {
        match step {
            Move::Delegate { parent: task, .. } | Move::Call { task } | Move::End { task } => {
                *task < model.tasks.len()
            }
            _ => true,
        }
    }

    fn apply(mut model: Model, step: &Move) -> Model {
        match *step {
            Move::Open { agent, ttl_s } => {
                if model.may_open(agent) {
                    model.add(agent, None, ttl_s);
                }
            }
            Move::Delegate { parent, to } => {
                if model.may_delegate(parent, to) {
                    let left_s = model.tasks[parent].left_s;
                    model.add(to, Some(parent), left_s);
                }
            }
            Move::Call { task } => model.try_call(task, 1),
            Move::End { task } => model.end(task, TaskEnd::Command),
            Move::EndAll => {
                for n in 0..model.tasks.len() {
                    model.end(n, TaskEnd::Stop);
                }
            }
            Move::Quarantine { agent, to } => {
                // Where the store fails, what takes rights applies all the same, and what gives them does not.
                model.quarantined[agent] =
                    if model.store_fails { model.quarantined[agent] || to } else { to };
                if to && !model.store_fails {
                    for n in 0..model.tasks.len() {
                        if model.tasks[n].agent == agent {
                            model.end(n, TaskEnd::Quarantine);
                        }
                    }
                }
            }
            Move::Pass { s } => {
                for task in &mut model.tasks {
                    task.left_s = task.left_s.saturating_sub(s);
                }
                model.expire();
            }
            Move::StoreFails(fails) => {
                model.store_fails = fails;
                model.store_failed |= fails;
            }
            // That a budget was found used up is found again.
            Move::Restart if !model.store_failed => {
                for task in &mut model.tasks {
                    task.exhausted = false;
                }
            }
            Move::Restart => {}
        }
        // Each state is looked at by trying a call on every task, and a call that finds a budget used up marks it.
        for n in 0..model.tasks.len() {
            model.try_call(n, 0);
        }
        model
    }
}

/// The registry, with the ids of the model's tasks.
struct System {
    tasks: Registry,
    ids: Vec<TaskId>,
}

impl StateMachineTest for Machine {
    type SystemUnderTest = System;
    type Reference = Self;

    fn init_test(_: &Model) -> System {
        let settings = Settings { depth: DEPTH, fan_out: FAN_OUT, open_tasks: OPEN, ..Settings::default() };
        System { tasks: registry_with(settings).1, ids: Vec::new() }
    }

    fn apply(mut system: System, model: &Model, step: Move) -> System {
        let System { tasks, ids } = &mut system;
        match step {
            Move::Open { agent: n, ttl_s } => {
                let budget = Budget { calls: Some(CALLS), ..Budget::default() };
                let ttl = Duration::from_secs(ttl_s);
                let opened = tasks.open(NewTask { agent: agent(n), ttl, budget, ..wanted() });
                assert_eq!(opened.is_ok(), model.tasks.len() > ids.len(), "{opened:?}");
                ids.extend(opened.map(|task| task.id));
            }
            Move::Delegate { parent, to } => {
                let handed = Delegation {
                    to: agent(to),
                    intent: None,
                    labels: BTreeMap::new(),
                    ttl: None,
                    grant: Grant::default(),
                    budget: Budget::default(),
                    binding: None,
                };
                let opened = tasks.delegate(ids[parent], handed);
                assert_eq!(opened.is_ok(), model.tasks.len() > ids.len(), "{opened:?}");
                ids.extend(opened.map(|task| task.id));
            }
            Move::Call { task } => {
                let attached = tasks.attach(ids[task], &read());
                if let Ok(attached) = attached
                    && attached.obstacle.is_none()
                {
                    attached.place.settle(&read(), Decision::Allow, None, tasks.world.now());
                }
            }
            Move::End { task } => drop(tasks.end(ids[task], TaskEnd::Command)),
            Move::EndAll => drop(super::ground::wait(tasks.end_all_raw())),
            Move::Quarantine { agent: n, to } => {
                drop(super::ground::wait(tasks.quarantine_raw(&agent(n), to)));
            }
            Move::Pass { s } => {
                tasks.world.pass(Duration::from_secs(s));
                drop(super::ground::wait(tasks.expire_raw()));
            }
            Move::StoreFails(fails) => {
                tasks.book.fails.store(fails, Ordering::SeqCst);
            }
            Move::Restart => {
                if !model.store_failed {
                    return system.restarted(model);
                }
            }
        }
        system
    }

    fn check_invariants(system: &System, model: &Model) {
        for (n, known) in model.tasks.iter().enumerate() {
            let id = system.ids[n];
            let view = system.tasks.show(id).unwrap();
            let ended = match view.state {
                TaskState::Open => None,
                TaskState::Ended { why, .. } => Some(why),
            };
            assert_eq!(ended, known.ended, "task {n}");
            assert_eq!(view.counts.reads, known.calls, "task {n}");
            assert_eq!(system.tasks.book.end_of(id), known.kept, "what the store says of task {n}");
            assert_eq!(view.in_flight, 0);
            let takes = system.tasks.attach(id, &read());
            assert_eq!(takes.is_ok(), model.takes_calls(n), "task {n}: {takes:?}");
            // INVARIANT I6: whoever takes a call has a chain that takes calls.
            let links = takes.map(|attached| attached.links.len()).unwrap_or_default();
            assert!(links == 0 || links + 1 == model.chain(n).len());
        }
    }
}

impl System {
    /// Another process, which the journal tells of every call.
    fn restarted(self, model: &Model) -> Self {
        let Self { tasks, ids } = self;
        let tasks = tasks.restart();
        for (n, known) in model.tasks.iter().enumerate() {
            let below: u64 =
                model.tasks.iter().filter(|other| other.parent == Some(n)).map(|other| other.calls).sum();
            for _ in 0..known.calls - below {
                tasks.replay(&Past::Call {
                    task: ids[n],
                    agent: agent(known.agent),
                    operations: Box::new(read()),
                    decision: Decision::Allow,
                    refusal: None,
                    at: tasks.world.now(),
                });
            }
        }
        Self { tasks, ids }
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tasks_do_as_their_model_does(sequential 1..60 => Machine);
}
