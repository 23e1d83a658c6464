use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::call::{Clock, Entropy, Secret, Timestamp};

const START_S: u64 = 1_800_000_000;

mod chain;
mod delegated;
mod operators;
mod svid;

/// A clock that stands until it is set, and a generator that counts.
struct World {
    now_ns: AtomicU64,
    drawn: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { now_ns: AtomicU64::new(START_S * 1_000_000_000), drawn: AtomicU64::new(1) })
    }

    fn set_s(&self, s: u64) {
        self.now_ns.store(s * 1_000_000_000, Ordering::SeqCst);
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ns(self.now_ns.load(Ordering::SeqCst))
    }
}

impl Entropy for World {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
            *byte = drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
        }
    }
}

struct Stand {
    world: Arc<World>,
    dir: TempDir,
    tokens: Arc<TaskTokens>,
}

fn stand() -> Stand {
    stand_in(World::new())
}

fn stand_in(world: Arc<World>) -> Stand {
    let dir = TempDir::new().unwrap();
    let tokens = Arc::new(TaskTokens::load_or_make(dir.path(), world.clone(), world.clone()).unwrap());
    Stand { world, dir, tokens }
}

impl Stand {
    fn identity(&self, default_agent: Option<SpiffeId>) -> Identity {
        self.believing(default_agent, Arc::default())
    }

    fn believing(&self, default_agent: Option<SpiffeId>, bundles: Arc<Bundles>) -> Identity {
        let settings = Settings { default_agent, audience: AUDIENCE.into(), ..Settings::default() };
        Identity::new(settings, self.tokens.clone(), bundles, self.world.clone())
    }

    fn task(&self) -> Task {
        Task {
            id: TaskId::fresh(&*self.world, &*self.world),
            agent: SpiffeId::parse("spiffe://example.org/agent/coder").unwrap(),
            intent: IntentName::parse("triage").unwrap(),
            labels: BTreeMap::new(),
            opened: self.world.now(),
            deadline: self.world.now().plus(Duration::from_secs(900)),
            terms: crate::call::Terms::default(),
        }
    }

    fn mint(&self) -> String {
        let task = self.task();
        self.tokens.mint(&task, task.deadline).unwrap().reveal().clone()
    }

    /// A token over any header and claims, signed with this node's own key: only the checks stand in its way.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let pem = std::fs::read(self.dir.path().join("task-token.key")).unwrap();
        let key = jsonwebtoken::EncodingKey::from_ed_pem(&pem).unwrap();
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    fn refusal(&self, token: &str) -> TokenError {
        self.tokens.verify(token).expect_err("the token was taken")
    }

    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut all = claims(&self.task());
        all[name] = value;
        self.sign(&header(), &all)
    }
}

fn header() -> Value {
    json!({"typ": "remit-task+jwt", "alg": "EdDSA"})
}

fn claims(task: &Task) -> Value {
    json!({
        "iss": "remit", "sub": task.agent.as_str(), "aud": "remit-proxy", "jti": "x",
        "iat": START_S, "nbf": START_S, "exp": START_S + 900,
        "task": task.id.to_string(), "intent": task.intent.as_str(),
    })
}

fn presented(by: Entrance, token: Option<&str>) -> Presented {
    let token = token.map(|token| Secret::new(token.to_owned()));
    Presented {
        peer: "127.0.0.1:4000".parse().unwrap(),
        by,
        token,
        certificates: None,
        chain: None,
        process: None,
    }
}

#[test]
fn a_minted_token_names_agent_intent_and_task() {
    let stand = stand();
    let task = stand.task();
    let token = stand.tokens.mint(&task, task.deadline).unwrap();
    let claim = stand.tokens.verify(token.reveal()).unwrap();
    assert_eq!(
        claim,
        Claim::Token {
            task: task.id,
            agent: task.agent.clone(),
            intent: task.intent.clone(),
            binding: Binding::None,
            proven: false
        }
    );
    assert_eq!(claim.principal(&task).unwrap().evidence, Evidence::TaskToken);
}

#[test]
fn hand_made_tokens_of_the_right_shape_are_the_control_of_these_tests() {
    let stand = stand();
    stand.tokens.verify(&stand.sign(&header(), &claims(&stand.task()))).unwrap();
}

