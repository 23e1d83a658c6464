use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use http::Response;
use rcgen::KeyPair;
use serde_json::json;

use super::*;
use crate::call::port::Fetched;

const ISSUER: &str = "https://id.example.test";
const NOW_S: u64 = 1_800_000_000;

/// The provider's key, as it signs and as it is published.
struct Key {
    kid: &'static str,
    private: jsonwebtoken::EncodingKey,
    public: Value,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let public = json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": B64.encode(x), "y": B64.encode(y)});
        Self { kid, private: jsonwebtoken::EncodingKey::from_ec_der(&pair.serialize_der()), public }
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = jsonwebtoken::Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.into());
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

/// A provider in memory, and a clock.
struct Server {
    metadata: Mutex<Value>,
    keys: Mutex<Value>,
    answers: Mutex<VecDeque<(u16, Value)>>,
    asked: Mutex<Vec<(String, String)>>,
    now_s: AtomicU64,
}

impl Fetch for Server {
    fn fetch(&self, request: Request<Bytes>) -> Fetched<'_> {
        let (head, body) = request.into_parts();
        let url = head.uri.to_string();
        let (status, said) = if url == format!("{ISSUER}/.well-known/openid-configuration") {
            (200, self.metadata.lock().unwrap().clone())
        } else if url == format!("{ISSUER}/keys") {
            (200, self.keys.lock().unwrap().clone())
        } else {
            self.answers.lock().unwrap().pop_front().expect("nothing more was to be asked")
        };
        let shown = head.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        let body = String::from_utf8(body.to_vec()).unwrap();
        self.asked.lock().unwrap().push((url, format!("{} {body}", shown.unwrap_or_default())));
        let answer = Response::builder().status(status).body(Bytes::from(said.to_string())).unwrap();
        Box::pin(async move { Ok(answer) })
    }
}

impl Clock for Server {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(self.now_s.load(Ordering::SeqCst))
    }
}

fn server(key: &Key) -> Arc<Server> {
    let metadata = json!({
        "issuer": ISSUER, "authorization_endpoint": format!("{ISSUER}/auth?tenant=1"),
        "token_endpoint": format!("{ISSUER}/token"), "jwks_uri": format!("{ISSUER}/keys"),
    });
    Arc::new(Server {
        metadata: metadata.into(),
        keys: json!({"keys": [key.public]}).into(),
        answers: Mutex::default(),
        asked: Mutex::default(),
        now_s: NOW_S.into(),
    })
}

fn oidc(server: &Arc<Server>, secret: Option<&str>) -> Oidc {
    let settings = OidcSettings {
        issuer: ISSUER.into(),
        client_id: "remit".into(),
        client_secret: secret.map(|secret| Secret::new(secret.to_owned())),
        scopes: vec!["email".into()],
    };
    Oidc::new(settings, server.clone(), server.clone())
}

fn attempt() -> Attempt {
    Attempt {
        state: "st".into(),
        nonce: "no".into(),
        verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into(),
        redirect_uri: "http://localhost:8119/login/oidc/callback".into(),
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "remit", "sub": "1", "nonce": "no", "iat": NOW_S, "exp": NOW_S + 60,
        "email": "ada@example.org", "groups": ["oncall"],
    })
}

/// What becomes of an ID token that the provider gives.
async fn given(key: &Key, token: String) -> Result<Map<String, Value>, OidcError> {
    let server = server(key);
    server.answers.lock().unwrap().push_back((200, json!({"id_token": token, "access_token": "x"})));
    oidc(&server, None).redeem(&attempt(), "code", None).await
}

#[tokio::test]
async fn a_browser_is_sent_with_state_nonce_and_challenge_and_never_the_verifier() {
    let key = Key::new("1");
    let url = oidc(&server(&key), None).authorize(&attempt()).await.unwrap();
    let pairs: Vec<_> = url.query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
    // The challenge of RFC 7636, appendix B.
    let wanted = [
        "tenant=1",
        "response_type=code",
        "client_id=remit",
        "redirect_uri=http://localhost:8119/login/oidc/callback",
        "scope=openid email",
        "state=st",
        "nonce=no",
        "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method=S256",
    ];
    assert_eq!(pairs, wanted);
    assert!(!url.as_str().contains("dBjftJeZ"));
}

#[tokio::test]
async fn a_code_is_redeemed_with_the_verifier_and_the_clients_secret() {
    let key = Key::new("1");
    let server = server(&key);
    server.answers.lock().unwrap().push_back((200, json!({"id_token": key.sign(&claims())})));
    let found = oidc(&server, Some("s e:c")).redeem(&attempt(), "c&d", Some(ISSUER)).await.unwrap();
    assert_eq!((&found["email"], &found["groups"][0]), (&json!("ada@example.org"), &json!("oncall")));
    let asked = server.asked.lock().unwrap();
    let (url, body) = asked.iter().find(|(url, _)| url.ends_with("/token")).unwrap();
    assert_eq!(url, "https://id.example.test/token");
    let pair = STANDARD.encode("remit:s+e%3Ac");
    assert!(body.starts_with(&format!("Basic {pair} grant_type=authorization_code&code=c%26d&")), "{body}");
    assert!(body.ends_with(&format!("code_verifier={}", attempt().verifier)), "{body}");
}

