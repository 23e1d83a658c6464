//! Templates permit nothing but what a task's grant links, and that as Cedar would.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{Authorizer, Entities, EntityUid, PolicyId, PolicySet, SlotId, Template};

use super::ground::{Given, call, load, on, operation, rules, wrong};
use super::slicing::{Dice, said, told};
use crate::call::{
    Attributed, Call, Class, Decision, Grant, History, Link, Operations, Resource, SpiffeId, Task,
    TemplateLink, Terms,
};
use crate::judge::request::{Approved, Asker};
use crate::judge::{PolicySource, Rules, lab};

const WRITER: &str = "@id(\"writer\") @reason(\"writes where it was asked to\")\n\
    permit (principal == ?principal, action in Action::\"act\", resource in ?resource) when { context.history.acts < 3 };\n";
const AGENT: &str = "spiffe://example.org/agent/coder";

fn linked(links: &[&str]) -> Given {
    let links = links.iter().map(|link| TemplateLink::parse(link).unwrap()).collect();
    let terms = Terms { grant: Grant { links, ..Grant::default() }, ..Terms::default() };
    Given { terms, ..Given::default() }
}

fn act(repository: &str) -> Operations {
    Operations::one(on(operation("github:issues/create", Class::Act), "repo", repository))
}

#[test]
fn a_template_permits_what_a_link_names_and_nothing_by_itself() {
    let rules = rules(WRITER);
    let decision = |links: &[&str], repository| rules.rule(&linked(links).call(act(repository))).decision();
    assert_eq!(decision(&[], "octo/hello"), Decision::Deny);
    let hello = ["writer=github/repo/octo/hello"];
    assert_eq!(decision(&hello, "octo/hello"), Decision::Allow);
    assert_eq!(decision(&hello, "octo/other"), Decision::Deny);
    assert_eq!(decision(&hello, "octo/hello/x"), Decision::Deny);
    assert_eq!(decision(&["writer=github"], "octo/other"), Decision::Allow);
    assert_eq!(decision(&["writer=slack"], "octo/other"), Decision::Deny);
    let ruling = rules.rule(&linked(&hello).call(act("octo/hello")));
    assert_eq!(&*ruling.reasons()[0].policy.0, "writer", "the reason is the template's");
    let history = History { acts: 3, ..History::default() };
    let tired = Given { history, ..linked(&hello) }.call(act("octo/hello"));
    assert_eq!(rules.rule(&tired).decision(), Decision::Deny, "what templates read is told to them");
}

#[test]
fn a_forbid_outweighs_a_twin_and_an_error_in_one_denies() {
    let forbid = "@id(\"no\") forbid (principal, action, resource in Service::\"github\");\n";
    let hello = ["writer=github"];
    let ruling = rules(&format!("{WRITER}{forbid}")).rule(&linked(&hello).call(act("octo/hello")));
    assert_eq!((ruling.decision(), &*ruling.reasons()[0].policy.0), (Decision::Deny, "no"));
    let fails = "@id(\"writer\") permit (principal, action, resource in ?resource) \
        when { context.history.acts + 9223372036854775807 > 0 };\n";
    let all = "@id(\"all\") permit (principal, action, resource);\n";
    let history = History { acts: 1, ..History::default() };
    let given = Given { history, ..linked(&hello) };
    let ruling = rules(&format!("{fails}{all}")).rule(&given.call(act("octo/hello")));
    assert_eq!(ruling.decision(), Decision::Deny);
    assert!(ruling.note().unwrap().contains("policy `writer:github` failed"), "{ruling:?}");
}