#[test]
fn alg_none_is_refused() {
    let stand = stand();
    for alg in ["none", "None", "NONE", ""] {
        let head = URL_SAFE_NO_PAD.encode(json!({"typ": "remit-task+jwt", "alg": alg}).to_string());
        let body = URL_SAFE_NO_PAD.encode(claims(&stand.task()).to_string());
        assert_eq!(stand.refusal(&format!("{head}.{body}.")), TokenError::Algorithm { alg: alg.into() });
    }
}

#[test]
fn other_algorithms_are_refused_even_with_our_public_key_as_their_secret() {
    let stand = stand();
    for alg in ["HS256", "RS256", "ES256", "eddsa", "Ed25519", "EdDSA "] {
        let token = stand.sign(&json!({"typ": "remit-task+jwt", "alg": alg}), &claims(&stand.task()));
        assert_eq!(stand.refusal(&token), TokenError::Algorithm { alg: alg.into() });
    }
}

#[test]
fn what_a_header_says_of_its_algorithm_is_shown_short_and_escaped() {
    let stand = stand();
    let token = stand.sign(&json!({"alg": "a\r\nb\u{202e}".repeat(100)}), &claims(&stand.task()));
    let said = stand.refusal(&token).to_string();
    assert!(said.len() < 200 && said.chars().all(|c| c.is_ascii() && !c.is_control()), "{said:?}");
}

#[test]
fn other_types_are_refused() {
    let stand = stand();
    for head in
        [json!({"alg": "EdDSA"}), json!({"alg": "EdDSA", "typ": "JWT"}), json!({"alg": "EdDSA", "typ": ""})]
    {
        assert_eq!(stand.refusal(&stand.sign(&head, &claims(&stand.task()))), TokenError::Type, "{head}");
    }
}

#[test]
fn headers_that_ask_for_more_are_refused() {
    let stand = stand();
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("jku", json!("https://evil.test")),
        ("b64", json!(false)),
        ("kid", json!("1")),
    ] {
        let mut head = header();
        head[name] = value;
        let refusal = stand.refusal(&stand.sign(&head, &claims(&stand.task())));
        assert!(matches!(refusal, TokenError::Malformed { .. }), "{name}: {refusal}");
    }
}

#[test]
fn other_audiences_are_refused() {
    let stand = stand();
    assert_eq!(stand.refusal(&stand.with_claim("aud", json!("someone-else"))), TokenError::Audience);
    for aud in [json!(["remit-proxy", "someone-else"]), json!(null), json!(7)] {
        let refusal = stand.refusal(&stand.with_claim("aud", aud));
        assert!(matches!(refusal, TokenError::Malformed { .. }), "{refusal}");
    }
}

#[test]
fn other_issuers_are_refused() {
    let stand = stand();
    assert_eq!(stand.refusal(&stand.with_claim("iss", json!("someone-else"))), TokenError::Issuer);
}

#[test]
fn every_claim_is_needed_and_no_other_is_taken() {
    let stand = stand();
    let full = claims(&stand.task());
    for name in full.as_object().unwrap().keys() {
        let mut less = full.clone();
        less.as_object_mut().unwrap().remove(name);
        let refusal = stand.refusal(&stand.sign(&header(), &less));
        assert!(matches!(refusal, TokenError::Malformed { .. }), "without {name}: {refusal}");
    }
    let refusal = stand.refusal(&stand.with_claim("act", json!({"sub": "x"})));
    assert!(matches!(refusal, TokenError::Malformed { .. }), "{refusal}");
}

#[test]
fn claims_of_the_wrong_type_are_refused() {
    let stand = stand();
    for (name, value) in [
        ("sub", json!("not-a-spiffe-id")),
        ("task", json!("42")),
        ("intent", json!("two words")),
        ("exp", json!("never")),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!(null)),
    ] {
        let refusal = stand.refusal(&stand.with_claim(name, value));
        assert!(matches!(refusal, TokenError::Malformed { .. }), "{name}: {refusal}");
    }
}

#[test]
fn expired_tokens_are_refused_from_the_second_of_exp_on() {
    let stand = stand();
    let token = stand.mint();
    stand.world.set_s(START_S + 899);
    stand.tokens.verify(&token).unwrap();
    stand.world.set_s(START_S + 900);
    let at = Timestamp::from_unix_s(START_S + 900);
    assert_eq!(stand.refusal(&token), TokenError::Expired { at });
}

