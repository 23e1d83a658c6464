//! Holds, observe mode and candidates, on whole nodes.

use std::path::Path;
use std::process::Command;

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{House, PERMIT_ALL, PERMIT_READS, of_kind, request};

const ISSUES: &str = "https://api.github.com/repos/octo/hello/issues";
const HELD: &str = "@id(\"all\") permit (principal, action, resource);\n\
    @id(\"acts\") @hold(\"owners\") @reason(\"a person looks at acts\") @advice(\"Tell your person.\")\n\
    forbid (principal, action in Action::\"act\", resource) unless { context.approved };\n";

#[tokio::test]
async fn a_held_act_never_leaves_and_says_who_may_approve_it() {
    let house = House::start(HELD, "[holds]\npatience_s = 0\n").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    assert_eq!(agent.ask("GET", ISSUES, &[]).await.0, StatusCode::OK);
    let (status, headers, text) = agent.ask("POST", ISSUES, &[]).await;
    assert_eq!((status.as_u16(), headers["remit-refusal"].to_str().unwrap()), (425, "held"));
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&told["approvers"], &told["advice"]), (&json!(["owners"]), &json!("Tell your person.")));
    let hold = told["hold"].as_str().unwrap().to_owned();
    assert!(told["message"].as_str().unwrap().contains(&hold), "{told}");
    assert_eq!(house.origin.seen().len(), 1, "only the read");
    let (_, metrics) = metrics(&house).await;
    assert!(metrics.contains("remit_calls_total{class=\"act\",decision=\"hold\"} 1"), "{metrics}");

    let journal = house.journal().await;
    let refused = of_kind(&journal, "refused");
    assert_eq!((&refused[0]["decision"], &refused[0]["policies"]), (&json!("hold"), &json!(["acts"])));
    assert_eq!(
        (&refused[0]["refusal"]["code"], &refused[0]["refusal"]["status"]),
        (&json!("held"), &json!(425))
    );
    assert!(refused[0]["refusal"]["message"].as_str().unwrap().contains(&hold));
}

#[tokio::test]
async fn a_held_tool_call_is_a_result_that_a_model_reads() {
    let house = House::start(HELD, "[holds]\npatience_s = 0\n").await;
    let mut agent = house.agent("api.test", "h2").await;
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "send_mail", "arguments": {}}});
    let mut asked = request(true, "POST", "https://api.test/mcp", &[("content-type", "application/json")]);
    *asked.body_mut() = http_body_util::Full::new(bytes::Bytes::from(call.to_string()));
    let answer = agent.send(asked).await;
    assert_eq!(
        (answer.status(), answer.headers()["remit-refusal"].to_str().unwrap()),
        (StatusCode::OK, "held")
    );
    let told: Value =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!((&told["id"], &told["result"]["isError"]), (&json!(9), &json!(true)));
    let text = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("held for a person of `owners`") && text.contains("Tell your person."), "{text}");
    assert!(house.origin.seen().is_empty());
}

#[tokio::test]
async fn observed_calls_go_out_and_the_record_says_what_would_have_been() {
    let house = House::start(PERMIT_READS, "").await;
    let house = again(house, "mode = \"observe\"\n").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    assert_eq!(agent.ask("GET", ISSUES, &[]).await.0, StatusCode::OK);
    let (status, headers, _) = agent.ask("POST", ISSUES, &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!headers.contains_key("remit-refusal"));
    assert_eq!(house.origin.seen().len(), 2);
    let (status, text) = metrics(&house).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("remit_observed_calls_total{decision=\"deny\"} 1"), "{text}");

    let state = house.dir.path().to_owned();
    let suggested = policy(&state, &["suggest"]);
    assert!(
        suggested.contains("Action::\"github:issues/create\""),
        "what was observed is drafted: {suggested}"
    );
    let journal = house.journal().await;
    let opened = of_kind(&journal, "opened");
    assert_eq!(
        (&opened[0]["decision"], &opened[0]["observed"]["decision"]),
        (&json!("allow"), &json!("allow"))
    );
    let act = opened[1];
    assert_eq!((&act["decision"], &act["observed"]["decision"]), (&json!("allow"), &json!("deny")));
    assert_eq!(act["policies"], json!([]), "no policy allowed it");
    assert!(act["observed"]["note"].as_str().unwrap().contains("no policy permits it"), "{act}");
}

