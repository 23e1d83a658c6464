//! Budgets: whatever the interleaving, no more goes through than there is.

use super::ground::{registry, registry_with};
use super::{call, read, wanted};
use crate::call::grant::Line;
use crate::call::money::{Currency, Money};
use crate::call::{Args, Budget, Class, Clock as _, Decision, Grant, Operations, SpiffeId};
use crate::intent::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

fn act() -> crate::call::Operations {
    call("github", "issues/create", Class::Act)
}

#[test]
fn a_call_that_is_under_way_holds_its_share_until_it_is_settled() {
    let (_, tasks) = registry();
    let budget = Budget { acts: Some(1), ..Budget::default() };
    let id = tasks.open(NewTask { budget, ..wanted() }).unwrap().id;
    let first = tasks.attach(id, &act()).unwrap();
    assert_eq!(first.obstacle, None);
    let second = tasks.attach(id, &act()).unwrap();
    assert_eq!(second.obstacle, Some(Obstacle::Exhausted { task: id, line: Line::Acts, limit: 1 }));
    drop(second);
    first.place.settle(&act(), Decision::Deny, Some("policy_denied"), tasks.world.now());
    drop(first);
    let third = tasks.attach(id, &act()).unwrap();
    assert_eq!(third.obstacle, None, "what was refused costs nothing");
    drop(third);
    assert_eq!(tasks.attach(id, &act()).unwrap().obstacle, None, "nor does what was given up");
}

#[test]
fn a_task_whose_budget_is_used_up_ends_when_nothing_of_it_is_under_way() {
    let (world, tasks) = registry();
    let budget = Budget { calls: Some(1), ..Budget::default() };
    let id = tasks.open(NewTask { budget, ..wanted() }).unwrap().id;
    let under_way = tasks.attach(id, &read()).unwrap();
    under_way.place.settle(&read(), Decision::Allow, None, world.now());
    drop(tasks.attach(id, &read()).unwrap());
    assert!(
        tasks.expire(world.now()).is_empty(),
        "a call that was let through is not cut for the next one's sake"
    );
    drop(under_way);
    assert_eq!(tasks.expire(world.now()).len(), 1);
    assert_eq!(tasks.book.end_of(id), Some(TaskEnd::Budget));
}

#[test]
fn bytes_are_taken_from_all_links_or_from_none() {
    let (_, tasks) = registry();
    let root =
        tasks.open(NewTask { budget: Budget { bytes: Some(100), ..Budget::default() }, ..wanted() }).unwrap();
    let handed = |bytes| Delegation {
        to: SpiffeId::parse(&format!("spiffe://example.org/agent/h{bytes}")).unwrap(),
        intent: None,
        labels: BTreeMap::new(),
        ttl: None,
        grant: Grant::default(),
        budget: Budget { bytes: Some(bytes), ..Budget::default() },
        binding: None,
    };
    let small = tasks.delegate(root.id, handed(10)).unwrap();
    let place = tasks.attach(small.id, &act()).unwrap().place;
    place.spend_bytes(8).unwrap();
    assert!(place.spend_bytes(3).is_err(), "more than the child may");
    place.spend_bytes(2).unwrap();
    assert_eq!(tasks.show(root.id).unwrap().bytes_out, 10);
    let large = tasks.delegate(root.id, handed(100)).unwrap();
    let place = tasks.attach(large.id, &act()).unwrap().place;
    assert!(place.spend_bytes(91).is_err(), "more than the parent has left");
    assert_eq!(tasks.show(large.id).unwrap().bytes_out, 0, "nothing was taken from the child either");
    place.spend_bytes(90).unwrap();
    place.give_back_bytes(40);
    assert_eq!(tasks.show(root.id).unwrap().bytes_out, 60);
}