#[test]
fn the_cache_does_not_outlive_exp_nor_hide_nbf() {
    let stand = stand();
    let token = stand.mint();
    stand.tokens.verify(&token).unwrap();
    assert_eq!(stand.tokens.remembered(), 1);
    stand.world.set_s(START_S + 900);
    assert!(matches!(stand.refusal(&token), TokenError::Expired { .. }));
    stand.world.set_s(START_S - 60);
    assert!(matches!(stand.refusal(&token), TokenError::NotYetValid { .. }));
}

#[test]
fn tokens_that_do_not_hold_are_not_remembered() {
    let stand = stand();
    let mut token = stand.mint();
    token.pop();
    stand.refusal(&token);
    stand.refusal("a.b.c");
    assert_eq!(stand.tokens.remembered(), 0);
}

#[test]
fn tokens_from_the_future_are_refused_beyond_five_seconds() {
    let stand = stand();
    stand.tokens.verify(&stand.with_claim("nbf", json!(START_S + 5))).unwrap();
    let from = Timestamp::from_unix_s(START_S + 6);
    assert_eq!(stand.refusal(&stand.with_claim("nbf", json!(START_S + 6))), TokenError::NotYetValid { from });
    let never = stand.with_claim("nbf", json!(u64::MAX));
    assert!(matches!(stand.refusal(&never), TokenError::NotYetValid { .. }));
}

#[test]
fn a_foreign_signature_is_refused() {
    let ours = stand();
    let world = World::new();
    world.drawn.store(777, Ordering::SeqCst);
    let theirs = stand_in(world);
    assert_eq!(ours.refusal(&theirs.mint()), TokenError::Signature);
    theirs.tokens.verify(&theirs.mint()).unwrap();
}

#[test]
fn a_change_anywhere_in_a_token_is_refused() {
    let stand = stand();
    let token = stand.mint();
    let dots: Vec<_> = token.match_indices('.').map(|(at, _)| at).collect();
    let signature: Vec<_> = (dots[1] + 1..token.len()).collect();
    // Each third character of header and claims, each one of the signature (its last has bits that mean nothing).
    for at in (0..dots[1]).step_by(3).filter(|at| !dots.contains(at)).chain(signature) {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(stand.tokens.verify(&changed).is_err(), "taken with another character at {at}: {changed}");
    }
}

#[test]
fn parts_of_two_tokens_do_not_make_a_third() {
    let stand = stand();
    let (one, two) = (stand.mint(), stand.mint());
    let (one, two): (Vec<_>, Vec<_>) = (one.split('.').collect(), two.split('.').collect());
    let mixed = format!("{}.{}.{}", one[0], one[1], two[2]);
    assert_eq!(stand.refusal(&mixed), TokenError::Signature);
}

#[test]
fn tokens_of_another_shape_are_refused() {
    let stand = stand();
    let token = stand.mint();
    for odd in [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b".into(),
        "é.é.é".into(),
        format!("{token}."),
        format!("{token}.x"),
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        token.replace('.', ".."),
        token.split('.').take(2).collect::<Vec<_>>().join("."),
    ] {
        let refusal = stand.refusal(&odd);
        assert!(matches!(refusal, TokenError::Malformed { .. }), "{odd:?}: {refusal}");
    }
}

#[test]
fn oversize_tokens_are_refused_unread_and_our_longest_fits() {
    let stand = stand();
    let refusal = stand.refusal(&"x".repeat(MAX_TOKEN_BYTES + 1));
    assert_eq!(refusal, TokenError::TooLong { bytes: MAX_TOKEN_BYTES + 1, limit_bytes: MAX_TOKEN_BYTES });
    let mut task = stand.task();
    let prefix = "spiffe://example.org/";
    task.agent = SpiffeId::parse(&format!("{prefix}{}", "a".repeat(2048 - prefix.len()))).unwrap();
    task.intent = IntentName::parse(&"i".repeat(64)).unwrap();
    let token = stand.tokens.mint(&task, task.deadline).unwrap();
    stand.tokens.verify(token.reveal()).unwrap();
}

#[test]
fn no_token_is_made_that_is_over_or_lives_for_days() {
    let stand = stand();
    let task = stand.task();
    let now = stand.world.now();
    for expires in [now, Timestamp::from_unix_s(0), now.plus(MAX_LIFE + Duration::from_nanos(1))] {
        let refused = stand.tokens.mint(&task, expires);
        assert!(matches!(refused, Err(TokenError::Life { .. })), "{expires}");
    }
    stand.tokens.mint(&task, now.plus(MAX_LIFE)).unwrap();
}

