mod looking;
mod sights;

mod roles;
mod sessions;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::call::principal::{Entrance, Presented};
use crate::call::{
    Class, Clock, Decision, Entropy, LeaseState, Operation, OperationId, Operations, Recognition, Secret,
    Seen, ServiceName, SpiffeId, TaskId, Timestamp,
};
use crate::identity::{Claim, Identity, KeyError};
use crate::intent;
use crate::judge::hold::{self, Holds};

const START_S: u64 = 1_800_000_000;
/// Nothing on loopback takes this long; a test that waits longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

struct World(AtomicU64);

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(START_S)
    }
}

impl Entropy for World {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            let drawn = self.0.fetch_add(1, Ordering::SeqCst);
            *byte = drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
        }
    }
}

/// A node whose journal and ports do what the test says.
struct FakeNode {
    state_dir: Mutex<PathBuf>,
    not_ready: Mutex<Option<String>>,
    journal_error: Mutex<Option<String>>,
    port_error: Mutex<Option<String>>,
    policy_error: Mutex<Option<String>>,
    events: Mutex<Vec<(OperatorId, TaskEvent)>>,
    leases: Mutex<Vec<Lease>>,
    holds: Mutex<Vec<(Arc<Hold>, Arc<Card>)>>,
    dummies: Mutex<Vec<Dummy>>,
    /// While set, writing to the journal waits for the second after it told the first.
    gate: Mutex<Option<(Arc<Notify>, Arc<Notify>)>>,
}

impl Node for FakeNode {
    fn facts(&self) -> NodeFacts {
        NodeFacts {
            version: "0.1.0",
            pid: 7,
            proxy: "127.0.0.1:8118".parse().unwrap(),
            admin: "127.0.0.1:8119".parse().unwrap(),
            state_dir: self.state_dir.lock().unwrap().clone(),
            ca: "/state/ca/ca.pem".into(),
            ca_bundle: "/state/ca/bundle.pem".into(),
            rules: RulesDigest([0xab; 32]),
            generation: 3,
        }
    }

    fn ready(&self) -> Result<(), String> {
        self.not_ready.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn notice(&self) -> Option<&'static str> {
        self.policy_error.lock().unwrap().as_ref().map(|_| "the policies on disk are refused")
    }

    fn reload_policies(&self, _by: OperatorId) -> BoxFuture<'_, Result<(RulesDigest, RulesDigest), String>> {
        let error = self.policy_error.lock().unwrap().clone();
        Box::pin(async move { error.map_or(Ok((RulesDigest([1; 32]), RulesDigest([2; 32]))), Err) })
    }

    fn metrics(&self) -> (&'static str, String) {
        ("text/plain", "remit_up 1\n".to_owned())
    }

    fn leases(&self, _task: Option<TaskId>) -> (Vec<Lease>, Timestamp) {
        (self.leases.lock().unwrap().clone(), Timestamp::from_unix_s(START_S))
    }

    fn holds(&self) -> Vec<(Arc<Hold>, Arc<Card>)> {
        self.holds.lock().unwrap().clone()
    }

    fn hold(&self, id: HoldId) -> Option<(Arc<Hold>, Arc<Card>)> {
        self.holds.lock().unwrap().iter().find(|(hold, _)| hold.id == id).cloned()
    }

    fn vote(&self, ballot: Ballot, voter: Operator) -> BoxFuture<'_, Result<Arc<Hold>, NotVoted>> {
        Box::pin(async move {
            let (hold, _) = self.hold(ballot.hold).ok_or(NoVote::Unknown(ballot.hold))?;
            let holds = Holds::new(hold::Settings::default(), [(*hold).clone()]);
            Ok(Arc::new(holds.vote(&ballot, &voter, &hold.rules, Timestamp::from_unix_s(START_S))?))
        })
    }

    fn lease_seen(
        &self,
        lease: LeaseId,
        by: OperatorId,
        note: Option<String>,
    ) -> BoxFuture<'_, Result<(Lease, Timestamp), SeenError>> {
        let at = Timestamp::from_unix_s(START_S);
        let mut leases = self.leases.lock().unwrap();
        let told = match leases.iter_mut().find(|one| one.id == lease) {
            None => Err(SeenError::Unknown),
            Some(one) if one.state != LeaseState::Lost => Err(SeenError::NotLost(one.state)),
            Some(one) => {
                one.seen = Some(Seen { by, at, note });
                Ok((one.clone(), at))
            }
        };
        std::future::ready(told).boxed()
    }

    fn dummies(&self, _task: TaskId) -> (Vec<Dummy>, Vec<String>) {
        (self.dummies.lock().unwrap().clone(), vec!["REAL_KEY".to_owned()])
    }

    fn open_task_port(&self, _task: Arc<Task>) -> BoxFuture<'_, Result<SocketAddr, String>> {
        let answer = self.port_error.lock().unwrap().clone();
        Box::pin(async move { answer.map_or(Ok("127.0.0.1:9000".parse().unwrap()), Err) })
    }

    fn record(&self, by: OperatorId, event: TaskEvent) -> BoxFuture<'_, Result<(), String>> {
        let error = self.journal_error.lock().unwrap().clone();
        let gate = self.gate.lock().unwrap().clone();
        Box::pin(async move {
            if let Some((arrived, go_on)) = gate {
                arrived.notify_one();
                go_on.notified().await;
            }
            if let Some(why) = error {
                return Err(why);
            }
            self.events.lock().unwrap().push((by, event));
            Ok(())
        })
    }
}

