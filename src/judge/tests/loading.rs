//! What is wrong with a set is told: where, and what to do.

use super::ground::{call, load, load_files, operation, rules, wrong};
use crate::call::{Class, Decision};
use crate::judge::Cause;

const OK: &str = "@id(\"ok\") permit (principal, action, resource);\n";

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    let told = wrong(text);
    for part in parts {
        assert!(told.contains(part), "`{part}` is not in:\n{told}");
    }
}

#[test]
fn syntax_errors_show_line_and_caret() {
    let text = format!("{OK}@id(\"b\")\npermit (principal action, resource);\n");
    let told = wrong(&text);
    assert!(told.starts_with("p.cedar:3:19: "), "{told}");
    assert!(
        told.contains("\n  3 | permit (principal action, resource);\n    |                   ^^^^^^"),
        "{told}"
    );
    says("@id(\"x\") permit (principal, action, resource)", &["p.cedar:1:", "help: "]);
}

#[test]
fn missing_id_is_an_error() {
    says(
        &format!("{OK}\n  permit (principal, action, resource);"),
        &["p.cedar:3:3: the policy has no `@id`", "help: put"],
    );
    says("@id(\"\") permit (principal, action, resource);", &["has no `@id`"]);
    says("@id(\"a b\") permit (principal, action, resource);", &["`a b` cannot be the `@id`"]);
}

#[test]
fn duplicate_ids_name_both_places() {
    let errors = load_files(&[("a.cedar", OK), ("sub/b.cedar", &format!("// b\n{OK}"))]).unwrap_err();
    let told = errors.to_string();
    assert!(
        told.starts_with("sub/b.cedar:2:1: the `@id` `ok` is taken by the policy at a.cedar:1\n"),
        "{told}"
    );
    assert!(load(&format!("{OK}{OK}")).is_err(), "in one file, too");
}

#[test]
fn unknown_annotations_are_errors() {
    says("@id(\"a\") @holds(\"x\") forbid (principal, action, resource);", &["did you mean `@hold`?"]);
    says("@id(\"a\") @advise(\"x\") forbid (principal, action, resource);", &["did you mean `@advice`?"]);
    says(
        "@id(\"a\") @colour(\"x\") forbid (principal, action, resource);",
        &["known are @id, @reason, @advice"],
    );
    rules(
        "@id(\"a\") @reason(\"r\") @advice(\"a\") @severity(\"low\") @owner(\"o\") @doc(\"d\") forbid (principal, action, resource);",
    );
}

#[test]
fn unknown_actions_offer_the_nearest() {
    says(
        "@id(\"a\") permit (principal, action == Action::\"github:issues/creat\", resource);",
        &[
            "p.cedar:1:39: there is no operation, class or service `github:issues/creat`",
            "did you mean `github:issues/create`",
        ],
    );
    says("@id(\"a\") permit (principal, action in Action::\"reed\", resource);", &["did you mean `read`?"]);
    says(
        "@id(\"a\") permit (principal, action, resource) when { action in [Action::\"slack:chat.post\"] };",
        &["`slack:chat.postMessage`"],
    );
    says(
        "@id(\"a\") permit (principal, action == Action::\"github:*act\", resource);",
        &["`action in Action::\"github\"` with `action in Action::\"act\"`"],
    );
}

#[test]
fn entities_that_no_call_brings_are_errors() {
    says(
        "@id(\"a\") forbid (principal, action, resource in Service::\"githb\");",
        &["did you mean `github`?"],
    );
    says(
        "@id(\"a\") forbid (principal, action, resource == Service::\"Wiki.Example.org\");",
        &["write `Service::\"wiki.example.org\"`"],
    );
    says("@id(\"a\") forbid (principal == Agent::\"coder\", action, resource);", &["whole SPIFFE ID"]);
    says(
        "@id(\"a\") forbid (principal in Group::\"x\", action, resource);",
        &["groups.toml has no such group"],
    );
    rules("@id(\"a\") forbid (principal, action, resource == Service::\"wiki.example.org\");");
}

#[test]
fn strict_validation_fails_closed() {
    says(
        "@id(\"a\") permit (principal, action, resource)\nwhen { context.args.amount < 5 };",
        &["p.cedar:2:8: policy `a`:"],
    );
    says(
        "@id(\"a\") permit (principal, action, resource)\nwhen { resource.kind == \"repo\" };",
        &["p.cedar:2:"],
    );
    says(
        "@id(\"a\") permit (principal, action, resource) when { context.http.port == \"443\" };",
        &["policy `a`: "],
    );
    says(
        "@id(\"a\") permit (principal, action, resource) when { principal.getTag(\"role\") == \"x\" };",
        &["hasTag"],
    );
    rules(
        "@id(\"a\") permit (principal, action, resource) when { principal.hasTag(\"r\") && principal.getTag(\"r\") == \"x\" };",
    );
}

#[test]
fn policies_that_can_never_apply_are_errors() {
    says(
        "@id(\"a\") forbid (principal, action in Action::\"act\", resource)\nwhen { action in Action::\"read\" };",
        &["p.cedar:1:1: policy `a`: "],
    );
    says("@id(\"a\") forbid (principal is Service, action, resource);", &["policy `a`: ", "help: "]);
}

#[test]
fn a_template_that_links_nothing_is_an_error() {
    says(
        &format!("{OK}@id(\"t\") permit (principal == ?principal, action, resource);"),
        &["p.cedar:2:1: the template has no ?resource"],
    );
}