#[test]
fn a_link_of_what_is_not_in_force_permits_nothing_and_says_so() {
    let reads = "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n";
    let rules = rules(&format!("{WRITER}{reads}"));
    let given = || linked(&["reader=github", "reads=github"]);
    let ruling = rules.rule(&given().call(act("octo/hello")));
    assert_eq!(ruling.decision(), Decision::Deny);
    let note = ruling.note().unwrap();
    assert!(note.contains("links `reader`, `reads`, and no template of that name is in force"), "{note}");
    let read = Operations::one(operation("github:issues/get", Class::Read));
    assert_eq!(rules.rule(&given().call(read)).decision(), Decision::Allow, "others still permit");
    let explained = rules.explain(&given().call(act("octo/hello")));
    assert!(explained[0].to_string().contains("the template `reader` is in force"), "{}", explained[0]);
}

#[test]
fn a_twin_is_its_task_s_alone() {
    let rules = rules(WRITER);
    let child = linked(&["writer=github/repo/octo/hello"]).call(act("octo/hello"));
    let above = |links: &[&str]| {
        let task = linked(links).call(act("octo/hello")).stage().task.clone();
        let id = super::ground::OTHER.parse().unwrap();
        let agent = SpiffeId::parse("spiffe://example.org/agent/boss").unwrap();
        Link {
            task: std::sync::Arc::new(Task { id, agent, ..Task::clone(&task) }),
            profile: std::sync::Arc::default(),
            history: History::default(),
        }
    };
    let decided = |call: Call<Attributed>, links: &[&str]| {
        let profile = call.stage().profile.clone();
        rules.rule(&call.standing_in(profile, vec![above(links)])).decision()
    };
    assert_eq!(decided(child, &[]), Decision::Deny, "whoever delegated could not");
    let child = || linked(&["writer=github/repo/octo/hello"]).call(act("octo/hello"));
    assert_eq!(decided(child(), &["writer=github"]), Decision::Allow);
    assert_eq!(decided(linked(&[]).call(act("octo/hello")), &["writer=github"]), Decision::Deny);
}

#[test]
fn an_explanation_names_the_twin() {
    let rules = rules(WRITER);
    let allowed = rules.explain(&linked(&["writer=github"]).call(act("octo/hello")));
    assert_eq!((allowed[0].decision, &*allowed[0].by[0].policy.0), (Decision::Allow, "writer:github"));
    let near = rules.explain(&linked(&["writer=github/repo/octo/hello"]).call(act("octo/other")));
    let near = &near[0].near[0];
    assert_eq!(&*near.policy.0, "writer:github/repo/octo/hello");
    assert_eq!(near.unmet, "resource in Resource::\"github/repo/octo/hello\"");
}

#[test]
fn templates_that_no_link_could_bound_are_errors() {
    for (text, why) in [
        ("@id(\"t\") permit (principal == ?principal, action, resource);", "the template has no ?resource"),
        ("@id(\"t\") forbid (principal, action, resource in ?resource);", "the template is a forbid"),
        ("@id(\"t\") permit (principal, action, resource) when { resource in ?resource };", "?resource"),
        ("@id(\"t\") permit (principal == ?resource, action, resource);", "?principal"),
        ("@id(\"t\") permit (principal, action in ?action, resource in ?resource);", "?action"),
        ("permit (principal, action, resource in ?resource);", "no `@id`"),
        ("@id(\"t\") @hold(\"x\") permit (principal, action, resource in ?resource);", "at a permit"),
        (
            "@id(\"t\") permit (principal, action, resource in ?resource) when { context.nothing };",
            "p.cedar:1:",
        ),
        (
            "@id(\"t\") permit (principal, action, resource in ?resource) when { principal == resource };",
            "policy `t`",
        ),
        (
            "@id(\"t\") permit (principal, action == Action::\"github:nothing\", resource in ?resource);",
            "there is no operation",
        ),
        (&format!("{WRITER}@id(\"writer\") permit (principal, action, resource);"), "is taken by"),
        (&format!("{WRITER}{WRITER}"), "is taken by"),
    ] {
        let told = wrong(text);
        assert!(told.contains(why), "{text}: {told}");
    }
    let sound = load(WRITER).unwrap();
    assert_eq!(sound.policies().len(), 1);
    assert_eq!(sound.granted()[0].actions, ["act"]);
}