fn access() -> Access {
    let life = Life { idle: Duration::from_secs(1_800), whole: Duration::from_secs(28_800) };
    Access { life, requests_per_s: 200, named: BTreeMap::new() }
}

struct Stand {
    at: SocketAddr,
    admin: AdminToken,
    operators: Arc<Operators>,
    tasks: Arc<Tasks>,
    tokens: Arc<TaskTokens>,
    node: Arc<FakeNode>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    insight: Arc<sights::Sights>,
    pulse: Arc<Pulse>,
    dir: TempDir,
}

async fn stand() -> Stand {
    stand_with(|access| access).await
}

async fn stand_with(change: impl FnOnce(Access) -> Access) -> Stand {
    let world = Arc::new(World(AtomicU64::new(1)));
    let dir = TempDir::new().unwrap();
    let ports = intent::Ports {
        clock: world.clone(),
        entropy: world.clone(),
        book: Arc::new(intent::tests::ground::Memory::default()),
    };
    let tasks = Arc::new(Tasks::load(intent::Settings::default(), ports).unwrap());
    let tokens = Arc::new(TaskTokens::load_or_make(dir.path(), world.clone(), world.clone()).unwrap());
    let admin = AdminToken::load_or_make(&dir.path().join("admin.token"), &*world).unwrap();
    let node = Arc::new(FakeNode {
        state_dir: Mutex::new("/state".into()),
        not_ready: Mutex::default(),
        journal_error: Mutex::default(),
        policy_error: Mutex::default(),
        port_error: Mutex::default(),
        events: Mutex::default(),
        leases: Mutex::default(),
        holds: Mutex::default(),
        dummies: Mutex::default(),
        gate: Mutex::default(),
    });
    let operators = Operators::new(change(access()), Evidence::default(), world.clone(), world.clone());
    let operators = Arc::new(operators);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let settings = Settings {
        bound: at,
        bound_tls: None,
        url: None,
        names: vec![Host::Name("remit.internal".into())],
        trust_domain: TrustDomain::parse("example.org").unwrap(),
        trace_url: None,
    };
    let (pulse, insight) = (Arc::<Pulse>::default(), Arc::new(sights::Sights::over(dir.path())));
    let rooms = Rooms {
        tasks: tasks.clone(),
        tokens: tokens.clone(),
        node: node.clone(),
        admin: admin.clone(),
        operators: operators.clone(),
        slack: Vec::new(),
        insight: insight.clone(),
        pulse: pulse.clone(),
    };
    let (stop, stopped) = oneshot::channel();
    let door = Door { listener, tls: None };
    let served = tokio::spawn(serve(door, router(settings, rooms), async {
        drop(stopped.await);
    }));
    Stand {
        at,
        admin,
        operators,
        tasks,
        tokens,
        node,
        stop: Some(stop),
        served: Some(served),
        insight,
        pulse,
        dir,
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// That this is a problem of this status and code, in every part.
    fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let body = self.json();
        assert_eq!(body["code"], code, "{self:?}");
        assert_eq!(body["type"], format!("urn:remit:problem:{code}"));
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string());
        assert!(!body["detail"].as_str().unwrap().is_empty());
    }
}

