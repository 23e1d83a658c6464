use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::call::{
    Class, Clock, Decision, History, Operation, OperationId, Operations, Recognition, ServiceName, TaskId,
};

mod budget;
mod delegation;
pub(crate) mod ground;
mod handing;
mod model;
mod terms;

use ground::{registry, registry_with};

fn agent() -> SpiffeId {
    SpiffeId::parse("spiffe://example.org/agent/coder").unwrap()
}

fn wanted() -> NewTask {
    NewTask {
        agent: agent(),
        intent: IntentName::parse("triage").unwrap(),
        labels: BTreeMap::new(),
        ttl: DEFAULT_TTL,
        on_behalf_of: None,
        grant: Grant::default(),
        budget: Budget::default(),
        binding: None,
    }
}

fn operation(service: &str, name: &str, class: Class) -> Operation {
    Operation {
        id: OperationId(format!("{service}:{name}").into()),
        service: ServiceName(service.into()),
        class,
        resource: None,
        how: Recognition::Exact,
        facts: crate::call::Facts::default(),
        because: "test".into(),
        ai: None,
    }
}

fn call(service: &str, name: &str, class: Class) -> Operations {
    Operations::one(operation(service, name, class))
}

fn read() -> Operations {
    call("github", "issues/list", Class::Read)
}

#[test]
fn a_task_is_what_was_wanted_until_its_deadline() {
    let (world, tasks) = registry();
    let mut wanted = wanted();
    wanted.labels.insert("ticket".into(), "42".into());
    let task = tasks.open(wanted).unwrap();
    assert_eq!((task.opened, task.deadline), (world.now(), world.now().plus(DEFAULT_TTL)));
    assert_eq!(task.labels["ticket"], "42");
    let attached = tasks.attach(task.id, &read()).unwrap();
    assert_eq!(attached.task, task);
    assert_eq!(attached.history, History::default());
    assert_eq!(*attached.ended.borrow(), None);
}

#[test]
fn lives_outside_the_bounds_are_refused_and_not_cut() {
    let (_, tasks) = registry();
    for ttl in [
        Duration::ZERO,
        MIN_TTL.checked_sub(Duration::from_nanos(1)).unwrap(),
        MAX_TTL + Duration::from_nanos(1),
        Duration::MAX,
    ] {
        assert!(matches!(tasks.open(NewTask { ttl, ..wanted() }), Err(IntentError::Ttl { .. })), "{ttl:?}");
    }
    for ttl in [MIN_TTL, MAX_TTL] {
        tasks.open(NewTask { ttl, ..wanted() }).unwrap();
    }
    assert_eq!(tasks.list().len(), 2);
}

#[test]
fn labels_have_bounds() {
    let (_, tasks) = registry();
    let long = "x".repeat(MAX_LABEL_BYTES + 1);
    let many: BTreeMap<_, _> = (0..=MAX_LABELS).map(|n| (n.to_string(), String::new())).collect();
    for labels in [
        BTreeMap::from([(String::new(), "v".into())]),
        BTreeMap::from([(long.clone(), "v".into())]),
        BTreeMap::from([("n".into(), long)]),
        many,
    ] {
        assert!(matches!(tasks.open(NewTask { labels, ..wanted() }), Err(IntentError::Labels { .. })));
    }
}

#[test]
fn an_unknown_task_says_what_may_have_become_of_it() {
    let (world, tasks) = registry();
    let id = TaskId::fresh(&*world, &*world);
    let refused = tasks.attach(id, &read()).unwrap_err();
    assert_eq!(refused, IntentError::Unknown(id));
    assert!(refused.to_string().contains("opened elsewhere, or ended long ago"), "{refused}");
    assert_eq!(tasks.end(id, TaskEnd::Command), Err(IntentError::Unknown(id)));
    assert!(tasks.show(id).is_none());
}

#[test]
fn an_ended_task_takes_no_call_and_says_why() {
    for why in [TaskEnd::Command, TaskEnd::Stop, TaskEnd::Withdrawn] {
        let (_, tasks) = registry();
        let id = tasks.open(wanted()).unwrap().id;
        tasks.end(id, why).unwrap();
        assert_eq!(tasks.attach(id, &read()).unwrap_err(), IntentError::Ended { task: id, why });
        assert_eq!(tasks.history(id, &read()).unwrap_err(), IntentError::Ended { task: id, why });
        assert_eq!(tasks.show(id).unwrap().in_flight, 0, "the refused call stayed registered");
    }
}