#[test]
fn everything_wrong_is_told_at_once() {
    let errors = load_files(&[
        ("a.cedar", "@id(\"a\") permit (principal, action == Action::\"nothing\", resource);"),
        ("b.cedar", "permit (principal, action, resource);"),
        ("c.cedar", "@id(\"c\") permit (principal"),
        ("d.cedar", "@id(\"d\") permit (principal, action, resource) when { context.nothing };"),
        ("groups.toml", "g = [\"coder\"]"),
    ])
    .unwrap_err();
    let files: Vec<_> = errors.problems().iter().map(|problem| problem.file.as_str()).collect();
    assert_eq!(files, ["a.cedar", "b.cedar", "c.cedar", "d.cedar", "groups.toml"], "{errors}");
}

#[test]
fn an_empty_set_fails_closed() {
    let causes = |files: &[(&str, &str)]| {
        load_files(files)
            .unwrap_err()
            .problems()
            .iter()
            .map(|problem| problem.cause.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(causes(&[]), [Cause::Empty]);
    assert_eq!(causes(&[("README.md", "x"), ("groups.toml", "")]), [Cause::Empty]);
    assert_eq!(causes(&[("a.cedar", "// nothing yet")]), [Cause::Empty]);
}

#[test]
fn groups_are_ids_and_paths() {
    let with = |groups: &str| {
        load_files(&[("groups.toml", groups), ("p.cedar", OK)]).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(
        with("g = [\"spiffe://example.org/a\", \"spiffe://example.org/*\", \"spiffe://example.org/a/*\"]"),
        Ok(())
    );
    for bad in [
        "g = [\"coder\"]",
        "g = [\"*\"]",
        "g = [\"spiffe://*\"]",
        "g = [\"spiffe://e.org/a*\"]",
        "g = \"x\"",
        "g = [",
    ] {
        let told = with(bad).unwrap_err();
        assert!(told.starts_with("groups.toml:1:"), "{bad}: {told}");
    }
}

const SCHEMA: &str = include_str!("../../../policies/remit.cedarschema");

#[test]
fn schema_mismatch_fails_closed() {
    let with = |schema: &str| {
        load_files(&[("own.cedarschema", schema), ("p.cedar", OK)]).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(with(SCHEMA), Ok(()));
    assert_eq!(with(&format!("{SCHEMA}\nentity Machine;")), Ok(()), "types may be added");
    for (what, schema) in [
        ("not a schema", "entity".to_owned()),
        (
            "an attribute that remit does not supply",
            SCHEMA.replace("trust_domain: String,", "trust_domain: String, mood: String,"),
        ),
        ("another type", SCHEMA.replace("port: Long,", "port: String,")),
        ("another field", SCHEMA.replace("  evidence: String,", "  proof: String,")),
        ("a missing type", SCHEMA.replace("type CallContext", "type Context")),
        ("a missing action", SCHEMA.replace("\"unknown:act\"", "\"unknown:acts\"")),
        (
            "one class in another",
            SCHEMA.replace(
                "action \"read\", \"act\", \"delegate\";",
                "action \"read\", \"delegate\"; action \"act\" in [\"read\"];",
            ),
        ),
        (
            "an object that is in no service",
            SCHEMA.replace("entity Resource in [Service, Resource]", "entity Resource in [Resource]"),
        ),
        (
            "an object that is in no object",
            SCHEMA.replace("entity Resource in [Service, Resource]", "entity Resource in [Service]"),
        ),
        (
            "labels of another type",
            SCHEMA.replace("labels: Set<String>, // of its data", "labels: String, // of its data"),
        ),
        ("an argument of another type", SCHEMA.replace("amount?: Long,", "amount?: String,")),
    ] {
        let told = with(&schema).unwrap_err();
        assert!(told.starts_with("own.cedarschema:"), "{what}: {told}");
    }
    let twice =
        load_files(&[("a.cedarschema", SCHEMA), ("b.cedarschema", SCHEMA), ("p.cedar", OK)]).unwrap_err();
    assert!(twice.to_string().contains("b.cedarschema: the schema: there is a second one"), "{twice}");
}

#[test]
fn the_digest_covers_schema_names_and_texts() {
    let digest = |files: &[(&str, &str)]| load_files(files).unwrap().digest();
    let first = digest(&[("a.cedar", OK)]);
    assert_eq!(
        first,
        digest(&[("a.cedar", OK), ("tests/t.toml", ""), ("README.md", "")]),
        "cases decide nothing"
    );
    for other in [
        digest(&[("b.cedar", OK)]),
        digest(&[("a.cedar", &format!("{OK} "))]),
        digest(&[("a.cedar", OK), ("s.cedarschema", SCHEMA)]),
        digest(&[("a.cedar", OK), ("groups.toml", "")]),
        digest(&[("a.cedar", OK), ("b.cedar", "")]),
    ] {
        assert_ne!(first, other);
    }
    let two = "@id(\"two\") permit (principal, action, resource);";
    assert_eq!(digest(&[("a.cedar", OK), ("b.cedar", two)]), digest(&[("b.cedar", two), ("a.cedar", OK)]));
}

#[test]
fn one_unsound_policy_keeps_the_whole_set_out() {
    assert!(
        load(&format!("{OK}@id(\"b\") forbid (principal, action == Action::\"nope\", resource);")).is_err()
    );
    let rules = rules(OK);
    assert_eq!(rules.rule(&call(operation("github:x", Class::Act))).decision(), Decision::Allow);
}
