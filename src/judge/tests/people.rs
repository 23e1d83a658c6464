//! Policies over who and for whom: tasks in their intents, those on whose behalf they are worked on, what agents are
//! registered as.

use std::sync::Arc;

use super::ground::{Given, OTHER, load_files, operation};
use crate::call::{
    AgentProfile, Attributed, Call, Claims, Class, Decision, History, IntentName, Link, Operations, Subject,
    Task, Terms,
};

const GROUPS: &str = "people = [\"user:ada@example.org\"]\n";

fn allows(condition: &str, call: &Call<Attributed>) -> bool {
    let text = format!("@id(\"it\") permit (principal, action, resource) when {{ {condition} }};\n");
    let rules = load_files(&[("p.cedar", &text), ("groups.toml", GROUPS)]).unwrap_or_else(|e| panic!("{e}"));
    let ruling = rules.rule(call);
    let failed = ruling.note().filter(|note| note.contains("failed"));
    assert_eq!(failed, None, "{condition}");
    ruling.decision() == Decision::Allow
}

fn given(intent: &'static str, user: Option<&str>) -> Call<Attributed> {
    let on_behalf_of = user.map(|name| Subject::parse(name).unwrap());
    let terms = Terms { on_behalf_of, ..Terms::default() };
    let operations = Operations::one(operation("github:issues/get", Class::Read));
    Given { intent, terms, ..Given::default() }.call(operations)
}

/// Delegated by a task that is about `above`.
fn below(call: Call<Attributed>, above: &str) -> Call<Attributed> {
    let intent = IntentName::parse(above).unwrap();
    let task = Task { id: OTHER.parse().unwrap(), intent, ..(*call.stage().task).clone() };
    let link = Link { task: Arc::new(task), profile: Arc::default(), history: History::default() };
    let profile = call.stage().profile.clone();
    call.standing_in(profile, vec![link])
}

#[test]
fn a_task_lies_in_its_intent_and_in_the_tasks_above_it() {
    let about = |intent: &str| format!("context.task.entity in Intent::\"{intent}\"");
    let alone = given("triage", None);
    assert!(allows(&about("triage"), &alone));
    assert!(!allows(&about("release"), &alone));
    let delegated = below(given("triage", None), "release");
    assert!(allows(&about("release"), &delegated), "what is delegated from it is part of it");
    assert!(!allows("context.task.intent == \"release\"", &delegated), "this very task is about another");
    assert!(allows(&format!("context.task.entity in Task::\"{OTHER}\""), &delegated));
    assert!(!allows(&format!("context.task.entity in Task::\"{OTHER}\""), &alone));
}

#[test]
fn somebody_on_whose_behalf_it_is_done_is_a_user_in_groups() {
    let in_group = "context.task has user && context.task.user in Group::\"people\"";
    let is = "context.task has user && context.task.user == User::\"user:eve@example.org\"";
    for (user, grouped, named) in [
        (Some("user:ada@example.org"), true, false),
        (Some("user:eve@example.org"), false, true),
        (None, false, false),
    ] {
        let call = given("triage", user);
        assert_eq!((allows(in_group, &call), allows(is, &call)), (grouped, named), "{user:?}");
    }
}

#[test]
fn what_an_agent_is_registered_as_are_its_tags_and_its_tenant() {
    let labels = [("tenant", "acme"), ("team", "payments")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let profile = AgentProfile { labels, ..AgentProfile::default() };
    let registered = given("triage", None).standing_in(Arc::new(profile), Vec::new());
    let unregistered = given("triage", None);
    let team = "principal.hasTag(\"team\") && principal.getTag(\"team\") == \"payments\"";
    for condition in [team, "principal.tenant == \"acme\""] {
        assert!(allows(condition, &registered), "{condition}");
        assert!(!allows(condition, &unregistered), "{condition}");
    }
}

#[test]
fn what_a_jwt_svid_claims_are_tags_too_and_the_operators_word_goes_before() {
    let claims =
        Claims::of([("team", "payments"), ("tenant", "acme")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let operations = || Operations::one(operation("github:issues/get", Class::Read));
    let call = |claims: &Claims| Given { claims: claims.clone(), ..Given::default() }.call(operations());
    let team = "principal.hasTag(\"team\") && principal.getTag(\"team\") == \"payments\"";
    for condition in [team, "principal.tenant == \"acme\""] {
        assert!(allows(condition, &call(&claims)), "{condition}");
        assert!(!allows(condition, &call(&Claims::default())), "{condition}");
    }
    let labels = [("tenant".to_owned(), "other".to_owned())].into();
    let profile = AgentProfile { labels, ..AgentProfile::default() };
    let both = call(&claims).standing_in(Arc::new(profile), Vec::new());
    assert!(!allows("principal.tenant == \"acme\"", &both));
    assert!(allows(team, &both));
}

/// What an agent is can change while rules are in force, and a ruling made before is not the one made after.
#[test]
fn an_agent_that_is_registered_otherwise_is_seen_so_at_once() {
    let text = "@id(\"it\") permit (principal, action, resource) when { principal.tenant == \"acme\" };\n";
    let rules = load_files(&[("p.cedar", text)]).unwrap_or_else(|errors| panic!("{errors}"));
    for tenant in ["acme", "other", "acme"] {
        let labels = [("tenant".to_owned(), tenant.to_owned())].into();
        let profile = AgentProfile { labels, ..AgentProfile::default() };
        let call = given("triage", None).standing_in(Arc::new(profile), Vec::new());
        assert_eq!(rules.rule(&call).decision() == Decision::Allow, tenant == "acme", "{tenant}");
    }
}

#[test]
fn what_names_nobody_is_refused_when_it_is_loaded() {
    for (literal, why) in [
        ("context.task.entity in Intent::\"Not An Intent\"", "Intent"),
        ("context.task.entity in Task::\"42\"", "Task"),
    ] {
        let text = format!("@id(\"it\") permit (principal, action, resource) when {{ {literal} }};\n");
        let told = load_files(&[("p.cedar", &text)]).map(drop).expect_err("it loaded").to_string();
        assert!(told.contains(why) && told.contains("p.cedar:1"), "{told}");
    }
}
