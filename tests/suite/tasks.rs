//! Tasks through a whole node: grants, delegation, budgets, ends, restarts, identities. Scenarios are named for what they
//! answer: OWASP Agentic Top 10 (ASI), Agentic Threats (T), Non-Human Identities Top 10:2025 (NHI).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Agent, House, PERMIT_ALL, of_kind, request};

const READ: (&str, &str) = ("GET", "https://api.github.com/repos/octo/hello/issues");
const ACT: (&str, &str) = ("POST", "https://api.github.com/repos/octo/hello/issues");

impl House {
    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.admin(Method::POST, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    async fn open(&self, more: Value) -> Value {
        let mut body = json!({"agent": "tester", "intent": "test"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/tasks", body).await
    }

    async fn delegate(&self, task: &Value, more: Value) -> Value {
        self.post(&format!("/v1/tasks/{}/delegate", text(task, "id")), more).await
    }

    /// Status and refusal of one call with this task's token.
    async fn call(&self, task: &Value, (method, url): (&str, &str)) -> (u16, String, String) {
        let mut agent = Agent::connect(self, "api.github.com", "http/1.1", text(task, "token")).await;
        let (status, headers, text) = agent.ask(method, url, &[]).await;
        let refusal = headers.get("remit-refusal").map(|code| code.to_str().unwrap().to_owned());
        (status.as_u16(), refusal.unwrap_or_default(), text)
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

fn was(answer: &(u16, String, String)) -> (u16, &str) {
    (answer.0, &answer.1)
}

#[tokio::test]
async fn a_task_outlives_the_node_and_so_does_what_it_did() {
    let house = House::start(PERMIT_ALL, "").await;
    let task = house.open(json!({"budget": {"acts": 2}, "on_behalf_of": "user:ada"})).await;
    assert_eq!(was(&house.call(&task, ACT).await), (200, ""));
    assert_eq!(was(&house.call(&task, READ).await), (200, ""));
    let house = house.restart().await;
    let path = format!("/v1/tasks/{}", text(&task, "id"));
    let (_, shown) = house.admin(Method::GET, &path, Value::Null).await;
    assert_eq!((&shown["state"], &shown["on_behalf_of"]), (&json!("open"), &json!("user:ada")));
    assert_eq!((&shown["calls"]["acts"], &shown["calls"]["reads"]), (&json!(1), &json!(1)), "{shown}");
    assert_eq!(shown["bytes_out"], 2, "the body of the act: {shown}");
    assert_eq!(was(&house.call(&task, ACT).await), (200, ""));
    assert_eq!(
        was(&house.call(&task, ACT).await),
        (429, "budget_exhausted"),
        "spent before the restart counts"
    );
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "task_opened").len(), 1);
    assert_eq!(of_kind(&journal, "task_ended").len(), 0, "the end of a node ends no task");
    let last = of_kind(&journal, "refused").last().copied().unwrap().clone();
    assert_eq!((&last["task"], &last["refusal"]["code"]), (&task["id"], &json!("budget_exhausted")));
}

#[tokio::test]
async fn asi03_a_delegate_never_has_more_than_whoever_delegated() {
    let house = House::start(PERMIT_ALL, "").await;
    let root = house.open(json!({"grant": {"classes": ["read"], "services": ["github"]}})).await;
    let (status, problem) = house
        .admin(
            Method::POST,
            &format!("/v1/tasks/{}/delegate", text(&root, "id")),
            json!({"to": "helper", "grant": {"classes": ["read", "act"]}}),
        )
        .await;
    assert_eq!((status.as_u16(), text(&problem, "code")), (422, "bad_grant"));
    let child = house.delegate(&root, json!({"to": "helper"})).await;
    assert_eq!(was(&house.call(&child, READ).await), (200, ""));
    let refused = house.call(&child, ACT).await;
    assert_eq!(was(&refused), (403, "outside_grant"));
    assert_eq!(house.origin.seen().len(), 1, "the act never left");
    let journal = house.journal().await;
    let opened = of_kind(&journal, "task_opened");
    assert_eq!(opened[1]["terms"]["actors"], json!(["spiffe://example.org/agent/tester"]));
}

#[tokio::test]
async fn asi03_a_call_that_a_link_of_the_chain_could_not_make_is_refused_naming_the_link() {
    let policies = "@id(\"reads\") permit (principal, action in Action::\"read\", resource);\n\
        @id(\"helper-acts\") permit (principal == Agent::\"spiffe://example.org/agent/helper\", action, resource);\n";
    let house = House::start(policies, "").await;
    let alone = house.open(json!({"agent": "helper"})).await;
    assert_eq!(was(&house.call(&alone, ACT).await), (200, ""), "by itself it may");
    let root = house.open(json!({})).await;
    let child = house.delegate(&root, json!({"to": "helper"})).await;
    assert_eq!(was(&house.call(&child, READ).await), (200, ""));
    let refused = house.call(&child, ACT).await;
    assert_eq!(was(&refused), (403, "policy_denied"));
    let link = format!("task `{}` of `spiffe://example.org/agent/tester`", text(&root, "id"));
    assert!(refused.2.contains(&link), "{}", refused.2);
}

#[tokio::test]
async fn asi10_a_rogue_agent_is_cut_off_with_all_that_it_delegated_and_stays_so() {
    let house = House::start(PERMIT_ALL, "").await;
    let root = house.open(json!({"agent": "rogue"})).await;
    let child = house.delegate(&root, json!({"to": "helper"})).await;
    let mut agent = Agent::connect(&house, "api.test", "h2", text(&child, "token")).await;
    let mut body = agent.send(request(true, "GET", "https://api.test/stream", &[])).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let ended = house.post("/v1/agents/quarantine", json!({"agent": "rogue"})).await;
    assert_eq!(ended["ended"], 2);
    let cut = async { while matches!(body.frame().await, Some(Ok(_))) {} };
    tokio::time::timeout(Duration::from_secs(5), cut).await.expect("its stream goes on");
    let (status, problem) =
        house.admin(Method::POST, "/v1/tasks", json!({"agent": "rogue", "intent": "test"})).await;
    assert_eq!((status.as_u16(), text(&problem, "code")), (409, "agent_quarantined"));
    let house = house.restart().await;
    let (_, agents) = house.admin(Method::GET, "/v1/agents", Value::Null).await;
    let rogue = agents["agents"].as_array().unwrap().iter().find(|a| text(a, "id").ends_with("/rogue"));
    assert_eq!(rogue.unwrap()["quarantined"], true, "{agents}");
    house.post("/v1/agents/release", json!({"agent": "rogue"})).await;
    house.open(json!({"agent": "rogue"})).await;
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "agent_quarantined").len(), 1);
    assert_eq!(of_kind(&journal, "agent_released").len(), 1);
    let whys: Vec<_> = of_kind(&journal, "task_ended").iter().map(|end| end["why"].clone()).collect();
    assert_eq!(whys, [json!("quarantine"), json!("parent")]);
    assert_eq!(of_kind(&journal, "closed")[0]["closing"]["outcome"], "revoked");
}

#[tokio::test]
async fn t14_a_chain_of_agents_is_bounded_and_ends_in_one_piece() {
    let house = House::start(PERMIT_ALL, "[tasks]\nmax_depth = 2\nmax_children = 2\n").await;
    let root = house.open(json!({})).await;
    let one = house.delegate(&root, json!({"to": "one"})).await;
    let two = house.delegate(&one, json!({"to": "two"})).await;
    let delegate = |task: &Value| format!("/v1/tasks/{}/delegate", text(task, "id"));
    for (task, to, code) in [(&two, "three", "delegation_too_deep"), (&one, "tester", "delegation_cycle")] {
        let (_, problem) = house.admin(Method::POST, &delegate(task), json!({ "to": to })).await;
        assert_eq!(text(&problem, "code"), code);
    }
    house.delegate(&root, json!({"to": "other"})).await;
    let (status, _) = house.admin(Method::POST, &delegate(&root), json!({"to": "third"})).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    house.post(&format!("/v1/tasks/{}/end", text(&root, "id")), Value::Null).await;
    for task in [&root, &one, &two] {
        let (_, shown) =
            house.admin(Method::GET, &format!("/v1/tasks/{}", text(task, "id")), Value::Null).await;
        assert_eq!(shown["state"], "ended", "{shown}");
    }
}

#[tokio::test]
async fn nhi1_whoever_left_has_nothing_that_works() {
    let house = House::start(PERMIT_ALL, "").await;
    let tasks = [house.open(json!({})).await, house.open(json!({"agent": "other"})).await];
    assert_eq!(house.post("/v1/tasks/end", Value::Null).await["ended"], 2);
    let house = house.restart().await;
    for task in &tasks {
        let mut stream = TcpStream::connect(house.node.facts().proxy).await.unwrap();
        let ask = format!(
            "GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nProxy-Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
            text(task, "token")
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("task_ended"), "{answer}");
    }
    assert!(house.origin.seen().is_empty());
}

#[tokio::test]
async fn nhi1_the_tasks_of_an_owner_end_together_and_those_of_others_go_on() {
    let owned =
        "[[agents]]\nid = \"mine\"\nowner = \"team-a\"\n[[agents]]\nid = \"theirs\"\nowner = \"team-b\"\n";
    let house = House::start(PERMIT_ALL, owned).await;
    let mine = house.open(json!({"agent": "mine"})).await;
    let child = house.delegate(&mine, json!({"to": "helper"})).await;
    let theirs = house.open(json!({"agent": "theirs"})).await;
    for (body, code) in [(json!({"owner": ""}), "bad_owner"), (json!({"ownr": "team-a"}), "bad_json")] {
        let (_, problem) = house.admin(Method::POST, "/v1/owners/end", body).await;
        assert_eq!(text(&problem, "code"), code);
    }
    assert_eq!(house.post("/v1/owners/end", json!({"owner": "team-a"})).await["ended"], 2);
    assert_eq!(was(&house.call(&theirs, READ).await), (200, ""));
    for task in [&mine, &child] {
        let (_, shown) =
            house.admin(Method::GET, &format!("/v1/tasks/{}", text(task, "id")), Value::Null).await;
        assert_eq!(shown["state"], "ended", "{shown}");
    }
    let journal = house.journal().await;
    let whys: Vec<_> = of_kind(&journal, "task_ended").iter().map(|end| end["why"].clone()).collect();
    assert_eq!(whys, [json!("owner"), json!("parent")]);
}

#[tokio::test]
async fn nhi7_what_an_agent_holds_lives_for_minutes_unless_somebody_asks() {
    let house = House::start(PERMIT_ALL, "[identity]\ntoken_ttl_s = 60\n").await;
    let task = house.open(json!({"ttl_s": 3600})).await;
    assert!(text(&task, "token_expires_at") < text(&task, "expires_at"));
    let id = text(&task, "id");
    let renewed = house.post(&format!("/v1/tasks/{id}/renew"), json!({"token": task["token"]})).await;
    assert_eq!(renewed["token"], task["token"]);
    assert!(text(&renewed, "token_expires_at") >= text(&task, "token_expires_at"));
    let another = house.post(&format!("/v1/tasks/{id}/renew"), json!({})).await;
    assert_ne!(another["token"], task["token"]);
    assert_eq!(was(&house.call(&another, READ).await), (200, ""));
    let (status, _) = house
        .admin(Method::POST, "/v1/tasks", json!({"agent": "tester", "intent": "test", "ttl_s": 25 * 3600}))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "longer lives are refused, not cut");
    house.post(&format!("/v1/tasks/{id}/end"), Value::Null).await;
    let (status, _) = house.admin(Method::POST, &format!("/v1/tasks/{id}/renew"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "task_renewed").len(), 2);
}

