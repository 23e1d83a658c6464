//! A slice says what the whole set says: decision, determining policies, errors. Over policies with scopes of every
//! form, and calls made to fit the scope of one of them, so that most of them are about something.
//!
//! `REMIT_TEST_FULL=1` compares 100,000 rulings, as a release must; else a few hundred.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use cedar_policy::{Authorizer, Entities, PolicySet, Response};

use super::ground::{Given, OPERATIONS, load_files, on, operation, unknown};
use crate::call::{
    AgentProfile, Attributed, Call, Class, History, Operation, Operations, Resource, Subject, Terms,
};
use crate::judge::Rules;
use crate::judge::request::{Approved, Asker};
use crate::judge::twin::Twins;
use crate::judge::weigh::{Answer, Failure};

pub(super) const GROUPS: &str = "writers = [\"spiffe://example.org/agent/a\", \"spiffe://example.org/agent/b\"]\n\
                      bots = [\"spiffe://example.org/agent/*\"]\nnobody = [\"spiffe://example.org/x\"]\n\
                      people = [\"user:ada@example.org\"]\n";
const AGENTS: [&str; 4] = [
    "spiffe://example.org/agent/a",
    "spiffe://example.org/agent/b",
    "spiffe://example.org/agent/c",
    "spiffe://example.org/other",
];
const SERVICES: [&str; 4] = ["github", "slack", "stripe", "wiki.example.org"];

/// The same numbers each time (Knuth's MMIX generator).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A policy of a form that the dice choose, and a call that its scope is true for.
pub(super) struct Rolled {
    pub(super) text: String,
    /// Without its condition.
    pub(super) scope: String,
    agent: &'static str,
    operation: Operation,
}

pub(super) fn roll(dice: &mut Dice, at: usize) -> Rolled {
    let agent = dice.of(&AGENTS);
    let group = dice.of(&["writers", "bots", "nobody"]);
    let principal = match dice.below(6) {
        0 => "principal".to_owned(),
        1 => "principal is Agent".to_owned(),
        2 => format!("principal == Agent::{agent:?}"),
        3 => format!("principal in Agent::{agent:?}"),
        4 => format!("principal in Group::{group:?}"),
        _ => format!("principal is Agent in Group::{group:?}"),
    };
    let (id, service, class) = dice.of(&OPERATIONS);
    let (other, ..) = dice.of(&OPERATIONS);
    let (action, mut operation) = match dice.below(8) {
        0 => ("action".to_owned(), operation(id, class)),
        1 => (format!("action == Action::{id:?}"), operation(id, class)),
        2 => (format!("action in [Action::{id:?}, Action::{other:?}]"), operation(id, class)),
        3 => (format!("action in Action::{:?}", class.as_str()), operation(&format!("{service}:x"), class)),
        4 => (format!("action in Action::{service:?}"), operation(&format!("{service}:y"), class)),
        5 => (
            format!("action in [Action::{service:?}, Action::{:?}]", class.as_str()),
            unknown(service, class),
        ),
        6 => ("action in Action::\"unknown\"".to_owned(), unknown(dice.of(&SERVICES), class)),
        _ => (format!("action == Action::\"unknown:{class}\""), unknown(dice.of(&SERVICES), class)),
    };
    if dice.below(2) == 0 {
        operation = on(operation, "repo", dice.of(&["octo/hello", "octo/other"]));
        let thing = |(kind, id): (&str, &str)| Resource { kind: kind.into(), id: id.into() };
        let inside: &[(&str, &str)] =
            dice.of(&[&[], &[("owner", "octo")], &[("team", "a"), ("owner", "octo")]]);
        operation.facts.ancestors = inside.iter().copied().map(thing).collect();
    }
    let service = operation.service.clone();
    let resource = match (dice.below(6), &operation.resource) {
        (0 | 1, _) => "resource".to_owned(),
        (2, Some(_)) => "resource is Resource".to_owned(),
        (2, None) => "resource is Service".to_owned(),
        (3, Some(object)) => format!("resource == Resource::\"{service}/repo/{}\"", object.id),
        (4, Some(_)) => format!("resource is Resource in Service::\"{service}\""),
        (4, None) | (5, Some(_)) => format!("resource in Resource::\"{service}/owner/octo\""),
        (3, None) => format!("resource == Service::\"{service}\""),
        _ => format!("resource in Service::\"{service}\""),
    };
    let effect = dice.of(&["permit", "permit", "forbid"]);
    let condition = dice.of(&[
        "",
        "",
        "when { context.history.acts > 2 }",
        "when { context.history.acts + 9223372036854775806 > 0 }",
        "unless { context.task.intent == \"test\" }",
        "when { resource.catalogued }",
        "when { context.args has amount && context.args.amount > 3 }",
        "when { context.agent.labels.contains(\"team=a\") || context.http.host like \"api.*\" }",
        "unless { context.task.entity in Intent::\"test\" }",
        "when { context.task has user && context.task.user in Group::\"people\" }",
        "when { principal.hasTag(\"team\") && principal.getTag(\"team\") == \"a\" && principal.tenant == \"acme\" }",
        "when { context has task && {t: context.task} has t && context.time > datetime(\"2020-01-01\") }",
    ]);
    let scope = format!("@id(\"p{at}\") {effect} ({principal}, {action}, {resource})");
    Rolled { text: format!("{scope} {condition};\n"), scope, agent, operation }
}