#[test]
fn many_threads_never_overspend_and_never_waste() {
    for round in 0..50_u64 {
        let (_, tasks) = registry();
        let limit = 20 + round;
        let budget = Budget { acts: Some(limit), bytes: Some(limit * 20), ..Budget::default() };
        let id = tasks.open(NewTask { budget, ..wanted() }).unwrap().id;
        let (let_through, sent, start) = (AtomicU64::new(0), AtomicU64::new(0), Barrier::new(4));
        std::thread::scope(|scope| {
            for n in 0..4_u64 {
                let (tasks, let_through, sent, start) = (&tasks, &let_through, &sent, &start);
                scope.spawn(move || {
                    start.wait();
                    for i in 0..limit {
                        let attached = tasks.attach(id, &act()).unwrap();
                        if attached.obstacle.is_some() {
                            continue;
                        }
                        let refused = (i + n) % 7 == 0;
                        let decision = if refused { Decision::Deny } else { Decision::Allow };
                        if !refused {
                            let_through.fetch_add(1, Ordering::SeqCst);
                            if attached.place.spend_bytes(10 + n).is_ok() {
                                sent.fetch_add(10 + n, Ordering::SeqCst);
                            }
                        }
                        attached.place.settle(&act(), decision, None, tasks.world.now());
                    }
                });
            }
        });
        let view = tasks.show(id).unwrap();
        assert!(view.counts.acts <= limit && view.bytes_out <= limit * 20, "{view:?}");
        assert_eq!((view.counts.acts, view.bytes_out), (let_through.into_inner(), sent.into_inner()));
        for _ in view.counts.acts..limit {
            let attached = tasks.attach(id, &act()).unwrap();
            assert_eq!(attached.obstacle, None, "some of the budget is not to be had any more");
            attached.place.settle(&act(), Decision::Allow, None, tasks.world.now());
        }
        assert!(tasks.attach(id, &act()).unwrap().obstacle.is_some());
    }
}

pub(super) fn dollars(amount: u64) -> Money {
    Money::from([(Currency::parse("usd").unwrap(), amount)])
}

/// An act that names an amount.
fn paying(amount: Option<i64>, currency: Option<&str>, unclear: bool) -> Operations {
    let mut operation = super::operation("stripe", "charges/create", Class::Act);
    let currency = currency.map(str::to_owned);
    operation.facts.args = Args { amount, currency, unclear, ..Args::default() };
    Operations::one(operation)
}

pub(super) fn costing(usd: u64) -> Operations {
    paying(Some(i64::try_from(usd).unwrap()), Some("USD"), false)
}

#[test]
fn money_is_held_before_and_spent_by_what_was_let_through() {
    let (_, tasks) = registry();
    let budget = Budget { money: dollars(100), ..Budget::default() };
    let id = tasks.open(NewTask { budget, ..wanted() }).unwrap().id;
    let held = tasks.attach(id, &costing(60)).unwrap();
    assert_eq!(held.obstacle, None);
    let line = Line::Money(Currency::parse("usd").unwrap());
    let exhausted = Some(Obstacle::Exhausted { task: id, line, limit: 100 });
    assert_eq!(tasks.attach(id, &costing(41)).unwrap().obstacle, exhausted, "60 are spoken for");
    assert_eq!(tasks.attach(id, &costing(40)).unwrap().obstacle, None);
    held.place.settle(&costing(60), Decision::Deny, None, tasks.world.now());
    let all = tasks.attach(id, &costing(100)).unwrap();
    assert_eq!(all.obstacle, None, "what was refused costs nothing");
    all.place.settle(&costing(100), Decision::Allow, None, tasks.world.now());
    assert_eq!(tasks.show(id).unwrap().money, dollars(100));
    assert_eq!(tasks.attach(id, &costing(1)).unwrap().obstacle, exhausted);
    assert_eq!(tasks.attach(id, &act()).unwrap().obstacle, None, "what costs nothing goes on");
}

