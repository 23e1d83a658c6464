//! Tasks that go with calls: to another agent, to another node, and never beyond what there is.

use super::budget::{costing, dollars};
use super::ground::{Registry, registry, registry_with, wait};
use super::{call, read, wanted};
use crate::call::{
    AgentProfile, Budget, CallId, Class, Clock as _, Decision, Grant, Handed, HandedLink, Host, Operations,
    PeerName, SpiffeId, Task, TaskId,
};
use crate::intent::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(300);

fn spiffe(name: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://example.org/agent/{name}")).unwrap()
}

fn peer(name: &str) -> PeerName {
    PeerName::parse(name).unwrap()
}

fn invoked(name: &str, behind: &str) -> Invoked {
    Invoked { agent: spiffe(name), behind: Some(peer(behind)), lends_percent: 50 }
}

fn act() -> Operations {
    call("github", "issues/create", Class::Act)
}

impl Registry {
    /// What a call of `parent` hands to an agent, at node 1.
    fn hand_over(&self, parent: TaskId, to: &Invoked) -> Result<HandedOver, IntentError> {
        let call = CallId::fresh(&*self.world, &*self.world);
        wait(self.tasks().hand_over(parent, to, call, &peer("node-1"), LEASE))
    }

    /// The task here for what node 1 handed over, under the agent's `own` or else under its standing one.
    fn join(&self, links: &[HandedLink], own: Option<TaskId>) -> Result<Arc<Task>, IntentError> {
        let task = &links.last().unwrap().task;
        let own = own.unwrap_or_else(|| self.standing(&task.agent).id);
        let handed = Handed { by: peer("node-1"), task: task.id, links: links.to_vec() };
        wait(self.tasks().join(&handed, &task.agent, "bob.test", own)).map(|joined| joined.task)
    }

    fn tasks(&self) -> &Tasks {
        self
    }

    /// Whether a call of `task` goes through.
    fn goes(&self, task: TaskId, operations: &Operations) -> Result<bool, IntentError> {
        let attached = self.attach(task, operations)?;
        if attached.obstacle.is_none() {
            attached.place.settle(operations, Decision::Allow, None, self.world.now());
        }
        Ok(attached.obstacle.is_none())
    }
}

#[test]
fn one_task_is_handed_over_for_each_agent_that_is_invoked() {
    let (_, tasks) = registry();
    let root = tasks.open(wanted()).unwrap();
    let first = tasks.hand_over(root.id, &invoked("bob", "node-2")).unwrap();
    assert!(first.opened && first.task.terms.call.is_some());
    assert_eq!(first.task.terms.lent_to, Some(peer("node-2")));
    assert_eq!(first.links.iter().map(|link| link.task.id).collect::<Vec<_>>(), [root.id, first.task.id]);
    let again = tasks.hand_over(root.id, &invoked("bob", "node-2")).unwrap();
    assert_eq!((again.opened, again.task.id), (false, first.task.id));
    assert_ne!(tasks.hand_over(root.id, &invoked("cy", "node-2")).unwrap().task.id, first.task.id);
    let lent = IntentError::Lent { task: first.task.id, to: peer("node-2") };
    assert_eq!(tasks.attach(first.task.id, &read()).unwrap_err(), lent);
    let moved = tasks.hand_over(root.id, &invoked("bob", "node-3")).unwrap();
    assert!(moved.opened && moved.task.id != first.task.id, "what one node was lent is not another one's");
    let own = tasks.hand_over(root.id, &invoked("dan", "node-1")).unwrap();
    assert_eq!((&own.task.terms.lent_to, own.task.terms.budget.clone()), (&None, Budget::default()));
    tasks.attach(own.task.id, &read()).unwrap();
    assert_eq!(
        tasks.hand_over(root.id, &invoked("coder", "node-2")).unwrap_err(),
        IntentError::Cycle { agent: spiffe("coder") }
    );
}

