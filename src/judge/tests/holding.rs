//! Hold: a forbid that a person may lift, and never an open door.

use std::sync::Arc;

use proptest::prelude::*;

use super::ground::{Given, OTHER, call, load, operation, rules, wrong};
use crate::call::{
    Attributed, Call, Class, Decision, History, Operations, OperatorId, PolicyId, Ruling, SpiffeId, Task,
};
use crate::judge::{Rules, hold};

const PERMIT: &str = "@id(\"all\") permit (principal, action, resource);\n";
const HELD: &str = r#"@id("acts") @hold("owners") @reason("a person looks at acts") @advice("wait")
    forbid (principal, action in Action::"act", resource) unless { context.approved };
"#;

fn ids(ruling: &Ruling) -> Vec<&str> {
    ruling.reasons().iter().map(|reason| &*reason.policy.0).collect()
}

fn ask(rules: &Rules, id: &str, class: Class) -> Ruling {
    rules.rule(&call(operation(id, class)))
}

fn act(policies: &str) -> Ruling {
    ask(&rules(policies), "github:issues/create", Class::Act)
}

#[test]
fn what_only_an_approval_lacks_is_held_for_those_who_may_give_it() {
    let ruling = act(&format!("{PERMIT}{HELD}"));
    assert_eq!((ruling.decision(), ids(&ruling)), (Decision::Hold, vec!["acts"]));
    assert_eq!(ruling.approvers().into_iter().collect::<Vec<_>>(), ["owners"]);
    assert_eq!(ruling.note(), None);
    let read = ask(&rules(&format!("{PERMIT}{HELD}")), "github:issues/get", Class::Read);
    assert_eq!((read.decision(), read.approvers().len()), (Decision::Allow, 0));
}

#[test]
fn two_holds_want_a_person_of_each_group() {
    let also = r#"@id("issues") @hold("triage") forbid (principal, action == Action::"github:issues/create", resource)
        unless { context.approved };"#;
    let ruling = act(&format!("{PERMIT}{HELD}{also}"));
    assert_eq!((ruling.decision(), ids(&ruling)), (Decision::Hold, vec!["acts", "issues"]));
    assert_eq!(ruling.approvers().into_iter().collect::<Vec<_>>(), ["owners", "triage"]);
}

#[test]
fn nobody_is_asked_where_something_that_cannot_be_approved_forbids_too() {
    let last = r#"@id("never") @reason("not here") forbid (principal, action, resource);"#;
    let ruling = act(&format!("{PERMIT}{HELD}{last}"));
    assert_eq!((ruling.decision(), ids(&ruling)), (Decision::Deny, vec!["acts", "never"]));
    assert!(ruling.approvers().is_empty());
    let told: Vec<_> = ruling.told().map(|reason| &*reason.policy.0).collect();
    assert_eq!(told, ["never"], "the caller would ask for an approval that does not help");
}

#[test]
fn nobody_is_asked_where_an_approval_would_not_be_enough() {
    for (what, policies, note) in [
        ("nothing permits it", HELD.to_owned(), "no policy permits it"),
        (
            "the permit is for what is not approved",
            format!("@id(\"p\") permit (principal, action, resource) unless {{ context.approved }};\n{HELD}"),
            "no policy permits it",
        ),
        (
            "a forbid begins to apply with the approval",
            format!(
                "{PERMIT}{HELD}@id(\"odd\") forbid (principal, action, resource) when {{ context.approved }};"
            ),
            "a policy that no approval lifts forbids it too",
        ),
        (
            "the hold goes on for another reason",
            format!(
                "{PERMIT}@id(\"h\") @hold(\"x\") forbid (principal, action, resource) unless {{ context.approved && context.history.acts > 5 }};"
            ),
            "a policy that no approval lifts forbids it too",
        ),
    ] {
        let ruling = act(&policies);
        assert_eq!(ruling.decision(), Decision::Deny, "{what}");
        let told = ruling.note().unwrap_or_default();
        assert!(
            told.starts_with("an approval would not change that: ") && told.contains(note),
            "{what}: {told}"
        );
    }
}

