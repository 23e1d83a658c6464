//! Intents, quarantine, the registry of agents, and what a restart keeps.

use super::ground::{registry, registry_with, wait};
use super::{agent, call, operation, read, wanted};
use crate::call::grant::{Part, Pattern};
use crate::call::{
    AgentKind, AgentProfile, Binding, Budget, Class, Clock as _, Decision, Grant, IntentName, Operation,
    Operations, Resource, TemplateLink,
};
use crate::intent::*;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

const INTENTS: &str = r#"
[triage]
purpose = "look through what came in"
classes = ["read"]
services = ["github"]
budget = { reads = 100 }
max_ttl_s = 3600
agents = ["spiffe://example.org/agent/*"]

[refund]
agents = ["spiffe://example.org/agent/till"]
"#;

fn declared() -> Settings {
    Settings { intents: Intents::parse(INTENTS).unwrap(), ..Settings::default() }
}

fn on(class: Class, repo: &str) -> Operations {
    let resource = Some(Resource { kind: "repo".into(), id: repo.into() });
    Operations::one(Operation { resource, ..operation("github", "x", class) })
}

fn intent(name: &str) -> IntentName {
    IntentName::parse(name).unwrap()
}

#[test]
fn links_of_templates_lie_within_what_the_intent_names() {
    let link = |text: &str| Grant { links: [TemplateLink::parse(text).unwrap()].into(), ..Grant::default() };
    let open = |intents: &str, grant: Grant| {
        let settings = Settings { intents: Intents::parse(intents).unwrap(), ..Settings::default() };
        registry_with(settings).1.open(NewTask { grant, ..wanted() })
    };
    let outside = IntentError::Outside { part: Part::Links, of: Within::Intent };
    assert_eq!(open(INTENTS, link("writer=github")), Err(outside.clone()), "none is declared");
    let intents = "[triage]\nlinks = [\"writer=github/repo/octo/*\"]\n";
    let task = open(intents, link("writer=github/repo/octo/hello")).unwrap();
    assert_eq!(task.terms.grant.links.len(), 1);
    assert_eq!(open(intents, link("writer=github")), Err(outside.clone()));
    assert_eq!(open(intents, link("other=github/repo/octo/hello")), Err(outside));
    assert!(open(intents, Grant::default()).unwrap().terms.grant.links.is_empty());
    assert!(open("", link("writer=github")).is_ok());
}

#[test]
fn a_grant_lies_within_its_intent() {
    let (_, tasks) = registry_with(declared());
    let task = tasks.open(wanted()).unwrap();
    assert_eq!(task.terms.grant.services.len(), 1, "what is left open is what the intent may need");
    assert_eq!(task.terms.budget, Budget { reads: Some(100), ..Budget::default() });
    let grant = Grant { classes: [Class::Act].into(), ..Grant::default() };
    let refused = tasks.open(NewTask { grant, ..wanted() }).unwrap_err();
    assert_eq!(refused, IntentError::Outside { part: Part::Class, of: Within::Intent });
    let refused = tasks.open(NewTask { ttl: Duration::from_secs(3601), ..wanted() }).unwrap_err();
    assert!(matches!(refused, IntentError::Ttl { max_s: 3600, .. }), "{refused}");
    let obstacle = tasks.attach(task.id, &call("slack", "users.list", Class::Read)).unwrap().obstacle;
    assert!(matches!(obstacle, Some(Obstacle::Outside { part: Part::Service, .. })), "{obstacle:?}");
}

#[test]
fn where_intents_are_declared_no_other_is_taken_and_not_from_everybody() {
    let (_, tasks) = registry_with(declared());
    let refused = tasks.open(NewTask { intent: intent("shopping"), ..wanted() }).unwrap_err();
    assert_eq!(refused, IntentError::Undeclared(intent("shopping")));
    let refused = tasks.open(NewTask { intent: intent("refund"), ..wanted() }).unwrap_err();
    assert!(matches!(refused, IntentError::NotTheirs { .. }), "{refused}");
    let (_, free) = registry();
    free.open(NewTask { intent: intent("shopping"), ..wanted() }).expect("none is declared");
}

#[test]
fn mistakes_in_declarations_are_told() {
    for wrong in ["[triage]\nclases = []", "[\"two words\"]", "[triage]\nservices = [\"a*b\"]", "triage = 3"]
    {
        assert!(Intents::parse(wrong).is_err(), "{wrong}");
    }
    assert_eq!(Intents::parse(INTENTS).unwrap().len(), 2);
    assert!(Intents::parse("").unwrap().is_empty());
}

