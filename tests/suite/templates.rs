//! Policy templates through a whole node: a task is opened with a link, and may what the link names.

use std::process::Command;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Agent, House, of_kind};

const POLICIES: &str = "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n\
    @id(\"repo-writer\") permit (principal == ?principal, action in Action::\"act\", resource in ?resource);\n";
const HELLO: &str = "https://api.github.com/repos/octo/hello/issues";
const OTHER: &str = "https://api.github.com/repos/octo/other/issues";

/// Status and body of an act in the name of a task.
async fn act(house: &House, task: &Value, url: &str) -> (StatusCode, String) {
    let token = task["token"].as_str().unwrap_or_else(|| panic!("no token in {task}"));
    let mut agent = Agent::connect(house, "api.github.com", "http/1.1", token).await;
    let (status, _, text) = agent.ask("POST", url, &[]).await;
    (status, text)
}

#[tokio::test]
async fn a_task_may_act_where_its_link_says_and_nowhere_else() {
    let house = House::start(POLICIES, "").await;
    let open = async |body: Value| house.admin(Method::POST, "/v1/tasks", body).await;
    let wanted = json!({
        "agent": "tester", "intent": "test", "grant": {"links": ["repo-writer=github/repo/octo/hello"]},
    });
    let (status, task) = open(wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{task}");
    assert_eq!(act(&house, &task, HELLO).await.0, StatusCode::OK);
    assert_eq!(act(&house, &task, OTHER).await.0, StatusCode::FORBIDDEN);
    let (_, plain) = open(json!({"agent": "tester", "intent": "test"})).await;
    assert_eq!(
        act(&house, &plain, HELLO).await.0,
        StatusCode::FORBIDDEN,
        "the agent's other tasks have none"
    );

    let path = format!("/v1/tasks/{}/delegate", task["id"].as_str().unwrap());
    let wider = json!({"to": "helper", "grant": {"links": ["repo-writer=github/repo/octo/other"]}});
    let (status, problem) = house.admin(Method::POST, &path, wider).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("bad_grant")));
    let (_, child) = house.admin(Method::POST, &path, json!({"to": "helper"})).await;
    assert_eq!(act(&house, &child, HELLO).await.0, StatusCode::FORBIDDEN, "links are not taken over");
    let same = json!({"to": "helper", "grant": {"links": ["repo-writer=github/repo/octo/hello"]}});
    let (_, child) = house.admin(Method::POST, &path, same).await;
    assert_eq!(act(&house, &child, HELLO).await.0, StatusCode::OK);

    let (_, unknown) =
        open(json!({"agent": "tester", "intent": "test", "grant": {"links": ["writer=github"]}})).await;
    let (status, text) = act(&house, &unknown, HELLO).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("no template of that name is in force"), "{text}");

    let house = house.restart().await;
    assert_eq!(act(&house, &task, HELLO).await.0, StatusCode::OK, "links outlive the node");
    let replayed = Command::new(env!("CARGO_BIN_EXE_remit"))
        .current_dir(house.dir.path())
        .args(["policy", "replay", "--config", "config.toml", "--json"])
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&replayed.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&replayed.stderr)));
    assert_eq!((&told["newly_allowed"], &told["newly_denied"]), (&json!([]), &json!([])), "{told}");
    let journal = house.journal().await;
    let opened = of_kind(&journal, "task_opened");
    assert_eq!(opened[0]["terms"]["grant"]["links"], json!(["repo-writer=github/repo/octo/hello"]));
}
