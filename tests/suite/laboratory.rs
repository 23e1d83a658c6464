//! `remit policy explain` and `remit policy replay` over the journal of a node that really ran.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Agent, House, PERMIT_ALL, PERMIT_READS};

const ISSUES: &str = "https://api.github.com/repos/octo/hello/issues";

fn policy(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_remit"))
        .current_dir(dir)
        .args(["policy", "--config", "config.toml"])
        .args(arguments)
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn the_journal_is_explained_and_replayed_as_it_was_ruled() {
    let house = House::start(PERMIT_READS, "").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    for _ in 0..2 {
        assert_eq!(agent.ask("GET", ISSUES, &[]).await.0, StatusCode::OK);
    }
    let (status, headers, _) = agent.ask("POST", ISSUES, &[]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let denied = headers["remit-call"].to_str().unwrap().to_owned();
    let kept = tempfile::tempdir().unwrap();
    let dir = house.dir.path().to_owned();
    for (name, text) in [
        ("same", PERMIT_READS),
        ("all", PERMIT_ALL),
        ("none", "@id(\"none\") forbid (principal, action, resource);\n"),
    ] {
        std::fs::create_dir(kept.path().join(name)).unwrap();
        std::fs::write(kept.path().join(name).join("p.cedar"), text).unwrap();
    }

    let told = policy(&dir, &["explain", &denied, "--json"]);
    assert_eq!(told.status.code(), Some(1));
    let told = json(&told);
    assert_eq!(told["operations"][0]["operation"], "github:issues/create");
    assert_eq!(told["operations"][0]["near"][0]["policy"], "reads", "{told}");
    assert_eq!(told["operations"][0]["near"][0]["unmet"], "action in [Action::\"read\"]", "{told}");

    let replay = |name: &str| {
        let place = kept.path().join(name);
        policy(&dir, &["replay", "--json", "--policies", place.to_str().unwrap()])
    };
    let same = replay("same");
    assert_eq!(same.status.code(), Some(0), "{}", json(&same));
    assert_eq!((&json(&same)["calls"], &json(&same)["without_task"]), (&3.into(), &0.into()));
    let all = json(&replay("all"));
    assert_eq!(all["newly_allowed"][0]["operation"], "github:issues/create", "{all}");
    assert_eq!(
        (&all["newly_allowed"][0]["calls"], &all["newly_denied"]),
        (&1.into(), &Value::Array(Vec::new()))
    );
    let draft = policy(&dir, &["suggest"]);
    let (text, told) = (String::from_utf8_lossy(&draft.stdout), String::from_utf8_lossy(&draft.stderr));
    assert_eq!(draft.status.code(), Some(0), "{told}");
    assert!(
        text.contains("action == Action::\"github:issues/list-for-repo\"") && !text.contains("create"),
        "{text}"
    );
    assert!(text.contains("[\"octo/hello\"].contains(resource.id)"), "{text}");
    std::fs::create_dir(kept.path().join("draft")).unwrap();
    std::fs::write(kept.path().join("draft/p.cedar"), &draft.stdout).unwrap();
    let drafted = replay("draft");
    assert_eq!(drafted.status.code(), Some(0), "{}", json(&drafted));

    let none = replay("none");
    assert_eq!(none.status.code(), Some(1));
    assert_eq!(json(&none)["newly_denied"][0]["calls"], 2, "{}", json(&none));
}

#[tokio::test]
async fn a_delegated_call_is_explained_and_replayed_link_by_link() {
    // The helper may act, and whoever delegated to it has read too much to.
    let tired = "@id(\"tired\") forbid (principal == Agent::\"spiffe://example.org/agent/tester\", action in Action::\"act\", resource)
        when { context.history.reads > 0 };\n";
    let house = House::start(&format!("{PERMIT_ALL}{tired}"), "").await;
    let post = async |path: &str, body: Value| {
        let (status, answer) = house.admin(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
        answer
    };
    let call = async |task: &Value, method: &str| {
        let mut agent =
            Agent::connect(&house, "api.github.com", "http/1.1", task["token"].as_str().unwrap()).await;
        let (status, headers, _) = agent.ask(method, ISSUES, &[]).await;
        (status, headers["remit-call"].to_str().unwrap().to_owned())
    };
    let root = post("/v1/tasks", json!({"agent": "tester", "intent": "test"})).await;
    let delegate = format!("/v1/tasks/{}/delegate", root["id"].as_str().unwrap());
    let child = post(&delegate, json!({"to": "helper"})).await;
    assert_eq!(call(&child, "POST").await.0, StatusCode::OK);
    assert_eq!(call(&root, "GET").await.0, StatusCode::OK);
    let (status, denied) = call(&child, "POST").await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let dir = house.dir.path().to_owned();
    let told = json(&policy(&dir, &["explain", &denied, "--json"]));
    let [own, above] = told["operations"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&own["decision"], &own["in_place_of"]), (&"allow".into(), &Value::Null), "{told}");
    assert_eq!((&above["decision"], &above["by"][0]["policy"]), (&"deny".into(), &"tired".into()), "{told}");
    assert_eq!(above["in_place_of"]["task"], root["id"], "{told}");

    let same = json(&policy(&dir, &["replay", "--json"]));
    assert_eq!((&same["calls"], &same["newly_allowed"]), (&3.into(), &json!([])), "{same}");
    let kept = tempfile::tempdir().unwrap();
    std::fs::write(kept.path().join("p.cedar"), PERMIT_ALL).unwrap();
    let all = json(&policy(&dir, &["replay", "--json", "--policies", kept.path().to_str().unwrap()]));
    assert_eq!(all["newly_allowed"][0]["calls"], 1, "{all}");

    let draft = policy(&dir, &["suggest"]);
    let (text, told) = (String::from_utf8_lossy(&draft.stdout), String::from_utf8_lossy(&draft.stderr));
    assert!(text.contains("agent/helper") && text.contains("agent/tester"), "{text}");
    assert_eq!(draft.status.code(), Some(0), "{told}");
    assert!(told.contains("`tired` decided 1 calls of 1 operations"), "{told}");
}

/// Cases, and what is explained from standard input, may be requests as they go over the wire: the catalog reads them.
#[test]
fn a_case_may_be_the_request_itself() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir_all(dir.path().join("policies/tests")).unwrap();
    write("config.toml", "[policies]\ndir = \"policies\"\n");
    write(
        "policies/p.cedar",
        "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n\
         @id(\"keys\") forbid (principal, action, resource) when { context.brought_key };\n",
    );
    let request = "method = \"POST\"\nhost = \"api.github.com\"\npath = \"/graphql\"\n\
                   headers = { content-type = \"application/json\" }\n";
    let case = |name: &str, expect: &str, body: &str| {
        format!("[[case]]\nname = \"{name}\"\nexpect = \"{expect}\"\n{request}body = '{body}'\n")
    };
    let (query, mutation) = (
        r#"{"query": "query { viewer { login } }"}"#,
        r#"{"query": "mutation { createIssue(input: {repositoryId: \"r\", title: \"t\"}) { issue { id } } }"}"#,
    );
    let key = format!(
        "[[case]]\nname = \"a key\"\nexpect = \"deny\"\npolicy = \"keys\"\nhost = \"api.github.com\"\npath = \"/user\"\nheaders = {{ authorization = \"Bearer ghp_{}\" }}\n",
        "a1B2".repeat(9)
    );
    write(
        "policies/tests/wire.toml",
        &(case("a query", "allow", query) + &case("a mutation", "deny", mutation) + &key),
    );
    let passed = policy(dir.path(), &["test"]);
    assert!(passed.status.success(), "{}", String::from_utf8_lossy(&passed.stderr));
    write("policies/tests/wire.toml", &case("a mutation", "allow", mutation));
    assert_eq!(policy(dir.path(), &["test"]).status.code(), Some(1), "it is denied");
    for (contradiction, why) in [
        (format!("{request}operation = \"github:issues/get\"\n"), "of a request that the catalog reads"),
        (
            format!("{request}resource = {{ kind = \"repo\", id = \"a/b\" }}\n"),
            "reads what a request does from the request",
        ),
    ] {
        write(
            "policies/tests/wire.toml",
            &format!("[[case]]\nname = \"both\"\nexpect = \"deny\"\n{contradiction}"),
        );
        let told = policy(dir.path(), &["test"]);
        assert!(!told.status.success());
        let told = [told.stdout, told.stderr].concat();
        assert!(String::from_utf8_lossy(&told).contains(why), "{}", String::from_utf8_lossy(&told));
    }
    std::fs::remove_file(dir.path().join("policies/tests/wire.toml")).unwrap();
    let mut explain = Command::new(env!("CARGO_BIN_EXE_remit"));
    let explain =
        explain.current_dir(dir.path()).args(["policy", "--config", "config.toml", "explain", "-", "--json"]);
    let mut child =
        explain.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{request}body = '{mutation}'\n").as_bytes()).unwrap();
    let told = json(&child.wait_with_output().unwrap());
    assert_eq!(
        (&told["operations"][0]["class"], &told["operations"][0]["decision"]),
        (&"act".into(), &"deny".into())
    );
}