#[test]
fn quarantine_ends_all_that_an_agent_has_a_part_in_and_lasts() {
    let (_, tasks) = registry();
    let root = tasks.open(wanted()).unwrap();
    let helper = crate::call::SpiffeId::parse("spiffe://example.org/agent/helper").unwrap();
    let handed = Delegation {
        to: helper.clone(),
        intent: None,
        labels: BTreeMap::new(),
        ttl: None,
        grant: Grant::default(),
        budget: Budget::default(),
        binding: None,
    };
    let child = tasks.delegate(root.id, handed.clone()).unwrap();
    let standing = tasks.standing(&agent());
    let ended = tasks.quarantine(&agent(), true);
    let expected =
        [(root.id, TaskEnd::Quarantine), (child.id, TaskEnd::Parent), (standing.id, TaskEnd::Quarantine)];
    assert_eq!(ended, BTreeMap::from(expected));
    assert_eq!(tasks.open(wanted()).unwrap_err(), IntentError::Quarantined(agent()));

    let tasks = tasks.restart();
    assert_eq!(tasks.open(wanted()).unwrap_err(), IntentError::Quarantined(agent()));
    let obstacle = tasks.attach(tasks.standing(&agent()).id, &read()).unwrap().obstacle;
    assert_eq!(obstacle, Some(Obstacle::Quarantined { agent: agent() }));
    let line = tasks.agents().into_iter().find(|line| line.id == agent()).unwrap();
    assert!(line.quarantined && !line.profile.registered);
    tasks.quarantine(&agent(), false);
    let root = tasks.open(wanted()).unwrap();
    let child = tasks.delegate(root.id, handed).unwrap();
    tasks.quarantine(&helper, true);
    assert!(tasks.attach(root.id, &read()).is_ok(), "whoever delegated goes on");
    assert!(tasks.attach(child.id, &read()).is_err());
}

fn integration(registration: Registration) -> Settings {
    let profile = AgentProfile { registered: true, kind: AgentKind::Integration, ..AgentProfile::default() };
    let registered = BTreeMap::from([(agent(), Registration { profile, ..registration })]);
    Settings { registered, ..Settings::default() }
}

#[test]
fn an_integration_that_begins_to_improvise_is_told_apart() {
    let learning = Some(Duration::from_secs(60));
    let (world, tasks) = registry_with(integration(Registration { learning, ..Registration::default() }));
    let id = tasks.open(wanted()).unwrap().id;
    tasks.settle(id, &read(), Decision::Allow, None);
    let other = call("github", "issues/create", Class::Act);
    assert!(!tasks.history(id, &other).unwrap().agent.drift, "it is still being learnt");
    world.pass(Duration::from_secs(60));
    assert!(!tasks.history(id, &read()).unwrap().agent.drift);
    assert!(tasks.history(id, &other).unwrap().agent.drift);
    tasks.settle(id, &other, Decision::Allow, None);
    assert!(tasks.history(id, &other).unwrap().agent.drift, "letting it through once does not teach it");
}

#[test]
fn what_is_registered_counts_from_the_next_call_on_and_after_a_restart() {
    let (_, tasks) = registry_with(integration(Registration::default()));
    let other = crate::call::SpiffeId::parse("spiffe://example.org/agent/other").unwrap();
    let id = tasks.open(NewTask { agent: other.clone(), ..wanted() }).unwrap().id;
    assert!(!tasks.attach(id, &read()).unwrap().profile.registered);
    let profile = AgentProfile { registered: true, owner: "team-a".into(), ..AgentProfile::default() };
    let wanted = Registration { profile, binding: Binding::X509Svid, ..Registration::default() };
    assert_eq!(tasks.register(&agent(), Some(&wanted)), Err(IntentError::Configured(agent())));
    tasks.register(&other, Some(&wanted)).unwrap();
    assert_eq!(tasks.attach(id, &read()).unwrap().profile.owner, "team-a");
    let bound = tasks.open(NewTask { agent: other.clone(), ..super::wanted() }).unwrap();
    assert_eq!(bound.terms.binding, Binding::X509Svid);
    let tasks = tasks.restart();
    assert_eq!(tasks.attach(id, &read()).unwrap().profile.owner, "team-a");
    tasks.book.fails.store(true, Ordering::SeqCst);
    assert!(matches!(tasks.register(&other, None), Err(IntentError::Store(_))));
    assert!(tasks.profile(&other).registered, "what is not kept does not count");
    tasks.book.fails.store(false, Ordering::SeqCst);
    tasks.register(&other, None).unwrap();
    assert!(!tasks.attach(id, &read()).unwrap().profile.registered);
}