#[test]
fn the_first_end_stays() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    tasks.end(id, TaskEnd::Command).unwrap();
    let again = tasks.end(id, TaskEnd::Stop);
    assert_eq!(again, Err(IntentError::Ended { task: id, why: TaskEnd::Command }));
    assert!(matches!(tasks.show(id).unwrap().state, TaskState::Ended { why: TaskEnd::Command, .. }));
}

#[test]
fn calls_in_flight_see_the_end_and_are_counted_until_they_go() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    let one = tasks.attach(id, &read()).unwrap();
    let two = tasks.attach(id, &read()).unwrap();
    assert_eq!(tasks.show(id).unwrap().in_flight, 2);
    drop(two);
    tasks.end(id, TaskEnd::Command).unwrap();
    assert!(one.ended.has_changed().unwrap());
    assert_eq!(*one.ended.borrow(), Some(TaskEnd::Command));
    assert_eq!(tasks.show(id).unwrap().in_flight, 1);
    drop(one);
    assert_eq!(tasks.show(id).unwrap().in_flight, 0);
}

#[test]
fn the_parts_of_an_attached_call_can_go_separate_ways() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    let Attached { task, ended, place, .. } = tasks.attach(id, &read()).unwrap();
    drop((task, ended));
    assert_eq!(tasks.show(id).unwrap().in_flight, 1);
    drop(place);
    assert_eq!(tasks.show(id).unwrap().in_flight, 0);
}

#[test]
fn a_deadline_ends_a_task_even_before_anybody_expires_it() {
    let (world, tasks) = registry();
    let task = tasks.open(wanted()).unwrap();
    world.pass(DEFAULT_TTL.checked_sub(Duration::from_nanos(1)).unwrap());
    let open = tasks.attach(task.id, &read()).unwrap();
    assert!(tasks.expire(world.now()).is_empty());
    world.pass(Duration::from_nanos(1));
    let over = IntentError::Ended { task: task.id, why: TaskEnd::Deadline };
    assert_eq!(tasks.attach(task.id, &read()).unwrap_err(), over);
    assert_eq!(*open.ended.borrow(), None, "nobody has said so yet");
    assert_eq!(tasks.expire(world.now()), [task]);
    assert_eq!(*open.ended.borrow(), Some(TaskEnd::Deadline));
    assert!(tasks.expire(world.now()).is_empty(), "a task ends once");
}

#[test]
fn the_end_of_all_ends_each_once() {
    let (_, tasks) = registry();
    let one = tasks.open(wanted()).unwrap();
    let two = tasks.open(wanted()).unwrap();
    tasks.end(one.id, TaskEnd::Command).unwrap();
    assert_eq!(tasks.end_all(TaskEnd::Stop), [two]);
    assert!(tasks.end_all(TaskEnd::Stop).is_empty());
}

#[test]
fn beyond_the_limit_tasks_are_refused_and_none_is_put_out() {
    let (_, tasks) = registry_with(Settings { open_tasks: 2, ..Settings::default() });
    let first = tasks.open(wanted()).unwrap();
    tasks.open(wanted()).unwrap();
    assert_eq!(tasks.open(wanted()).unwrap_err(), IntentError::TooMany { limit: 2 });
    tasks.attach(first.id, &read()).unwrap();
    tasks.end(first.id, TaskEnd::Command).unwrap();
    tasks.open(wanted()).unwrap();
}

#[test]
fn of_the_ended_the_oldest_is_forgotten_first() {
    let (_, tasks) = registry_with(Settings { ended_tasks: 2, ..Settings::default() });
    let ids: Vec<_> = (0..3).map(|_| tasks.open(wanted()).unwrap().id).collect();
    for &id in &[ids[1], ids[0], ids[2]] {
        tasks.end(id, TaskEnd::Command).unwrap();
    }
    let left: Vec<_> = tasks.list().iter().map(|line| line.task.id).collect();
    assert_eq!(left, [ids[0], ids[2]]);
    assert_eq!(tasks.attach(ids[1], &read()).unwrap_err(), IntentError::Unknown(ids[1]));
    tasks.settle(ids[1], &read(), Decision::Allow, None);
}

