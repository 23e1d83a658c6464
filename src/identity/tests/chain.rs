//! Chains: what holds, and everything that does not.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::chain::{Carrier, Chains, MAX_CHAIN_BYTES, Peer};
use super::super::error::ChainError;
use super::*;
use crate::call::grant::Pattern;
use crate::call::{CallId, Claims, HandedLink, History, PeerName, Terms};

struct Two {
    world: Arc<World>,
    signs: Chains,
    dir: TempDir,
    believes: Chains,
    _second: TempDir,
}

/// What may be done to the claims of a chain.
type Change = fn(&mut Value);

fn name(text: &str) -> PeerName {
    PeerName::parse(text).unwrap()
}

fn spiffe(text: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://example.org/agent/{text}")).unwrap()
}

/// Node 2 believes node 1, as far as it speaks for `speaks_for`.
fn two(speaks_for: &str) -> Two {
    let world = World::new();
    let (dir, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let load = |dir: &TempDir, own: &str, peers| {
        Chains::load_or_make(dir.path(), name(own), peers, world.clone(), world.clone()).unwrap()
    };
    let signs = load(&dir, "node-1", BTreeMap::new());
    let key = std::fs::read(dir.path().join("chain.pub")).unwrap();
    let peer = Peer::parse(&key, vec![Pattern::parse(speaks_for).unwrap()]).unwrap();
    let believes = load(&second, "node-2", BTreeMap::from([(name("node-1"), peer)]));
    Two { world, signs, dir, believes, _second: second }
}

impl Two {
    fn link(&self, agent: &str, actors: &[&str]) -> HandedLink {
        let task = Task {
            id: TaskId::fresh(&*self.world, &*self.world),
            agent: spiffe(agent),
            intent: IntentName::parse("triage").unwrap(),
            labels: BTreeMap::new(),
            opened: self.world.now(),
            deadline: self.world.now().plus(Duration::from_secs(900)),
            terms: Terms { actors: actors.iter().map(|one| spiffe(one)).collect(), ..Terms::default() },
        };
        HandedLink { task, history: History { reads: 3, ..History::default() } }
    }

    fn links(&self) -> Vec<HandedLink> {
        vec![self.link("ada", &[]), self.link("bob", &["ada"])]
    }

    fn carrier(&self) -> Carrier {
        let id = CallId::fresh(&*self.world, &*self.world);
        Carrier { id, method: "POST".into(), host: "bob.test".into(), target: "00".into() }
    }

    fn mint(&self) -> String {
        self.signs.mint(self.links(), &name("node-2"), self.carrier()).unwrap()
    }

    /// A chain of node 1's key with other claims.
    fn with(&self, change: impl FnOnce(&mut Value)) -> String {
        let chain = self.mint();
        let claims = URL_SAFE_NO_PAD.decode(chain.split('.').nth(1).unwrap()).unwrap();
        let mut claims: Value = serde_json::from_slice(&claims).unwrap();
        change(&mut claims);
        self.sign(&json!({"typ": "remit-chain+jwt", "alg": "EdDSA"}), &claims)
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let pem = std::fs::read(self.dir.path().join("chain.key")).unwrap();
        let key = jsonwebtoken::EncodingKey::from_ed_pem(&pem).unwrap();
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    fn refusal(&self, chain: &str) -> ChainError {
        self.believes.verify(chain).expect_err("the chain was taken")
    }
}

#[test]
fn a_chain_tells_the_node_that_it_is_for_who_acts_for_whom() {
    let two = two("spiffe://example.org/*");
    let links = two.links();
    let carrier = two.carrier();
    let chain = two.signs.mint(links.clone(), &name("node-2"), carrier.clone()).unwrap();
    let held = two.believes.verify(&chain).unwrap();
    assert_eq!(held.agent, spiffe("bob"));
    assert_eq!((held.handed.by, held.handed.task), (name("node-1"), links[1].task.id));
    assert_eq!((held.handed.links, held.carrier), (links, carrier));
}

#[test]
fn a_node_that_hands_over_to_itself_names_the_task_alone() {
    let two = two("*");
    let links = two.links();
    let chain = two.signs.mint(links.clone(), &name("node-1"), two.carrier()).unwrap();
    let held = two.signs.verify(&chain).unwrap();
    assert_eq!((held.handed.task, held.handed.links.len()), (links[1].task.id, 0));
    assert_eq!(two.refusal(&chain), ChainError::Audience { wanted: name("node-2") });
}

#[test]
fn a_chain_holds_for_minutes_and_from_its_beginning() {
    let two = two("*");
    let chain = two.mint();
    two.world.set_s(START_S + 304);
    two.believes.verify(&chain).unwrap();
    two.world.set_s(START_S + 305);
    assert_eq!(two.refusal(&chain), ChainError::Expired { at: Timestamp::from_unix_s(START_S + 300) });
    two.world.set_s(START_S - 6);
    assert_eq!(two.refusal(&chain), ChainError::NotYetValid { from: Timestamp::from_unix_s(START_S) });
    two.world.set_s(START_S);
    let long = two.with(|claims| claims["exp"] = json!(START_S + 2 * 3600));
    assert_eq!(two.refusal(&long), ChainError::Malformed { why: "it holds for longer than a chain may" });
}

#[test]
fn nobody_signs_for_somebody_else() {
    let two = two("spiffe://example.org/agent/a*");
    two.believes.verify(&two.mint()).unwrap();
    let stranger = two.with(|claims| claims["iss"] = json!("node-3"));
    assert_eq!(two.refusal(&stranger), ChainError::UnknownPeer { peer: name("node-3") });
    // Node 2's own name, under node 1's key.
    let ours = two.with(|claims| claims["iss"] = json!("node-2"));
    assert_eq!(two.refusal(&ours), ChainError::Signature);
    let other = two.with(|claims| {
        claims["links"][0]["task"]["agent"] = json!("spiffe://example.org/agent/zoe");
        claims["links"][1]["task"]["terms"]["actors"] = json!(["spiffe://example.org/agent/zoe"]);
    });
    assert_eq!(two.refusal(&other), ChainError::NotTheirs { peer: name("node-1"), agent: spiffe("zoe") });
}

#[test]
fn every_part_of_a_chain_is_signed() {
    let two = two("*");
    let chain = two.mint();
    let parts: Vec<_> = chain.split('.').collect();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let changed = URL_SAFE_NO_PAD.encode(claims.replace("triage", "deploy"));
    let changed = format!("{}.{changed}.{}", parts[0], parts[2]);
    assert_eq!(two.refusal(&changed), ChainError::Signature);
}

#[test]
fn a_chain_whose_parts_disagree_is_refused() {
    let two = two("*");
    let disagree = ChainError::Malformed { why: "its tasks and its actors do not agree" };
    let changes: [(Change, ChainError); 7] = [
        (|claims| claims["act"] = json!({"sub": "spiffe://example.org/agent/ada"}), disagree.clone()),
        (|claims| claims["task"] = claims["links"][0]["task"]["id"].clone(), disagree.clone()),
        (|claims| claims["links"] = json!([claims["links"][1].clone()]), disagree),
        (|claims| claims["links"] = json!([]), ChainError::Malformed { why: "it hands nothing over" }),
        (
            |claims| claims["links"][0]["task"]["agent"] = json!("spiffe://example.org/agent/x"),
            ChainError::Malformed { why: "an actor in it has no task in it" },
        ),
        (|claims| claims["v"] = json!(2), ChainError::Malformed { why: "it is of another version" }),
        (
            |claims| {
                claims["links"][1]["task"]["deadline"] = json!(Timestamp::from_unix_s(START_S + 2 * 3600));
            },
            ChainError::Malformed { why: "its task holds for longer than a chain may" },
        ),
    ];
    for (change, expected) in changes {
        assert_eq!(two.refusal(&two.with(change)), expected);
    }
    let unknown = two.with(|claims| claims["narrower"] = json!(true));
    assert_eq!(two.refusal(&unknown), ChainError::Malformed { why: "its claims are not those of a chain" });
}

#[test]
fn no_other_jwt_is_a_chain_and_no_chain_is_a_token() {
    let two = two("*");
    let stand = stand();
    assert_eq!(two.refusal(&stand.mint()), ChainError::Type);
    let none = two.sign(&json!({"typ": "remit-chain+jwt", "alg": "none"}), &json!({}));
    assert_eq!(two.refusal(&none), ChainError::Type);
    assert_eq!(stand.refusal(&two.mint()), TokenError::Type);
    assert_eq!(
        two.refusal(&"x".repeat(MAX_CHAIN_BYTES + 1)),
        ChainError::TooLong { bytes: MAX_CHAIN_BYTES + 1 }
    );
}

#[test]
fn what_does_not_fit_into_a_field_is_not_made() {
    let two = two("*");
    let mut links = two.links();
    links[0].task.labels = (0..30).map(|n| (format!("label-{n}"), "x".repeat(250))).collect();
    let refused = two.signs.mint(links, &name("node-2"), two.carrier());
    assert!(matches!(refused, Err(ChainError::TooLong { .. })), "{refused:?}");
}

#[test]
fn a_chain_is_no_evidence_of_who_presents_it() {
    let two = two("*");
    let stand = stand_in(two.world.clone());
    let chain = two.mint();
    let identity = stand.identity(None);
    let shown = Presented { chain: Some(Secret::new(chain)), ..presented(Entrance::Proxy, None) };
    assert_eq!(identity.attribute(&shown), Err(IdentityError::Missing));
    assert_eq!(
        identity.handed(&shown),
        Err(IdentityError::Chain(ChainError::None)),
        "none are believed here"
    );
    let identity = identity.believing(Arc::new(two.believes));
    let held = identity.handed(&shown).unwrap().unwrap();
    let own = stand.task();
    let claim = Claim::Assumed { agent: own.agent.clone() };
    let not_handed = IdentityError::NotHanded { to: spiffe("bob"), caller: own.agent.clone() };
    assert_eq!(claim.handed_to(&held.agent, &own), Err(not_handed));
    let claim = Claim::Svid { agent: spiffe("bob"), evidence: Evidence::X509Svid, claims: Claims::default() };
    let bobs = Task { agent: spiffe("bob"), ..stand.task() };
    assert_eq!(claim.handed_to(&held.agent, &bobs).unwrap().evidence, Evidence::X509Svid);
    assert!(claim.handed_to(&held.agent, &own).is_err(), "bob under a task that is not his");
    assert_eq!(Claim::Port { task: own.id }.handed_to(&own.agent, &own).unwrap().agent, own.agent);
}