#[tokio::test]
async fn who_has_not_said_who_it_is_is_refused_all_the_same() {
    let house = again(House::start(PERMIT_READS, "").await, "mode = \"observe\"\n").await;
    let facts = house.node.facts();
    let mut stream = tokio::net::TcpStream::connect(facts.proxy).await.unwrap();
    stream.write_all(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 407");
    assert!(house.origin.seen().is_empty());
}

#[tokio::test]
async fn one_service_may_be_observed_and_the_others_not() {
    let house = House::start(PERMIT_READS, "[services.github]\nmode = \"observe\"\n").await;
    let mut github = house.agent("api.github.com", "h2").await;
    let mut other = house.agent("api.test", "h2").await;
    assert_eq!(github.ask("POST", ISSUES, &[]).await.0, StatusCode::OK);
    assert_eq!(other.ask("POST", "https://api.test/things", &[]).await.0, StatusCode::FORBIDDEN);
    assert_eq!(house.origin.seen().len(), 1);
}

#[tokio::test]
async fn a_misspelt_service_is_told_and_not_taken() {
    let house = House::start(PERMIT_READS, "").await;
    let path = house.dir.path().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text + "[services.githb]\nmode = \"enforce\"\n").unwrap();
    let config = remit::runtime::Config::load(&path, &std::collections::BTreeMap::new()).unwrap();
    let refused = remit::runtime::Node::start(config, remit::runtime::TraceTo::Nothing).await;
    let told = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told.starts_with("services.githb: the catalog has no such service"), "{told}");
}

#[tokio::test]
async fn a_stream_that_is_observed_is_not_cut_by_other_policies() {
    let house = again(House::start(PERMIT_ALL, "").await, "mode = \"observe\"\n").await;
    let mut agent = house.agent("api.test", "h2").await;
    let mut stream = agent.send(request(true, "GET", "https://api.test/stream", &[])).await.into_body();
    assert!(stream.frame().await.unwrap().is_ok());
    let none = "@id(\"none\") forbid (principal, action, resource);\n";
    std::fs::write(house.dir.path().join("policies/test.cedar"), none).unwrap();
    assert_eq!(house.admin(Method::POST, "/v1/policies/reload", Value::Null).await.0, StatusCode::OK);
    for _ in 0..20 {
        assert!(stream.frame().await.unwrap().is_ok(), "an observed stream was cut");
    }
}

/// Puts a policy set beside the one in force.
pub(crate) fn candidate(house: &House, text: &str) {
    std::fs::create_dir_all(house.dir.path().join("next")).unwrap();
    std::fs::write(house.dir.path().join("next/p.cedar"), text).unwrap();
}