#[tokio::test]
async fn an_id_token_is_believed_for_this_client_this_attempt_and_now() {
    let key = Key::new("1");
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    for good in [
        claims(),
        with("aud", json!(["remit"])),
        with("azp", json!("remit")),
        {
            let mut both = with("aud", json!(["remit", "other"]));
            both["azp"] = json!("remit");
            both
        },
        with("exp", json!(NOW_S - 29)),
    ] {
        given(&key, key.sign(&good)).await.unwrap();
    }
    for (name, value, why) in [
        ("iss", json!("https://other.test"), "another issuer"),
        ("aud", json!("other"), "another client"),
        ("aud", json!(["remit", "other"]), "azp"),
        ("azp", json!("other"), "azp"),
        ("nonce", json!("other"), "another attempt"),
        ("nonce", Value::Null, "another attempt"),
        ("exp", json!(NOW_S - 30), "expired"),
        ("iat", json!(NOW_S + 31), "future"),
        ("exp", json!("soon"), "claims"),
    ] {
        let error = given(&key, key.sign(&with(name, value.clone()))).await.unwrap_err();
        assert!(
            matches!(&error, OidcError::Token { why: is } if is.contains(why)),
            "{name} {value}: {error}"
        );
    }
}

#[tokio::test]
async fn only_the_providers_keys_and_only_asymmetric_ones_sign() {
    let key = Key::new("1");
    let forged = Key::new("1").sign(&claims());
    assert!(given(&key, forged).await.unwrap_err().to_string().contains("signature"));
    let unknown = Key::new("2").sign(&claims());
    assert!(given(&key, unknown).await.unwrap_err().to_string().contains("no key"));
    // The classical confusion: what is public is taken for a secret.
    let public = jsonwebtoken::EncodingKey::from_secret(key.public["x"].as_str().unwrap().as_bytes());
    let mut header = jsonwebtoken::Header::new(Algorithm::HS256);
    header.kid = Some("1".into());
    let symmetric = jsonwebtoken::encode(&header, &claims(), &public).unwrap();
    assert!(given(&key, symmetric).await.unwrap_err().to_string().contains("no key"));
    let bare = format!("{}.{}.", B64.encode(r#"{"alg":"none"}"#), B64.encode(claims().to_string()));
    assert!(given(&key, bare).await.unwrap_err().to_string().contains("no JWT"));
}

#[tokio::test]
async fn keys_that_were_rotated_are_asked_for_again_but_not_for_every_token() {
    let (old, new) = (Key::new("1"), Key::new("2"));
    let server = server(&old);
    let oidc = oidc(&server, None);
    oidc.authorize(&attempt()).await.unwrap();
    *server.keys.lock().unwrap() = json!({"keys": [old.public, new.public]});
    let token = json!({"id_token": new.sign(&claims())});
    server.answers.lock().unwrap().extend([(200, token.clone()), (200, token)]);
    assert!(oidc.redeem(&attempt(), "code", None).await.is_err(), "it was asked for just now");
    server.now_s.fetch_add(11, Ordering::SeqCst);
    oidc.redeem(&attempt(), "code", None).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_is_not_who_it_should_be_is_not_used() {
    let key = Key::new("1");
    for (name, value) in [
        ("issuer", "https://id.example.test/"),
        ("token_endpoint", "http://id.example.test/token"),
        ("jwks_uri", "ftp://id.example.test/keys"),
    ] {
        let server = server(&key);
        server.metadata.lock().unwrap()[name] = json!(value);
        let error = oidc(&server, None).authorize(&attempt()).await.unwrap_err();
        assert!(matches!(error, OidcError::Unavailable { .. }), "{name}: {error}");
    }
    // RFC 9207: a provider that says that it names itself has to.
    let server = server(&key);
    server.metadata.lock().unwrap()["authorization_response_iss_parameter_supported"] = json!(true);
    for iss in [None, Some("https://other.test")] {
        let error = oidc(&server, None).redeem(&attempt(), "code", iss).await.unwrap_err();
        assert!(matches!(error, OidcError::Refused { .. }), "{error}");
    }
    assert!(!server.asked.lock().unwrap().iter().any(|(url, _)| url.ends_with("/token")), "no code went out");
}

#[tokio::test]
async fn what_the_provider_says_is_told_without_control_characters() {
    let key = Key::new("1");
    let server = server(&key);
    let said = json!({"error": "invalid_grant", "error_description": "expired\u{1b}[31m\n"});
    server.answers.lock().unwrap().push_back((400, said));
    let error = oidc(&server, None).redeem(&attempt(), "code", None).await.unwrap_err();
    assert_eq!(error, OidcError::Refused { why: "invalid_grant (expired[31m)".into() });
}