#[test]
fn under_a_budget_of_money_what_cannot_be_told_is_not_spent() {
    let (_, tasks) = registry();
    let budget = Budget { money: dollars(100), ..Budget::default() };
    let id = tasks.open(NewTask { budget, ..wanted() }).unwrap().id;
    let free = tasks.open(wanted()).unwrap().id;
    let euros = paying(Some(1), Some("eur"), false);
    let line = Line::Money(Currency::parse("eur").unwrap());
    assert_eq!(
        tasks.attach(id, &euros).unwrap().obstacle,
        Some(Obstacle::Exhausted { task: id, line, limit: 0 }),
        "of a currency that is not named there is nothing"
    );
    for unclear in [
        paying(Some(1), None, false),
        paying(Some(-1), Some("usd"), false),
        paying(Some(1), Some("dollars"), false),
        paying(None, None, true),
    ] {
        let found = tasks.attach(id, &unclear).unwrap().obstacle;
        assert_eq!(found, Some(Obstacle::Unpriced { task: id }), "{unclear:?}");
        assert_eq!(tasks.attach(free, &unclear).unwrap().obstacle, None);
    }
    let batch = costing(60).iter().chain(costing(60).iter()).cloned().collect::<Vec<_>>();
    let batch = Operations::batch(batch[0].clone(), batch[1..].to_vec());
    assert!(tasks.attach(id, &batch).unwrap().obstacle.is_some(), "a batch costs what all of it costs");
}

#[test]
fn a_child_has_no_money_that_its_parent_has_not() {
    let (_, tasks) = registry();
    let budget = Budget { money: dollars(100), ..Budget::default() };
    let root = tasks.open(NewTask { budget, ..wanted() }).unwrap();
    let handed = |name: &str, money: Money| Delegation {
        to: SpiffeId::parse(&format!("spiffe://example.org/agent/{name}")).unwrap(),
        intent: None,
        labels: BTreeMap::new(),
        ttl: None,
        grant: Grant::default(),
        budget: Budget { money, ..Budget::default() },
        binding: None,
    };
    assert_eq!(tasks.delegate(root.id, handed("a", Money::new())).unwrap().terms.budget.money, dollars(100));
    let more = tasks.delegate(root.id, handed("b", dollars(101))).unwrap_err();
    assert!(matches!(more, IntentError::Budget { wanted: 101, allowed: 100, .. }), "{more:?}");
    let euros = Money::from([(Currency::parse("eur").unwrap(), 1)]);
    assert!(tasks.delegate(root.id, handed("c", euros)).is_err());
    let child = tasks.delegate(root.id, handed("d", dollars(100))).unwrap();
    let spent = tasks.attach(root.id, &costing(30)).unwrap();
    spent.place.settle(&costing(30), Decision::Allow, None, tasks.world.now());
    assert!(tasks.attach(child.id, &costing(71)).unwrap().obstacle.is_some(), "the parent has 70 left");
    let taken = tasks.attach(child.id, &costing(70)).unwrap();
    taken.place.settle(&costing(70), Decision::Allow, None, tasks.world.now());
    assert_eq!(tasks.show(root.id).unwrap().money, dollars(100), "and pays for its children");
}

