use std::collections::BTreeSet;

use super::*;
use crate::call::operator::{Membership, Operator, Role};
use crate::call::{Class, OperationId};

mod model;

const T0: u64 = 1_800_000_000;
const RULES: &str = "sha256:rules";

fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_s(T0 + s)
}

fn id<T: std::str::FromStr<Err = crate::call::id::NotAnId>>(n: usize) -> T {
    format!("01ARZ3NDEKTSV4RRFFQ{n:07}").parse().unwrap()
}

fn agent(name: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://example.org/agent/{name}")).unwrap()
}

fn asked(n: usize, digest: u8, wants: &[(&str, u32)], now: Timestamp, settings: &Settings) -> Asked {
    let fresh = Hold {
        id: id(n),
        digest: CallDigest([digest; 32]),
        call: id(n),
        asks: 1,
        task: id(1),
        agent: agent("coder"),
        operation: OperationId("github:issues/create".into()),
        class: Class::Act,
        rules: RULES.to_owned(),
        policies: vec![PolicyId("acts".into())],
        wants: wants.iter().map(|(group, votes)| (Arc::from(*group), *votes)).collect(),
        barred: vec!["spiffe://example.org/agent/coder".into(), "user:alice@example.org".into()],
        asked: now,
        until: now.plus(settings.asked_for),
        state: HoldState::Waiting,
        since: now,
        votes: Vec::new(),
    };
    Asked(fresh)
}

fn operator(name: &str, groups: &[&str]) -> Operator {
    Operator {
        id: OperatorId(name.into()),
        roles: BTreeSet::from([Role::Approver]),
        groups: Membership::Of(groups.iter().map(|group| Arc::from(*group)).collect()),
        person: None,
    }
}

fn ballot(hold: &Hold, approves: bool) -> Ballot {
    Ballot { hold: hold.id, digest: hold.digest, approves, note: None }
}

/// One hold that waits for two of `security` and one of `finance`.
fn waiting() -> (Holds, Hold) {
    let mut holds = Holds::new(Settings::default(), []);
    let asked = asked(1, 7, &[("security", 2), ("finance", 1)], at(0), holds.settings());
    let Answer::Fresh(hold) = holds.ask(&asked, at(0)) else { panic!() };
    holds.put((*hold).clone());
    (holds, *hold)
}

fn vote(holds: &mut Holds, hold: &Hold, approves: bool, voter: &Operator) -> Result<Hold, NoVote> {
    let after = holds.vote(&ballot(hold, approves), voter, RULES, at(1))?;
    holds.put(after.clone());
    Ok(after)
}

#[test]
fn it_takes_every_group_and_as_many_different_people_of_it() {
    let (mut holds, hold) = waiting();
    let alice = operator("oidc:a@example.org", &["security"]);
    let after = vote(&mut holds, &hold, true, &alice).unwrap();
    assert_eq!(after.state, HoldState::Waiting);
    assert_eq!(after.missing().values().copied().collect::<Vec<_>>(), [1, 1]);
    let again = operator("cert:A@example.org", &["security"]);
    for same in [&alice, &again] {
        assert!(matches!(vote(&mut holds, &hold, true, same), Err(NoVote::Twice { .. })), "one vote each");
    }
    let both = operator("oidc:b@example.org", &["security", "finance"]);
    let after = vote(&mut holds, &hold, true, &both).unwrap();
    assert_eq!(after.state, HoldState::Approved { until: at(1).plus(Settings::default().good_for) });
    assert_eq!(after.approvers().len(), 2);
}

#[test]
fn one_no_is_enough_and_stands() {
    let (mut holds, hold) = waiting();
    vote(&mut holds, &hold, true, &operator("a", &["security"])).unwrap();
    let after = vote(&mut holds, &hold, false, &operator("b", &["finance"])).unwrap();
    assert_eq!((after.state.clone(), &after.refuser().unwrap().by.0[..]), (HoldState::Refused, "b"));
    let again = asked(2, 7, &[("security", 2)], at(5), holds.settings());
    assert!(matches!(holds.ask(&again, at(5)), Answer::Refused(_)), "nobody is asked again");
    let later = at(0).plus(Settings::default().no_stands_for).plus(Duration::from_secs(10));
    assert!(matches!(holds.ask(&again, later), Answer::Fresh(_)));
    assert!(matches!(
        vote(&mut holds, &hold, true, &operator("c", &["security"])),
        Err(NoVote::Decided { .. })
    ));
}