#[test]
fn a_task_that_was_lent_is_renewed_when_its_time_is_up() {
    let (world, tasks) = registry();
    let root = tasks.open(wanted()).unwrap();
    let first = tasks.hand_over(root.id, &invoked("bob", "node-2")).unwrap();
    assert_eq!(first.task.deadline, world.now().plus(LEASE));
    world.pass(LEASE.saturating_sub(Duration::from_secs(1)));
    let second = tasks.hand_over(root.id, &invoked("bob", "node-2")).unwrap();
    assert!(second.opened && second.task.id != first.task.id);
    world.pass(DEFAULT_TTL.saturating_sub(LEASE + Duration::from_secs(1)));
    let last = tasks.hand_over(root.id, &invoked("bob", "node-2")).unwrap();
    assert_eq!(last.task.deadline, root.deadline, "never longer than what it is lent from");
}

#[test]
fn depth_and_fan_out_hold_for_what_is_handed_over() {
    let (_, tasks) = registry_with(Settings { depth: 1, fan_out: 2, ..Settings::default() });
    let root = tasks.open(wanted()).unwrap();
    let bob = tasks.hand_over(root.id, &invoked("bob", "node-1")).unwrap().task;
    assert_eq!(
        tasks.hand_over(bob.id, &invoked("cy", "node-1")).unwrap_err(),
        IntentError::Depth { limit: 1 }
    );
    tasks.hand_over(root.id, &invoked("cy", "node-1")).unwrap();
    let full = IntentError::FanOut { task: root.id, limit: 2 };
    assert_eq!(tasks.hand_over(root.id, &invoked("dan", "node-1")).unwrap_err(), full);
}

#[test]
fn a_loan_that_comes_to_nothing_goes_back() {
    let (_, tasks) = registry_with(Settings { fan_out: 0, ..Settings::default() });
    let budget = Budget { acts: Some(2), bytes: Some(10), money: dollars(4), ..Budget::default() };
    let root = tasks.open(NewTask { budget, ..wanted() }).unwrap();
    tasks.hand_over(root.id, &invoked("bob", "node-2")).unwrap_err();
    let attached = tasks.attach(root.id, &costing(4)).unwrap();
    assert_eq!(attached.obstacle, None);
    attached.place.spend_bytes(10).unwrap();
    drop(attached);
    assert!(tasks.goes(root.id, &act()).is_ok_and(|goes| !goes), "the bytes are used up now");
}

#[test]
fn what_is_handed_over_is_bounded_by_all_that_lies_above_it() {
    let (_, one) = registry();
    let (world, two) = registry();
    let grant = Grant { classes: BTreeSet::from([Class::Read]), ..Grant::default() };
    let root = one.open(NewTask { grant, ..wanted() }).unwrap();
    let handed = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap();
    let own = two.open(NewTask { agent: spiffe("bob"), ..wanted() }).unwrap();
    let joined = two.join(&handed.links, None).unwrap();
    let under = two.join(&handed.links, Some(own.id)).unwrap();
    assert_ne!(joined.id, under.id);
    assert_eq!(two.join(&handed.links, None).unwrap().id, joined.id, "one task, however many calls");
    assert_eq!(joined.terms.actors, [spiffe("coder")]);
    for task in [joined.id, under.id] {
        let attached = two.attach(task, &act()).unwrap();
        let outside = matches!(attached.obstacle, Some(Obstacle::Outside { task, .. }) if task == root.id);
        assert!(outside, "{:?}", attached.obstacle);
        assert_eq!(two.attach(task, &read()).unwrap().obstacle, None);
    }
    assert_eq!(
        two.attach(under.id, &read()).unwrap().links.len(),
        3,
        "bob's own, the lent one, and the root"
    );
    two.end(own.id, TaskEnd::Command).unwrap();
    assert!(two.attach(under.id, &read()).is_err(), "with bob's own task");
    two.quarantine(&spiffe("coder"), true);
    assert!(two.attach(joined.id, &read()).is_err(), "with the agent above, wherever that works");
    world.pass(LEASE);
    assert!(
        two.join(&handed.links, Some(TaskId::fresh(&*world, &*world))).is_err(),
        "nothing begins after its end"
    );
}

#[test]
fn a_chain_that_went_with_a_call_to_somebody_else_is_refused() {
    let registration =
        Registration { hosts: vec![Host::parse("bob.test").unwrap()], ..Registration::default() };
    let registered = BTreeMap::from([(spiffe("bob"), registration)]);
    let (_, two) = registry_with(Settings { registered, ..Settings::default() });
    let (_, one) = registry();
    let root = one.open(wanted()).unwrap();
    let links = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap().links;
    two.join(&links, None).unwrap();
    let handed = Handed { by: peer("node-1"), task: links[1].task.id, links };
    let own = two.standing(&spiffe("bob")).id;
    let elsewhere = wait(two.tasks().join(&handed, &spiffe("bob"), "cy.test", own)).unwrap_err();
    assert_eq!(elsewhere, IntentError::Elsewhere { agent: spiffe("bob"), host: "cy.test".into() });
}