/// What may happen between two calls.
#[derive(Clone, Debug)]
enum Step {
    Attach(usize, u64),
    Settle(usize, bool),
    Drop(usize),
    Bytes(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize, 0..30_u64).prop_map(|(at, usd)| Step::Attach(at, usd)),
        (0..64_usize, any::<bool>()).prop_map(|(n, allow)| Step::Settle(n, allow)),
        (0..64_usize).prop_map(Step::Drop),
        (0..64_usize, 1..40_u64).prop_map(|(n, bytes)| Step::Bytes(n, bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Thousands of interleavings of calls in a chain of four tasks, each with budgets of its own.
    #[test]
    fn no_interleaving_overspends_any_link(
        limits in proptest::collection::vec((0..6_u64, 0..200_u64, 0..100_u64), 4),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let (_, tasks) = registry_with(Settings::default());
        let mut chain = Vec::new();
        let (mut acts, mut bytes, mut usd) = (u64::MAX, u64::MAX, u64::MAX);
        for (n, (few_acts, few_bytes, few_usd)) in limits.iter().enumerate() {
            (acts, bytes, usd) = (acts.min(*few_acts), bytes.min(*few_bytes), usd.min(*few_usd));
            let budget = Budget { acts: Some(acts), bytes: Some(bytes), money: dollars(usd), ..Budget::default() };
            let agent = SpiffeId::parse(&format!("spiffe://example.org/agent/a{n}")).unwrap();
            let task = match chain.last() {
                None => tasks.open(NewTask { agent, budget, ..wanted() }),
                Some(parent) => tasks.delegate(*parent, Delegation {
                    to: agent, intent: None, labels: BTreeMap::new(), ttl: None, grant: Grant::default(), budget, binding: None,
                }),
            };
            chain.push(task.unwrap().id);
        }
        // What a run of it by hand would say: calls held and spent at each link.
        let (mut held, mut spent, mut sent) = ([0_u64; 4], [0_u64; 4], [0_u64; 4]);
        let (mut owed, mut paid) = ([0_u64; 4], [0_u64; 4]);
        let mut places: Vec<(usize, Place, bool, u64)> = Vec::new();
        let limit = |link: usize| (0..=link).fold((u64::MAX, u64::MAX, u64::MAX), |(a, b, c), n| {
            (a.min(limits[n].0), b.min(limits[n].1), c.min(limits[n].2))
        });
        for step in steps {
            match step {
                Step::Attach(at, usd) => {
                    let attached = tasks.attach(chain[at], &costing(usd)).unwrap();
                    let room = (0..=at).all(|n| {
                        held[n] + spent[n] < limit(n).0 && sent[n] < limit(n).1 && owed[n] + paid[n] + usd <= limit(n).2
                    });
                    prop_assert_eq!(attached.obstacle.is_none(), room);
                    if room {
                        held[..=at].iter_mut().for_each(|one| *one += 1);
                        owed[..=at].iter_mut().for_each(|one| *one += usd);
                        places.push((at, attached.place, false, usd));
                    }
                }
                Step::Settle(n, allow) if !places.is_empty() => {
                    let n = n % places.len();
                    let (at, place, settled, usd) = &mut places[n];
                    if !*settled {
                        *settled = true;
                        let decision = if allow { Decision::Allow } else { Decision::Deny };
                        place.settle(&costing(*usd), decision, None, tasks.world.now());
                        for n in 0..=*at {
                            (held[n], owed[n]) = (held[n] - 1, owed[n] - *usd);
                            (spent[n], paid[n]) = (spent[n] + u64::from(allow), paid[n] + if allow { *usd } else { 0 });
                        }
                    }
                }
                Step::Drop(n) if !places.is_empty() => {
                    let (at, place, settled, usd) = places.swap_remove(n % places.len());
                    drop(place);
                    if !settled {
                        held[..=at].iter_mut().for_each(|one| *one -= 1);
                        owed[..=at].iter_mut().for_each(|one| *one -= usd);
                    }
                }
                Step::Bytes(n, more) if !places.is_empty() => {
                    let (at, place, ..) = &places[n % places.len()];
                    let room = (0..=*at).all(|n| sent[n] + more <= limit(n).1);
                    prop_assert_eq!(place.spend_bytes(more).is_ok(), room);
                    if room {
                        sent[..=*at].iter_mut().for_each(|one| *one += more);
                    }
                }
                Step::Settle(..) | Step::Drop(_) | Step::Bytes(..) => {}
            }
            for (n, task) in chain.iter().enumerate() {
                let view = tasks.show(*task).unwrap();
                prop_assert_eq!((view.counts.acts, view.bytes_out), (spent[n], sent[n]));
                prop_assert!(view.counts.acts <= limit(n).0 && view.bytes_out <= limit(n).1);
                prop_assert_eq!(view.money.values().sum::<u64>(), paid[n]);
                prop_assert!(paid[n] + owed[n] <= limit(n).2);
            }
        }
    }
}