#[test]
fn a_standing_task_is_made_once_and_has_no_deadline() {
    let (world, tasks) = registry();
    let task = tasks.standing(&agent());
    assert_eq!((task.intent.as_str(), &task.agent), (STANDING_INTENT, &agent()));
    assert_eq!(tasks.standing(&agent()), task);
    let other = SpiffeId::parse("spiffe://example.org/agent/other").unwrap();
    assert_ne!(tasks.standing(&other).id, task.id);
    world.pass(Duration::from_secs(10 * 365 * 86_400));
    assert!(tasks.expire(world.now()).is_empty());
    tasks.attach(task.id, &read()).unwrap();
}

#[test]
fn an_ended_standing_task_is_not_made_anew() {
    let (_, tasks) = registry_with(Settings { ended_tasks: 0, ..Settings::default() });
    let id = tasks.standing(&agent()).id;
    tasks.end(id, TaskEnd::Command).unwrap();
    assert_eq!(tasks.standing(&agent()).id, id);
    assert!(tasks.attach(id, &read()).is_err());
}

#[test]
fn history_counts_what_was_let_through_and_what_was_refused() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    let act = call("github", "issues/create", Class::Act);
    let delegate = call("peer", "message/send", Class::Delegate);
    tasks.settle(id, &read(), Decision::Allow, None);
    tasks.settle(id, &read(), Decision::Allow, Some("origin_unreachable"));
    tasks.settle(id, &act, Decision::Allow, None);
    tasks.settle(id, &delegate, Decision::Deny, Some("policy_denied"));
    let history = tasks.attach(id, &delegate).unwrap().history;
    assert_eq!((history.reads, history.acts, history.delegates, history.denials), (2, 1, 0, 1));
    assert!(!history.service_seen && !history.operation_seen);
    let history = tasks.history(id, &read()).unwrap();
    assert!(history.service_seen && history.operation_seen);
    let history = tasks.history(id, &call("github", "issues/delete", Class::Act)).unwrap();
    assert!(history.service_seen && !history.operation_seen);
}

#[test]
fn a_batch_is_one_call_and_has_been_seen_when_all_of_it_has() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    let first = operation("github", "issues/list", Class::Read);
    let batch = Operations::batch(first.clone(), vec![operation("slack", "chat.postMessage", Class::Act)]);
    tasks.settle(id, &Operations::one(first), Decision::Allow, None);
    let history = tasks.history(id, &batch).unwrap();
    assert!(!history.service_seen && !history.operation_seen);
    tasks.settle(id, &batch, Decision::Allow, None);
    let history = tasks.history(id, &batch).unwrap();
    assert!(history.service_seen && history.operation_seen);
    assert_eq!((history.reads, history.acts), (1, 1));
    let summary = tasks.show(id).unwrap().summary;
    assert_eq!(summary.len(), 2);
    assert_eq!((&*summary[1].operation.0, summary[1].calls), ("slack:chat.postMessage", 1));
}

#[test]
fn the_summary_groups_calls_that_are_alike() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    for _ in 0..3 {
        tasks.settle(id, &read(), Decision::Allow, None);
    }
    tasks.settle(id, &read(), Decision::Deny, Some("policy_denied"));
    tasks.end(id, TaskEnd::Command).unwrap();
    tasks.settle(id, &read(), Decision::Allow, None);
    let view = tasks.show(id).unwrap();
    let row = |decision, refusal, calls| SummaryRow {
        operation: OperationId("github:issues/list".into()),
        class: Class::Read,
        decision,
        refusal,
        calls,
    };
    assert_eq!(view.summary, [row(Decision::Allow, None, 4), row(Decision::Deny, Some("policy_denied"), 1)]);
    assert_eq!(view.counts, Counts { reads: 4, denials: 1, ..Counts::default() });
}

#[test]
fn beyond_the_bound_names_are_new_each_time_and_calls_still_counted() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    let more = 100;
    for n in 0..DISTINCT_PER_TASK + more {
        tasks.settle(id, &call(&format!("host-{n}.test"), "x", Class::Read), Decision::Allow, None);
    }
    let first = call("host-0.test", "x", Class::Read);
    let last = call(&format!("host-{}.test", DISTINCT_PER_TASK + more - 1), "x", Class::Read);
    assert!(tasks.history(id, &first).unwrap().service_seen);
    let history = tasks.history(id, &last).unwrap();
    assert!(!history.service_seen && !history.operation_seen);
    tasks.settle(id, &first, Decision::Allow, None);
    tasks.settle(id, &last, Decision::Deny, Some("policy_denied"));
    let summary = tasks.show(id).unwrap().summary;
    let overflow: Vec<_> = summary.iter().filter(|row| &*row.operation.0 == "(other operations)").collect();
    assert_eq!(overflow.iter().map(|row| row.calls).collect::<Vec<_>>(), [more as u64, 1]);
    let total: u64 = summary.iter().map(|row| row.calls).sum();
    assert_eq!(total, (DISTINCT_PER_TASK + more + 2) as u64);
    assert!(summary.len() <= DISTINCT_PER_TASK + 6);
}