#[test]
fn what_was_spent_for_another_node_is_spent_after_a_restart() {
    let (_, one) = registry();
    let (_, two) = registry();
    let budget = Budget { acts: Some(4), ..Budget::default() };
    let root = one.open(NewTask { budget, ..wanted() }).unwrap();
    let links = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap().links;
    let own = two.open(NewTask { agent: spiffe("bob"), ..wanted() }).unwrap().id;
    let joined = two.join(&links, Some(own)).unwrap();
    assert!(two.goes(joined.id, &act()).unwrap());
    let two = two.restart();
    let past = Past::Call {
        task: joined.id,
        agent: spiffe("bob"),
        operations: Box::new(act()),
        decision: Decision::Allow,
        refusal: None,
        at: two.world.now(),
    };
    two.replay(&past);
    assert_eq!(two.join(&links, Some(own)).unwrap().id, joined.id);
    assert!(two.goes(joined.id, &act()).unwrap());
    assert!(!two.goes(joined.id, &act()).unwrap());
    let other = two.join(&links, None).unwrap();
    assert!(!two.goes(other.id, &act()).unwrap(), "nor under another task of his");
    let one = one.restart();
    one.replay(&Past::Lent { task: root.id, budget: links[1].task.terms.budget.clone() });
    assert!(one.goes(root.id, &act()).unwrap() && one.goes(root.id, &act()).unwrap());
    assert!(!one.goes(root.id, &act()).unwrap());
}

#[test]
fn what_was_spent_under_a_standing_task_is_spent_after_a_restart() {
    let (_, one) = registry();
    let (_, two) = registry();
    let budget = Budget { acts: Some(2), ..Budget::default() };
    let root = one.open(NewTask { budget, ..wanted() }).unwrap();
    let links = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap().links;
    let joined = two.join(&links, None).unwrap();
    let two = two.restart();
    let past = Past::Call {
        task: joined.id,
        agent: spiffe("bob"),
        operations: Box::new(act()),
        decision: Decision::Allow,
        refusal: None,
        at: two.world.now(),
    };
    two.replay(&past);
    let again = two.join(&links, None).unwrap();
    assert_eq!(again.id, joined.id);
    assert!(!two.goes(again.id, &act()).unwrap());
}

#[test]
fn being_handed_a_task_adds_nothing_to_a_standing_task_that_is_over() {
    let (_, one) = registry();
    let (_, two) = registry();
    let root = one.open(wanted()).unwrap();
    let links = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap().links;
    let standing = two.standing(&spiffe("bob")).id;
    two.end(standing, TaskEnd::Command).unwrap();
    let over = two.join(&links, None).unwrap_err();
    assert_eq!(over, IntentError::Ended { task: standing, why: TaskEnd::Command });
}

#[test]
fn what_was_handed_to_one_agent_is_not_another_ones_whatever_its_node_signs() {
    let (_, one) = registry();
    let (_, two) = registry();
    let root = one.open(wanted()).unwrap();
    let links = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap().links;
    let own = two.open(NewTask { agent: spiffe("bob"), ..wanted() }).unwrap().id;
    two.join(&links, Some(own)).unwrap();
    let handed = Handed { by: peer("node-1"), task: links[1].task.id, links };
    for own in [own, two.standing(&spiffe("carol")).id] {
        assert!(wait(two.tasks().join(&handed, &spiffe("carol"), "bob.test", own)).is_err());
    }
}

#[test]
fn what_was_touched_since_is_learnt_whatever_task_the_chain_comes_with() {
    let (_, one) = registry();
    let (_, two) = registry();
    let root = one.open(wanted()).unwrap();
    let links = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap().links;
    two.join(&links, None).unwrap();
    assert!(one.goes(root.id, &read()).unwrap());
    let links = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap().links;
    let own = two.open(NewTask { agent: spiffe("bob"), ..wanted() }).unwrap().id;
    let joined = two.join(&links, Some(own)).unwrap();
    let attached = two.attach(joined.id, &read()).unwrap();
    let root = attached.links.iter().find(|link| link.task.id == root.id).unwrap();
    assert_eq!(root.history.reads, 1);
}

