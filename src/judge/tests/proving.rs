//! Claims are proved by a solver, refuted by requests that the engine really rules so, and open whenever something is amiss.
//!
//! What wants a solver wants cvc5: `tests/run --all` installs it. Where it is missing such a test has nothing to say, but in
//! CI, where it fails.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::ground::{Small, file};
use crate::call::Timestamp;
use crate::call::{Class, Decision, ServiceName};
use crate::judge::prove::{self, Claim, Found, Kept, Proof, Proofs, Solver, Verdict};
use crate::judge::{PROOFS, PolicySource, Vocabulary};

const SHIPPED: &str = "policies";

fn solver() -> Option<Solver> {
    let program = std::env::var_os("CVC5").unwrap_or_else(|| "cvc5".into()).into();
    let solver = Solver { program, limit: Duration::from_secs(60) };
    match solver.version() {
        Ok(_) => Some(solver),
        Err(why) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
            None
        }
    }
}

fn source(files: &[(&str, &str)]) -> PolicySource {
    PolicySource::of_files(files.iter().map(|(name, text)| file(name, text)).collect(), "policies").unwrap()
}

fn shipped() -> PolicySource {
    PolicySource::dir(&Path::new(env!("CARGO_MANIFEST_DIR")).join(SHIPPED)).unwrap()
}

fn told(proof: &Proof) -> String {
    match &proof.verdict {
        Verdict::Proved => format!("{} proved", proof.claim.id),
        Verdict::Refuted(example) => format!("{} refuted by {:?}", proof.claim.id, example.now.1),
        Verdict::Open(why) => format!("{} open: {why}", proof.claim.id),
    }
}

fn prove(files: &[(&str, &str)], solver: &Solver) -> Vec<String> {
    let proofs =
        prove::invariants(&source(files), &Small, solver).unwrap_or_else(|errors| panic!("{errors}"));
    proofs.iter().map(told).collect()
}

const READS: &str = "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n";

/// `remit policy verify --policies policies --keep` makes them anew.
#[test]
fn the_shipped_proofs_are_of_the_shipped_policies() {
    for source in [PolicySource::embedded(), shipped()] {
        let claims = prove::claims(&source, &Small).unwrap();
        let kept = Kept::of(&source, &Small);
        let Kept::Proofs(proofs) = kept else { panic!("{kept:?}") };
        let mut claimed: Vec<_> = claims.iter().map(|claim| &claim.id).collect();
        claimed.sort();
        assert_eq!(proofs.found.keys().collect::<Vec<_>>(), claimed);
        assert!(proofs.found.values().all(|found| *found == Found::Proved), "{proofs:?}");
    }
}

/// A catalog in which all is read.
struct Milder;

impl Vocabulary for Milder {
    fn operation(&self, id: &str) -> Option<(ServiceName, Class)> {
        Small.operation(id).map(|(service, _)| (service, Class::Read))
    }

    fn services(&self) -> Vec<ServiceName> {
        Small.services()
    }

    fn operation_ids(&self) -> Vec<String> {
        Small.operation_ids()
    }
}

