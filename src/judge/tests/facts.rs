//! Policies over what the catalog tells of an operation beside its name.

use super::ground::{call, on, operation, rules};
use crate::call::{Args, Class, Decision, Facts, Operation, Resource};

/// As in policies/README.md.
const POLICIES: &str = r#"
@id("all") permit (principal, action, resource);

@id("large-amounts")
forbid (principal, action in Action::"act", resource)
when { context.args has amount && context.args.amount > 50000 };

@id("outsiders")
forbid (principal, action, resource)
when { context.args has external && context.args.external > 0 };

@id("unclear")
forbid (principal, action in [Action::"act", Action::"delegate"], resource)
when { context.args.unclear };

@id("labelled-data-stays")
forbid (principal, action, resource)
when { context.direction == "out" && resource.labels.contains("pii") };

@id("one-owner")
forbid (principal, action, resource in Resource::"github/owner/octo")
when { context.http.method == "DELETE" };

@id("tools-stay-as-they-were")
forbid (principal, action, resource)
when { context.drifted };
"#;

fn decided(facts: Facts, class: Class) -> Option<String> {
    let rules = rules(POLICIES);
    let asked = Operation { facts, ..on(operation("github:x", class), "repo", "octo/hello") };
    let ruling = rules.rule(&call(asked));
    assert!(ruling.note().is_none(), "{:?}", ruling.note());
    (ruling.decision() == Decision::Deny).then(|| ruling.reasons()[0].policy.to_string())
}

fn with(args: Args) -> Facts {
    Facts { args, ..Facts::default() }
}

#[test]
fn amounts_and_recipients_decide() {
    for (args, refused) in [
        (Args::default(), None),
        (Args { amount: Some(50_000), currency: Some("eur".into()), ..Args::default() }, None),
        (Args { amount: Some(50_001), ..Args::default() }, Some("large-amounts")),
        (Args { recipients: Some(3), external: Some(0), ..Args::default() }, None),
        (Args { recipients: Some(3), external: Some(1), ..Args::default() }, Some("outsiders")),
        (Args { unclear: true, ..Args::default() }, Some("unclear")),
    ] {
        assert_eq!(decided(with(args.clone()), Class::Act).as_deref(), refused, "{args:?}");
    }
}

#[test]
fn labels_and_direction_decide() {
    let pii = Facts { labels: ["pii".into()].into(), ..Facts::default() };
    assert_eq!(decided(pii.clone(), Class::Read), None);
    assert_eq!(decided(pii, Class::Act).as_deref(), Some("labelled-data-stays"));
    let drifted = Facts { drifted: true, ..Facts::default() };
    assert_eq!(decided(drifted, Class::Act).as_deref(), Some("tools-stay-as-they-were"));
}

#[test]
fn an_object_lies_in_all_that_it_lies_in() {
    const INSIDE: &str = r#"
        @id("all") permit (principal, action, resource);
        @id("owner") forbid (principal, action, resource in Resource::"github/owner/octo");
        @id("enterprise") forbid (principal, action, resource in Resource::"github/enterprise/big");
    "#;
    let thing = |kind: &str, id: &str| Resource { kind: kind.into(), id: id.into() };
    let asked = |ancestors: Vec<Resource>| {
        let facts = Facts { ancestors, ..Facts::default() };
        Operation { facts, ..on(operation("github:x", Class::Act), "repo", "octo/hello") }
    };
    let rules = rules(INSIDE);
    let refused = |operation| {
        rules.rule(&call(operation)).reasons().iter().map(|r| r.policy.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(refused(asked(Vec::new())), ["all"]);
    let mut both = refused(asked(vec![thing("owner", "octo"), thing("enterprise", "big")]));
    both.sort();
    assert_eq!(both, ["enterprise", "owner"]);
    assert_eq!(refused(asked(vec![thing("owner", "octo2")])), ["all"]);
    // Named twice, or as its own outer thing, it is the same thing still.
    assert_eq!(
        refused(asked(vec![thing("repo", "octo/hello"), thing("owner", "octo"), thing("owner", "octo")])),
        ["owner"]
    );
}
