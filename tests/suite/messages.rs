//! A WebSocket through a whole node: each message is judged, and what is refused does not reach the origin.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, handshake};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use crate::harness::{House, of_kind, tunnel};
use crate::observe::{candidate, in_policies};

/// Upgrades and reads may pass, acts may not at `/graphql`, delegations nowhere.
const POLICIES: &str = r#"
@id("reads") permit (principal, action in Action::"read", resource);
@id("acts") permit (principal, action in Action::"act", resource);
@id("no-delegation") @reason("nobody hands on rights here") @advice("ask a person")
forbid (principal, action in Action::"delegate", resource);
"#;

/// Echoes, and remembers what it heard.
#[derive(Clone, Default)]
struct Echo(Arc<Mutex<Vec<String>>>);

impl Echo {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = self.0.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    #[expect(clippy::result_large_err, reason = "the library's own type")]
                    let check = |asked: &handshake::server::Request,
                                 mut answer: handshake::server::Response| {
                        assert!(!asked.headers().contains_key("sec-websocket-extensions"));
                        if let Some(protocol) = asked.headers().get("sec-websocket-protocol") {
                            answer.headers_mut().insert("sec-websocket-protocol", protocol.clone());
                        }
                        Ok(answer)
                    };
                    let Ok(mut peer) = accept_hdr_async(stream, check).await else { return };
                    while let Some(Ok(message)) = peer.next().await {
                        if let Message::Text(text) = &message {
                            heard.lock().unwrap().push(text.to_string());
                        }
                        if peer.send(message).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

type Peer = WebSocketStream<TlsStream<TcpStream>>;

async fn open(house: &House, path: &str, protocol: Option<&str>) -> Peer {
    let task = house.task().await;
    let stream = tunnel(house, "ws.test", "http/1.1", task["token"].as_str().unwrap()).await;
    let mut request = format!("wss://ws.test{path}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    client_async(request, stream).await.unwrap().0
}

async fn ask(peer: &mut Peer, text: &str) -> Value {
    peer.send(Message::text(text)).await.unwrap();
    loop {
        match peer.next().await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Close(close) => panic!("closed: {close:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_refused_message_is_answered_in_its_protocol_and_never_leaves() {
    let echo = Echo::default();
    let house = House::start(POLICIES, &format!("\"ws.test\" = \"http://{}\"\n", echo.start().await)).await;

    let mut graphql = open(&house, "/graphql", Some("graphql-transport-ws")).await;
    let init = r#"{"type":"connection_init"}"#;
    let query = r#"{"type":"subscribe","id":"1","payload":{"query":"query { viewer { id } }"}}"#;
    let pay = r#"{"type":"subscribe","id":"2","payload":{"query":"mutation { payNow { id } }"}}"#;
    let token = r#"{"type":"subscribe","id":"3","payload":{"query":"mutation { createToken { id } }"}}"#;
    for passes in [init, query, pay] {
        assert_eq!(ask(&mut graphql, passes).await.to_string().len(), passes.len(), "it is echoed");
    }
    let refused = ask(&mut graphql, token).await;
    assert_eq!((&refused["type"], &refused["id"]), (&"error".into(), &"3".into()), "{refused}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "policy_denied");
    assert!(
        refused["payload"][0]["message"].as_str().unwrap().contains("nobody hands on rights here"),
        "{refused}"
    );
    assert_eq!(ask(&mut graphql, query).await["id"], "1", "the connection goes on");
    graphql.close(None).await.unwrap();

    let mut mcp = open(&house, "/mcp", None).await;
    let refused = ask(&mut mcp, r#"{"jsonrpc":"2.0","id":41,"method":"message/send","params":{}}"#).await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&41.into(), &(-32003).into()), "{refused}");
    let cut = r#"{"jsonrpc":"2.0","id":1,"method":"#;
    mcp.send(Message::text(cut)).await.unwrap();
    let Message::Close(Some(close)) = mcp.next().await.unwrap().unwrap() else { panic!("it was not closed") };
    assert_eq!(close.code, CloseCode::Policy, "{close}");
    assert!(close.reason.starts_with("remit: policy_denied"), "{close}");

    assert_eq!(echo.heard(), [init, query, pay, query], "what was refused did not leave");
    drop((graphql, mcp));
    let journal = house.journal().await;
    let messages = |kind| -> Vec<&Value> {
        of_kind(&journal, kind).into_iter().filter(|data| data["http"]["message"] == true).collect()
    };
    let refused: Vec<_> =
        messages("refused").iter().map(|data| data["operations"][0]["class"].clone()).collect();
    assert_eq!(refused, ["delegate", "delegate", "delegate"], "{journal:#?}");
    let acts: Vec<_> =
        messages("opened").into_iter().filter(|data| data["operations"][0]["class"] == "act").collect();
    assert_eq!(acts.len(), 1, "an act has an entry of its own: {journal:#?}");
    let because = acts[0]["operations"][0]["because"].as_str().unwrap();
    assert!(because.starts_with("GraphQL mutation `payNow`"), "{because}");
    let upgrade =
        of_kind(&journal, "opened").into_iter().find(|data| data["http"]["message"] != true).unwrap();
    assert_eq!((&acts[0]["parent"], &acts[0]["trace"]), (&upgrade["span"], &upgrade["trace"]));
    let counted: u64 = of_kind(&journal, "closed")
        .iter()
        .filter_map(|data| data["closing"]["messages"].as_object())
        .flat_map(|messages| messages.values().filter_map(Value::as_u64))
        .sum();
    assert_eq!(counted, 3, "reads are counted: {journal:#?}");
    let open: Vec<_> = of_kind(&journal, "opened").iter().map(|data| data["call"].clone()).collect();
    let closed: Vec<_> = of_kind(&journal, "closed").iter().map(|data| data["call"].clone()).collect();
    assert!(open.iter().all(|call| closed.contains(call)), "every entry is closed");
}

#[tokio::test]
async fn what_nothing_understands_passes_as_what_the_upgrade_was() {
    let echo = Echo::default();
    let house = House::start(POLICIES, &format!("\"ws.test\" = \"http://{}\"\n", echo.start().await)).await;
    let mut chat = open(&house, "/chat", None).await;
    for _ in 0..50 {
        chat.send(Message::text("hello there")).await.unwrap();
        assert_eq!(chat.next().await.unwrap().unwrap(), Message::text("hello there"));
    }
    let large = vec![7; 3 << 20];
    chat.send(Message::binary(large.clone())).await.unwrap();
    assert_eq!(chat.next().await.unwrap().unwrap(), Message::binary(large));
    chat.close(None).await.unwrap();
    drop(chat);
    let journal = house.journal().await;
    let windows =
        of_kind(&journal, "opened").into_iter().filter(|data| data["http"]["message"] == true).count();
    assert!((1..51).contains(&windows), "fewer entries than messages: {windows}");
    let counted: u64 = of_kind(&journal, "closed")
        .iter()
        .filter_map(|data| data["closing"]["messages"]["unknown:act"].as_u64())
        .sum();
    assert_eq!(counted, 51, "{journal:#?}");
}

#[tokio::test]
async fn a_key_that_an_agent_brings_in_a_message_is_a_fact_for_policies() {
    let echo = Echo::default();
    let policies = format!(
        "{POLICIES}@id(\"no-keys\") forbid (principal, action, resource) when {{ context.brought_key }};\n"
    );
    let house = House::start(&policies, &format!("\"ws.test\" = \"http://{}\"\n", echo.start().await)).await;
    let key = format!("ghp_{}", "a1B2".repeat(9));
    let spelt = key.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<Vec<_>>().concat();
    for said in [format!("use {key} for it"), format!(r#"{{"token":"{spelt}"}}"#)] {
        let mut chat = open(&house, "/chat", None).await;
        chat.send(Message::text("hello")).await.unwrap();
        assert_eq!(chat.next().await.unwrap().unwrap(), Message::text("hello"));
        chat.send(Message::text(said)).await.unwrap();
        let Message::Close(Some(close)) = chat.next().await.unwrap().unwrap() else {
            panic!("it was not closed")
        };
        assert_eq!(close.code, CloseCode::Policy, "{close}");
    }
    assert_eq!(echo.heard(), ["hello"; 2], "the key left");
    let journal = house.journal().await;
    let refused = of_kind(&journal, "refused");
    assert_eq!((refused.len(), &refused[0]["policies"][0]), (2, &"no-keys".into()));
    assert!(!journal.iter().any(|entry| entry.to_string().contains("a1B2a1B2")), "the key itself is nowhere");
}

#[tokio::test]
async fn the_end_of_its_task_cuts_a_websocket_and_is_recorded_as_that() {
    let echo = Echo::default();
    let house = House::start(POLICIES, &format!("\"ws.test\" = \"http://{}\"\n", echo.start().await)).await;
    let mut chat = open(&house, "/chat", None).await;
    chat.send(Message::text("hello there")).await.unwrap();
    assert_eq!(chat.next().await.unwrap().unwrap(), Message::text("hello there"));
    let (status, _) = house.admin(Method::POST, "/v1/tasks/end", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let cut = async { while matches!(chat.next().await, Some(Ok(_))) {} };
    tokio::time::timeout(Duration::from_secs(5), cut).await.expect("the WebSocket outlives its task");
    let journal = house.journal().await;
    let upgrade =
        of_kind(&journal, "opened").into_iter().find(|data| data["http"]["message"] != true).unwrap();
    let closed =
        of_kind(&journal, "closed").into_iter().find(|data| data["call"] == upgrade["call"]).unwrap();
    assert_eq!(closed["closing"]["outcome"], "revoked", "{closed}");
}

/// The origin echoes: what it is sent as the answer to a list of tools is what it says.
#[tokio::test]
async fn tools_that_are_listed_over_the_connection_are_learnt() {
    let echo = Echo::default();
    let house = House::start(POLICIES, &format!("\"ws.test\" = \"http://{}\"\n", echo.start().await)).await;
    let mut mcp = open(&house, "/mcp", None).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look"}}"#;
    let tools = r#"{"tools":[{"name":"look","annotations":{"readOnlyHint":true}}]}"#;
    // Nobody asked for tools yet, so this teaches nothing.
    ask(&mut mcp, &format!(r#"{{"jsonrpc":"2.0","id":2,"method":"ping","result":{tools}}}"#)).await;
    ask(&mut mcp, call).await;
    ask(&mut mcp, &format!(r#"{{"jsonrpc":"2.0","id":3,"method":"tools/list","result":{tools}}}"#)).await;
    ask(&mut mcp, call).await;
    mcp.close(None).await.unwrap();
    drop(mcp);
    let journal = house.journal().await;
    let opened = of_kind(&journal, "opened");
    let acts = opened
        .iter()
        .filter(|data| data["http"]["message"] == true && data["operations"][0]["class"] == "act");
    assert_eq!(acts.count(), 1, "the first call acts, the second is known to read: {journal:#?}");
}

#[tokio::test]
async fn a_held_message_says_so_in_its_protocol_and_never_leaves() {
    let echo = Echo::default();
    let policies = "@id(\"all\") permit (principal, action, resource);\n@id(\"ask\") @hold(\"owners\") \
        forbid (principal, action in Action::\"delegate\", resource) unless { context.approved };\n";
    let house = House::start(policies, &format!("\"ws.test\" = \"http://{}\"\n", echo.start().await)).await;
    let mut mcp = open(&house, "/mcp", None).await;
    let other = ask(&mut mcp, r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}}"#).await;
    assert_eq!(
        (&other["error"]["data"]["code"], &other["error"]["data"]["approvers"][0]),
        (&"held".into(), &"owners".into())
    );
    let tool = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_access_token"}}"#;
    let told = ask(&mut mcp, tool).await;
    assert_eq!((&told["id"], &told["result"]["isError"]), (&2.into(), &true.into()), "{told}");
    assert!(told["result"]["content"][0]["text"].as_str().unwrap().contains("held for a person of `owners`"));
    assert!(echo.heard().is_empty());
    drop(mcp);
    let journal = house.journal().await;
    let held: Vec<_> =
        of_kind(&journal, "refused").into_iter().map(|data| data["decision"].clone()).collect();
    assert_eq!(held, ["hold", "hold"]);
}

#[tokio::test]
async fn a_candidate_is_asked_about_messages_too() {
    let echo = Echo::default();
    let house = House::start(POLICIES, &format!("\"ws.test\" = \"http://{}\"\n", echo.start().await)).await;
    candidate(
        &house,
        "@id(\"no-acts\") forbid (principal, action in Action::\"act\", resource);\n\
        @id(\"all\") permit (principal, action, resource);\n",
    );
    let house = in_policies(house, "candidate = \"next\"").await;
    let mut graphql = open(&house, "/graphql", Some("graphql-transport-ws")).await;
    let query = r#"{"type":"subscribe","id":"1","payload":{"query":"query { viewer { id } }"}}"#;
    let pay = r#"{"type":"subscribe","id":"2","payload":{"query":"mutation { payNow { id } }"}}"#;
    for passes in [query, pay] {
        ask(&mut graphql, passes).await;
    }
    drop(graphql);
    let journal = house.journal().await;
    let opened = of_kind(&journal, "opened");
    let messages = opened.iter().filter(|data| data["http"]["message"] == true);
    let said: Vec<_> = messages
        .map(|data| {
            let closed =
                of_kind(&journal, "closed").into_iter().find(|one| one["call"] == data["call"]).unwrap();
            (data["operations"][0]["class"].clone(), closed["closing"]["candidate"]["decision"].clone())
        })
        .collect();
    assert_eq!(said, [("read".into(), "allow".into()), ("act".into(), "deny".into())]);
}
