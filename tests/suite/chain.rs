//! Tasks that go from agent to agent and from node to node with the calls that invoke them: two nodes, three agents.
//!
//! `ada` works through node 1 and invokes `bob`; bob works through node 2 and invokes `cy`, who works through node 1 again.
//! All of them answer at `api.test`, which is what each node takes for the host of the agent that it knows there.

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::harness::{Agent, House, PERMIT_ALL, of_kind};

const READ: (&str, &str) = ("GET", "https://api.github.com/repos/octo/hello/issues");
const ACT: (&str, &str) = ("POST", "https://api.github.com/repos/octo/hello/issues");
/// The REST binding of A2A 1.0.
const INVOKE: (&str, &str) = ("POST", "https://api.test/message:send");

/// Two nodes that trust one another's chains.
struct Nodes {
    one: House,
    two: House,
}

impl Nodes {
    async fn start(policies_one: &str, policies_two: &str) -> Self {
        Self::start_with(policies_one, policies_two, "").await
    }

    /// `more` goes into what node 1 knows of bob.
    async fn start_with(policies_one: &str, policies_two: &str, more: &str) -> Self {
        let bob = format!("[[agents]]\nid = \"bob\"\nhosts = [\"api.test\"]\nbehind = \"node-2\"\n{more}\n");
        let one = House::start(policies_one, &format!("[identity]\nnode = \"node-1\"\n{bob}")).await;
        let cy = "[[agents]]\nid = \"cy\"\nhosts = [\"api.test\"]\nbehind = \"node-1\"\n";
        let identity = format!("[identity]\nnode = \"node-2\"\n{}", peer("node-1", &one));
        let two = House::start(policies_two, &format!("{identity}{cy}")).await;
        // Node 1 began before there was a node 2 whose key it could know.
        let file = one.dir.path().join("config.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n{}", peer("node-2", &two))).unwrap();
        Self { one: one.restart().await, two }
    }
}

fn peer(name: &str, house: &House) -> String {
    let key = house.dir.path().join("state/chain.pub").display().to_string();
    format!("[[identity.peers]]\nname = {name:?}\nkey = {key:?}\nspeaks_for = [\"spiffe://example.org/*\"]\n")
}

async fn call(
    house: &House,
    task: &Value,
    (method, url): (&str, &str),
    chain: Option<&str>,
) -> (u16, String, String) {
    let host = url.strip_prefix("https://").unwrap().split('/').next().unwrap();
    let path = url.split_once(host).unwrap().1;
    let token = task["token"].as_str().unwrap();
    let mut agent = Agent::connect(house, host, "http/1.1", token).await;
    let mut request = Request::builder().method(method).uri(path).header("host", host);
    if let Some(chain) = chain {
        request = request.header("remit-chain", chain);
    }
    let body = if method == "GET" { "" } else { "{}" };
    let answer = agent.send(request.body(Full::new(body.into())).unwrap()).await;
    let refusal = answer.headers().get("remit-refusal").map(|code| code.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, refusal.unwrap_or_default(), String::from_utf8_lossy(&text).into_owned())
}

fn was(answer: &(u16, String, String)) -> (u16, &str) {
    (answer.0, &answer.1)
}

/// The chain that the origin saw last.
fn chain_at(house: &House) -> String {
    let seen = house.origin.seen();
    let chain = seen.last().unwrap().headers.get("remit-chain").expect("no chain came with the call");
    chain.to_str().unwrap().to_owned()
}