#[test]
fn an_error_on_either_question_denies() {
    let now = r#"@id("errs") forbid (principal, action, resource) when { context.history.acts + 9223372036854775807 < 0 };"#;
    let then = r#"@id("errs") forbid (principal, action, resource)
        when { context.approved && context.history.acts + 9223372036854775807 < 0 };"#;
    for errs in [now, then] {
        let given = Given { history: History { acts: 1, ..History::default() }, ..Given::default() };
        let asked = given.call(Operations::one(operation("github:issues/create", Class::Act)));
        let ruling = rules(&format!("{PERMIT}{HELD}{errs}")).rule(&asked);
        assert_eq!(ruling.decision(), Decision::Deny, "{errs}");
        assert!(ruling.note().unwrap().contains("policy `errs` failed"), "{:?}", ruling.note());
    }
}

#[test]
fn of_a_batch_the_strictest_part_counts() {
    let rules = rules(&format!(
        "{PERMIT}{HELD}@id(\"no\") forbid (principal, action in Action::\"delegate\", resource);"
    ));
    let batch = |ids: &[(&str, Class)]| {
        let mut all = ids.iter().map(|(id, class)| operation(id, *class));
        rules.rule(&Given::default().call(Operations::batch(all.next().unwrap(), all.collect())))
    };
    let (read, act) = (("github:issues/get", Class::Read), ("github:issues/create", Class::Act));
    let held = batch(&[read, act]);
    assert_eq!(
        (held.decision(), ids(&held)),
        (Decision::Hold, vec!["acts"]),
        "a read beside it changes nothing"
    );
    let denied = batch(&[read, act, ("github:orgs/invite", Class::Delegate)]);
    assert_eq!((denied.decision(), ids(&denied)), (Decision::Deny, vec!["no"]));
}

fn approved(rules: &Rules, policies: &[&str]) -> Ruling {
    let policies = policies.iter().map(|id| PolicyId(Arc::from(*id))).collect();
    let hold = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
    let approval = hold::recalled(hold, vec![OperatorId::local()], policies);
    rules.rule(&call(operation("github:issues/create", Class::Act)).approved(Some(approval)))
}

#[test]
fn an_approval_lifts_the_policies_that_people_were_asked_about_and_no_others() {
    let also = r#"@id("issues") @hold("triage") forbid (principal, action == Action::"github:issues/create", resource)
        unless { context.approved };"#;
    let both = rules(&format!("{PERMIT}{HELD}{also}"));
    let ruling = approved(&both, &["acts", "issues"]);
    assert_eq!((ruling.decision(), ids(&ruling)), (Decision::Allow, vec!["all"]));
    assert_eq!(approved(&both, &["acts"]).decision(), Decision::Hold, "nobody was asked about the other");
    let never = rules(&format!("{PERMIT}{HELD}@id(\"never\") forbid (principal, action, resource);"));
    assert_eq!(approved(&never, &["acts", "never"]).decision(), Decision::Deny);
    let nothing = rules(HELD);
    assert_eq!(
        approved(&nothing, &["acts"]).decision(),
        Decision::Deny,
        "an approval permits nothing by itself"
    );
}

#[test]
fn a_hold_may_want_several_people() {
    let two = HELD.replace("\"owners\"", "\"2 of owners\"");
    let ruling = act(&format!("{PERMIT}{two}"));
    let quorums: Vec<_> = ruling.quorums().iter().map(|quorum| (quorum.group, quorum.votes)).collect();
    assert_eq!(quorums, [("owners", 2)]);
    let one = HELD.replace("\"acts\"", "\"other\"");
    let ruling = act(&format!("{PERMIT}{two}{one}"));
    assert_eq!(
        ruling.quorums().iter().map(|quorum| quorum.votes).collect::<Vec<_>>(),
        [2],
        "the most that is wanted"
    );
    for bad in ["0 of owners", "x of owners", "1000 of owners", "2 of ", "2 of two words"] {
        let errors = wrong(&format!("{PERMIT}{}", HELD.replace("owners", bad)));
        assert!(errors.contains("names no group of people"), "{bad}: {errors}");
    }
}