#[test]
fn proofs_on_file_count_for_what_was_asked_and_for_nothing_else() {
    const NEVER: &str =
        "@id(\"no-acts\") @expect(\"never\") permit (principal, action in Action::\"act\", resource);\n";
    const CREATE: &str =
        "@id(\"create\") permit (principal, action == Action::\"github:issues/create\", resource);\n";
    let files = [("a.cedar", CREATE), ("invariants/i.cedar", NEVER), ("tests/t.toml", "")];
    let with = |change: (&str, &str), proofs: Option<&str>| {
        let mut files: Vec<_> = files
            .iter()
            .map(|(name, text)| if *name == change.0 { change } else { (*name, *text) })
            .collect();
        files.extend(proofs.map(|text| (PROOFS, text)));
        Kept::of(&source(&files), &Small)
    };
    let same = files[0];
    let claim = Claim { id: "no-acts".into(), file: String::new(), says: None, expect: "never" };
    let open = Proof { claim, kinds: 1, verdict: Verdict::Open("it took too long".into()) };
    let at = ("cvc5 1", Timestamp::from_unix_s(0));
    let proofs = Proofs::of(&source(&files), &Small, &[open], at).unwrap();
    let text = serde_json::to_string(&proofs).unwrap();
    assert_eq!(with(same, None), Kept::Nothing);
    assert_eq!(proofs.found["no-acts"], Found::NotProved("it took too long".into()));
    assert_eq!(with(same, Some(&text)), Kept::Proofs(proofs.clone()));
    assert_eq!(with(("tests/t.toml", "[[case]]"), Some(&text)), Kept::Proofs(proofs), "cases decide nothing");
    let unfit = |kept: Kept| if let Kept::Unfit(why) = kept { why } else { panic!("{kept:?}") };
    for changed in [("a.cedar", READS), ("invariants/i.cedar", "// \n")] {
        assert!(unfit(with(changed, Some(&text))).contains("have changed"), "{changed:?}");
    }
    let older = text.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    assert!(unfit(with(same, Some(&older))).contains("by remit 0.0.1"));
    assert!(unfit(with(same, Some("{}"))).contains("cannot be read"));
    let mut kept = source(&files);
    kept.proofs = Some(file(PROOFS, &text));
    assert!(unfit(Kept::of(&kept, &Milder)).contains("the catalog"), "an operation has another class");
    let other = kept.with_policies(file("a.cedar", READS));
    assert_eq!(Kept::of(&other, &Small), Kept::Nothing);
}

#[test]
fn the_shipped_invariants_hold() {
    let Some(solver) = solver() else { return };
    let proofs = prove::invariants(&shipped(), &Small, &solver).unwrap();
    assert_eq!(proofs.len(), 7, "as the changelog says");
    for proof in &proofs {
        assert!(matches!(proof.verdict, Verdict::Proved), "{}", told(proof));
        assert!(proof.kinds >= 2, "{}: {} kinds", proof.claim.id, proof.kinds);
    }
}

#[test]
fn each_guard_that_is_taken_away_refutes_what_rests_on_it() {
    let Some(solver) = solver() else { return };
    let listed = "|| action in [Action::\"github:issues/create\", Action::\"stripe\"] //";
    for (guard, invariant) in [
        ("outside-of-the-grant", "read-only-never-acts"),
        ("outside-of-the-grant", "read-is-not-implied"),
        ("outside-of-the-grant", "act-is-not-implied"),
        ("key-brought", "no-key-is-brought"),
        ("secret-stays-inside", "secret-never-leaves-unapproved"),
        ("not-understood", "not-understood-never-passes"),
    ] {
        let mut source = shipped();
        for file in &mut source.policies {
            // What an operator would list, so that acts go out at all.
            file.text = file.text.replace(&format!("// {listed}"), listed);
            file.text = without(&file.text, guard);
        }
        let proofs = prove::invariants(&source, &Small, &solver).unwrap_or_else(|errors| panic!("{errors}"));
        let proof = proofs.iter().find(|proof| proof.claim.id == invariant).unwrap();
        let Verdict::Refuted(example) = &proof.verdict else { panic!("without {guard}: {}", told(proof)) };
        assert_eq!(example.now.0, Decision::Allow);
        assert!(!example.reads.is_empty() && example.case["decision"] == "deny", "{example:?}");
    }
}

/// A file without the policy of this name.
fn without(text: &str, id: &str) -> String {
    let Some(at) = text.find(&format!("@id(\"{id}\")")) else { return text.to_owned() };
    let end = text[at..].find("\n};").map(|end| end + 3);
    let plain = text[at..].find("};").map(|end| end + 2);
    let end = at + end.into_iter().chain(plain).min().unwrap();
    format!("{}{}", &text[..at], &text[end..])
}

