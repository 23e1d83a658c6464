//! Cases in the form of Cedar's `run-tests`.

use super::ground::{Small, file};
use crate::judge::{Loader, PolicySource, lab};

const POLICIES: &str = "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n\
    @id(\"writers\") permit (principal in Group::\"writers\", action == Action::\"github:issues/create\", resource in Service::\"github\");\n\
    @id(\"late\") forbid (principal, action in Action::\"act\", resource) when { context.history.acts + 1 > 3 };\n";
const GROUPS: &str = "writers = [\"spiffe://example.org/agent/a\"]\n";

fn context(acts: i64) -> String {
    let history = format!(
        r#"{{"reads":0,"acts":{acts},"delegates":0,"denials":0,"holds":0,"service_seen":false,"operation_seen":false,"resource_seen":false,"resource_read":false,"labels":[],"external":0,"bytes_out":0}}"#
    );
    format!(
        r#"{{"task":{{"id":"t","intent":"i","labels":[],"on_behalf_of":"","depth":0,"delegated_by":[],"granted":[]}},
        "agent":{{"registered":false,"kind":"agent","owner":"","environment":"","labels":[],"reads":0,"acts":0,"delegates":0,"denials":0,"holds":0,"service_seen":false,"operation_seen":false,"drift":false}},
        "history":{history},"http":{{"scheme":"https","host":"h","port":443,"method":"GET","path":"/"}},
        "args":{{"domains":[],"unclear":false}},"direction":"in","brought_key":false,"drifted":false,"recognition":"exact","evidence":"task-token","approved":false,"time":"2026-11-26T00:00:00Z"}}"#
    )
}

fn case(name: &str, action: &str, entities: &str, acts: i64, expected: &str) -> String {
    let context = context(acts);
    format!(
        r#"{{"name":"{name}","request":{{"principal":"Agent::\"spiffe://example.org/agent/a\"","action":"Action::\"{action}\"","resource":"Service::\"github\"","context":{context}}},"entities":{entities},{expected}}}"#
    )
}

const GITHUB: &str = r#"[{"uid":{"type":"Service","id":"github"},"attrs":{"service":"github","catalogued":true,"labels":[]},"parents":[]}]"#;

fn source(files: &[(&str, &str)]) -> PolicySource {
    let all = [("p.cedar", POLICIES), ("groups.toml", GROUPS)];
    let files = all.iter().chain(files).map(|(name, text)| file(name, text)).collect();
    PolicySource::of_files(files, "policies").unwrap()
}

fn run(files: &[(&str, &str)]) -> Result<(usize, Vec<String>), String> {
    let source = source(files);
    let rules = Loader::default().load(&source, &Small).unwrap_or_else(|errors| panic!("{errors}"));
    let report = lab::run_cases(&rules, &Small, source.cases()).map_err(|errors| errors.to_string())?;
    Ok((report.passed, report.failures.iter().map(ToString::to_string).collect()))
}

#[test]
fn cases_run_as_cedar_writes_them() {
    let cases = [
        case(
            "a read",
            "github:issues/get",
            GITHUB,
            0,
            r#""decision":"allow","reason":["reads"],"num_errors":0"#,
        ),
        case("what no policy names", "github:*read", GITHUB, 0, r#""decision":"allow""#),
        case(
            "a group that the file of groups says",
            "github:issues/create",
            GITHUB,
            0,
            r#""decision":"allow","reason":["writers"]"#,
        ),
        case(
            "a forbid",
            "github:issues/create",
            GITHUB,
            3,
            r#""decision":"deny","reason":["late"],"num_errors":0"#,
        ),
        case("nothing permits it", "unknown:act", GITHUB, 0, r#""decision":"deny","reason":[]"#),
        case(
            "a policy that fails denies",
            "github:issues/create",
            GITHUB,
            i64::MAX,
            r#""decision":"deny","num_errors":1"#,
        ),
    ];
    let text = format!("[{}]", cases.join(","));
    assert_eq!(run(&[("tests/cedar.json", &text)]).unwrap(), (cases.len(), Vec::new()));
}

#[test]
fn entities_may_stand_in_a_file_of_their_own() {
    let one = case("a read", "github:issues/get", "\"entities.json\"", 0, r#""decision":"allow""#);
    let text = format!("[{one}]");
    assert_eq!(
        run(&[("tests/cedar.json", &text), ("tests/entities.json", GITHUB)]).unwrap(),
        (1, Vec::new())
    );
    let told = run(&[("tests/cedar.json", &text)]).unwrap_err();
    assert!(told.contains("there is no `entities.json` beside it"), "{told}");
}

#[test]
fn what_goes_otherwise_is_told_and_keeps_the_set_from_loading() {
    let wrong = [
        case("it reads", "github:issues/get", GITHUB, 0, r#""decision":"deny""#),
        case("by another", "github:issues/get", GITHUB, 0, r#""decision":"allow","reason":["writers"]"#),
        case("it fails", "github:issues/create", GITHUB, i64::MAX, r#""decision":"deny","num_errors":0"#),
    ];
    let text = format!("[{}]", wrong.join(","));
    let (passed, failures) = run(&[("tests/cedar.json", &text)]).unwrap();
    assert_eq!((passed, failures.len()), (0, 3), "{failures:?}");
    assert!(
        failures[0].starts_with("tests/cedar.json: it reads: expected deny, got allow by reads"),
        "{failures:?}"
    );
    assert!(failures[2].contains("1 policies failed and 0 were to"), "{failures:?}");
    let told = Loader::default()
        .load_tried(&source(&[("tests/cedar.json", &text)]), &Small)
        .unwrap_err()
        .to_string();
    assert!(told.contains("it reads: expected deny, got allow"), "{told}");
}

#[test]
fn what_is_no_case_is_told_with_its_place() {
    let told = |text: &str| run(&[("tests/cedar.json", text)]).unwrap_err();
    assert!(
        told("[\n  {\"name\": 1}\n]").starts_with("tests/cedar.json:2:"),
        "{}",
        told("[\n  {\"name\": 1}\n]")
    );
    let unknown = format!("[{}]", case("x", "github:issues/creat", GITHUB, 0, r#""decision":"deny""#));
    assert!(told(&unknown).contains("x: the catalog has no operation `github:issues/creat`"));
    let unfit = format!(
        "[{}]",
        case("x", "github:issues/get", GITHUB, 0, r#""decision":"deny""#).replace("\"drifted\":false,", "")
    );
    assert!(told(&unfit).contains("drifted"), "{}", told(&unfit));
}