#[tokio::test]
async fn nhi8_an_agent_of_staging_stays_out_of_production() {
    let policies = format!(
        "{PERMIT_ALL}@id(\"environments\") forbid (principal, action, resource)\n\
         unless {{ context.agent.environment == \"production\" }};\n"
    );
    let agents = "[[agents]]\nid = \"deployer\"\nowner = \"team-a\"\nenvironment = \"production\"\n\
        [[agents]]\nid = \"trial\"\nenvironment = \"staging\"\n";
    let house = House::start(&policies, agents).await;
    let (production, staging) =
        (house.open(json!({"agent": "deployer"})).await, house.open(json!({"agent": "trial"})).await);
    assert_eq!(was(&house.call(&production, READ).await), (200, ""));
    assert_eq!(was(&house.call(&staging, READ).await), (403, "policy_denied"));
    let lent = house.delegate(&production, json!({"to": "trial"})).await;
    assert_eq!(was(&house.call(&lent, READ).await), (403, "policy_denied"), "nor on loan");
}

#[tokio::test]
async fn agents_are_registered_by_the_api_and_stay_so() {
    let policies = format!(
        "{PERMIT_ALL}@id(\"owned\") forbid (principal, action, resource) unless {{ context.agent.owner == \"team-a\" }};\n"
    );
    let config = "[[agents]]\nid = \"fixed\"\nowner = \"team-a\"\nhosts = [\"fixed.test\"]\n";
    let house = House::start(&policies, config).await;
    let task = house.open(json!({"agent": "coder"})).await;
    assert_eq!(was(&house.call(&task, READ).await), (403, "policy_denied"), "nobody answers for it");
    let wanted = json!({
        "agent": "coder", "owner": "team-a", "kind": "integration", "labels": {"tier": "2"}, "learning_s": 3600,
        "hosts": ["Coder.test."], "bind_tokens": "x509-svid",
    });
    house.post("/v1/agents", wanted).await;
    assert_eq!(was(&house.call(&task, READ).await), (200, ""), "from the next call on");
    let bound = house.open(json!({"agent": "coder"})).await;
    let replayed = ask_plainly(&house, text(&bound, "token")).await;
    assert!(replayed.contains("bound to its agent's X.509-SVID"), "{replayed}");
    let refusals = [
        (json!({"agent": "fixed", "owner": "me"}), StatusCode::CONFLICT, "agent_configured"),
        (json!({"agent": "other", "hosts": ["coder.test"]}), StatusCode::CONFLICT, "host_taken"),
        (json!({"agent": "other", "hosts": ["fixed.test"]}), StatusCode::CONFLICT, "host_taken"),
        (
            json!({"agent": "other", "owner": "x".repeat(300)}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_registration",
        ),
        (json!({"agent": "other", "ownr": "x"}), StatusCode::BAD_REQUEST, "bad_json"),
    ];
    for (wanted, status, code) in refusals {
        let answer = house.admin(Method::POST, "/v1/agents", wanted).await;
        assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)), "{}", answer.1);
    }
    let house = house.restart().await;
    let listed = |all: Value| {
        let coder = "spiffe://example.org/agent/coder";
        all["agents"].as_array().unwrap().iter().find(|agent| agent["id"] == coder).unwrap().clone()
    };
    let (_, all) = house.admin(Method::GET, "/v1/agents", Value::Null).await;
    let coder = listed(all);
    assert_eq!((&coder["registered"], &coder["owner"]), (&json!(true), &json!("team-a")));
    assert_eq!((&coder["kind"], &coder["labels"]["tier"]), (&json!("integration"), &json!("2")));
    house.post("/v1/agents/forget", json!({"agent": "coder"})).await;
    assert_eq!(was(&house.call(&task, READ).await), (403, "policy_denied"));
    let house = house.restart().await;
    let (_, all) = house.admin(Method::GET, "/v1/agents", Value::Null).await;
    assert_eq!(listed(all)["registered"], false);
    let journal = house.journal().await;
    let registered = of_kind(&journal, "agent_registered");
    assert_eq!(registered.len(), 2);
    assert_eq!(
        (&registered[0]["profile"]["owner"], &registered[0]["hosts"]),
        (&json!("team-a"), &json!(["coder.test"]))
    );
    assert!(registered[1]["profile"].is_null());
}

