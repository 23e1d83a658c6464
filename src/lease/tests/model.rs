//! The state machine of leases against a model of it: every need, end, outage, lost answer, passing of time and kill, in any
//! order. What must hold: nothing works at the provider that nobody knows of, nothing is used after its task, no lease goes
//! back, and once the provider is there everything of tasks that are over is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::ground::{Does, House};
use crate::call::{Class, LeaseId, LeaseState, Task};
use crate::lease::*;

const TASKS: usize = 3;

#[derive(Clone, Debug)]
struct Model {
    ended: [bool; TASKS],
    does: Does,
}

#[derive(Clone, Debug)]
enum Move {
    Need {
        task: usize,
        class: Class,
    },
    /// The call is gone before the provider has answered.
    NeedAndLeave {
        task: usize,
        class: Class,
    },
    End {
        task: usize,
    },
    /// Killed with the call under way.
    NeedAndKill {
        task: usize,
        class: Class,
    },
    /// Killed right after the end was durable, before anybody was told.
    EndAndKill {
        task: usize,
    },
    Does(Does),
    Pass {
        s: u64,
    },
    Kill,
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Move;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self { ended: [false; TASKS], does: Does::Give }).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Move> {
        let task = 0..TASKS;
        let class = prop_oneof![Just(Class::Read), Just(Class::Act)];
        let does = prop_oneof![
            4 => Just(Does::Give), 1 => Just(Does::Refuse), 2 => Just(Does::BeAway), 1 => Just(Does::LoseTheAnswer)
        ];
        prop_oneof![
            6 => (task.clone(), class.clone()).prop_map(|(task, class)| Move::Need { task, class }),
            1 => (task.clone(), class.clone()).prop_map(|(task, class)| Move::NeedAndLeave { task, class }),
            1 => (task.clone(), class).prop_map(|(task, class)| Move::NeedAndKill { task, class }),
            2 => task.clone().prop_map(|task| Move::End { task }),
            1 => task.prop_map(|task| Move::EndAndKill { task }),
            2 => does.prop_map(Move::Does),
            3 => prop_oneof![1u64..40, 540u64..700].prop_map(|s| Move::Pass { s }),
            1 => Just(Move::Kill),
        ]
        .boxed()
    }

    fn apply(mut state: Self, transition: &Move) -> Self {
        match transition {
            Move::End { task } | Move::EndAndKill { task } => state.ended[*task] = true,
            Move::Does(does) => state.does = *does,
            _ => {}
        }
        state
    }
}

/// The broker in a runtime that can be killed.
struct Process {
    runtime: Option<tokio::runtime::Runtime>,
    house: House,
    tasks: Vec<Arc<Task>>,
    seen: BTreeMap<LeaseId, LeaseState>,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

impl Process {
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    fn kill(&mut self) {
        drop(self.runtime.take());
        let next = runtime();
        self.house = next.block_on(self.house.die_and_start());
        self.runtime = Some(next);
    }

    /// Leaves the provider at work on the call for as long as `meanwhile` takes.
    fn begin(&self, task: usize, class: Class) {
        let (house, task) = (&self.house, self.tasks[task].clone());
        self.wait(async {
            let closed = house.giver.gate.acquire().await.unwrap();
            let call = tokio::time::timeout(Duration::from_millis(1), house.token(&task, class));
            let _left = call.await;
            house.settle().await;
            drop(closed);
        });
    }

    fn check(&mut self, model: &Model) {
        // What is seen never goes back, across kills too.
        for lease in self.house.broker.leases(None) {
            let before = self.seen.insert(lease.id, lease.state);
            let kept_on = |before| before <= lease.state || lease.state == LeaseState::Lost;
            assert!(before.is_none_or(kept_on), "{before:?} -> {lease:?}");
        }
        // Whatever works is known of, in memory and on disk.
        let works = self.house.giver.working();
        for states in [self.house.states(), self.house.book.states()] {
            let may_work = states.iter().filter(|state| !matches!(state, LeaseState::Revoked)).count();
            assert!(works <= may_work, "{works} work, and of these is known: {states:?}");
        }
        // Nothing of a task that is over can be used.
        for (n, _) in model.ended.iter().enumerate().filter(|(_, ended)| **ended) {
            let leases = self.house.broker.leases(Some(self.tasks[n].id));
            assert!(leases.iter().all(|lease| lease.state != LeaseState::Active), "{leases:?}");
            if model.does == Does::Give {
                let late = leases.iter().filter(|lease| lease.state == LeaseState::Revoking);
                assert_eq!(late.count(), 0, "the provider was there: {leases:?}");
            }
        }
    }
}

impl StateMachineTest for Process {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_: &Model) -> Self {
        let house = House::new();
        let tasks = (0..TASKS).map(|n| house.task(n as u64 + 1)).collect();
        Self { runtime: Some(runtime()), house, tasks, seen: BTreeMap::new() }
    }

    fn apply(mut process: Self, model: &Model, transition: Move) -> Self {
        match transition {
            Move::Need { task, class } => {
                let told = process.wait(process.house.token(&process.tasks[task], class));
                if model.ended[task] {
                    assert_eq!(told, Err(LeaseError::Ended));
                } else if let Ok(token) = told {
                    let works = process.house.giver.working.lock().unwrap().contains(&token);
                    assert!(works, "{token} was handed out and does not work");
                }
            }
            Move::NeedAndLeave { task, class } => process.begin(task, class),
            Move::NeedAndKill { task, class } => {
                process.begin(task, class);
                process.kill();
            }
            Move::End { task } => process.house.tasks.end(process.tasks[task].id),
            Move::EndAndKill { task } => {
                process.house.tasks.end(process.tasks[task].id);
                process.kill();
            }
            Move::Does(does) => process.house.giver.set(does),
            Move::Pass { s } => process.house.world.pass(Duration::from_secs(s)),
            Move::Kill => process.kill(),
        }
        process.wait(async {
            process.house.settle().await;
            // Longer than the longest pause: whoever is to be told was told again.
            tokio::time::sleep(Duration::from_secs(31)).await;
            process.house.settle().await;
            process.house.broker.look(process.house.now()).await;
        });
        process.check(model);
        process
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_lease_outlives_its_task_nor_is_forgotten(sequential 1..30 => Process);
}
