//! Delegation: a child inside its parent, at issue and at every call.

use super::ground::{Registry, registry, registry_with};
use super::{call, read, wanted};
use crate::call::grant::{Line, Part, Pattern};
use crate::call::{Budget, Class, Clock as _, Decision, Grant, SpiffeId, Subject, Task, TaskId};
use crate::intent::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

fn spiffe(name: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://example.org/agent/{name}")).unwrap()
}

fn to(name: &str) -> Delegation {
    Delegation {
        to: spiffe(name),
        intent: None,
        labels: BTreeMap::new(),
        ttl: None,
        grant: Grant::default(),
        budget: Budget::default(),
        binding: None,
    }
}

fn services(names: &[&str]) -> Grant {
    Grant { services: names.iter().map(|name| Pattern::parse(name).unwrap()).collect(), ..Grant::default() }
}

/// A root and so many tasks below one another.
fn chain(tasks: &Registry, root: NewTask, depth: usize) -> Vec<Arc<Task>> {
    let mut chain = vec![tasks.open(root).unwrap()];
    for n in 0..depth {
        chain.push(tasks.delegate(chain[n].id, to(&format!("helper-{n}"))).unwrap());
    }
    chain
}

#[test]
fn a_child_has_what_its_parent_has_and_no_more() {
    let (_, tasks) = registry();
    let root = NewTask {
        grant: services(&["github", "slack"]),
        budget: Budget { acts: Some(3), ..Budget::default() },
        labels: BTreeMap::from([("team".into(), "payments".into())]),
        on_behalf_of: Some(Subject::parse("user:ada").unwrap()),
        ..wanted()
    };
    let root = tasks.open(root).unwrap();
    let labels = BTreeMap::from([("team".into(), "other".into()), ("step".into(), "2".into())]);
    let child = tasks.delegate(root.id, Delegation { labels, ..to("helper") }).unwrap();
    assert_eq!(child.terms.grant, root.terms.grant);
    assert_eq!(child.terms.budget, root.terms.budget);
    assert_eq!(child.terms.on_behalf_of, root.terms.on_behalf_of);
    assert_eq!(child.terms.actors, std::slice::from_ref(&root.agent));
    assert_eq!(child.intent, root.intent);
    assert_eq!((child.labels["team"].as_str(), child.labels["step"].as_str()), ("payments", "2"));
    assert!(child.deadline <= root.deadline);

    let narrower = Delegation { grant: services(&["github"]), ..to("other") };
    let narrower = tasks.delegate(root.id, narrower).unwrap();
    assert!(narrower.terms.grant.services.len() == 1);
    let wider = Delegation { grant: services(&["stripe"]), ..to("third") };
    let of = Within::Parent;
    assert_eq!(tasks.delegate(root.id, wider), Err(IntentError::Outside { part: Part::Service, of }));
    let richer = Delegation { budget: Budget { acts: Some(4), ..Budget::default() }, ..to("third") };
    let refused = IntentError::Budget { line: Line::Acts, wanted: 4, allowed: 3, of };
    assert_eq!(tasks.delegate(root.id, richer), Err(refused));
    let longer = Delegation { ttl: Some(DEFAULT_TTL + Duration::from_secs(1)), ..to("third") };
    assert!(matches!(tasks.delegate(root.id, longer), Err(IntentError::Ttl { .. })));
}

#[test]
fn chains_are_not_too_long_nor_too_wide_and_never_closed() {
    let (_, tasks) = registry_with(Settings { depth: 3, fan_out: 2, ..Settings::default() });
    let chain = chain(&tasks, wanted(), 3);
    assert_eq!(tasks.delegate(chain[3].id, to("deeper")), Err(IntentError::Depth { limit: 3 }));
    let back = Delegation { to: chain[0].agent.clone(), ..to("x") };
    let cycle = IntentError::Cycle { agent: chain[0].agent.clone() };
    assert_eq!(tasks.delegate(chain[2].id, back), Err(cycle));
    tasks.delegate(chain[0].id, to("second")).unwrap();
    let refused = IntentError::FanOut { task: chain[0].id, limit: 2 };
    assert_eq!(tasks.delegate(chain[0].id, to("third")), Err(refused));
    tasks.end(chain[1].id, TaskEnd::Command).unwrap();
    tasks.delegate(chain[0].id, to("third")).expect("a place is free again");
}