#[test]
fn a_refuting_request_is_a_case_that_fails_until_it_is_mended() {
    let Some(solver) = solver() else { return };
    let never = "@id(\"n\") @expect(\"never\") permit (principal, action in Action::\"read\", resource) when { context.task.intent == \"idle\" };";
    let files = [("p.cedar", READS), ("invariants/i.cedar", never)];
    let proofs = prove::invariants(&source(&files), &Small, &solver).unwrap();
    let Verdict::Refuted(example) = &proofs[0].verdict else { panic!("{}", told(&proofs[0])) };
    assert_eq!(example.reads, [("context.task.intent".to_owned(), "\"idle\"".to_owned())]);
    let case = file("tests/found.json", &serde_json::Value::Array(vec![example.case.clone()]).to_string());
    let run = |policies: &str| {
        let source = source(&[("p.cedar", policies)]);
        let rules = crate::judge::Rules::load(&source, &Small).unwrap();
        crate::judge::lab::run_cases(&rules, &Small, std::slice::from_ref(&case))
            .unwrap_or_else(|errors| panic!("{errors}"))
    };
    let failed = run(READS);
    assert_eq!((failed.passed, failed.failures.len()), (0, 1), "{failed:?}");
    let mended = format!(
        "{READS}@id(\"idle\") forbid (principal, action, resource) when {{ context.task.intent == \"idle\" }};"
    );
    assert_eq!(run(&mended).passed, 1);
}

#[test]
fn what_always_happens_is_proved_only_if_nothing_can_fail() {
    let Some(solver) = solver() else { return };
    let always = "@id(\"a\") @expect(\"always\") permit (principal, action in Action::\"read\", resource);";
    let overflow = "@id(\"sum\") forbid (principal, action in Action::\"read\", resource) when { context.history.reads + context.history.acts < 0 };";
    assert_eq!(prove(&[("p.cedar", READS), ("invariants/i.cedar", always)], &solver), ["a proved"]);
    let both = format!("{READS}{overflow}");
    let told = prove(&[("p.cedar", &both), ("invariants/i.cedar", always)], &solver);
    assert!(told[0].starts_with("a refuted") || told[0].starts_with("a open"), "{told:?}");
    let large = "@id(\"large\") forbid (principal, action in Action::\"read\", resource) when { context.history.reads * 2 == 1 };";
    let told = prove(&[("p.cedar", &format!("{READS}{large}")), ("invariants/i.cedar", always)], &solver);
    assert!(told[0].contains("policy `large` can fail on a request"), "{told:?}");
}

#[test]
fn an_invariant_that_nothing_can_break_is_not_proved() {
    let Some(solver) = solver() else { return };
    let odd = "@id(\"odd\") @expect(\"never\") permit (principal, action in Action::\"read\", resource) when { context.task.intent == \"a\" && context.task.intent == \"b\" };";
    let told = prove(&[("p.cedar", READS), ("invariants/i.cedar", odd)], &solver);
    assert_eq!(told, ["odd open: it describes no request that there could be"]);
}

#[test]
fn what_has_no_name_counts_at_each_service_that_is_named() {
    let Some(solver) = solver() else { return };
    // `unknown:act` at github is in github's group: nowhere but there does this permit it.
    let text = format!("{READS}@id(\"hub\") permit (principal, action in Action::\"github\", resource);");
    let never = "@id(\"u\") @expect(\"never\") permit (principal, action in Action::\"unknown\", resource) unless { action in Action::\"read\" };";
    let told = prove(&[("p.cedar", &text), ("invariants/i.cedar", never)], &solver);
    assert_eq!(told, ["u refuted by [PolicyId(\"hub\")]"]);
}

