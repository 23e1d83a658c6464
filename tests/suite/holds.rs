//! Held calls, people's votes, and what goes out: the origin is asked what it saw.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::harness::{Agent, House, PERMIT_ALL, of_kind, request};

const ISSUES: &str = "https://api.github.com/repos/octo/hello/issues";
const HELD: &str = "@id(\"all\") permit (principal, action, resource);\n\
    @id(\"acts\") @hold(\"owners\") @reason(\"a person looks at acts\")\n\
    forbid (principal, action in Action::\"act\", resource) unless { context.approved };\n";
const AT_ONCE: &str = "[holds]\npatience_s = 0\n";
const PATIENT: &str = "[holds]\npatience_s = 20\n";

async fn post(agent: &mut Agent, body: &str) -> (StatusCode, String, Value) {
    let h2 = matches!(agent, Agent::H2(_));
    let mut asked = request(h2, "POST", ISSUES, &[("content-type", "application/json")]);
    *asked.body_mut() = Full::new(Bytes::from(body.to_owned()));
    let answer = agent.send(asked).await;
    let refusal = answer.headers().get("remit-refusal").map_or("", |code| code.to_str().unwrap()).to_owned();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, refusal, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn holds(house: &House, state: &str) -> Vec<Value> {
    let (status, told) = house.admin(Method::GET, &format!("/v1/holds?state={state}"), Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    told["holds"].as_array().unwrap().clone()
}

/// The one hold that waits, once it does.
async fn waiting(house: &House) -> Value {
    for _ in 0..2_000 {
        if let [one] = holds(house, "waiting").await.as_slice() {
            return one.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no call waits: {:?}", holds(house, "all").await);
}

async fn vote(house: &House, hold: &Value, verb: &str) -> (StatusCode, Value) {
    let body = json!({"digest": hold["digest"], "note": "looked at"});
    let path = format!("/v1/holds/{}/{verb}", hold["id"].as_str().unwrap());
    house.admin(Method::POST, &path, body).await
}

/// An agent on its own task, on another connection than others of that task.
async fn agent_of(house: &House, task: &Value, alpn: &str) -> Agent {
    Agent::connect(house, "api.github.com", alpn, task["token"].as_str().unwrap()).await
}

#[tokio::test]
async fn a_call_that_waits_goes_out_as_soon_as_a_person_says_yes() {
    for alpn in ["h2", "http/1.1"] {
        let house = House::start(HELD, PATIENT).await;
        let mut agent = house.agent("api.github.com", alpn).await;
        let (answer, hold) = tokio::join!(post(&mut agent, r#"{"title":"x"}"#), async {
            let hold = waiting(&house).await;
            assert!(house.origin.seen().is_empty(), "nothing leaves before it is approved");
            let (status, after) = vote(&house, &hold, "approve").await;
            assert_eq!((status, &after["state"]), (StatusCode::OK, &json!("approved")), "{after}");
            hold
        });
        assert_eq!((answer.0, answer.1.as_str()), (StatusCode::OK, ""), "{}", answer.2);
        assert_eq!(house.origin.seen().len(), 1);
        assert_eq!(hold["summary"], "Open an issue in octo/hello (GitHub)");
        let spent = holds(&house, "spent").await;
        assert_eq!(spent[0]["id"], hold["id"]);

        let journal = house.journal().await;
        let opened = of_kind(&journal, "opened");
        assert_eq!(opened[0]["approval"]["by"], json!(["local:admin"]), "{}", opened[0]);
        assert_eq!(opened[0]["approval"]["hold"], hold["id"]);
        assert_eq!(opened[0]["decision"], "allow");
        assert_eq!(of_kind(&journal, "hold_opened").len(), 1);
        let voted = of_kind(&journal, "hold_voted");
        assert_eq!((&voted[0]["by"], &voted[0]["digest"]), (&json!("local:admin"), &hold["digest"]));
        let settled: Vec<_> = of_kind(&journal, "hold_settled").iter().map(|s| s["state"].clone()).collect();
        assert_eq!(settled, ["approved", "spent"]);
    }
}

#[tokio::test]
async fn a_call_that_left_finds_its_approval_when_it_comes_again_and_once() {
    let house = House::start(HELD, AT_ONCE).await;
    let mut agent = house.agent("api.github.com", "h2").await;
    let (status, code, told) = post(&mut agent, r#"{"title":"x"}"#).await;
    assert_eq!((status.as_u16(), code.as_str()), (425, "held"));
    assert_eq!(told["retry_after_s"], 15);
    let again = post(&mut agent, r#"{"title":"x"}"#).await;
    assert_eq!(again.2["hold"], told["hold"], "people are asked once");
    let hold = waiting(&house).await;
    assert_eq!((&hold["id"], &hold["asks"]), (&told["hold"], &json!(2)));
    assert_eq!(vote(&house, &hold, "approve").await.0, StatusCode::OK);

    let other = post(&mut agent, r#"{"title":"y"}"#).await;
    assert_eq!(other.1, "held", "another body is another call");
    let house = house.restart().await;
    let mut agent = agent_of_first_task(&house).await;
    assert_eq!(post(&mut agent, r#"{"title":"x"}"#).await.0, StatusCode::OK, "also after a restart");
    let third = post(&mut agent, r#"{"title":"x"}"#).await;
    assert_eq!((third.1.as_str(), third.2["hold"] == told["hold"]), ("held", false), "it was spent");
    assert_eq!(house.origin.seen().len(), 1);
}

/// Nobody opened a task for it, and what people said of its calls holds all the same.
#[tokio::test]
async fn an_approval_of_an_agent_without_a_task_outlives_the_node() {
    let house = House::start(HELD, &format!("{AT_ONCE}[identity]\ndefault_agent = \"coder\"\n")).await;
    let mut agent = Agent::connect(&house, "api.github.com", "h2", "").await;
    let (_, code, told) = post(&mut agent, r#"{"title":"x"}"#).await;
    assert_eq!(code, "held", "{told}");
    let house = house.restart().await;
    let hold = waiting(&house).await;
    assert_eq!(hold["id"], told["hold"]);
    assert_eq!(vote(&house, &hold, "approve").await.0, StatusCode::OK);
    let house = house.restart().await;
    let mut agent = Agent::connect(&house, "api.github.com", "h2", "").await;
    assert_eq!(post(&mut agent, r#"{"title":"x"}"#).await.0, StatusCode::OK);
    assert_eq!(post(&mut agent, r#"{"title":"x"}"#).await.1, "held", "it was spent");
    assert_eq!(house.origin.seen().len(), 1);
}

/// What such an agent did before counts after a restart, against what is declared then.
#[tokio::test]
async fn what_an_agent_without_a_task_did_counts_after_a_restart() {
    let house = House::start(PERMIT_ALL, "[identity]\ndefault_agent = \"coder\"\n").await;
    let mut agent = Agent::connect(&house, "api.github.com", "h2", "").await;
    assert_eq!(agent.ask("GET", ISSUES, &[]).await.0, StatusCode::OK);
    std::fs::write(house.dir.path().join("policies/intents.toml"), "[standing]\nbudget = { reads = 2 }\n")
        .unwrap();
    let house = house.restart().await;
    let mut agent = Agent::connect(&house, "api.github.com", "h2", "").await;
    assert_eq!(agent.ask("GET", ISSUES, &[]).await.0, StatusCode::OK);
    let (status, headers, told) = agent.ask("GET", ISSUES, &[]).await;
    assert_eq!(headers["remit-refusal"], "budget_exhausted", "{status} {told}");
    assert_eq!(house.origin.seen().len(), 2);
}

/// An agent on the task that is there already.
async fn agent_of_first_task(house: &House) -> Agent {
    let (_, tasks) = house.admin(Method::GET, "/v1/tasks?state=open", Value::Null).await;
    let id = tasks["tasks"][0]["id"].as_str().unwrap().to_owned();
    let (status, renewed) = house.admin(Method::POST, &format!("/v1/tasks/{id}/renew"), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{renewed}");
    agent_of(house, &renewed, "h2").await
}

/// What looks like JSON-RPC at a server that is not known to speak it is bound byte by byte: there the id may be what it is about.
#[tokio::test]
async fn an_id_of_a_body_that_only_looks_like_json_rpc_is_approved_as_it_is() {
    let house = House::start(HELD, AT_ONCE).await;
    let mut agent = house.agent("api.github.com", "h2").await;
    post(&mut agent, r#"{"jsonrpc":"2.0","method":"x","id":"harmless"}"#).await;
    let hold = waiting(&house).await;
    assert_eq!(vote(&house, &hold, "approve").await.0, StatusCode::OK);
    let other = post(&mut agent, r#"{"jsonrpc":"2.0","method":"x","id":"prod-db"}"#).await;
    assert_eq!(other.1, "held", "{}", other.2);
    assert!(house.origin.seen().is_empty());
}

/// Alike calls that wait take a place each, and those that find none come again.
#[tokio::test]
async fn no_more_alike_calls_wait_than_memory_bears() {
    let house = House::start(HELD, PATIENT).await;
    let task = house.task().await;
    let Agent::H2(sender) = agent_of(&house, &task, "h2").await else { panic!() };
    let calls = (0..20).map(|_| {
        let mut agent = Agent::H2(sender.clone());
        async move { post(&mut agent, "{}").await.1 }
    });
    let refusing = async {
        let hold = waiting(&house).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(vote(&house, &hold, "refuse").await.0, StatusCode::OK);
    };
    let (codes, ()) = tokio::join!(futures_util::future::join_all(calls), refusing);
    let count = |wanted: &str| codes.iter().filter(|code| *code == wanted).count();
    assert_eq!((count("approval_refused"), count("held")), (16, 4), "{codes:?}");
}

#[tokio::test]
async fn a_no_is_told_to_whoever_waits_and_stands() {
    let house = House::start(HELD, PATIENT).await;
    let mut agent = house.agent("api.github.com", "h2").await;
    let (answer, ()) = tokio::join!(post(&mut agent, "{}"), async {
        let hold = waiting(&house).await;
        assert_eq!(vote(&house, &hold, "refuse").await.0, StatusCode::OK);
        let (status, problem) = vote(&house, &hold, "approve").await;
        assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("hold_decided")));
    });
    assert_eq!((answer.0, answer.1.as_str()), (StatusCode::FORBIDDEN, "approval_refused"));
    assert!(answer.2["message"].as_str().unwrap().contains("looked at"), "the reason is told: {}", answer.2);
    assert_eq!(post(&mut agent, "{}").await.1, "approval_refused", "nobody is asked again");
    assert_eq!(holds(&house, "all").await.len(), 1);
    assert!(house.origin.seen().is_empty());
}

#[tokio::test]
async fn the_end_of_the_task_and_of_time_end_the_waiting() {
    let house = House::start(HELD, "[holds]\npatience_s = 20\nask_s = 2\n").await;
    let task = house.task().await;
    let mut agent = agent_of(&house, &task, "h2").await;
    let (answer, ()) = tokio::join!(post(&mut agent, "{}"), async {
        waiting(&house).await;
        let path = format!("/v1/tasks/{}/end", task["id"].as_str().unwrap());
        assert_eq!(house.admin(Method::POST, &path, json!({})).await.0, StatusCode::OK);
    });
    assert_eq!(answer.1, "task_ended");
    let mut agent = house.agent("api.github.com", "h2").await;
    assert_eq!(post(&mut agent, "{}").await.1, "approval_expired");
    assert!(house.origin.seen().is_empty());
    let states: Vec<_> = holds(&house, "all").await.iter().map(|hold| hold["state"].clone()).collect();
    assert_eq!(states, ["void", "expired"]);
}

#[tokio::test]
async fn a_call_that_waits_is_ruled_on_again_when_other_policies_come() {
    let house = House::start(HELD, PATIENT).await;
    let mut agent = house.agent("api.github.com", "h2").await;
    let (answer, ()) = tokio::join!(post(&mut agent, "{}"), async {
        let old = waiting(&house).await;
        let two = HELD.replace("\"owners\"", "\"2 of owners\"");
        std::fs::write(house.dir.path().join("policies/test.cedar"), two).unwrap();
        house.node.reload().await;
        let new = loop {
            let new = waiting(&house).await;
            if new["id"] != old["id"] {
                break new;
            }
        };
        assert_eq!(new["wants"], json!({"owners": 2}));
        assert_eq!(vote(&house, &old, "approve").await.0, StatusCode::CONFLICT, "it was for the old ones");
        let (_, after) = vote(&house, &new, "approve").await;
        assert_eq!((&after["state"], &after["missing"]), (&json!("waiting"), &json!({"owners": 1})));
        assert_eq!(vote(&house, &new, "approve").await.1["code"], "voted_already");
        std::fs::write(house.dir.path().join("policies/test.cedar"), PERMIT_ALL).unwrap();
        house.node.reload().await;
    });
    assert_eq!(answer.0, StatusCode::OK, "what needs no approval any more goes out: {}", answer.2);
    assert_eq!(house.origin.seen().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_shown_is_not_held_and_people_are_not_asked_without_end() {
    let house = House::start(HELD, "[holds]\npatience_s = 0\nwaiting_per_task = 2\n").await;
    let mut agent = house.agent("api.github.com", "h2").await;
    let long = format!("{{\"title\":\"{}\"}}", "x".repeat(3 << 20));
    assert_eq!(post(&mut agent, &long).await.1, "hold_impossible");
    for n in 0..2 {
        assert_eq!(post(&mut agent, &format!("{{\"n\":{n}}}")).await.1, "held");
    }
    let (status, code, told) = post(&mut agent, "{\"n\":3}").await;
    assert_eq!((status, code.as_str()), (StatusCode::TOO_MANY_REQUESTS, "too_many_holds"), "{told}");
    assert!(house.origin.seen().is_empty());
}

#[tokio::test]
async fn the_card_says_what_would_be_sent_and_hides_what_is_secret() {
    let house = House::start(HELD, AT_ONCE).await;
    let mut agent = house.agent("api.github.com", "h2").await;
    agent.ask("GET", ISSUES, &[]).await;
    post(&mut agent, r#"{"title":"a\u202eb","password":"hunter2","assignees":["x"]}"#).await;
    let first = waiting(&house).await;
    vote(&house, &first, "approve").await;
    post(&mut agent, r#"{"title":"a\u202eb","password":"hunter2","assignees":["x"]}"#).await;
    post(&mut agent, r#"{"title":"other","password":"hunter2","labels":["y"]}"#).await;
    let second = waiting(&house).await;
    let path = format!("/v1/holds/{}", second["id"].as_str().unwrap());
    let (_, shown) = house.admin(Method::GET, &path, Value::Null).await;
    let card = &shown["card"];
    assert_eq!(card["does"][0]["sentence"], "Open an issue in octo/hello (GitHub)", "{card:#}");
    assert_eq!(card["does"][0]["resource"], "repo octo/hello");
    assert_eq!(card["url"], ISSUES);
    let text = card["body"]["text"].as_str().unwrap();
    assert_eq!(text, "title: \"other\"\npassword: (masked, 7 characters)\nlabels:\n  - \"y\"");
    let difference = &card["difference"];
    assert_eq!(difference["from"], first["id"]);
    assert_eq!(
        (&difference["changed"], &difference["added"], &difference["removed"]),
        (&json!(["/title"]), &json!(["/labels/0"]), &json!(["/assignees/0"]))
    );
    let touched: Vec<_> =
        card["touched"].as_array().unwrap().iter().map(|t| t["operation"].clone()).collect();
    assert_eq!(touched, ["github:issues/create", "github:issues/list-for-repo"]);
    let path = format!("/v1/holds/{}", first["id"].as_str().unwrap());
    let (_, decided) = house.admin(Method::GET, &path, Value::Null).await;
    assert_eq!(decided["card"]["body"]["text"], Value::Null, "its body is not kept once it is decided");
    // At rest neither what would be sent nor what is masked can be read.
    let store = std::fs::read(house.dir.path().join("state/remit.sqlite")).unwrap();
    let wal = std::fs::read(house.dir.path().join("state/remit.sqlite-wal")).unwrap_or_default();
    for bytes in [store, wal] {
        assert!(!bytes.windows(7).any(|window| window == b"hunter2" || window == b"\"other\""));
    }
}

/// MCP's clients take an event stream, and give up on a server that says nothing.
#[tokio::test]
async fn a_client_that_takes_events_hears_that_its_call_waits() {
    let house = House::start(HELD, PATIENT).await;
    let mut agent = house.agent("api.test", "http/1.1").await;
    let accept = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let mut asked = request(false, "POST", "https://api.test/mcp", &accept);
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "send_mail"}});
    *asked.body_mut() = Full::new(Bytes::from(call.to_string()));
    let answer = agent.send(asked).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream", "it began before anybody voted");
    assert!(answer.headers().contains_key("remit-call"));
    let mut body = answer.into_body();
    let comment = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(comment.starts_with(b": remit: a person is asked"), "{comment:?}");
    assert!(house.origin.seen().is_empty());
    let hold = waiting(&house).await;
    assert_eq!(vote(&house, &hold, "refuse").await.0, StatusCode::OK);
    let rest = body.collect().await.unwrap().to_bytes();
    let said = String::from_utf8_lossy(&rest);
    let event = said.split("\n\n").find_map(|event| event.strip_prefix("event: message\ndata: ")).unwrap();
    let told: Value = serde_json::from_str(event).unwrap();
    assert_eq!((&told["id"], &told["result"]["isError"]), (&json!(9), &json!(true)), "{told}");
    assert_eq!(told["result"]["_meta"]["remit/refusal"]["code"], "approval_refused");

    // What goes out comes back as a message too, and a client that left has nothing sent in its name.
    let mut asked = request(false, "POST", "https://api.test/mcp", &accept);
    let call =
        json!({"jsonrpc": "2.0", "id": 10, "method": "tools/call", "params": {"name": "send_more_mail"}});
    *asked.body_mut() = Full::new(Bytes::from(call.to_string()));
    let answer = agent.send(asked).await;
    let hold = waiting(&house).await;
    assert_eq!(vote(&house, &hold, "approve").await.0, StatusCode::OK);
    let rest = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&rest).contains("event: message\ndata: {"), "{rest:?}");
    assert_eq!(house.origin.seen().len(), 1);
}

/// Prints how long voting takes while so many wait (`--nocapture`).
#[tokio::test]
async fn a_thousand_calls_wait_at_once() {
    const CONNECTIONS: usize = 8;
    const STREAMS: usize = 125;
    const VOTES: usize = 100;
    let limits = "waiting_per_task = 5000\nwaiting_per_agent = 5000\nasks_per_minute = 100000\n";
    let house = House::start(HELD, &format!("[holds]\npatience_s = 120\n{limits}")).await;
    let task = house.task().await;
    let mut calls = Vec::new();
    for connection in 0..CONNECTIONS {
        let Agent::H2(sender) = agent_of(&house, &task, "h2").await else { panic!() };
        for stream in 0..STREAMS {
            let mut agent = Agent::H2(sender.clone());
            calls.push(async move { post(&mut agent, &format!("[{connection},{stream}]")).await.0 });
        }
    }
    let all = CONNECTIONS * STREAMS;
    let voting = async {
        let began = Instant::now();
        let mut waiting = holds(&house, "waiting").await;
        while waiting.len() < all {
            tokio::time::sleep(Duration::from_millis(50)).await;
            waiting = holds(&house, "waiting").await;
        }
        let waited = began.elapsed();
        let began = Instant::now();
        holds(&house, "waiting").await;
        let listed = began.elapsed();
        let mut took = Vec::new();
        for hold in waiting.iter().take(VOTES) {
            let began = Instant::now();
            assert_eq!(vote(&house, hold, "approve").await.0, StatusCode::OK);
            took.push(began.elapsed());
        }
        took.sort();
        while house.origin.seen().len() < VOTES {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let path = format!("/v1/tasks/{}/end", task["id"].as_str().unwrap());
        assert_eq!(house.admin(Method::POST, &path, json!({})).await.0, StatusCode::OK);
        println!(
            "{all} calls wait after {waited:.1?}; listed in {listed:.1?}; a vote {:.1?} p50, {:.1?} p99",
            took[VOTES / 2],
            took[VOTES * 99 / 100]
        );
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(calls), voting);
    let count = |wanted: StatusCode| answers.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(StatusCode::OK), count(StatusCode::UNAUTHORIZED)), (VOTES, all - VOTES));
    assert_eq!(house.origin.seen().len(), VOTES);
}

#[tokio::test]
async fn in_the_middle_of_everything_each_approval_lets_one_call_out() {
    let house =
        House::start(HELD, "[holds]\npatience_s = 1\nasks_per_minute = 100000\nwaiting_per_task = 1000\n")
            .await;
    let task = house.task().await;
    let mut random = 7_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut approved = 0_usize;
    let mut answered = 0_usize;
    for _ in 0..30 {
        // Four connections send one of two bodies, some leave early, while somebody votes on whatever waits.
        let bodies: Vec<String> = (0..4).map(|_| format!("{{\"n\":{}}}", draw(2))).collect();
        let patience: Vec<u64> = (0..4).map(|_| draw(400)).collect();
        let votes: Vec<u64> = (0..8).map(|_| draw(3)).collect();
        let mut agents = Vec::new();
        for _ in 0..4 {
            agents.push(agent_of(&house, &task, "h2").await);
        }
        let calls =
            agents.iter_mut().zip(&bodies).zip(&patience).map(|((agent, body), patience)| async move {
                let waited = tokio::time::timeout(Duration::from_millis(*patience), post(agent, body)).await;
                usize::from(waited.is_ok_and(|(status, ..)| status == StatusCode::OK))
            });
        let voting = async {
            let mut yes = 0;
            for vote_on in &votes {
                for hold in holds(&house, "waiting").await {
                    match vote_on {
                        0 => yes += usize::from(vote(&house, &hold, "approve").await.0 == StatusCode::OK),
                        1 if *hold["asks"].as_u64().as_ref().unwrap() > 30 => {
                            vote(&house, &hold, "refuse").await;
                        }
                        _ => {}
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            yes
        };
        let (oks, yes) = tokio::join!(futures_util::future::join_all(calls), voting);
        answered += oks.iter().sum::<usize>();
        approved += yes;
        let seen = house.origin.seen().len();
        assert!(seen <= approved, "{seen} calls went out, and {approved} were approved");
    }
    assert!(approved > 10 && answered > 5, "{approved} approved, {answered} answered: nothing was tried");
    // A call whose agent left just then is spent and never went out; never the other way round.
    let (spent, seen) = (holds(&house, "spent").await.len(), house.origin.seen().len());
    assert!(seen <= spent && spent <= approved, "{seen} seen, {spent} spent, {approved} approved");
}
