//! Other policies while a node runs: whole or not at all, and what is under way is judged again.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::harness::{Agent, House, PERMIT_ALL, PERMIT_READS, of_kind, request};

const ISSUES: &str = "https://api.github.com/repos/octo/hello/issues";
const NO_STREAM: &str =
    "@id(\"no-stream\") forbid (principal, action, resource) when { context.http.path == \"/stream\" };\n";

/// An act, which is expected to be allowed.
const CEDAR_CASE: &str = r#"[{"name": "c", "decision": "allow", "entities": [], "request": {
  "principal": "Agent::\"spiffe://example.org/agent/x\"", "action": "Action::\"github:*act\"", "resource": "Service::\"github\"",
  "context": {
    "task": {"id": "t", "intent": "i", "labels": [], "on_behalf_of": "", "depth": 0, "delegated_by": [], "granted": []},
    "agent": {"registered": false, "kind": "agent", "owner": "", "environment": "", "labels": [], "reads": 0, "acts": 0, "delegates": 0,
      "denials": 0, "service_seen": false, "operation_seen": false, "drift": false},
    "history": {"reads": 0, "acts": 0, "delegates": 0, "denials": 0, "service_seen": false, "operation_seen": false,
      "resource_seen": false, "resource_read": false, "labels": [], "external": 0, "bytes_out": 0},
    "http": {"scheme": "https", "host": "h", "port": 443, "method": "POST", "path": "/"}, "args": {"domains": [], "unclear": false},
    "direction": "out", "brought_key": false, "drifted": false, "recognition": "exact", "evidence": "task-token", "approved": false,
    "time": "2026-11-26T00:00:00Z"}}}]"#;

fn write(house: &House, name: &str, text: &str) {
    let path = house.dir.path().join("policies").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn reload(house: &House) -> (StatusCode, Value) {
    house.admin(Method::POST, "/v1/policies/reload", Value::Null).await
}

async fn post_issue(agent: &mut Agent) -> StatusCode {
    agent.ask("POST", ISSUES, &[]).await.0
}

#[tokio::test]
async fn other_policies_rule_the_next_call() {
    let house = House::start(PERMIT_ALL, "").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    assert_eq!(post_issue(&mut agent).await, StatusCode::OK);
    write(&house, "test.cedar", PERMIT_READS);
    let (status, done) = reload(&house).await;
    assert_eq!((status, &done["changed"]), (StatusCode::OK, &Value::Bool(true)), "{done}");
    assert_eq!(post_issue(&mut agent).await, StatusCode::FORBIDDEN);
    let (_, node) = house.admin(Method::GET, "/v1/node", Value::Null).await;
    assert_eq!(node["policy_digest"], done["policy_digest"]);

    let journal = house.journal().await;
    let loaded = of_kind(&journal, "rules_loaded");
    assert_eq!(loaded.len(), 2, "{loaded:#?}");
    assert_eq!((&loaded[1]["from"], &loaded[1]["digest"]), (&loaded[0]["digest"], &done["policy_digest"]));
}

#[tokio::test]
async fn a_stream_that_is_no_longer_allowed_is_cut_and_others_go_on() {
    let house = House::start(PERMIT_ALL, "").await;
    let (mut agent, mut other) = (house.agent("api.test", "h2").await, house.agent("api.test", "h2").await);
    let cut = agent.send(request(true, "GET", "https://api.test/stream", &[])).await;
    let kept = other.send(request(true, "GET", "https://api.test/stream/other", &[])).await;
    let (mut cut, mut kept) = (cut.into_body(), kept.into_body());
    assert!(cut.frame().await.unwrap().is_ok() && kept.frame().await.unwrap().is_ok());
    write(&house, "test.cedar", &format!("{PERMIT_ALL}{NO_STREAM}"));
    assert_eq!(reload(&house).await.0, StatusCode::OK);
    let ended = async { while let Some(Ok(_)) = cut.frame().await {} };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("a refused stream goes on");
    for _ in 0..20 {
        assert!(kept.frame().await.unwrap().is_ok(), "a stream that is still allowed was cut");
    }
    drop((kept, agent, other));
    let journal = house.journal().await;
    let cut: Vec<_> = of_kind(&journal, "closed").into_iter().map(|closed| &closed["closing"]).collect();
    let cut: Vec<_> = cut.into_iter().filter(|closing| closing["outcome"] == "revoked").collect();
    assert_eq!(cut.len(), 1, "{journal:#?}");
    assert!(cut[0]["error"].as_str().unwrap().contains("other policies"), "{cut:?}");
}

#[tokio::test]
async fn policies_that_are_not_fit_are_refused_whole_and_loudly() {
    let house = House::start(PERMIT_READS, "").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    for (what, name, text) in [
        (
            "one of two has a mistake",
            "more.cedar",
            "@id(\"all\") permit (principal, action, resource);\n@id(\"x\") permit (principal, action resource);",
        ),
        (
            "a case fails",
            "tests/t.toml",
            "[[case]]\nname = \"c\"\nexpect = \"allow\"\nservice = \"github\"\nclass = \"act\"\n",
        ),
        ("a case in Cedar's form fails", "tests/c.json", CEDAR_CASE),
    ] {
        write(&house, name, text);
        let (status, problem) = reload(&house).await;
        assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &"policies_refused".into()), "{what}");
        assert!(problem["detail"].as_str().unwrap().contains(name), "{what}: {problem}");
        let (status, ready) = house.admin(Method::GET, "/readyz", Value::Null).await;
        assert_eq!(status, StatusCode::OK, "calls are served under the policies before: {what}");
        assert!(ready["notice"].as_str().unwrap().contains("refused"), "{what}: {ready}");
        assert_eq!(post_issue(&mut agent).await, StatusCode::FORBIDDEN, "{what}");
        std::fs::remove_file(house.dir.path().join("policies").join(name)).unwrap();
        let (status, done) = reload(&house).await;
        assert_eq!((status, &done["changed"]), (StatusCode::OK, &Value::Bool(false)), "{what}");
        assert_eq!(house.admin(Method::GET, "/readyz", Value::Null).await.1["notice"], Value::Null, "{what}");
    }
    let journal = house.journal().await;
    assert!(of_kind(&journal, "rules_refused").len() >= 2, "{journal:#?}");
    assert_eq!(of_kind(&journal, "rules_loaded").len(), 1, "only those at the start came into force");
}

#[tokio::test]
async fn a_change_on_disk_is_seen_without_being_told() {
    let house = House::start(PERMIT_ALL, "").await;
    write(&house, "deep/er/more.cedar", NO_STREAM);
    let changed = async {
        while house.admin(Method::GET, "/v1/node", Value::Null).await.1["generation"] != 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), changed).await.expect("nobody looked at the directory");
    let mut agent = house.agent("api.test", "h2").await;
    assert_eq!(agent.ask("GET", "https://api.test/stream", &[]).await.0, StatusCode::FORBIDDEN);
}
