//! The walk of a call through a whole node: what goes out, what does not, and what is written either way.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Agent, House, PERMIT_ALL, PERMIT_READS, of_kind, request};

const ISSUES: &str = "https://api.github.com/repos/octo/hello/issues";

#[tokio::test]
async fn an_allowed_read_reaches_the_origin_and_is_written_twice() {
    for alpn in ["http/1.1", "h2"] {
        let house = House::start(PERMIT_READS, "").await;
        let mut agent = house.agent("api.github.com", alpn).await;
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers =
            [("traceparent", trace), ("x-forwarded-for", "1.2.3.4"), ("authorization", "Bearer key")];
        let (status, answered, text) = agent.ask("GET", &format!("{ISSUES}?state=open"), &headers).await;
        assert_eq!((status, text.as_str()), (StatusCode::OK, "from the origin"));
        let call = answered["remit-call"].to_str().unwrap().to_owned();

        let seen = house.origin.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].target, "/repos/octo/hello/issues?state=open");
        assert_eq!(seen[0].headers["host"], "api.github.com");
        assert_eq!(seen[0].headers["authorization"], "Bearer key");
        assert!(!seen[0].headers.contains_key("x-forwarded-for"));
        assert!(!seen[0].headers.keys().any(|name| name.as_str().starts_with("proxy-")));
        let sent = seen[0].headers["traceparent"].to_str().unwrap();
        assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && sent != trace, "{sent}");

        let journal = house.journal().await;
        let (opened, closed) = (of_kind(&journal, "opened"), of_kind(&journal, "closed"));
        assert_eq!((opened.len(), closed.len()), (1, 1), "{journal:#?}");
        assert_eq!(opened[0]["call"], *call);
        assert_eq!(opened[0]["operations"][0]["id"], "github:issues/list-for-repo");
        assert_eq!(opened[0]["policies"][0], "reads");
        assert_eq!(closed[0]["closing"]["outcome"], "answered");
    }
}

#[tokio::test]
async fn a_refused_act_never_leaves_and_says_why() {
    let house = House::start(PERMIT_READS, "").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    let (status, headers, text) = agent.ask("POST", ISSUES, &[]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(headers["content-type"], "application/json; charset=utf-8", "as GitHub's clients read it");
    assert_eq!(headers["remit-refusal"], "policy_denied");
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["operation"], "github:issues/create");
    assert_eq!(problem["class"], "act");
    assert_eq!(problem["status"], 403);
    assert_eq!(problem["call"], *headers["remit-call"].to_str().unwrap());
    assert!(problem["advice"].as_str().is_some_and(|advice| !advice.is_empty()));
    assert!(house.origin.seen().is_empty());
    let journal = house.journal().await;
    assert_eq!((of_kind(&journal, "opened").len(), of_kind(&journal, "refused").len()), (0, 1));
}

#[tokio::test]
async fn grpc_callers_are_refused_in_grpc() {
    let house = House::start(PERMIT_READS, "").await;
    let mut agent = house.agent("api.test", "h2").await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let (status, headers, _) = agent.ask("POST", "https://api.test/pkg.Service/Delete", &headers).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["grpc-status"], "7");
    assert!(headers["grpc-message"].to_str().unwrap().contains("is refused"));
    assert!(house.origin.seen().is_empty());
}

