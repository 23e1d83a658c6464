//! What is recalled is what would be ruled anew: over rolled policies that read every part of the context, and calls that
//! differ in one part from one another.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::ground::{Given, OTHER, load_files, on, operation, rules};
use super::slicing::{Dice, GROUPS};
use crate::call::{
    AgentHistory, AgentKind, AgentProfile, Attributed, Call, Claims, Class, Decision, History, Link,
    Operations, Subject, Task, Terms,
};
use crate::judge::footprint::{Footprint, Leaves};

const CONDITIONS: [&str; 36] = [
    "context.history.acts > 2",
    "context.history.reads > 2",
    "context.history.delegates > 2",
    "context.history.denials > 2",
    "context.history.holds > 2",
    "context.history.service_seen",
    "context.history.operation_seen",
    "context.history.resource_seen",
    "context.history.resource_read",
    "context.history.labels.contains(\"pii\")",
    "context.history.external > 2",
    "context.history.bytes_out > 2",
    "context.history has acts && context.history == context.history && context.history.acts > 1",
    "context.agent.reads > 2",
    "context.agent.acts > 2",
    "context.agent.delegates > 2",
    "context.agent.denials > 2",
    "context.agent.holds > 2",
    "context.agent.service_seen",
    "context.agent.operation_seen",
    "context.agent.drift",
    "context.agent.registered && context.agent.kind == \"integration\"",
    "context.task.intent == \"other\"",
    "context.http.path like \"/a*\"",
    "context.evidence == \"task-token\" && resource.catalogued",
    "context.task.entity in Intent::\"other\"",
    "context.task has user && context.task.user in Group::\"people\"",
    "principal.hasTag(\"team\") && principal.getTag(\"team\") == \"a\"",
    "principal.tenant == \"acme\"",
    "resource is Resource && resource.id == \"a\"",
    "resource in Resource::\"github/repo/a\"",
    "resource == Resource::\"slack/repo/b\"",
    "resource is Resource && resource.kind == \"repo\" && resource.labels.contains(\"pii\")",
    "resource in Service::\"slack\" && context.history.acts > 1",
    "context.args has amount && context.args.amount > 3",
    "(if context.approved then context else context) has nothing || context.history.acts > 3",
];

