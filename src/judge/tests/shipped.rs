//! The policies in the binary, and the verbs over them.

use super::ground::{Small, call, file, on, operation, unknown};
use crate::call::{Class, Decision};
use crate::judge::{PolicySource, Rules, lab};
use crate::terminal::policy::{Finding, check, test};

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
        assert_eq!(ruling.decision(), Decision::Deny, "{asked:?}");
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
    assert_eq!(decide(operation("github:issues/create-comment", Class::Act)), Decision::Deny);
}

#[test]
fn check_prints_one_line_or_every_problem() {
    let mut out = Vec::new();
    assert_eq!(check(&Ok(PolicySource::embedded()), &Small, &mut out).unwrap(), Finding::Sound);
    let line = String::from_utf8(out).unwrap();
    assert!(line.starts_with("6 policies in 4 files, 12 actions in the schema, sha256:"), "{line}");

    let bad =
        PolicySource::of_files(vec![file("a.cedar", "permit (principal, action, resource);")], "policies");
    let mut out = Vec::new();
    assert_eq!(check(&bad, &Small, &mut out).unwrap().exit_code(), 1);
    let told = String::from_utf8(out).unwrap();
    assert!(
        told.starts_with("a.cedar:1:1: the policy has no `@id`") && told.ends_with("\n1 problem found\n"),
        "{told}"
    );
}

#[test]
fn test_tells_what_went_otherwise() {
    let run = |cases: &str| {
        let mut source = PolicySource::embedded();
        source.cases = vec![file("tests/mine.toml", cases)];
        let mut out = Vec::new();
        let finding = test(&Ok(source), &Small, &mut out).unwrap();
        (finding, String::from_utf8(out).unwrap())
    };
    let (finding, told) =
        run("[[case]]\nname = \"one\"\noperation = \"github:issues/create\"\nexpect = \"allow\"\n");
    assert_eq!(finding, Finding::Wanting);
    assert!(
        told.starts_with(
            "tests/mine.toml: one: expected allow, got deny by act-not-listed\n1 case, 1 not as expected"
        ),
        "{told}"
    );

    let (finding, told) = run(
        "[[case]]\nname = \"one\"\nagent = \"ci\"\noperation = \"github:issues/create\"\nexpect = \"deny\"\npolicy = \"other\"",
    );
    assert_eq!(finding, Finding::Wanting, "denied, but by another policy: {told}");

    let (finding, told) =
        run("[[case]]\nname = \"one\"\noperation = \"github:issues/creat\"\nexpect = \"deny\"");
    assert_eq!(finding, Finding::Wanting);
    assert!(
        told.contains("tests/mine.toml:1:1: case `one`: the catalog has no operation `github:issues/creat`"),
        "{told}"
    );

    let (finding, told) =
        run("[[case]]\nname = \"one\"\nservice = \"github\"\nclas = \"act\"\nexpect = \"deny\"");
    assert_eq!(finding, Finding::Wanting);
    assert!(told.contains("unknown field `clas`"), "{told}");

    let (finding, told) = run("");
    assert_eq!((finding, told.starts_with("there are no cases")), (Finding::Wanting, true));

    let (finding, told) = run(
        "[[case]]\nname = \"one\"\nagent = \"ci\"\nintent = \"x\"\nlabels = { a = \"b\" }\nservice = \"github\"\nclass = \"read\"\nhost = \"api.github.com\"\nmethod = \"POST\"\npath = \"/x\"\nhistory = { acts = 3 }\nexpect = \"allow\"",
    );
    assert_eq!((finding, told.as_str()), (Finding::Sound, "1 case, all as expected\n"));
}