#[test]
fn a_fixed_set_is_not_learnt() {
    let operations = vec![Pattern::parse("github:issues/*").unwrap()];
    let (_, tasks) = registry_with(integration(Registration { operations, ..Registration::default() }));
    let id = tasks.open(wanted()).unwrap().id;
    assert!(!tasks.history(id, &read()).unwrap().agent.drift);
    assert!(tasks.history(id, &call("github", "repos/delete", Class::Act)).unwrap().agent.drift);
}

#[test]
fn an_agent_that_decides_for_itself_never_drifts() {
    let (world, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    tasks.settle(id, &read(), Decision::Allow, None);
    world.pass(DEFAULT_LEARNING);
    let id = tasks.open(NewTask { ttl: MAX_TTL, ..wanted() }).map_or(id, |task| task.id);
    assert!(!tasks.history(id, &call("slack", "x", Class::Act)).unwrap().agent.drift);
}

#[test]
fn what_an_agent_did_in_one_task_shows_in_the_next() {
    let (_, tasks) = registry();
    let first = tasks.open(wanted()).unwrap().id;
    tasks.settle(first, &read(), Decision::Allow, None);
    tasks.settle(first, &read(), Decision::Deny, Some("policy_denied"));
    tasks.end(first, TaskEnd::Command).unwrap();
    let second = tasks.open(wanted()).unwrap().id;
    let history = tasks.history(second, &read()).unwrap();
    assert_eq!((history.reads, history.operation_seen), (0, false));
    assert_eq!((history.agent.reads, history.agent.denials), (1, 1));
    assert!(history.agent.operation_seen && history.agent.service_seen);
}

#[test]
fn an_object_is_read_only_by_reading_that_very_object() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    tasks.settle(id, &on(Class::Act, "octo/one"), Decision::Allow, None);
    let history = tasks.history(id, &on(Class::Act, "octo/one")).unwrap();
    assert!(history.resource_seen && !history.resource_read);
    tasks.settle(id, &on(Class::Read, "octo/one"), Decision::Allow, None);
    tasks.settle(id, &on(Class::Read, "octo/two"), Decision::Deny, None);
    assert!(tasks.history(id, &on(Class::Act, "octo/one")).unwrap().resource_read);
    assert!(!tasks.history(id, &on(Class::Act, "octo/two")).unwrap().resource_read, "it was refused");
    assert!(!tasks.history(id, &read()).unwrap().resource_read, "it names no object");
}

#[test]
fn a_restart_keeps_tasks_and_their_ends_and_the_journal_tells_the_rest() {
    let (world, tasks) = registry();
    let open =
        tasks.open(NewTask { budget: Budget { bytes: Some(10), ..Budget::default() }, ..wanted() }).unwrap();
    let over = tasks.open(wanted()).unwrap();
    tasks.end(over.id, TaskEnd::Command).unwrap();
    let tasks = tasks.restart();
    let refused = tasks.attach(over.id, &read()).unwrap_err();
    assert_eq!(refused, IntentError::Ended { task: over.id, why: TaskEnd::Command });
    let past = |decision| Past::Call {
        task: open.id,
        agent: agent(),
        operations: Box::new(read()),
        decision,
        refusal: None,
        at: world.now(),
    };
    tasks.replay(&past(Decision::Allow));
    tasks.replay(&past(Decision::Deny));
    tasks.replay(&past(Decision::Hold));
    tasks.replay(&Past::Sent { task: open.id, bytes: Some(4) });
    let attached = tasks.attach(open.id, &read()).unwrap();
    let history = attached.history.clone();
    assert_eq!((history.reads, history.denials, history.holds, history.bytes_out), (1, 2, 1, 4));
    assert_eq!((history.agent.denials, history.agent.holds), (2, 1));
    assert!(history.operation_seen && attached.obstacle.is_none());
    drop(attached);
    tasks.replay(&Past::Sent { task: open.id, bytes: None });
    let obstacle = tasks.attach(open.id, &read()).unwrap().obstacle;
    assert!(
        matches!(obstacle, Some(Obstacle::Exhausted { .. })),
        "nobody knows how much went out: {obstacle:?}"
    );
}