async fn open(house: &House, agent: &str, more: Value) -> Value {
    let mut body = json!({"agent": agent, "intent": "test"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, task) = house.admin(Method::POST, "/v1/tasks", body).await;
    assert_eq!(status, StatusCode::CREATED, "{task}");
    task
}

async fn open_tasks(house: &House, agent: &str) -> Vec<Value> {
    let (_, all) = house.admin(Method::GET, "/v1/tasks?state=open", Value::Null).await;
    let agent = format!("spiffe://example.org/agent/{agent}");
    all["tasks"].as_array().unwrap().iter().filter(|task| task["agent"] == agent.as_str()).cloned().collect()
}

/// Ada invokes bob; what bob got.
async fn invoke_bob(nodes: &Nodes, ada: &Value) -> String {
    assert_eq!(was(&call(&nodes.one, ada, INVOKE, None).await), (200, ""));
    chain_at(&nodes.one)
}

#[tokio::test]
async fn three_agents_over_two_nodes_are_one_chain() {
    let nodes = Nodes::start(PERMIT_ALL, PERMIT_ALL).await;
    let more = json!({"on_behalf_of": "user:eve", "grant": {"classes": ["read", "delegate"]}});
    let ada = open(&nodes.one, "ada", more).await;
    let (bob, cy) = (open(&nodes.two, "bob", json!({})).await, open(&nodes.one, "cy", json!({})).await);

    let to_bob = invoke_bob(&nodes, &ada).await;
    assert_eq!(was(&call(&nodes.two, &bob, READ, Some(&to_bob)).await), (200, ""));
    assert!(
        !nodes.two.origin.seen().last().unwrap().headers.contains_key("remit-chain"),
        "a chain goes no further than the node that it is for"
    );
    let act = call(&nodes.two, &bob, ACT, Some(&to_bob)).await;
    assert_eq!(was(&act), (403, "outside_grant"), "{act:?}");
    assert_eq!(was(&call(&nodes.two, &bob, ACT, None).await), (200, ""), "bob on bob's own account");

    assert_eq!(was(&call(&nodes.two, &bob, INVOKE, Some(&to_bob)).await), (200, ""));
    let to_cy = chain_at(&nodes.two);
    assert_eq!(was(&call(&nodes.one, &cy, READ, Some(&to_cy)).await), (200, ""));
    assert_eq!(was(&call(&nodes.one, &cy, ACT, Some(&to_cy)).await), (403, "outside_grant"), "ada could not");

    let (one, two) = (nodes.one.journal().await, nodes.two.journal().await);
    let joined: Vec<_> =
        of_kind(&one, "task_opened").into_iter().filter(|task| task["terms"]["handed"].is_object()).collect();
    assert_eq!(joined.len(), 1, "one task for all that cy does for this");
    let terms = &joined[0]["terms"];
    assert_eq!(terms["handed"]["by"], "node-2");
    assert_eq!(terms["on_behalf_of"], "user:eve");
    let actors = ["spiffe://example.org/agent/bob", "spiffe://example.org/agent/ada"];
    assert_eq!(terms["actors"], json!(actors), "nearest first");
    let lent: Vec<_> = of_kind(&two, "task_opened")
        .into_iter()
        .filter(|task| task["terms"]["lent_to"] == "node-1")
        .collect();
    assert_eq!(lent[0]["task"], terms["handed"]["task"], "the two journals tell of one task");
    let call = of_kind(&two, "opened").into_iter().find(|call| call["call"] == lent[0]["terms"]["call"]);
    assert_eq!(call.unwrap()["operations"][0]["class"], "delegate", "and of the call that handed it over");
}

#[tokio::test]
async fn t14_a_request_is_not_laundered_by_whoever_has_the_right() {
    let no_ada = format!(
        "{PERMIT_ALL}@id(\"not-ada\") forbid (principal == Agent::\"spiffe://example.org/agent/ada\", \
         action in Action::\"act\", resource);\n"
    );
    let nodes = Nodes::start(PERMIT_ALL, &no_ada).await;
    let ada = open(&nodes.one, "ada", json!({})).await;
    let bob = open(&nodes.two, "bob", json!({})).await;
    let chain = invoke_bob(&nodes, &ada).await;
    assert_eq!(was(&call(&nodes.two, &bob, ACT, None).await), (200, ""), "bob may, for himself");
    let refused = call(&nodes.two, &bob, ACT, Some(&chain)).await;
    assert_eq!(was(&refused), (403, "policy_denied"), "ada may not, so neither may bob for ada");
    assert!(refused.2.contains("not-ada"), "{}", refused.2);
    assert_eq!(was(&call(&nodes.two, &bob, READ, Some(&chain)).await), (200, ""));
}

#[tokio::test]
async fn asi07_a_chain_is_worth_nothing_to_anybody_else_or_anywhere_else() {
    let nodes = Nodes::start(PERMIT_ALL, PERMIT_ALL).await;
    let ada = open(&nodes.one, "ada", json!({})).await;
    let (bob, thief) = (open(&nodes.two, "bob", json!({})).await, open(&nodes.two, "thief", json!({})).await);
    let chain = invoke_bob(&nodes, &ada).await;
    let before = nodes.two.origin.seen().len();
    let stolen = call(&nodes.two, &thief, READ, Some(&chain)).await;
    assert_eq!(was(&stolen), (401, "identity_invalid"));
    assert!(stolen.2.contains("worth nothing to anybody else"), "{}", stolen.2);
    let elsewhere = call(&nodes.one, &ada, READ, Some(&chain)).await;
    assert_eq!(was(&elsewhere), (401, "identity_invalid"));
    assert!(elsewhere.2.contains("for another node"), "{}", elsewhere.2);
    let (signed, signature) = chain.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{signed}.{other}{}", &signature[1..]);
    for forged in [changed.as_str(), "x", ""] {
        assert_eq!(
            was(&call(&nodes.two, &bob, READ, Some(forged)).await),
            (401, "identity_invalid"),
            "{forged}"
        );
    }
    assert_eq!(nodes.two.origin.seen().len(), before, "nothing of this went out");
    let journal = nodes.two.journal().await;
    assert_eq!(of_kind(&journal, "refused").len(), 4, "and all of it is on record");
}

#[tokio::test]
async fn what_is_lent_is_spent_and_nobody_overspends() {
    let nodes = Nodes::start(PERMIT_ALL, PERMIT_ALL).await;
    let ada = open(&nodes.one, "ada", json!({"budget": {"acts": 4}})).await;
    let bob = open(&nodes.two, "bob", json!({})).await;
    let chain = invoke_bob(&nodes, &ada).await;
    for n in 0..2 {
        assert_eq!(was(&call(&nodes.two, &bob, ACT, Some(&chain)).await), (200, ""), "bob's act {n} of 2");
    }
    let refused = call(&nodes.two, &bob, ACT, Some(&chain)).await;
    assert_eq!(was(&refused), (429, "budget_exhausted"), "{refused:?}");
    // Another call invokes bob again, and brings no second share.
    let again = invoke_bob(&nodes, &ada).await;
    assert_eq!(was(&call(&nodes.two, &bob, ACT, Some(&again)).await), (429, "budget_exhausted"));
    let nodes = Nodes { one: nodes.one.restart().await, two: nodes.two.restart().await };
    assert_eq!(
        was(&call(&nodes.two, &bob, ACT, Some(&again)).await),
        (429, "budget_exhausted"),
        "nor does another start of the node"
    );
    for n in 0..2 {
        assert_eq!(was(&call(&nodes.one, &ada, ACT, None).await), (200, ""), "ada's act {n} of 2");
    }
    assert_eq!(was(&call(&nodes.one, &ada, ACT, None).await), (429, "budget_exhausted"));
}

#[tokio::test]
async fn what_was_handed_over_ends_with_whatever_it_hangs_on() {
    let nodes = Nodes::start(PERMIT_ALL, PERMIT_ALL).await;
    let ada = open(&nodes.one, "ada", json!({})).await;
    let bob = open(&nodes.two, "bob", json!({})).await;
    let chain = invoke_bob(&nodes, &ada).await;
    let lent = open_tasks(&nodes.one, "bob").await;
    assert_eq!((lent.len(), &lent[0]["lent_to"]), (1, &json!("node-2")));
    assert_eq!(lent[0]["parent"], ada["id"]);
    assert_eq!(was(&call(&nodes.two, &bob, READ, Some(&chain)).await), (200, ""));
    let joined = open_tasks(&nodes.two, "bob").await;
    let joined = joined.iter().find(|task| task["handed"].is_object()).unwrap();
    let end = format!("/v1/tasks/{}/end", joined["id"].as_str().unwrap());
    nodes.two.admin(Method::POST, &end, Value::Null).await;
    let over = call(&nodes.two, &bob, READ, Some(&chain)).await;
    assert_eq!(was(&over), (401, "task_ended"), "the same chain does not open it again: {over:?}");
    assert_eq!(was(&call(&nodes.two, &bob, READ, None).await), (200, ""), "bob's own task goes on");

    let end = format!("/v1/tasks/{}/end", ada["id"].as_str().unwrap());
    nodes.one.admin(Method::POST, &end, Value::Null).await;
    assert!(open_tasks(&nodes.one, "bob").await.is_empty(), "what was lent ends with what it was lent from");
}

#[tokio::test]
async fn a_chain_never_comes_back_to_whoever_is_in_it() {
    let nodes = Nodes::start(PERMIT_ALL, PERMIT_ALL).await;
    // At node 1 bob answers at api.test, so bob who calls there would hand a task to bob.
    let bob = open(&nodes.one, "bob", json!({})).await;
    let refused = call(&nodes.one, &bob, INVOKE, None).await;
    assert_eq!(was(&refused), (403, "outside_grant"));
    assert!(refused.2.contains("never delegated back up its own chain"), "{}", refused.2);
    assert!(nodes.one.origin.seen().is_empty(), "a call that hands over nothing does not go out");
}

#[tokio::test]
async fn what_a_task_touched_goes_with_it() {
    let tainted = format!(
        "{PERMIT_ALL}@id(\"tainted\") forbid (principal, action in Action::\"act\", resource)\n\
         when {{ context.history.reads > 2 }};\n"
    );
    let nodes = Nodes::start(PERMIT_ALL, &tainted).await;
    let ada = open(&nodes.one, "ada", json!({})).await;
    let bob = open(&nodes.two, "bob", json!({})).await;
    let chain = invoke_bob(&nodes, &ada).await;
    assert_eq!(was(&call(&nodes.two, &bob, ACT, Some(&chain)).await), (200, ""));
    for _ in 0..3 {
        call(&nodes.one, &ada, READ, None).await;
    }
    let chain = invoke_bob(&nodes, &ada).await;
    assert_eq!(
        was(&call(&nodes.two, &bob, ACT, Some(&chain)).await),
        (403, "policy_denied"),
        "what ada read at node 1 counts at node 2"
    );
}

#[tokio::test]
async fn two_agents_of_one_node_hand_over_without_another_node() {
    let agents = "[[agents]]\nid = \"bob\"\nhosts = [\"api.test\"]\nbehind = \"self\"\n";
    let house = House::start(PERMIT_ALL, agents).await;
    let ada =
        open(&house, "ada", json!({"grant": {"classes": ["read", "delegate"]}, "budget": {"reads": 2}}))
            .await;
    let bob = open(&house, "bob", json!({})).await;
    assert_eq!(was(&call(&house, &ada, INVOKE, None).await), (200, ""));
    let chain = chain_at(&house);
    assert_eq!(was(&call(&house, &bob, ACT, Some(&chain)).await), (403, "outside_grant"));
    assert_eq!(was(&call(&house, &bob, READ, Some(&chain)).await), (200, ""));
    assert_eq!(was(&call(&house, &ada, READ, None).await), (200, ""));
    let spent = call(&house, &bob, READ, Some(&chain)).await;
    assert_eq!(was(&spent), (429, "budget_exhausted"), "what bob does for ada counts as ada's: {spent:?}");
    assert_eq!(was(&call(&house, &bob, READ, None).await), (200, ""));
    let end = format!("/v1/tasks/{}/end", ada["id"].as_str().unwrap());
    house.admin(Method::POST, &end, Value::Null).await;
    assert_eq!(was(&call(&house, &bob, READ, Some(&chain)).await), (401, "task_ended"));
    let house = house.restart().await;
    assert_eq!(was(&call(&house, &bob, READ, Some(&chain)).await), (401, "task_ended"));
}