#[test]
fn cases_can_have_links_and_the_form_is_cedar_s() {
    let files = [
        ("p.cedar", WRITER),
        (
            "tests/t.toml",
            "[[case]]\nname = \"linked\"\nexpect = \"allow\"\npolicy = \"writer\"\noperation = \"github:issues/create\"\n\
             resource = { kind = \"repo\", id = \"octo/hello\" }\nlinks = [\"writer=github/repo/octo/hello\"]\n\
             [[case]]\nname = \"not linked\"\nexpect = \"deny\"\noperation = \"github:issues/create\"\n",
        ),
    ];
    let files = files.map(|(name, text)| super::ground::file(name, text)).into();
    let source = PolicySource::of_files(files, "policies").unwrap();
    let rules = Rules::load(&source, &super::ground::Small).unwrap();
    let report = lab::run_cases(&rules, &super::ground::Small, source.cases()).unwrap();
    assert_eq!((report.passed, report.failures), (2, Vec::new()));
    let formatted = crate::judge::format::formatted(&super::ground::file("p.cedar", WRITER)).unwrap();
    assert!(formatted.contains("principal == ?principal"), "{formatted}");
    assert!(load(&formatted).is_ok());
}

#[test]
fn what_is_recalled_of_one_task_is_not_another_s() {
    let rules = rules(WRITER);
    let mut recall = rules.recall();
    assert_eq!(recall.decide(&linked(&["writer=github"]).call(act("octo/hello"))), Decision::Allow);
    assert_eq!(recall.decide(&call(act("octo/hello").strongest().clone())), Decision::Deny);
    assert_eq!(recall.decide(&linked(&["writer=slack"]).call(act("octo/hello"))), Decision::Deny);
}

const RESOURCES: [&str; 5] =
    ["github", "slack", "github/owner/octo", "github/repo/octo/hello", "github/repo/octo/other"];

fn roll(dice: &mut Dice, at: usize) -> String {
    let principal = dice.of(&[
        "principal == ?principal",
        "principal in ?principal",
        "principal is Agent in ?principal",
        "principal",
        "principal == Agent::\"spiffe://example.org/agent/coder\"",
        "principal == Agent::\"spiffe://example.org/other\"",
    ]);
    let resource = dice.of(&[
        "resource == ?resource",
        "resource in ?resource",
        "resource in ?resource",
        "resource is Resource in ?resource",
        "resource is Service in ?resource",
    ]);
    let action = dice.of(&[
        "action",
        "action in Action::\"act\"",
        "action in [Action::\"act\", Action::\"read\"]",
        "action == Action::\"github:issues/create\"",
        "action in Action::\"slack\"",
    ]);
    let condition = dice.of(&[
        "",
        "",
        "when { context.history.acts < 3 }",
        "when { context.history.acts + 9223372036854775806 > 0 }",
        "unless { context.task.intent == \"other\" }",
        "when { resource.labels.contains(\"pii\") || resource.catalogued }",
    ]);
    format!("@id(\"t{at}\") permit ({principal}, {action}, {resource}) {condition};\n")
}

fn asked(dice: &mut Dice, links: &BTreeSet<TemplateLink>) -> Call<Attributed> {
    let mut operation = dice.of(&[
        ("github:issues/create", Class::Act),
        ("github:issues/create", Class::Act),
        ("github:issues/get", Class::Read),
        ("slack:chat.postMessage", Class::Act),
    ]);
    let object = dice.of(&[None, Some("octo/hello"), Some("octo/hello"), Some("octo/other")]);
    if operation.0.starts_with("slack") && object.is_some() {
        operation = ("github:issues/create", Class::Act);
    }
    let mut operation = super::ground::operation(operation.0, operation.1);
    if let Some(id) = object {
        operation = on(operation, "repo", id);
        operation.facts.ancestors = vec![Resource { kind: "owner".into(), id: "octo".into() }];
    }
    let history = History { acts: u64::try_from(dice.below(5)).unwrap(), ..History::default() };
    let grant = Grant { links: links.clone(), ..Grant::default() };
    let intent = dice.of(&["test", "other"]);
    let given = Given { history, intent, terms: Terms { grant, ..Terms::default() }, ..Given::default() };
    given.call(Operations::one(operation))
}