fn upgrade(old: &[(&str, &str)], new: &[(&str, &str)], solver: &Solver) -> Proof {
    prove::upgrade(&source(old), &source(new), &Small, solver).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn an_upgrade_is_proved_or_the_new_permission_is_shown() {
    let Some(solver) = solver() else { return };
    let old = [("p.cedar", READS)];
    let tighter = "@id(\"reads\") permit (principal, action in Action::\"read\", resource) when { context.recognition == \"exact\" };";
    assert!(matches!(upgrade(&old, &[("p.cedar", tighter)], &solver).verdict, Verdict::Proved));
    assert!(matches!(upgrade(&old, &old, &solver).verdict, Verdict::Proved));
    let looser = format!(
        "{READS}@id(\"big\") permit (principal, action == Action::\"stripe:charges/create\", resource) when {{ context.args has amount && context.args.amount < 100 }};"
    );
    let Verdict::Refuted(example) = upgrade(&old, &[("p.cedar", &looser)], &solver).verdict else {
        panic!("not refuted")
    };
    assert_eq!(
        (example.now.0, example.then.as_ref().map(|then| then.0)),
        (Decision::Allow, Some(Decision::Deny))
    );
    assert_eq!(&*example.now.1[0].0, "big");
    assert!(example.action.contains("stripe:charges/create"), "{example:?}");
}

#[test]
fn another_membership_of_a_group_leaves_an_upgrade_open() {
    let Some(solver) = solver() else { return };
    let text = "@id(\"s\") permit (principal in Group::\"support\", action, resource);";
    let groups = |who: &str| format!("support = [\"spiffe://example.org/{who}\"]\n");
    let (a, b) = (groups("a"), groups("b"));
    let proof = upgrade(
        &[("p.cedar", text), ("groups.toml", &a)],
        &[("p.cedar", text), ("groups.toml", &b)],
        &solver,
    );
    assert!(told(&proof).contains("the group `support`"), "{}", told(&proof));
}

#[test]
fn an_older_set_that_can_fail_leaves_an_upgrade_open() {
    let Some(solver) = solver() else { return };
    let sum = "@id(\"sum\") forbid (principal, action in Action::\"read\", resource) when { context.history.reads * 2 == 1 };";
    let proof = upgrade(&[("p.cedar", &format!("{READS}{sum}"))], &[("p.cedar", READS)], &solver);
    assert!(told(&proof).contains("policy `sum` can fail"), "{}", told(&proof));
}

const ACTS_TWICE: &str = "@id(\"n\") @expect(\"never\") permit (principal, action in Action::\"act\", resource) when { context.history.acts > 2 };";

fn template(condition: &str) -> String {
    format!(
        "@id(\"writer\") permit (principal == ?principal, action in Action::\"act\", resource in ?resource) {condition};\n"
    )
}

#[test]
fn what_no_link_of_a_template_could_permit_is_proved_and_what_one_could_is_refuted() {
    let Some(solver) = solver() else { return };
    let proved = |text: &str, invariant: &str| {
        let text = format!("{READS}{text}");
        prove(&[("p.cedar", &text), ("invariants/i.cedar", invariant)], &solver).join("; ")
    };
    assert_eq!(proved(&template(""), ACTS_TWICE), "n refuted by [PolicyId(\"writer\")]");
    assert_eq!(proved(&template("when { context.history.acts < 3 }"), ACTS_TWICE), "n proved");
    let always = "@id(\"a\") @expect(\"always\") permit (principal, action in Action::\"act\", resource);";
    assert!(proved(&template(""), always).starts_with("a refuted by []"), "no task has to have a link");
    let reads = "@id(\"r\") @expect(\"always\") permit (principal, action in Action::\"read\", resource);";
    assert_eq!(proved(&template(""), reads), "r proved");
    let fails = "@id(\"f\") permit (principal, action, resource in ?resource) when { context.history.acts * 2 == 1 };";
    assert!(proved(fails, reads).contains("policy `f` can fail"), "{}", proved(fails, reads));
    let probe = "@id(\"x\") @expect(\"never\") permit (principal, action, resource in ?resource);";
    let files = [("p.cedar", READS), ("invariants/i.cedar", probe)];
    let told = prove::read_invariants(&source(&files), &Small).unwrap_err().to_string();
    assert!(told.contains("is a template"), "{told}");
}

#[test]
fn an_upgrade_of_templates_allows_nothing_new_if_no_link_does() {
    let Some(solver) = solver() else { return };
    let between = |old: &str, new: &str| {
        let (old, new) = (format!("{READS}{old}"), format!("{READS}{new}"));
        told(&upgrade(&[("p.cedar", &old)], &[("p.cedar", &new)], &solver))
    };
    let bounded = template("when { context.history.acts < 3 }");
    let refuted = "nothing-newly-allowed refuted by [PolicyId(\"writer\")]";
    let proved = "nothing-newly-allowed proved";
    assert_eq!(between(&template(""), &bounded), proved);
    assert_eq!(between(&bounded, &template("")), refuted);
    assert_eq!(between("", &bounded), refuted, "links of what was not in force permitted nothing");
    assert_eq!(between(&bounded, ""), proved);
    let renamed = bounded.replace("\"writer\"", "\"other\"");
    assert!(between(&bounded, &renamed).contains("refuted by [PolicyId(\"other\")]"));
    let exact = bounded.replace("resource in ?", "resource == ?");
    assert_eq!(between(&exact, &bounded), refuted, "a link names more than it did");
}

#[test]
fn invariants_are_held_to_what_policies_are_held_to() {
    let wrong = |text: &str| {
        let source = source(&[("p.cedar", READS), ("invariants/i.cedar", text)]);
        prove::read_invariants(&source, &Small).unwrap_err().to_string()
    };
    let body = "permit (principal, action, resource);";
    assert!(wrong(&format!("@id(\"x\") {body}")).contains("does not say what it expects"));
    assert!(wrong(&format!("@id(\"x\") @expect(\"maybe\") {body}")).contains("neither `never` nor `always`"));
    assert!(
        wrong("@id(\"x\") @expect(\"never\") forbid (principal, action, resource);").contains("is a forbid")
    );
    assert!(wrong(&format!("@expect(\"never\") {body}")).contains("no `@id`"));
    assert!(
        wrong(&format!("@id(\"x\") @expect(\"never\") @hodl(\"y\") {body}"))
            .contains("unknown annotation `@hodl`")
    );
    let creat = "@id(\"x\") @expect(\"never\") permit (principal, action == Action::\"github:issues/creat\", resource);";
    assert!(wrong(creat).contains("did you mean `github:issues/create`"));
    let typed =
        "@id(\"x\") @expect(\"never\") permit (principal, action, resource) when { context.nothing };";
    assert!(wrong(typed).contains("nothing"), "{}", wrong(typed));
    let policy =
        source(&[("p.cedar", "@id(\"x\") @expect(\"never\") permit (principal, action, resource);")]);
    let told = crate::judge::Rules::load(&policy, &Small).unwrap_err().to_string();
    assert!(
        told.contains("unknown annotation `@expect`"),
        "an invariant among the policies would be judged by: {told}"
    );
}

#[test]
fn nothing_is_judged_by_an_invariant() {
    let plain = source(&[("p.cedar", READS)]);
    let with = source(&[
        ("p.cedar", READS),
        ("invariants/i.cedar", "@id(\"x\") @expect(\"never\") permit (principal, action, resource);"),
    ]);
    let rules = |source: &PolicySource| crate::judge::Rules::load(source, &Small).unwrap();
    assert_eq!(rules(&plain).policies(), rules(&with).policies());
    assert_eq!(rules(&plain).digest(), rules(&with).digest());
}

/// A program that is no solver, by what it does.
fn impostor(script: &str) -> (tempfile::TempDir, Solver) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("cvc5");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (dir, Solver { program, limit: Duration::from_secs(1) })
}