#[test]
fn the_end_of_an_owner_s_tasks_reaches_what_their_agents_handed_over() {
    let profile = AgentProfile { owner: "team-a".into(), ..AgentProfile::default() };
    let registration = Registration { profile, ..Registration::default() };
    let registered = BTreeMap::from([(spiffe("coder"), registration)]);
    let (_, two) = registry_with(Settings { registered, ..Settings::default() });
    let (_, one) = registry();
    let root = one.open(wanted()).unwrap();
    let links = one.hand_over(root.id, &invoked("bob", "node-2")).unwrap().links;
    let joined = two.join(&links, None).unwrap();
    assert!(wait(two.tasks().end_owned("team-b")).unwrap().is_empty());
    let ended: Vec<_> = wait(two.tasks().end_owned("team-a")).unwrap();
    assert_eq!(
        ended.iter().map(|(task, why)| (task.id, *why)).collect::<Vec<_>>(),
        [(joined.id, TaskEnd::Owner)]
    );
    assert!(two.attach(joined.id, &read()).is_err());
}

/// What may happen at either node.
#[derive(Clone, Debug)]
enum Step {
    /// The root invokes an agent.
    Invoke(usize),
    /// The root acts: a cost, and bytes.
    Act(u64, u64),
    /// An agent acts at node 2, under a task of its own or not.
    There(usize, bool, u64, u64),
    /// Time passes.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize).prop_map(Step::Invoke),
        (0..9_u64, 0..30_u64).prop_map(|(usd, bytes)| Step::Act(usd, bytes)),
        (0..2_usize, any::<bool>(), 0..9_u64, 0..30_u64)
            .prop_map(|(n, own, usd, bytes)| Step::There(n, own, usd, bytes)),
        (1..200_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two nodes that never ask one another: together they never do more than the root may.
    #[test]
    fn two_nodes_together_never_overspend(
        (acts, bytes, usd) in (0..12_u64, 0..200_u64, 0..50_u64),
        percents in proptest::collection::vec(0..=100_u8, 2),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let (world_one, one) = registry();
        let (world_two, two) = registry();
        let budget = Budget { acts: Some(acts), bytes: Some(bytes), money: dollars(usd), ..Budget::default() };
        let root = one.open(NewTask { budget, ..wanted() }).unwrap().id;
        let own = two.open(NewTask { agent: spiffe("h0"), ..wanted() }).unwrap().id;
        let mut links: [Option<Vec<HandedLink>>; 2] = [None, None];
        let (mut acted, mut sent, mut paid) = (0, 0, 0);
        let mut spend = |tasks: &Registry, task: TaskId, cost: u64, out: u64| {
            let Ok(attached) = tasks.attach(task, &costing(cost)) else { return };
            if attached.obstacle.is_some() {
                return;
            }
            (acted, paid) = (acted + 1, paid + cost);
            if attached.place.spend_bytes(out).is_ok() {
                sent += out;
            }
            attached.place.settle(&costing(cost), Decision::Allow, None, tasks.world.now());
        };
        for step in steps {
            match step {
                Step::Invoke(n) => {
                    let to = Invoked { lends_percent: percents[n], ..invoked(&format!("h{n}"), "node-2") };
                    if let Ok(handed) = one.hand_over(root, &to) {
                        links[n] = Some(handed.links);
                    }
                }
                Step::Act(cost, out) => spend(&one, root, cost, out),
                Step::There(n, under, cost, out) => {
                    let under = (under && n == 0).then_some(own);
                    let joined = links[n].as_ref().and_then(|links| two.join(links, under).ok());
                    if let Some(task) = joined {
                        spend(&two, task.id, cost, out);
                    }
                }
                Step::Pass(s) => {
                    world_one.pass(Duration::from_secs(s));
                    world_two.pass(Duration::from_secs(s));
                }
            }
        }
        prop_assert!(acted <= acts && sent <= bytes && paid <= usd, "{acted} {sent} {paid}");
    }
}
