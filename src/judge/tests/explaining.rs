//! An explanation names what decided, or what was nearest and by how much it missed.

use std::sync::Arc;

use super::ground::{Given, OTHER, call, load_files, operation};
use crate::call::{Class, Decision, History, Link, Operations, Task};
use crate::judge::{NearMiss, Rules};

const GROUPS: &str = "support = [\"spiffe://example.org/agent/helpdesk\"]\n";

fn rules(text: &str) -> Rules {
    load_files(&[("p.cedar", text), ("groups.toml", GROUPS)]).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn an_allow_names_its_permits_and_a_deny_its_forbids() {
    let rules = rules(
        "@id(\"reads\") @reason(\"anyone may look\") permit (principal, action in Action::\"read\", resource);\n\
         @id(\"no-acts\") @advice(\"look, do not touch\") forbid (principal, action in Action::\"act\", resource);\n",
    );
    let read = rules.explain(&call(operation("github:issues/get", Class::Read)));
    assert_eq!((read[0].decision, &*read[0].by[0].policy.0), (Decision::Allow, "reads"));
    let act = rules.explain(&call(operation("github:issues/create", Class::Act)));
    assert_eq!((act[0].decision, &*act[0].by[0].policy.0), (Decision::Deny, "no-acts"));
    assert!(act[0].to_string().contains("look, do not touch"), "{}", act[0]);
}

#[test]
fn a_hold_is_explained_as_one_and_what_an_approval_would_not_lift_as_a_deny() {
    let held = "@id(\"ask\") @hold(\"owners\") forbid (principal, action in Action::\"act\", resource) unless { context.approved };\n";
    let asked = || call(operation("github:issues/create", Class::Act));
    let told =
        rules(&format!("@id(\"all\") permit (principal, action, resource);\n{held}")).explain(&asked());
    assert_eq!((told[0].decision, &*told[0].by[0].policy.0), (Decision::Hold, "ask"));
    assert!(told[0].to_string().starts_with("github:issues/create (act): hold"), "{}", told[0]);
    assert_eq!(rules(held).explain(&asked())[0].decision, Decision::Deny, "nothing permits it");
}

#[test]
fn a_default_deny_names_the_first_conjunct_that_failed_and_its_value() {
    let rules = rules(
        "@id(\"few\") permit (principal, action in Action::\"act\", resource in Service::\"slack\")
           when { context.task.intent == \"test\" && context.history.acts < 3 && context.approved };
         @id(\"helpdesk\") permit (principal in Group::\"support\", action in Action::\"act\", resource);
         @id(\"far\") permit (principal in Group::\"support\", action in Action::\"read\", resource);\n",
    );
    let given = Given { history: History { acts: 7, ..History::default() }, ..Given::default() };
    let told = rules.explain(&given.call(Operations::one(operation("slack:chat.postMessage", Class::Act))));
    let near = &told[0].near;
    assert_eq!(near.len(), 2, "what misses by two parts is not near: {near:?}");
    let NearMiss { policy, unmet, values } = &near[0];
    assert_eq!((&*policy.0, unmet.as_str()), ("few", "context.history.acts < 3"));
    assert_eq!(values, &[("context.history.acts".to_owned(), "7".to_owned())]);
    assert_eq!((&*near[1].policy.0, near[1].unmet.as_str()), ("helpdesk", "principal in Group::\"support\""));
    assert!(near[1].values[0].1.contains("agent/coder"), "{near:?}");
}

#[test]
fn a_policy_that_fails_is_named() {
    let rules = rules(
        "@id(\"all\") permit (principal, action, resource);
         @id(\"big\") forbid (principal, action, resource) when { context.history.acts + 9223372036854775807 < 0 };\n",
    );
    let given = Given { history: History { acts: 1, ..History::default() }, ..Given::default() };
    let told = rules.explain(&given.call(Operations::one(operation("github:issues/get", Class::Read))));
    assert_eq!(told[0].decision, Decision::Deny);
    assert!(told[0].failed[0].contains("`big` failed"), "{told:?}");
}

#[test]
fn each_link_of_a_chain_is_explained_as_it_is_ruled() {
    let rules = rules(
        "@id(\"all\") permit (principal, action, resource);\n\
         @id(\"tired\") forbid (principal, action, resource) when { context.history.reads > 3 };\n",
    );
    let operations = || Operations::one(operation("github:issues/get", Class::Read));
    let above = Given { agent: "spiffe://example.org/agent/boss", ..Given::default() }.call(operations());
    let history = History { reads: 4, ..History::default() };
    let task = Task { id: OTHER.parse().unwrap(), ..(*above.stage().task).clone() };
    let link = Link { task: Arc::new(task), profile: Arc::default(), history };
    let call = Given::default().call(operations()).standing_in(Arc::default(), vec![link]);
    let told = rules.explain(&call);
    let decided: Vec<_> = told.iter().map(|one| (one.link.is_some(), one.decision)).collect();
    assert_eq!(decided, [(false, Decision::Allow), (true, Decision::Deny)]);
    assert_eq!(rules.rule(&call).decision(), Decision::Deny);
    assert!(
        told[1].to_string().contains("of spiffe://example.org/agent/boss: deny\n  by tired"),
        "{}",
        told[1]
    );
}
