//! The verbs of `remit catalog`, on the shipped catalog.

mod measure;

use serde_json::{Value, json};

use super::{Format, VerbError, classify, list, show};
use crate::catalog::Catalog;

fn printed(verb: impl FnOnce(&Catalog, &mut Vec<u8>) -> Result<(), VerbError>) -> String {
    let mut out = Vec::new();
    verb(&Catalog::shipped().unwrap(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn answers(input: &str) -> Vec<Value> {
    let out = printed(|catalog, out| classify(catalog, input.as_bytes(), out));
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn answer(row: &Value) -> Value {
    answers(&row.to_string()).remove(0)
}

#[test]
fn classify_answers_in_the_contract_s_form() {
    let row = json!({"id": "r1", "method": "POST", "host": "API.GitHub.com:443", "path": "/repos/octo/hello/issues",
        "headers": {"Content-Type": "application/json"}, "body": "{}"});
    assert_eq!(
        answer(&row),
        json!({"id": "r1", "label": "act", "operation": "github:issues/create", "service": "github",
            "recognition": "exact", "resource": {"kind": "repo", "id": "octo/hello"}})
    );
    let bare = json!({"id": 7, "method": "GET", "host": "nobody.example", "path": "/", "body": null});
    assert_eq!(
        answer(&bare),
        json!({"id": 7, "label": "read", "operation": "unknown:read", "service": "nobody.example",
            "recognition": "inferred", "resource": null})
    );
}

#[test]
fn rows_that_are_no_request_are_act_at_least() {
    for (method, host, path) in [
        ("GET", "nobody.example", "/a b"),
        ("GET", "nobody.example", "no-slash"),
        ("GET", "nobody.example", "/a/../b"),
        ("GET", "no host", "/"),
        ("GET", "", ""),
        ("G T", "nobody.example", "/"),
        ("GET", "api.github.com", "/repos/o/r/issues/../labels"),
        ("GET", "nobody.example", "https://api.github.com/repos/o/r"),
        ("GET", "nobody.example", "/%zz\\"),
    ] {
        let found = answer(&json!({"id": "x", "method": method, "host": host, "path": path}));
        assert_eq!(found["label"], "act", "{method} {host} {path}");
        assert_eq!(found["operation"], "unknown:act");
    }
    let bad_header = json!({"method": "GET", "host": "a.example", "path": "/", "headers": {"bad name": "x"}});
    assert_eq!(answer(&bad_header)["label"], "act");
}

#[test]
fn what_a_dot_segment_leads_to_counts() {
    let row =
        json!({"method": "PUT", "host": "api.github.com", "path": "/repos/o/r/issues/../collaborators/eve"});
    assert_eq!(answer(&row)["label"], "delegate");
    assert_eq!(answer(&row)["operation"], "github:repos/add-collaborator");
    let absolute = json!({"method": "PUT", "host": "a.example", "path": "https://api.github.com/repos/o/r/collaborators/eve"});
    assert_eq!(answer(&absolute)["label"], "delegate");
}

#[test]
fn a_line_that_is_no_json_is_named() {
    let catalog = Catalog::shipped().unwrap();
    let input = "{\"method\":\"GET\",\"host\":\"a.example\",\"path\":\"/\"}\n\nnonsense\n";
    let error = classify(&catalog, input.as_bytes(), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.starts_with("line 3 is not a request: "), "{error}");
}

#[test]
fn list_names_services_and_operations() {
    let services = printed(|catalog, out| list(catalog, None, Format::Text, out));
    assert!(
        services.lines().any(|line| line.starts_with("github ") && line.contains("api.github.com")),
        "{services}"
    );
    let operations = printed(|catalog, out| list(catalog, Some("anthropic"), Format::Text, out));
    assert!(operations.contains("read      anthropic:messages.create\n"), "{operations}");
    let all: Value = serde_json::from_str(&printed(|c, out| list(c, None, Format::Json, out))).unwrap();
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|s| s["service"]["name"] == "slack" && s["operations"].as_u64() > Some(20))
    );
    let one: Value =
        serde_json::from_str(&printed(|c, out| list(c, Some("gmail"), Format::Json, out))).unwrap();
    assert!(
        one.as_array().unwrap().iter().any(|o| o["id"] == "gmail:users.messages.send" && o["class"] == "act")
    );
}

#[test]
fn show_tells_class_reason_and_source() {
    let text = printed(|catalog, out| show(catalog, "github:markdown/render", Format::Text, out));
    for part in ["read (catalog, corrected: renders", "POST /markdown", "MIT"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let all: Value =
        serde_json::from_str(&printed(|c, out| show(c, "slack:chat.postMessage", Format::Json, out)))
            .unwrap();
    assert_eq!(all["operation"]["places"], json!(["GET,POST /api/chat.postMessage"]));
    assert_eq!(all["service"]["provenance"]["licence"], "MIT");
}

#[test]
fn misspelt_names_get_the_nearest() {
    let catalog = Catalog::shipped().unwrap();
    let says = |result: Result<(), VerbError>| result.unwrap_err().to_string();
    assert_eq!(
        says(show(&catalog, "github:issues/creat", Format::Text, &mut Vec::new())),
        "there is no operation `github:issues/creat`; did you mean `github:issues/create`?"
    );
    assert_eq!(
        says(list(&catalog, Some("strype"), Format::Text, &mut Vec::new())),
        "there is no service `strype`; did you mean `stripe`?"
    );
}