/// A trust domain: its authority in a file, and a client with an SVID of it.
struct Domain {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Domain {
    fn new() -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = root.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(root, key), pem }
    }

    /// Sends one request over the TLS listener as `agent`.
    async fn ask(&self, house: &House, agent: &str, token: Option<&str>) -> String {
        let mut leaf = CertificateParams::default();
        let uri = format!("spiffe://example.org/agent/{agent}");
        leaf.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().unwrap())];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&key, &self.issuer).unwrap().der().clone();
        ask_showing(house, leaf, &key, token).await
    }
}

/// Sends one request over the TLS listener with this certificate.
async fn ask_showing(
    house: &House,
    leaf: CertificateDer<'static>,
    key: &KeyPair,
    token: Option<&str>,
) -> String {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let facts = house.node.facts();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(facts.ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![leaf], key)
        .unwrap();
    let stream = TcpStream::connect(facts.proxy_tls.unwrap()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut tls = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let token = token.map(|token| format!("Proxy-Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let ask = format!("GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n{token}Connection: close\r\n\r\n");
    tls.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that closes without a TLS alert is an error to rustls, and the answer is there all the same.
    let _end = tls.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends one request to the listener that takes no certificates.
async fn ask_plainly(house: &House, token: &str) -> String {
    let mut stream = TcpStream::connect(house.node.facts().proxy).await.unwrap();
    let ask = format!(
        "GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nProxy-Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn house_of(domain: &Domain, more: &str) -> (House, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle.pem");
    std::fs::write(&bundle, &domain.pem).unwrap();
    let more = format!("[identity.bundles]\n\"example.org\" = {:?}\n{more}", bundle.display().to_string());
    (House::start_listening(PERMIT_ALL, "proxy_tls = \"127.0.0.1:0\"", &more).await, dir)
}

#[tokio::test]
async fn an_agent_is_known_by_its_svid() {
    let domain = Domain::new();
    let (house, _bundle) = house_of(&domain, "").await;
    let answer = domain.ask(&house, "coder", None).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let stranger = Domain::new().ask(&house, "coder", None).await;
    assert!(stranger.starts_with("HTTP/1.1 407 ") && stranger.contains("identity_invalid"), "{stranger}");
    assert!(stranger.contains("does not lead to an authority"), "{stranger}");
    let journal = house.journal().await;
    let opened = of_kind(&journal, "opened");
    assert_eq!(
        (&opened[0]["agent"], &opened[0]["evidence"]),
        (&json!("spiffe://example.org/agent/coder"), &json!("x509-svid"))
    );
    assert_eq!(opened.len(), 1);
}

#[tokio::test]
async fn nhi9_asi07_a_token_is_worth_nothing_to_another_agent_nor_without_the_key() {
    let domain = Domain::new();
    let agents = "[[agents]]\nid = \"coder\"\nbind_tokens = \"x509-svid\"\n";
    let (house, _bundle) = house_of(&domain, agents).await;
    let task = house.open(json!({"agent": "coder"})).await;
    let token = text(&task, "token");
    let own = domain.ask(&house, "coder", Some(token)).await;
    assert!(own.starts_with("HTTP/1.1 200 "), "{own}");
    let thief = domain.ask(&house, "thief", Some(token)).await;
    assert!(thief.starts_with("HTTP/1.1 407 ") && thief.contains("the certificate says"), "{thief}");
    let replayed = ask_plainly(&house, token).await;
    assert!(replayed.starts_with("HTTP/1.1 407 ") && replayed.contains("bound to its agent"), "{replayed}");
    assert_eq!(house.origin.seen().len(), 1);
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "opened")[0]["task"], task["id"]);
}

#[tokio::test]
async fn nhi4_a_token_bound_to_a_key_is_refused_from_elsewhere() {
    let house = House::start_listening(PERMIT_ALL, "proxy_tls = \"127.0.0.1:0\"", "").await;
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    // Nobody issued it, and nobody has to: the token says which one it is (RFC 8705 §2.2).
    let certificate = |key: &KeyPair| CertificateParams::default().self_signed(key).unwrap().der().clone();
    let (own, others) = (certificate(&key), certificate(&other));
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(&own));
    let task = house.open(json!({"agent": "coder", "bind": {"x5t#S256": thumbprint}})).await;
    let token = text(&task, "token");
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["cnf"], json!({"x5t#S256": thumbprint}));
    let answer = ask_showing(&house, own.clone(), &key, Some(token)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let thief = ask_showing(&house, others, &other, Some(token)).await;
    assert!(
        thief.starts_with("HTTP/1.1 407 ") && thief.contains("bound to one client certificate"),
        "{thief}"
    );
    let replayed = ask_plainly(&house, token).await;
    assert!(replayed.starts_with("HTTP/1.1 407 ") && replayed.contains("RFC 8705"), "{replayed}");
    let alone = ask_showing(&house, own, &key, None).await;
    assert!(alone.starts_with("HTTP/1.1 407 "), "such a certificate says nothing by itself: {alone}");
    assert_eq!(house.origin.seen().len(), 1);
    let house = house.restart().await;
    let (_, shown) = house.admin(Method::GET, &format!("/v1/tasks/{}", text(&task, "id")), Value::Null).await;
    assert_eq!(shown["binding"], json!({"x5t#S256": thumbprint}), "and it stays bound");
}

#[tokio::test]
async fn a_process_of_this_machine_is_an_agent_where_the_operator_says_so() {
    let policies = "@id(\"weak\") permit (principal == Agent::\"spiffe://example.org/agent/local\", action, resource)\n\
        when { context.evidence == \"socket-peer\" };\n";
    let program = std::env::current_exe().unwrap().display().to_string();
    let rule = format!(
        "[[identity.processes]]\nagent = \"other\"\nexecutable = \"/no/such/program\"\n\
         [[identity.processes]]\nagent = \"local\"\nexecutable = {program:?}\n"
    );
    let house = House::start(policies, &rule).await;
    let ask = "GET http://api.test/ HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    let mut stream = TcpStream::connect(house.node.facts().proxy).await.unwrap();
    stream.write_all(ask.as_bytes()).await.unwrap();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let task = house.open(json!({"agent": "local"})).await;
    assert_eq!(was(&house.call(&task, READ).await), (403, "policy_denied"), "a token is other evidence");
    let journal = house.journal().await;
    let opened = of_kind(&journal, "opened")[0];
    assert_eq!(opened["evidence"], "socket-peer");
    assert_eq!(opened["process"]["pid"], std::process::id());
    assert_eq!(opened["process"]["executable"], program.as_str());
    let other = House::start(policies, "").await;
    let mut stream = TcpStream::connect(other.node.facts().proxy).await.unwrap();
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 407 "), "nobody looks unless told to: {answer}");
}

#[tokio::test]
async fn what_is_under_way_when_the_time_is_up_is_cut() {
    let house = House::start(PERMIT_ALL, "").await;
    let task = house.open(json!({"ttl_s": 2})).await;
    let mut agent = Agent::connect(&house, "api.test", "h2", text(&task, "token")).await;
    let mut body = agent.send(request(true, "GET", "https://api.test/stream", &[])).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let cut = async { while matches!(body.frame().await, Some(Ok(_))) {} };
    tokio::time::timeout(Duration::from_secs(20), cut).await.expect("its stream outlives its deadline");
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "task_ended")[0]["why"], "deadline");
    assert_eq!(of_kind(&journal, "closed")[0]["closing"]["outcome"], "revoked");
}