#[test]
fn who_may_not_vote() {
    let (mut holds, hold) = waiting();
    let no = |voter: &Operator, holds: &mut Holds| vote(holds, &hold, true, voter).unwrap_err();
    let agent = operator("spiffe://example.org/agent/coder", &["security"]);
    assert!(matches!(no(&agent, &mut holds), NoVote::Barred(_)));
    let owner = operator("oidc:Alice@example.org", &["security"]);
    assert!(
        matches!(no(&owner, &mut holds), NoVote::Barred(_)),
        "also by the name within the evidence, in any case"
    );
    let mut slack = operator("slack:T1/U2", &["security"]);
    slack.person = Some("alice@example.org".into());
    for same in [operator("cert:alice@example.org", &["security"]), slack] {
        assert!(matches!(no(&same, &mut holds), NoVote::Barred(_)), "{}", same.id);
    }
    assert!(matches!(no(&operator("x", &["others"]), &mut holds), NoVote::Stranger { .. }));
    let mut viewer = operator("x", &["security"]);
    viewer.roles = [Role::Viewer, Role::Admin].into();
    assert!(matches!(no(&viewer, &mut holds), NoVote::WrongRole(_)), "an admin is no approver");
    let other = Ballot { digest: CallDigest([8; 32]), ..ballot(&hold, true) };
    let voter = operator("x", &["security"]);
    assert!(matches!(holds.vote(&other, &voter, RULES, at(1)), Err(NoVote::OtherDigest(_))));
    assert!(matches!(
        holds.vote(&ballot(&hold, true), &voter, "sha256:new", at(1)),
        Err(NoVote::OtherRules(_))
    ));
    let late = at(0).plus(Settings::default().asked_for);
    assert!(matches!(
        holds.vote(&ballot(&hold, true), &voter, RULES, late),
        Err(NoVote::Decided { state: "expired", .. })
    ));
    let none = Ballot { hold: id(99), ..ballot(&hold, true) };
    assert!(matches!(holds.vote(&none, &voter, RULES, at(1)), Err(NoVote::Unknown(_))));
}

#[test]
fn the_local_operator_is_of_every_group_and_still_one_person() {
    let (mut holds, hold) = waiting();
    let after = vote(&mut holds, &hold, true, &Operator::local()).unwrap();
    assert_eq!((after.state.clone(), after.missing().len()), (HoldState::Waiting, 1));
    assert!(vote(&mut holds, &hold, true, &Operator::local()).is_err());
}

#[test]
fn people_are_not_asked_twice_about_one_call_nor_too_often_about_many() {
    let settings = Settings { waiting_per_task: 3, asks_per_minute: 5, ..Settings::default() };
    let mut holds = Holds::new(settings, []);
    let ask = |n: usize, digest, now| asked(n, digest, &[("g", 1)], now, &settings);
    for n in 1..=3 {
        let Answer::Fresh(hold) = holds.ask(&ask(n, u8::try_from(n).unwrap(), at(0)), at(0)) else {
            panic!()
        };
        holds.put(*hold);
    }
    let Answer::Joined(joined) = holds.ask(&ask(8, 1, at(1)), at(1)) else { panic!() };
    assert_eq!((joined.id, joined.asks), (id(1), 2));
    let Answer::Enough { why } = holds.ask(&ask(9, 9, at(1)), at(1)) else { panic!() };
    assert!(why.contains("3 calls of this task"), "{why}");
    // Decided ones make room, until the minute has had enough.
    for n in 1..=3 {
        let hold = holds.get(id(n)).unwrap().clone();
        vote(&mut holds, &hold, false, &operator("x", &["g"])).unwrap();
    }
    for n in 11..=12 {
        let Answer::Fresh(hold) = holds.ask(&ask(n, u8::try_from(n).unwrap(), at(2)), at(2)) else {
            panic!()
        };
        holds.put(*hold);
    }
    let Answer::Enough { why } = holds.ask(&ask(13, 13, at(3)), at(3)) else { panic!() };
    assert!(why.contains("within a minute"), "{why}");
    assert!(matches!(holds.ask(&ask(13, 13, at(120)), at(120)), Answer::Fresh(_)));
}

#[test]
fn what_time_rules_and_the_end_of_tasks_make_of_holds() {
    let (holds, hold) = waiting();
    assert!(holds.sweep(at(1), RULES, |_| false).is_empty());
    let states = |changed: Vec<Hold>| changed.into_iter().map(|hold| hold.state).collect::<Vec<_>>();
    let late = at(0).plus(Settings::default().asked_for);
    assert_eq!(states(holds.sweep(late, RULES, |_| false)), [HoldState::Expired]);
    assert!(matches!(states(holds.sweep(at(1), "sha256:new", |_| false))[..], [HoldState::Void { .. }]));
    assert!(matches!(
        states(holds.sweep(at(1), RULES, |task| task == hold.task))[..],
        [HoldState::Void { .. }]
    ));
}

#[test]
fn a_hold_is_kept_as_it_is() {
    let (mut holds, hold) = waiting();
    vote(&mut holds, &hold, true, &operator("a", &["security"])).unwrap();
    for state in [
        HoldState::Waiting,
        HoldState::Approved { until: at(9) },
        HoldState::Spent { call: id(3) },
        HoldState::Refused,
        HoldState::Expired,
        HoldState::Void { why: "so".into() },
    ] {
        let hold = Hold { state, ..(**holds.get(hold.id).unwrap()).clone() };
        let text = serde_json::to_string(&hold).unwrap();
        assert_eq!(serde_json::from_str::<Hold>(&text).unwrap(), hold);
        assert_eq!(approval(&hold).is_some(), matches!(hold.state, HoldState::Spent { .. }));
    }
}

#[test]
fn what_is_remembered_is_bounded_and_open_holds_are_never_forgotten() {
    let mut holds = Holds::new(Settings::default(), []);
    let settings = Settings::default();
    holds.put(asked(1, 1, &[("g", 1)], at(0), &settings).0);
    for n in 2..REMEMBERED + 50 {
        let mut hold = asked(n, 2, &[("g", 1)], at(0), &settings).0;
        hold.digest = CallDigest(std::array::from_fn(|at| n.to_be_bytes()[at % 8]));
        hold.state = HoldState::Expired;
        holds.put(hold);
    }
    assert_eq!(holds.all().count(), REMEMBERED);
    assert!(holds.get(id(1)).is_some(), "it waits");
    assert_eq!(holds.latest.len(), REMEMBERED);
}