#[test]
fn counts_are_exact_under_many_threads() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    let (threads, each) = (8, 500);
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        for n in 0..threads {
            let (tasks, start) = (&tasks, &start);
            scope.spawn(move || {
                start.wait();
                let mut last = 0;
                for i in 0..each {
                    let operations = call("s", &format!("op-{n}"), Class::ALL[i % 3]);
                    let attached = tasks.attach(id, &operations).unwrap();
                    let seen = attached.history;
                    let all = seen.reads + seen.acts + seen.delegates + seen.denials;
                    assert!(all >= last, "a history went back from {last} to {all}");
                    last = all + 1;
                    let decision = if i % 5 == 0 { Decision::Deny } else { Decision::Allow };
                    tasks.settle(id, &operations, decision, None);
                }
            });
        }
    });
    let view = tasks.show(id).unwrap();
    let Counts { reads, acts, delegates, denials, holds: _ } = view.counts;
    assert_eq!(reads + acts + delegates + denials, (threads * each) as u64);
    assert_eq!(denials, (threads * each / 5) as u64);
    assert_eq!(view.summary.iter().map(|row| row.calls).sum::<u64>(), (threads * each) as u64);
    assert_eq!(view.in_flight, 0);
}

#[test]
fn no_call_slips_past_an_end() {
    for _ in 0..200 {
        let (_, tasks) = registry();
        let id = tasks.open(wanted()).unwrap().id;
        let acknowledged = AtomicBool::new(false);
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    start.wait();
                    loop {
                        let over_before = acknowledged.load(Ordering::SeqCst);
                        match tasks.attach(id, &read()) {
                            Ok(attached) => {
                                assert!(!over_before, "a call was taken after the end was acknowledged");
                                while attached.ended.borrow().is_none() {
                                    thread::yield_now();
                                }
                            }
                            Err(refused) => {
                                let why = TaskEnd::Command;
                                assert_eq!(refused, IntentError::Ended { task: id, why });
                                break;
                            }
                        }
                    }
                });
            }
            start.wait();
            tasks.end(id, TaskEnd::Command).unwrap();
            acknowledged.store(true, Ordering::SeqCst);
        });
        assert_eq!(tasks.show(id).unwrap().in_flight, 0);
    }
}

#[test]
fn of_many_that_end_a_task_one_did() {
    for _ in 0..100 {
        let (world, tasks) = registry();
        let id = tasks.open(wanted()).unwrap().id;
        world.pass(DEFAULT_TTL);
        let start = Barrier::new(4);
        let ends: usize = thread::scope(|scope| {
            let by_deadline = scope.spawn(|| {
                start.wait();
                tasks.expire(world.now()).len()
            });
            let by_command = |_| {
                scope.spawn(|| {
                    start.wait();
                    usize::from(tasks.end(id, TaskEnd::Command).is_ok())
                })
            };
            let all: Vec<_> = (0..3).map(by_command).chain([by_deadline]).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(ends, 1);
    }
}

#[test]
fn listing_is_in_the_order_of_opening() {
    let (world, tasks) = registry();
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(tasks.open(wanted()).unwrap().id);
        world.pass(Duration::from_millis(1));
    }
    tasks.end(ids[10], TaskEnd::Command).unwrap();
    let listed: Vec<_> = tasks.list().iter().map(|line| line.task.id).collect();
    assert_eq!(listed, ids);
    assert_eq!(listed.iter().collect::<HashSet<_>>().len(), 50);
}

#[test]
fn the_end_is_shown_to_whoever_stands_for_the_task() {
    let (world, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    let ended = tasks.ended(id).unwrap();
    tasks.end(id, TaskEnd::Command).unwrap();
    assert_eq!(*ended.borrow(), Some(TaskEnd::Command));
    assert_eq!(*tasks.ended(id).unwrap().borrow(), Some(TaskEnd::Command));
    assert!(tasks.ended(TaskId::fresh(&*world, &*world)).is_err());
}