#[tokio::test]
async fn what_used_up_its_budget_ends() {
    let house = House::start(PERMIT_ALL, "").await;
    let task = house.open(json!({"budget": {"calls": 1}})).await;
    assert_eq!(was(&house.call(&task, READ).await), (200, ""));
    assert_eq!(was(&house.call(&task, READ).await).0, 429, "one call more than its budget");
    let path = format!("/v1/tasks/{}", text(&task, "id"));
    for _ in 0..200 {
        let (_, shown) = house.admin(Method::GET, &path, Value::Null).await;
        if shown["state"] == "ended" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let journal = house.journal().await;
    assert_eq!(of_kind(&journal, "task_ended")[0]["why"], "budget", "what is over is recorded, stop or not");
}

#[tokio::test]
async fn a_budget_of_bytes_is_kept_before_a_byte_goes_out() {
    let house = House::start(PERMIT_ALL, "").await;
    let task = house.open(json!({"budget": {"bytes": 3}})).await;
    assert_eq!(was(&house.call(&task, ACT).await), (200, ""), "two bytes");
    assert_eq!(was(&house.call(&task, ACT).await), (429, "budget_exhausted"), "two more are too many");
    assert_eq!(house.origin.seen().len(), 1);
    let mut agent = Agent::connect(
        &house,
        "api.test",
        "http/1.1",
        text(&house.open(json!({"budget": {"bytes": 3}})).await, "token"),
    )
    .await;
    let (status, ..) =
        agent.ask("GET", "https://api.test/ws", &[("upgrade", "websocket"), ("connection", "upgrade")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "what passes a WebSocket cannot be counted in time");
}