#[test]
fn a_call_that_a_link_was_not_granted_is_refused_naming_the_link() {
    let (_, tasks) = registry();
    let root = NewTask { grant: services(&["github"]), ..wanted() };
    let chain = chain(&tasks, root, 2);
    let attached = tasks.attach(chain[2].id, &call("slack", "chat.postMessage", Class::Act)).unwrap();
    let Some(Obstacle::Outside { task, part, agent, .. }) = attached.obstacle else { panic!("{attached:?}") };
    assert_eq!((task, agent, part), (chain[0].id, chain[0].agent.clone(), Part::Service));
    drop(attached.place);
    let attached = tasks.attach(chain[2].id, &read()).unwrap();
    assert_eq!(attached.obstacle, None);
    let above: Vec<_> = attached.links.iter().map(|link| link.task.id).collect();
    assert_eq!(above, [chain[1].id, chain[0].id], "nearest first");
}

#[test]
fn spending_counts_against_every_ancestor() {
    let (_, tasks) = registry();
    let root = NewTask { budget: Budget { acts: Some(2), ..Budget::default() }, ..wanted() };
    let chain = chain(&tasks, root, 2);
    let act = call("github", "issues/create", Class::Act);
    tasks.settle(chain[2].id, &act, Decision::Allow, None);
    tasks.settle(chain[1].id, &act, Decision::Allow, None);
    for task in &chain {
        let obstacle = tasks.attach(task.id, &act).unwrap().obstacle;
        let Some(Obstacle::Exhausted { line: Line::Acts, limit: 2, task: of }) = obstacle else {
            panic!("{obstacle:?}")
        };
        assert_eq!(of, chain[0].id);
        assert_eq!(tasks.attach(task.id, &read()).unwrap().obstacle, None, "reads are not limited");
    }
    let place = tasks.attach(chain[2].id, &read()).unwrap().place;
    place.spend_bytes(70).unwrap();
    let bytes: Vec<_> = chain.iter().map(|task| tasks.show(task.id).unwrap().bytes_out).collect();
    assert_eq!(bytes, [70, 70, 70]);
}

#[test]
fn children_end_with_their_parent_in_one_piece() {
    let (_, tasks) = registry();
    let chain = chain(&tasks, wanted(), 3);
    let under_way = tasks.attach(chain[3].id, &read()).unwrap();
    tasks.end(chain[1].id, TaskEnd::Command).unwrap();
    assert_eq!(*under_way.ended.borrow(), Some(TaskEnd::Parent));
    let ends: Vec<_> = chain.iter().map(|task| tasks.book.end_of(task.id)).collect();
    assert_eq!(ends, [None, Some(TaskEnd::Command), Some(TaskEnd::Parent), Some(TaskEnd::Parent)]);
    assert!(tasks.attach(chain[0].id, &read()).is_ok());
    let refused = tasks.delegate(chain[2].id, to("late")).unwrap_err();
    assert!(matches!(refused, IntentError::Ended { .. }), "{refused}");
}

#[test]
fn no_delegation_slips_past_the_end_of_its_parent() {
    for _ in 0..200 {
        let (_, tasks) = registry();
        let root = tasks.open(wanted()).unwrap().id;
        let start = std::sync::Barrier::new(2);
        let child = std::thread::scope(|scope| {
            let delegating = scope.spawn(|| {
                start.wait();
                tasks.delegate(root, to("helper"))
            });
            start.wait();
            tasks.end(root, TaskEnd::Command).unwrap();
            delegating.join().unwrap()
        });
        for line in tasks.list() {
            assert!(matches!(line.state, TaskState::Ended { .. }), "{child:?}");
        }
        let open: Vec<TaskId> = child.iter().map(|task| task.id).collect();
        let tasks = tasks.restart();
        for task in open {
            assert!(tasks.attach(task, &read()).is_err(), "it came back with a restart");
        }
    }
}

#[test]
fn a_restart_keeps_the_chain() {
    let (world, tasks) = registry();
    let chain = chain(&tasks, NewTask { grant: services(&["github"]), ..wanted() }, 2);
    let tasks = tasks.restart();
    let attached = tasks.attach(chain[2].id, &read()).unwrap();
    assert_eq!((attached.task.id, attached.links.len()), (chain[2].id, 2));
    drop(attached);
    world.pass(DEFAULT_TTL);
    let ended: BTreeSet<_> = tasks.expire(world.now()).iter().map(|task| task.id).collect();
    assert_eq!(ended, chain.iter().map(|task| task.id).collect());
}