#[tokio::test]
async fn names_that_nobody_mapped_do_not_lead_inside() {
    let house = House::start(PERMIT_ALL, "").await;
    for host in ["localhost", "127.0.0.1", "169.254.169.254", "10.0.0.1"] {
        let mut agent = house.agent(host, "http/1.1").await;
        let (status, headers, text) = agent.ask("GET", &format!("https://{host}/"), &[]).await;
        assert_eq!(
            (status, headers["remit-refusal"].to_str().unwrap()),
            (StatusCode::FORBIDDEN, "address_forbidden"),
            "{text}"
        );
    }
    let admin = house.node.facts().admin;
    let mut agent = house.agent("api.test", "http/1.1").await;
    let (status, ..) = agent.ask("GET", "https://api.test/", &[]).await;
    assert_eq!(status, StatusCode::OK, "a mapped name leads where the operator says");
    let task = house.task().await;
    let ask = format!(
        "GET http://{admin}/healthz HTTP/1.1\r\nHost: {admin}\r\nProxy-Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
        task["token"].as_str().unwrap()
    );
    let mut stream = TcpStream::connect(house.node.facts().proxy).await.unwrap();
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("address_forbidden"), "the admin API was reached through the proxy: {answer}");
}

#[tokio::test]
async fn ending_a_task_cuts_its_stream_and_refuses_its_next_call() {
    let house = House::start(PERMIT_ALL, "").await;
    let task = house.task().await;
    let token = task["token"].as_str().unwrap();
    let mut agent = Agent::connect(&house, "api.test", "h2", token).await;
    let mut second = Agent::connect(&house, "api.test", "http/1.1", token).await;
    let answer = agent.send(request(true, "GET", "https://api.test/stream", &[])).await;
    let mut body = answer.into_body();
    assert!(body.frame().await.unwrap().is_ok());

    let id = task["id"].as_str().unwrap();
    let (status, _) = house.admin(Method::POST, &format!("/v1/tasks/{id}/end"), Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let cut = async { while matches!(body.frame().await, Some(Ok(_))) {} };
    tokio::time::timeout(Duration::from_secs(2), cut).await.expect("the stream goes on after its task's end");
    let (status, headers, _) = second.ask("GET", "https://api.test/x", &[]).await;
    assert_eq!(
        (status, headers["remit-refusal"].to_str().unwrap()),
        (StatusCode::UNAUTHORIZED, "task_ended")
    );

    assert_eq!(house.origin.seen().len(), 1);
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "closed")[0]["closing"]["outcome"], "revoked");
    assert_eq!(of_kind(&journal, "task_ended")[0]["why"], "command");
}

#[tokio::test]
async fn without_a_token_the_door_stays_shut_unless_an_agent_is_assumed() {
    let ask = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";
    for (more, expected) in
        [("", "HTTP/1.1 407 "), ("[identity]\ndefault_agent = \"guest\"\n", "HTTP/1.1 200 ")]
    {
        let house = House::start(PERMIT_ALL, more).await;
        let mut stream = TcpStream::connect(house.node.facts().proxy).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected), "{more:?}: {answer}");
        let journal = house.journal().await;
        let kind = if more.is_empty() { "refused" } else { "opened" };
        assert_eq!(of_kind(&journal, kind).len(), 1, "{journal:#?}");
    }
}

#[tokio::test]
async fn a_task_port_stands_for_its_task() {
    let house = House::start(PERMIT_ALL, "").await;
    let task = house.task().await;
    let port =
        task["port_url"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let ask = "GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(&port).await.unwrap();
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let id = task["id"].as_str().unwrap();
    house.admin(Method::POST, &format!("/v1/tasks/{id}/end"), Value::Null).await;
    let refused = async {
        while TcpStream::connect(&port).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), refused).await.expect("the port outlives its task");
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "opened")[0]["evidence"], "task-port");
}

#[tokio::test]
async fn the_end_of_the_node_is_the_last_entry() {
    let house = House::start(PERMIT_ALL, "").await;
    let file = house.dir.path().join("state/node.json");
    assert!(file.exists());
    let (status, node) = house.admin(Method::GET, "/v1/node", Value::Null).await;
    assert_eq!((status, node["version"].as_str()), (StatusCode::OK, Some(env!("CARGO_PKG_VERSION"))));
    let journal = house.journal().await;
    assert_eq!(journal[0]["kind"], "node_started");
    assert_eq!(journal.last().unwrap()["kind"], "node_stopped");
    assert!(!file.exists());
}