#[tokio::test]
async fn a_candidate_is_asked_and_has_no_force() {
    let house = House::start(PERMIT_READS, "").await;
    candidate(&house, HELD);
    let house = in_policies(house, "candidate = \"next\"").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    assert_eq!(agent.ask("GET", ISSUES, &[]).await.0, StatusCode::OK);
    assert_eq!(agent.ask("POST", ISSUES, &[]).await.0, StatusCode::FORBIDDEN);
    // Another candidate, read again as policies are.
    candidate(&house, "@id(\"none\") forbid (principal, action, resource);\n");
    assert_eq!(house.admin(Method::POST, "/v1/policies/reload", Value::Null).await.0, StatusCode::OK);
    assert_eq!(
        agent.ask("GET", ISSUES, &[]).await.0,
        StatusCode::OK,
        "it would be denied under the candidate"
    );
    let text = metrics(&house).await.1;
    for (live, candidate) in [("allow", "allow"), ("deny", "hold"), ("allow", "deny")] {
        let line = format!("remit_candidate_calls_total{{live=\"{live}\",candidate=\"{candidate}\"}} 1");
        assert!(text.contains(&line), "{line}: {text}");
    }

    let journal = house.journal().await;
    let closed = of_kind(&journal, "closed");
    let said = |entry: &Value| entry["candidate"]["decision"].as_str().unwrap_or("-").to_owned();
    assert_eq!(said(&closed[0]["closing"]), "allow");
    assert_eq!(said(&closed[1]["closing"]), "deny");
    assert_eq!(closed[1]["closing"]["candidate"]["policies"], json!(["none"]));
    let refused = of_kind(&journal, "refused");
    assert_eq!((said(refused[0]), &refused[0]["decision"]), ("hold".to_owned(), &json!("deny")));
    let loaded = of_kind(&journal, "candidate_loaded");
    assert_eq!(loaded.len(), 2, "{journal:#?}");
    assert_eq!(refused[0]["candidate"]["rules"], loaded[0]["digest"]);
    let anew = of_kind(&journal, "rules_loaded").into_iter().filter(|loaded| loaded.get("from").is_some());
    assert_eq!(anew.count(), 0, "what is in force did not change");
}

#[tokio::test]
async fn a_candidate_that_is_not_fit_changes_nothing() {
    let house = House::start(PERMIT_READS, "").await;
    candidate(&house, "permit (principal, action, resource);");
    let house = in_policies(house, "candidate = \"next\"").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    assert_eq!(agent.ask("GET", ISSUES, &[]).await.0, StatusCode::OK);
    assert_eq!(house.admin(Method::GET, "/readyz", Value::Null).await.0, StatusCode::OK);
    candidate(&house, HELD);
    let (status, done) = house.admin(Method::POST, "/v1/policies/reload", Value::Null).await;
    assert_eq!((status, &done["changed"]), (StatusCode::OK, &json!(false)), "{done}");
    assert_eq!(agent.ask("GET", ISSUES, &[]).await.0, StatusCode::OK);

    let journal = house.journal().await;
    let refused = of_kind(&journal, "candidate_refused");
    assert!(refused[0]["why"].as_str().unwrap().contains("the policy has no `@id`"), "{refused:?}");
    let closed = of_kind(&journal, "closed");
    assert_eq!(closed[0]["closing"].get("candidate"), None, "nobody was asked");
    assert_eq!(closed[1]["closing"]["candidate"]["decision"], "allow");
}

async fn metrics(house: &House) -> (StatusCode, String) {
    let facts = house.node.facts();
    let token = std::fs::read_to_string(facts.admin_token).unwrap();
    let mut stream = tokio::net::TcpStream::connect(facts.admin).await.unwrap();
    let ask = format!(
        "GET /metrics HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        facts.admin,
        token.trim()
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    (if text.starts_with("HTTP/1.1 200") { StatusCode::OK } else { StatusCode::FORBIDDEN }, text)
}

/// The same house with this at the top of its configuration.
async fn again(house: House, top: &str) -> House {
    configured(house, |text| format!("{top}{text}")).await
}

/// The same house with this among what is said of policies.
pub(crate) async fn in_policies(house: House, line: &str) -> House {
    configured(house, |text| text.replace("[policies]\n", &format!("[policies]\n{line}\n"))).await
}

async fn configured(house: House, change: impl FnOnce(&str) -> String) -> House {
    let path = house.dir.path().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, change(&text)).unwrap();
    house.restart().await
}

fn policy(dir: &Path, arguments: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_remit"))
        .current_dir(dir)
        .args(["policy", "--config", "config.toml"])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