#[test]
fn whatever_is_wrong_with_the_solver_proves_nothing() {
    let never = "@id(\"n\") @expect(\"never\") permit (principal, action in Action::\"act\", resource) when { context.history.acts > 3 };";
    let all = "@id(\"all\") permit (principal, action, resource) unless { context.history.acts > 3 };";
    let files = [("p.cedar", all), ("invariants/i.cedar", never)];
    let absent = Solver { program: "/nowhere/cvc5".into(), limit: Duration::from_secs(1) };
    assert!(absent.version().is_err());
    assert!(prove(&files, &absent)[0].contains("cannot be started"));
    for (script, why) in [
        ("exit 0", "solver"),
        ("while read line; do case $line in *check-sat*) echo unknown;; esac; done", "does not know"),
        ("while read line; do case $line in *check-sat*) echo maybe;; esac; done", "maybe"),
        (
            "while read line; do case $line in *check-sat*) echo sat;; *get-model*) echo nonsense;; esac; done",
            "nonsense",
        ),
        (
            "while read line; do case $line in *check-sat*) echo '(error \"out of memory\")';; esac; done",
            "out of memory",
        ),
    ] {
        let (_dir, solver) = impostor(script);
        assert!(solver.version().is_err(), "{script}");
        let told = prove(&files, &solver);
        assert!(told[0].starts_with("n open: ") && told[0].contains(why), "{script}: {told:?}");
    }
}
