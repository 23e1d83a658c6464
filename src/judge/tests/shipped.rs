//! The policies in the binary.

use super::ground::{Given, Small, call, on, operation, unknown};
use std::sync::Arc;

use crate::call::{Class, Decision, History, Operations};
use crate::judge::{PolicySource, Rules, SourceFile, lab};

fn shipped() -> Rules {
    Rules::load(&PolicySource::embedded(), &Small).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn shipped_policies_do_what_their_cases_say() {
    let report = lab::run_cases(&shipped(), &Small, PolicySource::embedded().cases()).unwrap();
    assert_eq!(report.failures, []);
    assert!(report.passed >= 8);
}

#[test]
fn shipped_policies_are_those_of_the_repository() {
    let there =
        PolicySource::dir(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap();
    assert_eq!(there, PolicySource::embedded());
}

#[test]
fn shipped_refusals_all_advise() {
    let rules = shipped();
    for asked in [
        on(operation("github:issues/create", Class::Act), "repo", "octo/hello"),
        operation("github:orgs/invite", Class::Delegate),
        unknown("wiki.example.org", Class::Read),
        unknown("wiki.example.org", Class::Act),
    ] {
        let ruling = rules.rule(&call(asked.clone()));
        assert_ne!(ruling.decision(), Decision::Allow, "{asked:?}");
        assert!(!ruling.reasons().is_empty(), "{asked:?}");
        assert!(
            ruling.reasons().iter().all(|reason| reason.reason.is_some() && reason.advice.is_some()),
            "{ruling:?}"
        );
    }
}

#[test]
fn listing_an_act_as_the_file_shows_permits_it() {
    let mut source = PolicySource::embedded();
    let acts = source.policies.iter_mut().find(|file| file.name == "20-act.cedar").unwrap();
    acts.text = acts.text.replace(
        r#"// || action in [Action::"github:issues/create", Action::"stripe"] //"#,
        r#"|| action in [Action::"github:issues/create", Action::"stripe"] //"#,
    );
    let rules = Rules::load(&source, &Small).unwrap_or_else(|errors| panic!("{errors}"));
    let decide = |asked| rules.rule(&call(asked)).decision();
    assert_eq!(decide(operation("github:issues/create", Class::Act)), Decision::Allow);
    assert_eq!(decide(unknown("stripe", Class::Act)), Decision::Allow);
    assert_eq!(decide(operation("github:issues/create-comment", Class::Act)), Decision::Hold);
}

#[test]
fn the_opt_in_policies_do_what_they_say() {
    let mut source = PolicySource::embedded();
    let history = source.policies.iter_mut().find(|file| file.name == "05-history.cedar").unwrap();
    history.text = history.text.replace("//| ", "");
    let acts = source.policies.iter_mut().find(|file| file.name == "20-act.cedar").unwrap();
    acts.text = acts.text.replace(r"// || action in [", r"|| action in [");
    let rules = Rules::load(&source, &Small).unwrap_or_else(|errors| panic!("{errors}"));
    let case = |name: &str, more: &str, expect: &str| {
        format!(
            "[[case]]\nname = {name:?}\noperation = \"github:issues/create\"\nresource = {{ kind = \"repo\", id = \"o/r\" }}\n{more}\n{expect}\n"
        )
    };
    let known = "who = { registered = true }\n";
    let text = [
        case("read first", &format!("{known}history = {{ resource_read = true }}"), "expect = \"allow\""),
        case("not read", known, "expect = \"hold\"\npolicy = \"read-before-act\""),
        case(
            "nobody answers for it",
            "history = { resource_read = true }",
            "expect = \"hold\"\npolicy = \"unregistered-only-read\"",
        ),
    ];
    let cases = SourceFile { name: "tests/opt-in.toml".into(), text: text.concat() };
    let report = lab::run_cases(&rules, &Small, &[cases]).unwrap();
    assert_eq!(report.failures, []);
    assert_eq!(report.passed, 3);
}

#[test]
fn a_secret_that_was_read_does_not_go_out_without_a_person() {
    let mut source = PolicySource::embedded();
    let acts = source.policies.iter_mut().find(|file| file.name == "20-act.cedar").unwrap();
    acts.text = acts.text.replace(r"// || action in [", r"|| action in [");
    let rules = Rules::load(&source, &Small).unwrap_or_else(|errors| panic!("{errors}"));
    let sending = |external: u64, visibility: Option<&str>, labels: &[&str]| {
        let mut operation = operation("github:issues/create", Class::Act);
        operation.facts.args.external = Some(external);
        operation.facts.args.visibility = visibility.map(str::to_owned);
        let labels = Arc::new(labels.iter().map(|label| Arc::from(*label)).collect());
        let history = History { labels, ..History::default() };
        rules.rule(&Given { history, ..Given::default() }.call(Operations::one(operation))).decision()
    };
    assert_eq!(sending(0, None, &["secret"]), Decision::Allow, "it stays inside");
    assert_eq!(sending(1, None, &["pii"]), Decision::Allow, "it is no secret");
    assert_eq!(sending(1, None, &["pii", "secret"]), Decision::Hold);
    assert_eq!(sending(0, Some("public"), &["secret"]), Decision::Hold);
}