#[test]
fn a_token_holds_after_a_restart_with_the_same_key_file() {
    let stand = stand();
    let token = stand.mint();
    let (clock, entropy) = (stand.world.clone(), stand.world.clone());
    let again = TaskTokens::load_or_make(stand.dir.path(), clock, entropy).unwrap();
    again.verify(&token).unwrap();
}

#[test]
fn the_key_file_is_for_its_owner_alone() {
    let stand = stand();
    let path = stand.dir.path().join("task-token.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o620, 0o666] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = TaskTokens::load_or_make(stand.dir.path(), stand.world.clone(), stand.world.clone());
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("chmod 600") && said.contains(&format!("{mode:04o}")), "{said}");
    }
}

#[test]
fn a_broken_key_file_is_refused_and_kept() {
    let stand = stand();
    let path = stand.dir.path().join("task-token.key");
    for content in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "\u{0}"] {
        std::fs::write(&path, content).unwrap();
        let refused = TaskTokens::load_or_make(stand.dir.path(), stand.world.clone(), stand.world.clone());
        assert!(matches!(refused, Err(KeyError::Content { .. })), "{content:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn the_strongest_evidence_wins() {
    let stand = stand();
    let task = stand.task();
    let token = stand.tokens.mint(&task, task.deadline).unwrap();
    let other = TaskId::fresh(&*stand.world, &*stand.world);
    let agent = SpiffeId::parse("spiffe://example.org/agent/anyone").unwrap();
    let identity = stand.identity(Some(agent.clone()));

    let by_token = identity.attribute(&presented(Entrance::TaskPort(other), Some(token.reveal()))).unwrap();
    assert!(matches!(&by_token, Claim::Token { task: id, .. } if *id == task.id), "{by_token:?}");
    let by_port = identity.attribute(&presented(Entrance::TaskPort(other), None));
    assert_eq!(by_port, Ok(Claim::Port { task: other }));
    assert_eq!(identity.attribute(&presented(Entrance::Proxy, None)), Ok(Claim::Assumed { agent }));
}

#[test]
fn a_bad_token_never_makes_room_for_weaker_evidence() {
    let stand = stand();
    let agent = SpiffeId::parse("spiffe://example.org/agent/anyone").unwrap();
    let identity = stand.identity(Some(agent));
    let port = Entrance::TaskPort(TaskId::fresh(&*stand.world, &*stand.world));
    for by in [Entrance::Proxy, port] {
        for token in ["", "x", "a.b.c"] {
            let refused = identity.attribute(&presented(by, Some(token)));
            assert!(matches!(refused, Err(IdentityError::Token(_))), "{by:?} {token:?}: {refused:?}");
        }
    }
}

#[test]
fn nobody_is_assumed_unless_the_operator_says_so() {
    let identity = stand().identity(None);
    assert_eq!(identity.attribute(&presented(Entrance::Proxy, None)), Err(IdentityError::Missing));
}

#[test]
fn evidence_that_disagrees_with_the_registry_is_refused() {
    let stand = stand();
    let task = stand.task();
    let (agent, intent) = (task.agent.clone(), task.intent.clone());
    let else_agent = SpiffeId::parse("spiffe://example.org/agent/other").unwrap();
    let else_intent = IntentName::parse("other").unwrap();
    let else_task = TaskId::fresh(&*stand.world, &*stand.world);
    for claim in [
        Claim::Token {
            task: task.id,
            agent: else_agent.clone(),
            intent: intent.clone(),
            binding: Binding::None,
            proven: false,
        },
        Claim::Token {
            task: task.id,
            agent: agent.clone(),
            intent: else_intent,
            binding: Binding::None,
            proven: false,
        },
        Claim::Token { task: else_task, agent: agent.clone(), intent, binding: Binding::None, proven: false },
        Claim::Port { task: else_task },
        Claim::Assumed { agent: else_agent },
    ] {
        assert_eq!(claim.principal(&task), Err(IdentityError::Disagrees { task: task.id }), "{claim:?}");
    }
    assert!(Claim::Assumed { agent }.principal(&task).is_ok());
}

#[test]
fn nothing_printable_holds_the_key_or_a_token() {
    let stand = stand();
    let token = stand.mint();
    let refusal =
        format!("{:?} {}", stand.refusal(&format!("{token}x")), stand.refusal(&format!("{token}x")));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!refusal.contains(signature));
    assert_eq!(format!("{:?}", stand.tokens), "TaskTokens(..)");
}