fn call(dice: &mut Dice, rolled: &[Rolled]) -> Call<Attributed> {
    let fits = &rolled[dice.below(rolled.len())];
    let history = History { acts: u64::try_from(dice.below(5)).unwrap(), ..History::default() };
    let intent = dice.of(&["test", "other"]);
    // Where the scope says nothing of the agent, any will do.
    let agent = if dice.below(4) == 0 { dice.of(&AGENTS) } else { fits.agent };
    let mut operation = fits.operation.clone();
    operation.facts.args.amount = dice.of(&[None, Some(3), Some(4)]);
    let labels = dice.of(&[None, Some(("team", "a")), Some(("tenant", "acme"))]);
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let profile = AgentProfile { labels, ..AgentProfile::default() };
    let user = dice.of(&[None, Some("user:ada@example.org"), Some("user:eve@example.org")]);
    let terms = Terms { on_behalf_of: user.map(|name| Subject::parse(name).unwrap()), ..Terms::default() };
    let given = Given { agent, intent, history, terms, ..Given::default() };
    given.call(Operations::one(operation)).standing_in(Arc::new(profile), Vec::new())
}

/// Decision, determining policies and errors.
pub(super) fn said(answer: &Answer<'_>) -> (cedar_policy::Decision, BTreeSet<String>, BTreeSet<String>) {
    let decision = if answer.allows() { cedar_policy::Decision::Allow } else { cedar_policy::Decision::Deny };
    let reasons = answer.determining().iter().map(|weight| weight.policy().id().to_string()).collect();
    let error =
        |failure: &Failure| format!("error while evaluating policy `{}`: {}", failure.policy, failure.why);
    (decision, reasons, answer.failures().iter().map(error).collect())
}

/// The same, as Cedar's own authorizer says it.
pub(super) fn told(answer: &Response) -> (cedar_policy::Decision, BTreeSet<String>, BTreeSet<String>) {
    let said = answer.diagnostics();
    let reasons = said.reason().map(ToString::to_string).collect();
    (answer.decision(), reasons, said.errors().map(ToString::to_string).collect())
}

#[test]
fn a_slice_says_what_the_whole_set_says() {
    let (sets, each) = if std::env::var_os("REMIT_TEST_FULL").is_some() { (200, 500) } else { (6, 60) };
    let mut dice = Dice(7);
    let (mut decided, mut erred) = (0, 0);
    for set in 0..sets {
        let rolled: Vec<_> = (0..3 + dice.below(20)).map(|at| roll(&mut dice, at)).collect();
        let mut text = String::new();
        for rolled in &rolled {
            text.push_str(&rolled.text);
        }
        let rules: Rules = load_files(&[("p.cedar", &text), ("groups.toml", GROUPS)])
            .unwrap_or_else(|errors| panic!("set {set}: {errors}"));
        let whole = PolicySet::from_policies(rules.index.policies().cloned()).unwrap();
        for _ in 0..each {
            let call = call(&mut dice, &rolled);
            let operation = call.stage().operations.strongest();
            let question = rules.question(&call, Asker::own(&call), operation, Approved::No).unwrap();
            let none = Twins::default();
            let sliced = rules.say(&call, Asker::own(&call), operation, Approved::No, &none).unwrap();
            // What lies in what is concluded anew: the engine only puts down what it knows to be the whole of it.
            let things = Entities::from_entities(question.entities.iter().cloned(), None).unwrap();
            let entire = Authorizer::new().is_authorized(&question.request, &whole, &things);
            assert_eq!(said(&sliced), told(&entire), "set {set}: {operation:?} under\n{text}");
            decided += usize::from(entire.diagnostics().reason().next().is_some());
            erred += usize::from(entire.diagnostics().errors().next().is_some());
        }
    }
    let all = sets * each;
    assert!(decided > all / 2, "only {decided} of {all} rulings were about a policy");
    assert!(erred > all / 50, "only {erred} of {all} rulings had an error in them");
}

#[test]
fn a_slice_leaves_out_what_cannot_match() {
    let mut text = String::new();
    for (id, ..) in OPERATIONS {
        let _ = writeln!(text, "@id({id:?}) permit (principal, action == Action::{id:?}, resource);");
    }
    let rules = super::ground::rules(&text);
    let call = super::ground::call(operation("github:issues/get", Class::Read));
    let question =
        rules.question(&call, Asker::own(&call), call.stage().operations.strongest(), Approved::No).unwrap();
    let slice = rules.index.slice(&question.request, &question.entities).unwrap();
    let ids: Vec<_> = rules.index.within(&slice).map(|weight| weight.policy().id().to_string()).collect();
    assert_eq!(ids, ["github:issues/get"]);
}