fn said((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn call(dice: &mut Dice) -> Call<Attributed> {
    let count = |dice: &mut Dice| u64::try_from(dice.below(5)).unwrap();
    let flag = |dice: &mut Dice| dice.below(2) == 0;
    let labels: BTreeSet<Arc<str>> =
        if flag(dice) { BTreeSet::from(["pii".into()]) } else { BTreeSet::new() };
    let history = |dice: &mut Dice| History {
        reads: count(dice),
        acts: count(dice),
        delegates: count(dice),
        denials: count(dice),
        holds: count(dice),
        service_seen: flag(dice),
        operation_seen: flag(dice),
        resource_seen: flag(dice),
        resource_read: flag(dice),
        labels: labels.clone().into(),
        external: count(dice),
        bytes_out: count(dice),
        agent: AgentHistory {
            reads: count(dice),
            acts: count(dice),
            delegates: count(dice),
            denials: count(dice),
            holds: count(dice),
            service_seen: flag(dice),
            operation_seen: flag(dice),
            drift: flag(dice),
        },
    };
    let profile = |dice: &mut Dice| AgentProfile {
        registered: flag(dice),
        kind: dice.of(&[AgentKind::Agent, AgentKind::Integration]),
        labels: dice
            .of(&[None, Some(("team", "a")), Some(("tenant", "acme"))])
            .map(said)
            .into_iter()
            .collect(),
        ..AgentProfile::default()
    };
    let (id, class) = dice.of(&[
        ("github:issues/get", Class::Read),
        ("github:issues/create", Class::Act),
        ("slack:x", Class::Act),
    ]);
    let mut asked = on(operation(id, class), "repo", dice.of(&["a", "b"]));
    asked.facts.labels = if flag(dice) { labels.clone() } else { BTreeSet::new() };
    asked.facts.args.amount = dice.of(&[None, Some(3), Some(4)]);
    let user = dice.of(&[None, Some("user:ada@example.org"), Some("user:eve@example.org")]);
    let terms = Terms { on_behalf_of: user.map(|name| Subject::parse(name).unwrap()), ..Terms::default() };
    let given = Given {
        agent: dice.of(&["spiffe://example.org/agent/a", "spiffe://example.org/agent/b"]),
        intent: dice.of(&["test", "other"]),
        path: dice.of(&["/a", "/b"]).into(),
        history: history(dice),
        terms,
        claims: Claims::of(dice.of(&[None, Some(("team", "a"))]).map(said)),
        ..Given::default()
    };
    let call = given.call(Operations::one(asked));
    let intent = dice.of(&["test", "other"]);
    let above = Given { agent: "spiffe://example.org/agent/c", intent, ..Given::default() }
        .call(call.stage().operations.clone());
    let above = Task { id: OTHER.parse().unwrap(), ..(*above.stage().task).clone() };
    let links = if flag(dice) {
        vec![Link { task: Arc::new(above), profile: profile(dice).into(), history: history(dice) }]
    } else {
        Vec::new()
    };
    call.standing_in(profile(dice).into(), links)
}

#[test]
fn what_is_recalled_is_what_would_be_ruled() {
    let mut dice = Dice(11);
    let (mut allowed, mut calls) = (0, 0);
    for set in 0..CONDITIONS.len() {
        let mut text = String::from("@id(\"all\") permit (principal, action, resource);\n");
        for at in 0..=set % 3 {
            let (condition, who) = (
                CONDITIONS[(set + 7 * at) % CONDITIONS.len()],
                dice.of(&["principal", "principal in Group::\"writers\""]),
            );
            let _ = writeln!(text, "@id(\"f{at}\") forbid ({who}, action, resource) when {{ {condition} }};");
        }
        let rules = load_files(&[("p.cedar", &text), ("groups.toml", GROUPS)])
            .unwrap_or_else(|errors| panic!("{errors}"));
        let mut recall = rules.recall();
        for _ in 0..150 {
            let call = call(&mut dice);
            let anew = rules.rule(&call).decision();
            assert_eq!(recall.decide(&call), anew, "{text}{call:?}");
            allowed += u32::from(anew == Decision::Allow);
            calls += 1;
        }
    }
    assert!(allowed > calls / 10 && allowed < calls * 9 / 10, "{allowed} of {calls} were allowed");
}

#[test]
fn a_footprint_is_what_policies_read() {
    let of = |condition: &str| {
        let rules =
            rules(&format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};"));
        Footprint::of(rules.index.policies())
    };
    let read =
        of("context.history.acts < 3 && !(context has args.amount) && [context.evidence].contains(\"x\")");
    assert_eq!(read.groups().collect::<Vec<_>>(), ["args", "evidence", "history"]);
    assert_eq!(read.leaves("history"), Some(&Leaves::Some(BTreeSet::from(["acts".to_owned()]))));
    assert!(!read.whole && read.reads("args") && !read.reads("task"));
    let group = of("context.history == context.history");
    assert_eq!(group.leaves("history"), Some(&Leaves::All), "all of it");
    assert!(of("(if context.approved then context else context).drifted").whole);
    for (condition, matters) in [
        ("resource.catalogued && context.history.acts < 3", false),
        ("resource is Resource && resource.kind == \"repo\" && resource.labels.contains(\"pii\")", false),
        ("resource is Resource && resource.id == \"a\"", true),
        ("resource in Resource::\"github/repo/a\"", true),
        ("[resource].contains(resource) || resource in Service::\"github\"", true),
    ] {
        assert_eq!(of(condition).objects, matters, "{condition}");
    }
}