/// The policies, and the templates as Cedar links them itself.
fn by_cedar(rules: &Rules, templates: &[String], links: &BTreeSet<TemplateLink>) -> PolicySet {
    let mut set = PolicySet::from_policies(rules.index.policies().cloned()).unwrap();
    for (at, text) in templates.iter().enumerate() {
        set.add_template(Template::parse(Some(PolicyId::new(format!("t{at}"))), text).unwrap()).unwrap();
    }
    for link in links {
        let id = PolicyId::new(link.template());
        let slots: Vec<_> = set.template(&id).unwrap().slots().cloned().collect();
        let of = if link.resource().contains('/') { "Resource" } else { "Service" };
        let values = slots.into_iter().map(|slot| {
            let uid: EntityUid = if slot == SlotId::principal() {
                format!("Agent::{AGENT:?}").parse().unwrap()
            } else {
                format!("{of}::{:?}", link.resource()).parse().unwrap()
            };
            (slot, uid)
        });
        let values: HashMap<_, _> = values.collect();
        let twin = PolicyId::new(format!("{}:{}", link.template(), link.resource()));
        set.link(id, twin, values).unwrap();
    }
    set
}

#[test]
fn a_twin_says_what_cedar_says_of_the_link() {
    let (sets, each) = if std::env::var_os("REMIT_TEST_FULL").is_some() { (200, 500) } else { (12, 60) };
    let mut dice = Dice(11);
    let (mut allowed, mut erred) = (0, 0);
    for set in 0..sets {
        let templates: Vec<_> = (0..2 + dice.below(4)).map(|at| roll(&mut dice, at)).collect();
        let forbid = dice.of(&[
            "",
            "",
            "@id(\"f\") forbid (principal, action in Action::\"act\", resource) when { context.history.acts > 3 };\n",
        ]);
        let text = format!("{}{forbid}", templates.concat());
        let rules = load(&text).unwrap_or_else(|errors| panic!("set {set}: {errors}"));
        for _ in 0..each {
            let count = 1 + dice.below(4);
            let link = |dice: &mut Dice| {
                let template = dice.below(templates.len());
                TemplateLink::parse(&format!("t{template}={}", dice.of(&RESOURCES))).unwrap()
            };
            let links: BTreeSet<_> = (0..count).map(|_| link(&mut dice)).collect();
            let call = asked(&mut dice, &links);
            let operation = call.stage().operations.strongest();
            let asker = Asker::own(&call);
            let question = rules.question(&call, asker, operation, Approved::No).unwrap();
            let twins = rules.templates.twins(asker.task);
            assert_eq!(twins.weights().count(), links.len());
            let ours = rules.say(&call, asker, operation, Approved::No, &twins).unwrap();
            let theirs = by_cedar(&rules, &templates, &links);
            let things = Entities::from_entities(question.entities.iter().cloned(), None).unwrap();
            let theirs = Authorizer::new().is_authorized(&question.request, &theirs, &things);
            assert_eq!(said(&ours), told(&theirs), "set {set}: {operation:?} with {links:?} under\n{text}");
            allowed += usize::from(ours.allows());
            erred += usize::from(!ours.failures().is_empty());
        }
    }
    let all = sets * each;
    assert!(allowed > all / 10 && allowed < all * 9 / 10, "{allowed} of {all} were allowed");
    assert!(erred > all / 100, "only {erred} of {all} rulings had an error in them");
}
