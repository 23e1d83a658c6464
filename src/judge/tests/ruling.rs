//! One evaluation path, and every mishap on it denies.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::ground::{Given, OPERATIONS, Small, call, file, load_files, on, operation, rules, unknown};
use crate::call::{Class, Decision, Evidence, History, Operation, Operations, Recognition, Ruling};
use crate::judge::schema::Types;
use crate::judge::vocabulary::Named;
use crate::judge::{PolicySource, Rules, SourceFile, Vocabulary};

const PERMIT_ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

fn decide(rules: &Rules, operation: Operation) -> Decision {
    rules.rule(&call(operation)).decision()
}

fn ids(ruling: &Ruling) -> Vec<String> {
    ruling.reasons().iter().map(|reason| reason.policy.to_string()).collect()
}

/// `permit` everything and one forbid: the shape in which a silent forbid is a hole.
fn but(forbid: &str) -> Rules {
    rules(&format!("{PERMIT_ALL}{forbid}"))
}

#[test]
fn missing_action_entity_fails_closed() {
    // Without the action's entity and its ancestors this forbid would not match, without any error.
    let rules = but(r#"@id("no-acts") forbid (principal, action in Action::"act", resource);"#);
    for acting in [
        operation("github:issues/create", Class::Act),
        operation("github:never-heard-of", Class::Act),
        unknown("github", Class::Act),
        unknown("wiki.example.org", Class::Act),
    ] {
        let ruling = rules.rule(&call(acting.clone()));
        assert_eq!(
            (ruling.decision(), ids(&ruling)),
            (Decision::Deny, vec!["no-acts".to_owned()]),
            "{acting:?}"
        );
    }
    assert_eq!(decide(&rules, operation("github:never-heard-of", Class::Read)), Decision::Allow);
}

#[test]
fn a_service_group_holds_all_calls_of_the_service() {
    let rules = but(r#"@id("no-github") forbid (principal, action in Action::"github", resource);"#);
    for class in Class::ALL {
        assert_eq!(decide(&rules, operation("github:never-heard-of", class)), Decision::Deny);
        assert_eq!(decide(&rules, unknown("github", class)), Decision::Deny, "unknown calls are in it too");
        assert_eq!(decide(&rules, unknown("slack", class)), Decision::Allow);
        assert_eq!(decide(&rules, unknown("wiki.example.org", class)), Decision::Allow);
    }
}

#[test]
fn unknown_calls_go_by_their_own_name_everywhere() {
    let rules = but(r#"@id("no-unknown") forbid (principal, action == Action::"unknown:act", resource);"#);
    for service in ["github", "wiki.example.org"] {
        assert_eq!(decide(&rules, unknown(service, Class::Act)), Decision::Deny);
        assert_eq!(decide(&rules, unknown(service, Class::Read)), Decision::Allow);
    }
    let rules = but(r#"@id("no-unknown") forbid (principal, action in Action::"unknown", resource);"#);
    assert_eq!(decide(&rules, unknown("github", Class::Read)), Decision::Deny);
    assert_eq!(decide(&rules, operation("github:issues/get", Class::Read)), Decision::Allow);
}

#[test]
fn of_a_batch_of_many_some_are_told() {
    let many = (0..300).map(|n| operation(&format!("github:things/{n}"), Class::Act));
    let mut many = many.collect::<Vec<_>>().into_iter();
    let asked = Given::default().call(Operations::batch(many.next().unwrap(), many.collect()));
    let ruling =
        rules("@id(\"reads\") permit (principal, action in Action::\"read\", resource);").rule(&asked);
    let note = ruling.note().unwrap();
    assert_eq!(ruling.decision(), Decision::Deny);
    assert!(note.ends_with("and so on, 292 more") && note.len() < 4_000, "{note}");
}

#[test]
fn an_answer_that_comes_too_late_denies() {
    let permit = "@id(\"all\") permit (principal, action, resource);";
    let asked = call(operation("github:issues/get", Class::Read));
    assert_eq!(rules(permit).rule(&asked).decision(), Decision::Allow);
    let late = rules(permit).within(std::time::Duration::ZERO).rule(&asked);
    assert_eq!((late.decision(), late.reasons().len()), (Decision::Deny, 0));
    assert_eq!(late.note(), Some("the policies took longer than 0 ms"));
}

#[test]
fn erroring_forbid_fails_closed() {
    let rules = but(r#"@id("overflows") forbid (principal, action, resource)
        when { context.history.acts + 9223372036854775807 < 0 };"#);
    assert_eq!(
        decide(&rules, operation("github:issues/get", Class::Read)),
        Decision::Allow,
        "0 acts: no overflow"
    );
    let given = Given { history: History { acts: 1, ..History::default() }, ..Given::default() };
    let ruling = rules.rule(&given.call(Operations::one(operation("github:issues/get", Class::Read))));
    assert_eq!(ruling.decision(), Decision::Deny);
    assert!(ruling.note().unwrap().starts_with("policy `overflows` failed: "), "{:?}", ruling.note());
    assert_eq!(ids(&ruling), [""; 0], "the permit did not determine a deny");
}

#[test]
fn erroring_permit_fails_closed() {
    let rules = rules(&format!(
        r#"{PERMIT_ALL}@id("overflows") permit (principal, action, resource)
        when {{ context.history.acts + 9223372036854775807 > 0 }};"#
    ));
    let given = Given { history: History { acts: 1, ..History::default() }, ..Given::default() };
    let ruling = rules.rule(&given.call(Operations::one(operation("github:issues/get", Class::Read))));
    assert_eq!(ruling.decision(), Decision::Deny);
    assert!(ruling.note().unwrap().contains("`overflows`"));
}

#[test]
fn counts_beyond_cedars_integers_stay_at_the_end() {
    let rules = but(r#"@id("many") forbid (principal, action, resource) when { context.history.acts > 9 };"#);
    let given = Given { history: History { acts: u64::MAX, ..History::default() }, ..Given::default() };
    let ruling = rules.rule(&given.call(Operations::one(operation("github:issues/get", Class::Read))));
    assert_eq!(ids(&ruling), ["many"]);
}

#[test]
fn missing_service_entity_fails_closed() {
    let rules = but(r#"@id("no-repos") forbid (principal, action, resource in Service::"github");"#);
    let at_object = on(operation("github:issues/get", Class::Read), "repo", "octo/hello");
    assert_eq!(decide(&rules, at_object), Decision::Deny, "an object is in its service");
    assert_eq!(decide(&rules, operation("github:issues/get", Class::Read)), Decision::Deny);
    assert_eq!(decide(&rules, unknown("github", Class::Read)), Decision::Deny);
    // The attributes come from the entity: an absent one would make this an error.
    let rules =
        but(r#"@id("unlisted") forbid (principal, action, resource) unless { resource.catalogued };"#);
    let ruling = rules.rule(&call(unknown("wiki.example.org", Class::Read)));
    assert_eq!((ids(&ruling), ruling.note()), (vec!["unlisted".to_owned()], None));
    assert_eq!(decide(&rules, unknown("github", Class::Read)), Decision::Allow);
}

#[test]
fn missing_group_entity_fails_closed() {
    let rules = load_files(&[
        ("groups.toml", r#"contractors = ["spiffe://example.org/ns/*", "spiffe://example.org/agent/temp"]"#),
        (
            "p.cedar",
            &format!(
                "{PERMIT_ALL}@id(\"out\") forbid (principal in Group::\"contractors\", action, resource);"
            ),
        ),
    ])
    .unwrap();
    let by = |agent| {
        let given = Given { agent, ..Given::default() };
        rules.rule(&given.call(Operations::one(operation("github:issues/get", Class::Read)))).decision()
    };
    for agent in
        ["spiffe://example.org/ns/a/b", "spiffe://example.org/agent/temp", "spiffe://example.org/ns/a"]
    {
        assert_eq!(by(agent), Decision::Deny, "{agent}");
        assert_eq!(by(agent), Decision::Deny, "{agent}, from the cache");
    }
    for agent in
        ["spiffe://example.org/agent/coder", "spiffe://example.org/nsx/a", "spiffe://example.com/ns/a"]
    {
        assert_eq!(by(agent), Decision::Allow, "{agent}");
    }
}

#[test]
fn nothing_permits_is_a_deny_that_says_how() {
    let rules = rules(r#"@id("only-slack") permit (principal, action in Action::"slack", resource);"#);
    let ruling = rules.rule(&call(operation("github:issues/create", Class::Act)));
    assert_eq!((ruling.decision(), ruling.reasons().len()), (Decision::Deny, 0));
    let note = ruling.note().unwrap();
    assert!(
        note.contains(r#"permit (principal, action == Action::"github:issues/create", resource);"#),
        "{note}"
    );
    let ruling = rules.rule(&call(unknown("wiki.example.org", Class::Read)));
    let note = ruling.note().unwrap();
    assert!(
        note.contains(r#"action in Action::"read", resource in Service::"wiki.example.org");"#),
        "{note}"
    );
}

#[test]
fn what_a_deny_suggests_would_permit() {
    for asked in [
        operation("github:issues/create", Class::Act),
        unknown("github", Class::Delegate),
        unknown("[::1]", Class::Read),
        unknown("wiki.example.org", Class::Act),
    ] {
        let rules_before =
            rules(r#"@id("never") forbid (principal, action, resource) when { context.approved };"#);
        let ruling = rules_before.rule(&call(asked.clone()));
        let suggested = ruling.note().and_then(|note| note.split('`').nth(1)).unwrap().replace('…', "mine");
        assert_eq!(decide(&rules(&suggested), asked), Decision::Allow, "{suggested}");
    }
}

#[test]
fn the_id_annotation_names_the_reasons() {
    let rules = rules(
        r#"@id("zz") @reason("why") @advice("instead") forbid (principal, action, resource);
           @id("aa") forbid (principal, action, resource);"#,
    );
    let ruling = rules.rule(&call(operation("github:issues/get", Class::Read)));
    assert_eq!(ids(&ruling), ["aa", "zz"], "sorted");
    let zz = &ruling.reasons()[1];
    assert_eq!((zz.reason.as_deref(), zz.advice.as_deref()), (Some("why"), Some("instead")));
    assert_eq!(ruling.rules(), rules.digest());
}

#[test]
fn a_batch_with_one_denied_operation_is_denied() {
    let rules = rules(
        r#"@id("reads") permit (principal, action in Action::"read", resource);
           @id("acts") permit (principal, action in Action::"act", resource);
           @id("not-slack") forbid (principal, action in Action::"slack", resource);"#,
    );
    let batch = |first, rest| rules.rule(&Given::default().call(Operations::batch(first, rest)));
    let (read, act) =
        (operation("github:issues/get", Class::Read), operation("github:issues/create", Class::Act));
    let ruling = batch(read.clone(), vec![act.clone()]);
    assert_eq!((ruling.decision(), ids(&ruling)), (Decision::Allow, vec!["acts".into(), "reads".into()]));
    let slack = operation("slack:conversations.list", Class::Read);
    for rest in [vec![act.clone(), slack.clone()], vec![slack.clone(), act.clone()]] {
        let ruling = batch(read.clone(), rest);
        assert_eq!((ruling.decision(), ids(&ruling)), (Decision::Deny, vec!["not-slack".to_owned()]));
    }
    let ruling = batch(slack, vec![operation("github:orgs/invite", Class::Delegate)]);
    assert_eq!(ids(&ruling), ["not-slack"]);
    assert!(ruling.note().unwrap().starts_with("no policy permits it"), "{:?}", ruling.note());
    let ruling = batch(
        act,
        vec![unknown("wiki.example.org", Class::Delegate), operation("github:x", Class::Delegate)],
    );
    assert!(
        ruling.note().unwrap().contains("; `github:x` (delegate): no policy permits it"),
        "{:?}",
        ruling.note()
    );
}

#[test]
fn naming_one_operation_names_no_other() {
    let rules = but(r#"@id("one") forbid (principal, action == Action::"github:issues/create", resource);"#);
    assert_eq!(decide(&rules, operation("github:issues/create", Class::Act)), Decision::Deny);
    for other in
        ["github:issues/create-comment", "github:issues/creat", "github:*act", "github", "act", "slack:x"]
    {
        assert_eq!(decide(&rules, operation(other, Class::Act)), Decision::Allow, "{other}");
    }
    // In a condition, too, and there in a set.
    let rules = but(r#"@id("two") forbid (principal, action, resource)
        when { action in [Action::"github:issues/create", Action::"slack:chat.postMessage"] };"#);
    assert_eq!(decide(&rules, operation("slack:chat.postMessage", Class::Act)), Decision::Deny);
    assert_eq!(decide(&rules, operation("github:issues/create-comment", Class::Act)), Decision::Allow);
}

#[test]
fn permits_of_one_class_permit_no_other() {
    for permitted in Class::ALL {
        let rules = rules(&format!(
            r#"@id("c") permit (principal, action in Action::"{permitted}", resource);
               @id("names-some") forbid (principal, action == Action::"github:issues/list", resource) when {{ context.approved }};"#
        ));
        let named = OPERATIONS.iter().map(|(id, _, class)| operation(id, *class));
        let unnamed = Small.services().into_iter().flat_map(|service| {
            Class::ALL.into_iter().flat_map(move |class| {
                [operation(&format!("{service}:other"), class), unknown(&service.0, class)]
            })
        });
        let strangers = Class::ALL.into_iter().map(|class| unknown("wiki.example.org", class));
        for asked in named.chain(unnamed).chain(strangers) {
            let expected = if asked.class == permitted { Decision::Allow } else { Decision::Deny };
            assert_eq!(decide(&rules, asked.clone()), expected, "permit {permitted}, asked {asked:?}");
        }
    }
}

#[test]
fn a_named_operation_of_another_class_than_policies_were_told_is_denied() {
    let rules =
        rules(r#"@id("lists") permit (principal, action == Action::"github:issues/list", resource);"#);
    assert_eq!(decide(&rules, operation("github:issues/list", Class::Read)), Decision::Allow);
    let ruling = rules.rule(&call(operation("github:issues/list", Class::Act)));
    assert_eq!(ruling.decision(), Decision::Deny);
    assert_eq!(
        ruling.note(),
        Some("policies name `github:issues/list` as read, but this call makes it act (test)")
    );
}

#[test]
fn quotes_and_backslashes_stay_within_their_value() {
    let nasty = r#"x"} || true || "\" \u{0} /../ Service::"github""#;
    let mine = on(operation("github:issues/get", Class::Read), "repo", nasty);
    let escaped = r#"x\"} || true || \"\\\" \\u{0} /../ Service::\"github\""#;
    let rules = rules(&format!(
        r#"@id("this-one") permit (principal, action, resource)
           when {{ resource is Resource && resource.id == "{escaped}" && resource == Resource::"github/repo/{escaped}" }};"#
    ));
    assert_eq!(decide(&rules, mine), Decision::Allow, "it is compared as it is");
    assert_eq!(decide(&rules, on(operation("github:issues/get", Class::Read), "repo", "x")), Decision::Deny);
    assert_eq!(decide(&rules, unknown(nasty, Class::Act)), Decision::Deny, "a service name, too");

    let rules =
        but(r#"@id("path") forbid (principal, action, resource) when { context.http.path == "/a\"||\"b" };"#);
    let given = Given { path: "/a\"||\"b".into(), ..Given::default() };
    let ruling = rules.rule(&given.call(Operations::one(operation("github:issues/get", Class::Read))));
    assert_eq!(ids(&ruling), ["path"]);
}

#[test]
fn an_object_cannot_take_the_place_of_a_service() {
    // The object's id is the agent's to choose; its type is not.
    let rules = but(r#"@id("slack") forbid (principal, action, resource in Service::"slack");"#);
    let here = on(operation("github:issues/get", Class::Read), "repo", "slack");
    assert_eq!(decide(&rules, here), Decision::Allow);
    let rules = but(r#"@id("one") forbid (principal, action, resource == Resource::"github/repo/a/b");"#);
    assert_eq!(
        decide(&rules, on(operation("github:issues/get", Class::Read), "repo", "a/b")),
        Decision::Deny
    );
    assert_eq!(
        decide(&rules, on(operation("slack:conversations.list", Class::Read), "repo", "a/b")),
        Decision::Allow
    );
}

#[test]
fn policies_see_the_call() {
    let seen = r#"@id("seen") permit (principal, action, resource) when {
        context.task.intent == "fix-bug" && context.task.labels.contains("team=payments") &&
        context.task.id != "" && context.evidence == "task-port" && context.recognition == "exact" &&
        context.http.scheme == "https" && context.http.host == "api.github.com" && context.http.port == 443 &&
        context.http.method == "POST" && context.http.path like "/repos/*" &&
        context.history.reads == 2 && context.history.service_seen && !context.history.operation_seen &&
        !context.approved && context.time > datetime("2026-11-24T00:00:00Z") &&
        principal.trust_domain == "example.org" && resource.service == "github" && resource.catalogued &&
        resource is Resource && resource.kind == "repo" && resource in Service::"github"
    };"#;
    let given = Given {
        evidence: Evidence::TaskPort,
        host: "API.github.com.",
        path: "/%72epos/octo/hello?q=1".into(),
        intent: "fix-bug",
        labels: BTreeMap::from([("team".to_owned(), "payments".to_owned())]),
        history: History { reads: 2, service_seen: true, ..History::default() },
        ..Given::default()
    };
    let asked = on(operation("github:issues/get", Class::Read), "repo", "octo/hello");
    let ruling = rules(seen).rule(&given.call(Operations::one(asked)));
    assert_eq!(ruling.decision(), Decision::Allow, "{:?}", ruling.note());
}

/// A vocabulary in which policies name everything, so that the schema holds every operation and every group.
fn full_schema(text: &str) -> Rules {
    let mut all: Vec<_> = OPERATIONS.iter().map(|(id, _, _)| format!("Action::\"{id}\"")).collect();
    all.extend(Small.services().iter().map(|service| format!("Action::\"{service}\"")));
    let names_all = format!(
        "@id(\"names-all\") forbid (principal, action in [{}], resource) when {{ context.approved }};",
        all.join(", ")
    );
    let files = vec![file("p.cedar", text), file("q.cedar", &names_all)];
    Rules::load(&PolicySource::of_files(files, "policies").unwrap(), &Small).unwrap()
}

fn policy() -> impl Strategy<Value = String> {
    let effect = prop::sample::select(vec!["permit", "forbid"]);
    let mut scopes: Vec<_> =
        OPERATIONS.iter().map(|(id, _, _)| format!("action == Action::\"{id}\"")).collect();
    scopes.extend(
        ["read", "act", "delegate", "github", "slack", "unknown"]
            .map(|g| format!("action in Action::\"{g}\"")),
    );
    scopes.push("action".into());
    scopes.push("action in [Action::\"github:issues/get\", Action::\"slack\"]".into());
    let action = prop::sample::select(scopes);
    let resource =
        prop::sample::select(vec!["resource", "resource in Service::\"github\"", "resource is Service"]);
    (effect, action, resource)
        .prop_map(|(effect, action, resource)| format!("{effect} (principal, {action}, {resource});"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn representatives_say_what_the_full_schema_says(policies in prop::collection::vec(policy(), 1..5)) {
        let text: Vec<_> = policies.iter().enumerate().map(|(n, policy)| format!("@id(\"p{n}\") {policy}")).collect();
        let (small, full) = (rules(&text.join("\n")), full_schema(&text.join("\n")));
        let vague = Small.services().into_iter().flat_map(|s| Class::ALL.map(|class| unknown(&s.0, class)));
        for asked in OPERATIONS.iter().map(|(id, _, class)| operation(id, *class)).chain(vague) {
            let (a, b) = (small.rule(&call(asked.clone())), full.rule(&call(asked.clone())));
            prop_assert_eq!((a.decision(), a.reasons()), (b.decision(), b.reasons()), "{:?} under {:?}", asked, text);
        }
    }
}

#[test]
fn recognition_reaches_the_policies_for_each_operation() {
    let rules = but(
        r#"@id("vague") forbid (principal, action, resource) when { context.recognition == "unknown" };"#,
    );
    let mut vague = operation("github:issues/get", Class::Read);
    assert_eq!(decide(&rules, vague.clone()), Decision::Allow);
    vague.how = Recognition::Unknown;
    let batch = Operations::batch(operation("github:issues/get", Class::Read), vec![vague]);
    assert_eq!(rules.rule(&Given::default().call(batch)).decision(), Decision::Deny);
}

/// A schema that does not fit what calls bring is not loaded; should one come into force all the same, nothing passes by it.
#[test]
fn what_does_not_fit_the_schema_fails_closed() {
    let mut rules = rules(r#"@id("all") permit (principal, action, resource);"#);
    let source = PolicySource::embedded();
    let file = SourceFile {
        name: "other.cedarschema".into(),
        text: source.schema.text.replace("port: Long,", "port: String,"),
    };
    assert_ne!(file.text, source.schema.text);
    rules.actions = Types::parse(&file).unwrap().actions(&[], &Named::default()).unwrap();
    let ruling = rules.rule(&call(operation("github:issues/get", Class::Read)));
    assert_eq!(ruling.decision(), Decision::Deny);
    assert_eq!(ruling.note(), Some("what is known of the call does not fit the schema"));
}