#[test]
fn a_restart_keeps_standing_tasks_with_what_is_declared_today() {
    let (world, tasks) = registry();
    let standing = tasks.standing(&agent());
    tasks.settle(standing.id, &on(Class::Read, "octo/one"), Decision::Allow, None);
    let mut tasks = tasks.restart();
    assert_eq!(tasks.standing(&agent()), standing);
    let past = Past::Call {
        task: standing.id,
        agent: agent(),
        operations: Box::new(on(Class::Read, "octo/one")),
        decision: Decision::Allow,
        refusal: None,
        at: world.now(),
    };
    tasks.replay(&past);
    assert!(tasks.history(standing.id, &on(Class::Act, "octo/one")).unwrap().resource_read);

    tasks.settings.intents = Intents::parse("[standing]\nbudget = { acts = 0 }\n").unwrap();
    let tasks = tasks.restart();
    let bounded = tasks.standing(&agent());
    assert_eq!((bounded.id, bounded.terms.budget.acts), (standing.id, Some(0)));
    let obstacle = tasks.attach(standing.id, &on(Class::Act, "octo/one")).unwrap().obstacle;
    assert!(matches!(obstacle, Some(Obstacle::Exhausted { .. })), "{obstacle:?}");

    tasks.end(standing.id, TaskEnd::Command).unwrap();
    let tasks = tasks.restart();
    assert_ne!(tasks.standing(&agent()).id, standing.id, "an ended one is over until the node starts again");
}

#[test]
fn a_standing_task_that_cannot_be_kept_takes_no_call() {
    let (_, tasks) = registry();
    tasks.book.fails.store(true, Ordering::SeqCst);
    let refused = wait(Tasks::standing(&tasks, &agent())).unwrap_err();
    assert!(matches!(refused, IntentError::Store(_)), "{refused}");
    tasks.book.fails.store(false, Ordering::SeqCst);
    let standing = tasks.standing(&agent());
    tasks.attach(standing.id, &read()).unwrap();
    assert_eq!(tasks.restart().standing(&agent()).id, standing.id);
}

#[test]
fn a_store_that_fails_opens_nothing_and_still_ends() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    tasks.book.fails.store(true, Ordering::SeqCst);
    assert!(matches!(tasks.open(wanted()), Err(IntentError::Store(_))));
    let under_way = tasks.attach(id, &read()).unwrap();
    assert!(matches!(tasks.end(id, TaskEnd::Command), Err(IntentError::Store(_))), "it would come back");
    assert_eq!(*under_way.ended.borrow(), Some(TaskEnd::Command));
    assert!(tasks.attach(id, &read()).is_err());
    let open = tasks.list().iter().filter(|line| line.state == TaskState::Open).count();
    assert_eq!(open, 0);
}

#[test]
fn the_end_of_the_node_cuts_calls_and_ends_no_task() {
    let (_, tasks) = registry();
    let id = tasks.open(wanted()).unwrap().id;
    let under_way = tasks.attach(id, &read()).unwrap();
    tasks.cut_all();
    assert_eq!(*under_way.ended.borrow(), Some(TaskEnd::Drain));
    let tasks = tasks.restart();
    assert!(tasks.attach(id, &read()).is_ok());
}

#[test]
fn tokens_are_bound_as_the_agent_was_put_down() {
    let registration = Registration { binding: Binding::X509Svid, ..Registration::default() };
    let (_, tasks) = registry_with(integration(registration));
    assert_eq!(tasks.open(wanted()).unwrap().terms.binding, Binding::X509Svid);
}

#[test]
fn labels_and_external_recipients_stay_with_the_task_and_reach_whoever_delegated() {
    let (_, tasks) = registry();
    let root = tasks.open(wanted()).unwrap();
    let helper = crate::call::SpiffeId::parse("spiffe://example.org/agent/helper").unwrap();
    let handed = Delegation {
        to: helper,
        intent: None,
        labels: BTreeMap::new(),
        ttl: None,
        grant: Grant::default(),
        budget: Budget::default(),
        binding: None,
    };
    let child = tasks.delegate(root.id, handed).unwrap();
    let mut secret = operation("vault", "read", Class::Read);
    secret.facts.labels.insert("secret".into());
    let mut mail = operation("mail", "send", Class::Act);
    mail.facts.args.external = Some(3);
    tasks.settle(child.id, &Operations::one(secret.clone()), Decision::Deny, Some("policy_denied"));
    assert!(tasks.history(child.id, &read()).unwrap().labels.is_empty(), "what was refused was not read");
    tasks.settle(child.id, &Operations::one(secret), Decision::Allow, None);
    tasks.settle(child.id, &Operations::one(mail), Decision::Allow, None);
    for task in [child.id, root.id] {
        let history = tasks.history(task, &read()).unwrap();
        let labels: Vec<_> = history.labels.iter().map(AsRef::as_ref).collect();
        assert_eq!((labels.as_slice(), history.external), (["secret"].as_slice(), 3));
    }
}