/// The same call by an agent to whom `above` delegated.
fn delegated(above: &str) -> Call<Attributed> {
    let call = call(operation("github:issues/create", Class::Act));
    let task = Task {
        agent: SpiffeId::parse(above).unwrap(),
        id: OTHER.parse().unwrap(),
        ..(*call.stage().task).clone()
    };
    let link =
        crate::call::Link { task: Arc::new(task), history: History::default(), profile: Arc::default() };
    let profile = call.stage().profile.clone();
    call.standing_in(profile, vec![link])
}

#[test]
fn what_a_link_of_the_chain_may_not_do_without_a_person_is_held_for_one_who_may_not_do_it_at_all_it_is_denied()
 {
    let boss = "spiffe://example.org/agent/boss";
    let of_boss = |annotation: &str, unless: &str| {
        rules(&format!(
            "{PERMIT}@id(\"boss\") {annotation} forbid (principal == Agent::\"{boss}\", action, resource) {unless};"
        ))
    };
    let held = of_boss("@hold(\"board\")", "unless { context.approved }").rule(&delegated(boss));
    assert_eq!((held.decision(), ids(&held)), (Decision::Hold, vec!["boss"]));
    let denied = of_boss("", "").rule(&delegated(boss));
    assert_eq!((denied.decision(), ids(&denied)), (Decision::Deny, vec!["boss"]));
}

#[test]
fn a_hold_that_can_do_nothing_is_an_error() {
    let forbid = "forbid (principal, action, resource)";
    for (text, told) in [
        (
            format!("@id(\"a\")\n@hold(\"x\")\n{forbid};"),
            "p.cedar:2:1: `@hold` stands at a forbid that no approval would lift",
        ),
        (
            format!("@id(\"a\") @hold(\"x\") {forbid} when {{ context.http.path == \"context.approved\" }};"),
            "no approval would lift",
        ),
        (
            format!("@id(\"a\") @hold {forbid} unless {{ context.approved }};"),
            "`@hold` names no group of people",
        ),
        (format!("@id(\"a\") @hold(\"two words\") {forbid} unless {{ context.approved }};"), "`two words`"),
        (
            "@id(\"a\") @hold(\"x\") permit (principal, action, resource) when { context.approved };"
                .to_owned(),
            "only a forbid holds a call",
        ),
    ] {
        let errors = wrong(&text);
        assert!(errors.contains(told), "{text}: {errors}");
        assert!(errors.contains("help: "), "{errors}");
    }
    load(&format!("{PERMIT}{HELD}")).unwrap();
    let other =
        "@id(\"a\") @hold(\"x/y\") forbid (principal, action, resource) when { !context[\"approved\"] };";
    load(&format!("{PERMIT}{other}")).unwrap();
}

/// Policies by shape: whether it forbids, whether it may be lifted, and whether it applies to acts.
fn drawn() -> impl Strategy<Value = Vec<(bool, bool, bool)>> {
    prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// The meaning of a hold, said another way: take the liftable forbids out, and what is left allows it; with them in, something forbids.
    #[test]
    fn a_hold_is_what_would_be_allowed_without_its_forbids(shapes in drawn()) {
        let text = |with_holds: bool| {
            let mut text = String::from("@id(\"read\") permit (principal, action in Action::\"read\", resource);\n");
            for (at, (forbids, liftable, acts)) in shapes.iter().enumerate() {
                let class = if *acts { "act" } else { "delegate" };
                let scope = format!("(principal, action in Action::\"{class}\", resource)");
                let policy = match (forbids, liftable) {
                    (false, _) => format!("@id(\"p{at}\") permit {scope};\n"),
                    (true, false) => format!("@id(\"p{at}\") forbid {scope};\n"),
                    (true, true) if with_holds => format!("@id(\"p{at}\") @hold(\"g\") forbid {scope} unless {{ context.approved }};\n"),
                    (true, true) => String::new(),
                };
                text.push_str(&policy);
            }
            text
        };
        let held = shapes.contains(&(true, true, true));
        let ruled = act(&text(true)).decision();
        let expected = match (act(&text(false)).decision(), held) {
            (Decision::Allow, false) => Decision::Allow,
            (Decision::Allow, true) => Decision::Hold,
            _ => Decision::Deny,
        };
        prop_assert_eq!(ruled, expected);
    }
}