impl Stand {
    /// One request as it stands, on a connection of its own.
    async fn raw(&self, request: &[u8]) -> Answer {
        let talk = async {
            let mut stream = TcpStream::connect(self.at).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(PATIENCE, talk).await.expect("no answer");
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Answer { status, headers, body: body.to_owned() }
    }

    fn bearer(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.admin.reveal())
    }

    fn host(&self) -> String {
        format!("host: {}\r\n", self.at)
    }

    /// A request with these header lines and nothing else but what frames it.
    async fn with(&self, line: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }

    async fn ask(&self, line: &str) -> Answer {
        self.with(line, &(self.host() + &self.bearer()), "").await
    }

    async fn post_json(&self, path: &str, body: &str) -> Answer {
        let headers = self.host() + &self.bearer() + "content-type: application/json\r\n";
        self.with(&format!("POST {path}"), &headers, body).await
    }

    async fn open(&self, body: Value) -> Answer {
        self.post_json("/v1/tasks", &body.to_string()).await
    }

    async fn opened(&self) -> TaskId {
        let answer = self.open(json!({"agent": "coder", "intent": "triage"})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().parse().unwrap()
    }

    fn events(&self) -> Vec<String> {
        let event = |(by, event): &(OperatorId, TaskEvent)| match event {
            _ if *by != OperatorId::local() => format!("{event:?} by {by}"),
            TaskEvent::Opened { task } => format!("opened {}", task.id),
            TaskEvent::Ended { task, why } => format!("ended {} {}", task.id, why.as_str()),
            TaskEvent::Renewed { task, until } => format!("renewed {task} {until}"),
            TaskEvent::Registered { agent, registration } => {
                format!("registered {agent} {}", registration.is_some())
            }
            TaskEvent::Quarantined { agent } => format!("quarantined {agent}"),
            TaskEvent::Released { agent } => format!("released {agent}"),
            TaskEvent::SignedIn => "signed in".to_owned(),
            TaskEvent::SignedOut => "signed out".to_owned(),
        };
        self.node.events.lock().unwrap().iter().map(event).collect()
    }
}

fn read() -> Operations {
    Operations::one(Operation {
        id: OperationId("github:issues/list".into()),
        service: ServiceName("github".into()),
        class: Class::Read,
        resource: None,
        how: Recognition::Exact,
        facts: crate::call::Facts::default(),
        because: "test".into(),
        ai: None,
    })
}

#[tokio::test]
async fn a_task_shows_its_leases_and_its_agent_gets_placeholders() {
    let stand = stand().await;
    assert_eq!(stand.open(json!({"agent": "coder", "intent": "triage"})).await.json().get("env"), None);
    let dummy = |name: &str| Dummy {
        service: ServiceName(name.into()),
        env: [("KEY".to_owned(), format!("of {name}"))].into(),
        placeholder: format!("of {name}"),
    };
    *stand.node.dummies.lock().unwrap() = vec![dummy("one"), dummy("two")];
    let opened = stand.open(json!({"agent": "coder", "intent": "triage"})).await.json();
    assert_eq!((&opened["env"], &opened["hidden_env"]), (&json!({"KEY": "of one"}), &json!(["REAL_KEY"])));
    assert_eq!(
        opened["placeholders"][1],
        json!({"service": "two", "env": {"KEY": "of two"}, "placeholder": "of two"})
    );

    let (task, at) = (opened["id"].as_str().unwrap().parse().unwrap(), Timestamp::from_unix_s(START_S - 6));
    let lease = Lease {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        task,
        service: ServiceName("one".into()),
        provider: "oauth".into(),
        scope: "read".into(),
        state: crate::call::LeaseState::Revoking,
        since: at,
        minted: at,
        until: None,
        short_lived: true,
        why: Some("away".into()),
        task_ended: None,
        seen: None,
    };
    *stand.node.leases.lock().unwrap() = vec![lease];
    let shown = stand.ask(&format!("GET /v1/tasks/{task}")).await.json();
    assert_eq!(shown["gone"], json!({"answer": "no"}));
    let lease = &shown["leases"][0];
    assert_eq!(
        (&lease["state"], &lease["overdue"], &lease["why"]),
        (&json!("revoking"), &json!(true), &json!("away"))
    );
    let all = stand.ask("GET /v1/leases").await.json();
    assert_eq!(all["leases"].as_array().map(Vec::len), Some(1));
    let active = stand.ask("GET /v1/leases?state=active").await.json();
    assert_eq!(active["leases"], json!([]));
    stand.ask("GET /v1/leases?stat=active").await.is_problem(400, "bad_query");

    let path = "/v1/leases/01ARZ3NDEKTSV4RRFFQ69G5FAV/seen";
    stand.post_json(path, "{}").await.is_problem(409, "lease_not_lost");
    stand.node.leases.lock().unwrap()[0].state = LeaseState::Lost;
    let shown = stand.ask(&format!("GET /v1/tasks/{task}")).await.json();
    assert_eq!(shown["gone"], json!({"answer": "unknown"}));
    stand
        .post_json("/v1/leases/01ARZ3NDEKTSV4RRFFQ69G5FAA/seen", "{}")
        .await
        .is_problem(404, "lease_unknown");
    stand.post_json("/v1/leases/x/seen", "{}").await.is_problem(404, "lease_unknown");
    let seen = stand.post_json(path, r#"{"note": "nothing there"}"#).await.json();
    let at = Timestamp::from_unix_s(START_S).to_string();
    assert_eq!(seen["seen"], json!({"by": "local:admin", "at": at, "note": "nothing there"}));
    let shown = stand.ask(&format!("GET /v1/tasks/{task}")).await.json();
    assert_eq!(shown["gone"], json!({"answer": "attested", "by": "local:admin", "at": at}));
}

#[tokio::test]
async fn a_task_lives_from_opening_to_end() {
    let stand = stand().await;
    let answer = stand
        .open(json!({"agent": "coder", "intent": "triage", "ttl_s": 60, "labels": {"ticket": "42"}}))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let body = answer.json();
    let id: TaskId = body["id"].as_str().unwrap().parse().unwrap();
    let token = body["token"].as_str().unwrap();
    assert_eq!(body["agent"], "spiffe://example.org/agent/coder");
    assert_eq!(body["proxy_url"], format!("http://task:{token}@127.0.0.1:8118"));
    assert_eq!(body["expires_at"], Timestamp::from_unix_s(START_S + 60).to_string());
    assert_eq!(
        (&body["ca"], &body["ca_bundle"]),
        (&json!("/state/ca/ca.pem"), &json!("/state/ca/bundle.pem"))
    );
    assert_eq!(body.get("port_url"), None);
    assert_eq!(answer.headers["location"], format!("/v1/tasks/{id}"));

    let place = stand.tasks.attach(id, &read()).unwrap().place;
    place.settle(&read(), Decision::Deny, Some("policy_denied"), Timestamp::from_unix_s(START_S));
    drop(place);
    let shown = stand.ask(&format!("GET /v1/tasks/{id}")).await.json();
    assert_eq!((&shown["state"], &shown["labels"]["ticket"]), (&json!("open"), &json!("42")));
    assert_eq!(
        shown["summary"],
        json!([{"operation": "github:issues/list", "class": "read", "decision": "deny",
                "refusal": "policy_denied", "calls": 1}])
    );
    assert_eq!(shown["calls"]["denials"], 1);

    let attached = stand.tasks.attach(id, &read()).unwrap();
    let ended = stand.ask(&format!("POST /v1/tasks/{id}/end")).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    assert_eq!((&ended.json()["state"], &ended.json()["ended"]["why"]), (&json!("ended"), &json!("command")));
    assert_eq!(*attached.ended.borrow(), Some(TaskEnd::Command));
    assert_eq!(stand.events(), [format!("opened {id}"), format!("ended {id} command")]);
}

#[tokio::test]
async fn the_token_of_the_answer_is_the_tasks_own() {
    let stand = stand().await;
    let body = stand.open(json!({"agent": "spiffe://other.test/x", "intent": "triage"})).await.json();
    let bundles = Arc::default();
    let clock = Arc::new(World(AtomicU64::new(1)));
    let settings = crate::identity::Settings::default();
    let identity = Identity::new(settings, stand.tokens.clone(), bundles, clock);
    let presented = Presented {
        peer: stand.at,
        by: Entrance::Proxy,
        token: Some(Secret::new(body["token"].as_str().unwrap().to_owned())),
        certificates: None,
        chain: None,
        process: None,
    };
    let Claim::Token { task, agent, .. } = identity.attribute(&presented).unwrap() else {
        panic!("another claim")
    };
    assert_eq!(body["id"], task.to_string());
    assert_eq!(agent, SpiffeId::parse("spiffe://other.test/x").unwrap());
}

#[tokio::test]
async fn a_task_may_have_a_port_of_its_own() {
    let stand = stand().await;
    let body = stand.open(json!({"agent": "coder", "intent": "triage", "port": true})).await.json();
    assert_eq!(body["port_url"], "http://127.0.0.1:9000");
    *stand.node.port_error.lock().unwrap() = Some("no ports are left".into());
    let refused = stand.open(json!({"agent": "coder", "intent": "triage", "port": true})).await;
    refused.is_problem(503, "port_not_opened");
    assert_eq!(stand.events().len(), 1, "a task that was never opened stands in the journal");
    let withdrawn = stand
        .tasks
        .list()
        .into_iter()
        .filter(|line| matches!(line.state, intent::TaskState::Ended { why: TaskEnd::Withdrawn, .. }));
    assert_eq!(withdrawn.count(), 1, "{:?}", stand.tasks.list());
}

#[tokio::test]
async fn journal_failure_at_opening_fails_closed() {
    let stand = stand().await;
    *stand.node.journal_error.lock().unwrap() = Some("no space left on device".into());
    let refused = stand.open(json!({"agent": "coder", "intent": "triage"})).await;
    refused.is_problem(503, "journal_unavailable");
    assert!(refused.body.contains("no space left on device") && !refused.body.contains("token"));
    let id = stand.tasks.list()[0].task.id;
    assert!(stand.tasks.attach(id, &read()).is_err(), "the task takes calls");
}

#[tokio::test]
async fn journal_failure_at_the_end_is_told_but_the_task_is_over() {
    let stand = stand().await;
    let id = stand.opened().await;
    *stand.node.journal_error.lock().unwrap() = Some("no space left on device".into());
    stand.ask(&format!("POST /v1/tasks/{id}/end")).await.is_problem(503, "journal_unavailable");
    assert!(stand.tasks.attach(id, &read()).is_err());
}

#[tokio::test]
async fn a_node_that_is_not_ready_opens_nothing_but_still_ends() {
    let stand = stand().await;
    let id = stand.opened().await;
    *stand.node.not_ready.lock().unwrap() = Some("the node is draining".into());
    let refused = stand.open(json!({"agent": "coder", "intent": "triage"})).await;
    refused.is_problem(503, "not_ready");
    assert_eq!(stand.tasks.list().len(), 1);
    assert_eq!(stand.ask(&format!("POST /v1/tasks/{id}/end")).await.status, 200);
}

#[tokio::test]
async fn ending_twice_is_recorded_once() {
    let stand = stand().await;
    let id = stand.opened().await;
    for _ in 0..2 {
        let ended = stand.ask(&format!("POST /v1/tasks/{id}/end")).await;
        assert_eq!((ended.status, &ended.json()["ended"]["why"]), (200, &json!("command")));
    }
    assert_eq!(stand.events().len(), 2);
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_no_unrecorded_end() {
    let stand = stand().await;
    let id = stand.opened().await;
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    *stand.node.gate.lock().unwrap() = Some((arrived.clone(), go_on.clone()));
    let mut stream = TcpStream::connect(stand.at).await.unwrap();
    let request = format!("POST /v1/tasks/{id}/end HTTP/1.1\r\n{}{}\r\n", stand.host(), stand.bearer());
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::timeout(PATIENCE, arrived.notified()).await.unwrap();
    drop(stream);
    // The server has noticed once it serves nobody any more, which stopping waits for.
    let mut stand = stand;
    drop(stand.stop.take());
    tokio::time::timeout(PATIENCE, stand.served.take().unwrap()).await.unwrap().unwrap();
    go_on.notify_one();
    let recorded = async {
        while stand.events().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, recorded).await.expect("the end was not recorded");
}

#[tokio::test]
async fn tasks_are_listed_by_state() {
    let stand = stand().await;
    let (one, two) = (stand.opened().await, stand.opened().await);
    stand.tasks.end(one, TaskEnd::Deadline).await.unwrap();
    let ids = |answer: &Answer| -> Vec<String> {
        let tasks = answer.json()["tasks"].as_array().unwrap().clone();
        tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&stand.ask("GET /v1/tasks").await).len(), 2);
    assert_eq!(ids(&stand.ask("GET /v1/tasks?state=open").await), [two.to_string()]);
    let ended = stand.ask("GET /v1/tasks?state=ended").await;
    assert_eq!(ids(&ended), [one.to_string()]);
    assert_eq!(ended.json()["tasks"][0].get("summary"), None);
    for query in ["state=closed", "status=open", "state=open&state=ended"] {
        stand.ask(&format!("GET /v1/tasks?{query}")).await.is_problem(400, "bad_query");
    }
}

#[tokio::test]
async fn no_answer_shows_a_token_again() {
    let stand = stand().await;
    let id = stand.opened().await;
    for path in ["/v1/tasks".to_owned(), format!("/v1/tasks/{id}"), "/v1/node".to_owned()] {
        let answer = stand.ask(&format!("GET {path}")).await;
        assert!(!answer.body.contains("eyJ") && !answer.body.contains(stand.admin.reveal()), "{answer:?}");
    }
}

#[tokio::test]
async fn a_standing_task_shows_no_deadline() {
    let stand = stand().await;
    let task =
        stand.tasks.standing(&SpiffeId::parse("spiffe://example.org/agent/anyone").unwrap()).await.unwrap();
    let shown = stand.ask(&format!("GET /v1/tasks/{}", task.id)).await.json();
    assert_eq!((&shown["intent"], shown.get("expires_at")), (&json!("standing"), None));
}

#[tokio::test]
async fn nothing_under_v1_answers_without_the_right_token() {
    let stand = stand().await;
    let id = stand.opened().await;
    let token = stand.admin.reveal().to_owned();
    let half = &token[..token.len() / 2];
    let paths = ["GET /v1/tasks", "GET /v1/node", "POST /v1/tasks", "GET /v1/", "GET /v1/nothing", "GET /"];
    let mut lines: Vec<_> = paths.iter().map(|&line| line.to_owned()).collect();
    lines.extend([format!("GET /v1/tasks/{id}"), format!("POST /v1/tasks/{id}/end"), "GET /healthz/".into()]);
    for line in &lines {
        let answer = stand.with(line, &stand.host(), "").await;
        answer.is_problem(401, "unauthorized");
        assert!(answer.headers["www-authenticate"].starts_with("Bearer"), "{line}");
    }
    for header in [
        format!("authorization: Bearer {half}\r\n"),
        format!("authorization: Bearer {token}x\r\n"),
        format!("authorization: Basic {token}\r\n"),
        format!("authorization: {token}\r\n"),
        "authorization: Bearer\r\n".to_owned(),
        "authorization: Bearer \r\n".to_owned(),
        format!("authorization: Bearer x\r\nauthorization: Bearer {token}\r\n"),
        format!("proxy-authorization: Bearer {token}\r\n"),
        format!("cookie: token={token}\r\n"),
    ] {
        stand.with("GET /v1/node", &(stand.host() + &header), "").await.is_problem(401, "unauthorized");
    }
    assert!(stand.tasks.attach(id, &read()).is_ok(), "an end got through");
    let lower = format!("authorization: bearer {token}\r\n");
    assert_eq!(stand.with("GET /v1/node", &(stand.host() + &lower), "").await.status, 200);
}

#[tokio::test]
async fn requests_for_another_host_are_refused_before_anything_else() {
    let stand = stand().await;
    let port = stand.at.port();
    for host in
        ["evil.test", "localhost.evil.test", "127.0.0.1.nip.io", "10.0.0.1", "[fe80::1]", "x.localhost"]
    {
        let headers = format!("host: {host}:{port}\r\n") + &stand.bearer();
        for path in ["/v1/node", "/healthz"] {
            let answer = stand.with(&format!("GET {path}"), &headers, "").await;
            answer.is_problem(421, "wrong_host");
        }
    }
    for host in ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "[::1]", "remit.internal"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let headers = format!("host: {host}\r\n") + &stand.bearer();
            assert_eq!(stand.with("GET /v1/node", &headers, "").await.status, 200, "{host}");
        }
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let stand = stand().await;
    let two = stand.host() + &stand.host() + &stand.bearer();
    for headers in
        [stand.bearer(), two, "host: \r\n".to_owned() + &stand.bearer(), "host: a b\r\n".to_owned()]
    {
        stand.with("GET /v1/node", &headers, "").await.is_problem(400, "bad_host");
    }
}

#[tokio::test]
async fn the_admin_api_is_no_proxy() {
    let stand = stand().await;
    let headers = stand.host() + &stand.bearer();
    for line in [format!("GET http://{}/v1/node", stand.at), format!("CONNECT {}", stand.at)] {
        stand.with(&line, &headers, "").await.is_problem(421, "wrong_host");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let stand = stand().await;
    let ours = format!("http://{}", stand.at);
    for origin in [
        "null".to_owned(),
        "https://evil.test".to_owned(),
        format!("https://{}", stand.at),
        "http://127.0.0.1:1".to_owned(),
        format!("{ours}\r\norigin: {ours}"),
        String::new(),
    ] {
        let headers = stand.host() + &stand.bearer() + &format!("origin: {origin}\r\n");
        stand.with("GET /v1/node", &headers, "").await.is_problem(403, "foreign_origin");
    }
    let headers = stand.host() + &stand.bearer() + &format!("origin: {ours}\r\n");
    assert_eq!(stand.with("GET /v1/node", &headers, "").await.status, 200);
}

#[tokio::test]
async fn errors_are_problems_whatever_went_wrong() {
    let stand = stand().await;
    stand.ask("GET /v1/nothing").await.is_problem(404, "not_found");
    stand.ask("GET /v1/tasks/").await.is_problem(404, "not_found");
    stand.ask("GET /v1/tasks/42").await.is_problem(404, "task_unknown");
    let long = "a".repeat(2000);
    let answer = stand.ask(&format!("GET /v1/tasks/{long}")).await;
    answer.is_problem(404, "task_unknown");
    assert!(answer.body.len() < 600, "the answer repeats what it was sent");
    stand.ask("GET /v1/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV").await.is_problem(404, "task_unknown");
    stand.ask("POST /v1/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV/end").await.is_problem(404, "task_unknown");
    for line in ["DELETE /v1/tasks", "PUT /v1/node", "GET /v1/tasks/01ARZ3NDEKTSV4RRFFQ69G5FAV/end"] {
        let answer = stand.ask(line).await;
        answer.is_problem(405, "method_not_allowed");
        assert!(!answer.headers["allow"].is_empty(), "{line}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_what_is_wanted_are_refused_by_name() {
    let stand = stand().await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"agent": "coder"}"#,
        r#"{"agent": "coder", "intent": "x", "tll_s": 5}"#,
        r#"{"agent": "coder", "agent": "b", "intent": "x"}"#,
        r#"{"agent": "coder", "intent": "x", "ttl_s": -1}"#,
        r#"{"agent": "coder", "intent": "x", "ttl_s": 1.5}"#,
        r#"{"agent": "coder", "intent": "x", "labels": {"a": 1}}"#,
        r#"{"agent": "coder", "intent": "x"} {}"#,
    ] {
        stand.post_json("/v1/tasks", body).await.is_problem(400, "bad_json");
    }
    for (body, code) in [
        (json!({"agent": "not an agent", "intent": "x"}), "bad_agent"),
        (json!({"agent": "spiffe://d", "intent": "x"}), "bad_agent"),
        (json!({"agent": "coder", "intent": "two words"}), "bad_intent"),
        (json!({"agent": "coder", "intent": "x", "ttl_s": 0}), "bad_ttl"),
        (json!({"agent": "coder", "intent": "x", "ttl_s": 86_401}), "bad_ttl"),
        (json!({"agent": "coder", "intent": "x", "ttl_s": u64::MAX}), "bad_ttl"),
        (json!({"agent": "coder", "intent": "x", "labels": {"": "v"}}), "bad_labels"),
    ] {
        stand.open(body).await.is_problem(422, code);
    }
    let plain = stand.host() + &stand.bearer() + "content-type: text/plain\r\n";
    let good = r#"{"agent": "coder", "intent": "x"}"#;
    stand.with("POST /v1/tasks", &plain, good).await.is_problem(415, "not_json");
    stand.with("POST /v1/tasks", &(stand.host() + &stand.bearer()), good).await.is_problem(415, "not_json");
    assert!(stand.tasks.list().is_empty());
}

#[tokio::test]
async fn bodies_have_a_bound_whether_they_name_their_length_or_not() {
    let stand = stand().await;
    let room = MAX_BODY_BYTES - r#"{"agent":"coder","intent":""}"#.len();
    let fits = format!(r#"{{"agent":"coder","intent":"{}"}}"#, "i".repeat(room));
    assert_eq!(fits.len(), MAX_BODY_BYTES);
    stand.post_json("/v1/tasks", &fits).await.is_problem(422, "bad_intent");
    stand.post_json("/v1/tasks", &(fits.clone() + " ")).await.is_problem(413, "too_large");
    let chunked = format!(
        "POST /v1/tasks HTTP/1.1\r\n{}{}content-type: application/json\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{fits} \r\n0\r\n\r\n",
        stand.host(),
        stand.bearer(),
        fits.len() + 1,
    );
    stand.raw(chunked.as_bytes()).await.is_problem(413, "too_large");
}

#[tokio::test]
async fn a_connection_goes_on_although_a_refused_body_comes_late() {
    let stand = stand().await;
    let mut stream = TcpStream::connect(stand.at).await.unwrap();
    let next = format!("GET /healthz HTTP/1.1\r\n{}connection: close\r\n\r\n", stand.host());
    let head = format!("POST /v1/tasks HTTP/1.1\r\n{}content-length: 9000\r\n\r\n", stand.host());
    let talk = async {
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answered = vec![0; 4096];
        let read = stream.read(&mut answered).await.unwrap();
        assert!(answered[..read].starts_with(b"HTTP/1.1 401 "));
        stream.write_all(&[b'x'; 9_000]).await.unwrap();
        stream.write_all(next.as_bytes()).await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert!(all.contains("HTTP/1.1 200 "), "{all}");
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("no answer");
}

#[tokio::test]
async fn nothing_may_be_stored() {
    let stand = stand().await;
    for line in ["GET /healthz", "GET /v1/tasks", "GET /nothing", "DELETE /v1/node"] {
        let answer = stand.ask(line).await;
        assert_eq!(answer.headers["cache-control"], "no-store", "{line}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{line}");
    }
}

#[tokio::test]
async fn probes_need_no_token_and_tell_why_a_node_is_not_ready() {
    let stand = stand().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(stand.with(&format!("GET {path}"), &stand.host(), "").await.status, 200);
    }
    *stand.node.not_ready.lock().unwrap() = Some("the journal cannot be written".into());
    let refused = stand.with("GET /readyz", &stand.host(), "").await;
    refused.is_problem(503, "not_ready");
    assert_eq!(refused.json()["detail"], "the journal cannot be written");
    assert_eq!(stand.with("GET /healthz", &stand.host(), "").await.status, 200);
}

#[tokio::test]
async fn a_node_tells_what_it_is() {
    let stand = stand().await;
    let expected = json!({
        "version": "0.1.0", "pid": 7, "proxy": "127.0.0.1:8118", "admin": "127.0.0.1:8119",
        "state_dir": "/state", "ca": "/state/ca/ca.pem", "ca_bundle": "/state/ca/bundle.pem",
        "policy_digest": format!("sha256:{}", "ab".repeat(32)), "generation": 3,
    });
    assert_eq!(stand.ask("GET /v1/node").await.json(), expected);
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_takes_no_new_ones() {
    let mut stand = stand().await;
    let mut idle = TcpStream::connect(stand.at).await.unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\n{}\r\n", stand.host());
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(stand.stop.take());
    tokio::time::timeout(PATIENCE, stand.served.take().unwrap()).await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    assert!(TcpStream::connect(stand.at).await.is_err());
}

#[test]
fn the_admin_token_is_256_bits_in_a_file_of_its_owners() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("admin.token");
    let world = World(AtomicU64::new(1));
    let token = AdminToken::load_or_make(&path, &world).unwrap();
    assert_eq!(token.reveal().len(), 43);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", token.reveal()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(AdminToken::load_or_make(&path, &world).unwrap().matches(token.reveal()));
    assert!(AdminToken::load(&path).unwrap().matches(token.reveal()));
    assert!(!token.matches("") && !token.matches(&token.reveal()[1..]));
    assert_eq!(format!("{token:?}"), "AdminToken(Secret(..))");
}

#[test]
fn an_admin_token_that_others_may_read_or_guess_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("admin.token");
    assert!(matches!(AdminToken::load(&path), Err(KeyError::Io { .. })));
    AdminToken::load_or_make(&path, &World(AtomicU64::new(1))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(AdminToken::load(&path).unwrap_err().to_string().contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for content in ["", "\n", "secret", "c2VjcmV0"] {
        std::fs::write(&path, content).unwrap();
        assert!(matches!(AdminToken::load(&path), Err(KeyError::Content { .. })), "{content:?}");
    }
}

#[tokio::test]
async fn metrics_need_no_token_and_a_foreign_name_gets_none() {
    let stand = stand().await;
    let told = stand.raw(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert_eq!((told.status, told.body.as_str()), (200, "remit_up 1\n"));
    let told = stand.raw(b"GET /metrics HTTP/1.1\r\nhost: evil.test\r\nconnection: close\r\n\r\n").await;
    assert_eq!(told.status, 421);
}
