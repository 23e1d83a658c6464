//! OAuth 2.0: what is sent, what is taken, and what every way of failing becomes.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::super::endpoint::Endpoint;
use super::super::narrow::{ByClass, Width};
use super::super::oauth::{ClientAuth, Flow, Kind, Oauth, Proven, Source};
use super::*;

type Settings = super::super::oauth::Settings<Arc<dyn SecretSource>>;

const TOKEN_URL: &str = "https://as.example/token";

fn scopes() -> ByClass<Vec<String>> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    ByClass::Each(
        [(Class::Read, words(&["doc:read"])), (Class::Act, words(&["doc:read", "doc:write"]))].into(),
    )
}

fn settings() -> Settings {
    Settings {
        token_url: Endpoint::parse(TOKEN_URL).unwrap(),
        revocation_url: Some(Endpoint::parse("https://as.example/revoke").unwrap()),
        client_id: "re mit".to_owned(),
        client: ClientAuth::Basic(given("s:cret")),
        flow: Flow::ClientCredentials,
        scopes: scopes(),
        width: Width::Narrow,
        resources: Vec::new(),
        audiences: Vec::new(),
        proven: Proven::Bearer,
        lifetime: None,
        assertion_audience: None,
    }
}

fn oauth(settings: Settings, server: Server) -> (Oauth<Arc<dyn SecretSource>>, Arc<Server>) {
    assert_eq!(settings.check(), Ok(()));
    let server = Arc::new(server);
    (Oauth::new(settings, ports(&server)), server)
}

fn bearer(more: &Value) -> Value {
    let mut said = json!({ "access_token": "at-1", "token_type": "bearer", "expires_in": 300 });
    said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    said
}

#[tokio::test]
async fn client_credentials_ask_for_the_scopes_of_the_class_and_no_more() {
    let server =
        Server::new().answers(200, bearer(&json!({}))).answers(200, bearer(&json!({"expires_in": "60"})));
    let (oauth, server) = oauth(settings(), server);
    let read = oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    assert_eq!((token_of(&read), read.expires), ("at-1", after_s(300)));
    let act = oauth.mint(&Wanted::of(Class::Act).need()).await.unwrap();
    assert_eq!(act.expires, after_s(60));
    let asked = server.done();
    assert_eq!((asked[0].method.as_str(), asked[0].url.as_str()), ("POST", TOKEN_URL));
    // RFC 6749 §2.3.1: `re+mit:s%3Acret`.
    assert_eq!(asked[0].header("authorization"), "Basic cmUrbWl0OnMlM0FjcmV0");
    let form = |n: usize| serde_json::to_value(asked[n].form()).unwrap();
    assert_eq!(form(0), json!({ "grant_type": "client_credentials", "scope": "doc:read" }));
    assert_eq!(form(1), json!({ "grant_type": "client_credentials", "scope": "doc:read doc:write" }));
}

#[tokio::test]
async fn a_class_without_scopes_is_refused_before_anybody_is_asked() {
    let (oauth, server) = oauth(settings(), Server::new());
    let wanted = Wanted::of(Class::Delegate);
    assert!(matches!(oauth.mint(&wanted.need()).await, Err(MintError::TooWide(_))));
    assert!(matches!(oauth.scope(&wanted.need()), Err(MintError::TooWide(_))));
    server.done();
}

#[tokio::test]
async fn what_the_scope_says_is_what_is_asked_for() {
    let with = |resources: &[&str]| Settings {
        resources: resources.iter().map(|text| (*text).to_owned()).collect(),
        audiences: vec!["logs".to_owned()],
        ..settings()
    };
    let (oauth_one, _) = oauth(with(&["https://api.example/"]), Server::new());
    let scope = |oauth: &Oauth<_>, class| oauth.scope(&Wanted::of(class).need()).unwrap();
    assert_eq!(scope(&oauth_one, Class::Read), "doc:read at https://api.example/ at logs");
    assert_eq!(scope(&oauth_one, Class::Act), "doc:read doc:write at https://api.example/ at logs");
    let server = Server::new().answers(200, bearer(&json!({})));
    let (oauth_two, server) = oauth(with(&["https://a.example/", "https://b.example/"]), server);
    oauth_two.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    let form = server.done()[0].form();
    assert_eq!(form["resource"], "https://a.example/ https://b.example/");
    assert_eq!(form["audience"], "logs");
}

#[tokio::test]
async fn who_the_client_is_can_be_said_in_four_more_ways() {
    let ways: [(ClientAuth<_>, &[&str]); 4] = [
        (ClientAuth::Post(given("s3cret")), &["client_secret"]),
        (ClientAuth::PrivateKeyJwt { key: given(KEY), kid: Some("k1".to_owned()) }, &["client_assertion"]),
        (ClientAuth::Svid, &["client_assertion"]),
        (ClientAuth::Public, &[]),
    ];
    for (client, more) in ways {
        let public = matches!(client, ClientAuth::Public);
        let flow = Flow::JwtBearer { assertion: Source::Configured { token: given("jwt"), kind: Kind::Jwt } };
        let server = Server::new().answers(200, bearer(&json!({})));
        let (oauth, server) = oauth(Settings { client, flow, ..settings() }, server);
        oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap();
        let asked = server.done();
        assert_eq!(asked[0].header("authorization"), "");
        let form = asked[0].form();
        assert_eq!(form["client_id"], "re mit");
        assert!(more.iter().all(|name| form.contains_key(*name)), "{form:?}");
        assert_eq!(
            form.len(),
            if public { 4 } else { 5 + usize::from(form.contains_key("client_assertion")) }
        );
        if form.get("client_assertion").is_some_and(|jwt| !jwt.starts_with("svid")) {
            let mut rules = Validation::new(Algorithm::EdDSA);
            rules.set_audience(&[TOKEN_URL]);
            rules.validate_exp = false;
            let key = DecodingKey::from_ed_pem(KEY_PUBLIC.as_bytes()).unwrap();
            let claims = jsonwebtoken::decode::<Value>(&form["client_assertion"], &key, &rules).unwrap();
            assert_eq!(claims.header.kid.as_deref(), Some("k1"));
            assert_eq!((&claims.claims["iss"], &claims.claims["sub"]), (&json!("re mit"), &json!("re mit")));
            assert_eq!(claims.claims["exp"], NOW_S + 120);
        }
    }
}

#[tokio::test]
async fn an_exchange_names_the_subject_and_the_whole_chain_of_actors() {
    let signed = || Source::Task { issuer: "https://remit.example".to_owned(), key: given(KEY), kid: None };
    let flow = Flow::Exchange { subject: signed(), actor: Some(signed()) };
    let said = bearer(&json!({ "issued_token_type": Kind::AccessToken.urn() }));
    let (oauth, server) = oauth(Settings { flow, ..settings() }, Server::new().answers(200, said));
    oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    let form = server.done()[0].form();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(form["subject_token_type"], "urn:ietf:params:oauth:token-type:jwt");
    assert_eq!(form["actor_token_type"], "urn:ietf:params:oauth:token-type:jwt");
    let (_, subject) = jwt_parts(&form["subject_token"]);
    assert_eq!(subject["sub"], "user:grace@example.org");
    assert_eq!(subject["aud"], TOKEN_URL);
    assert_eq!(subject["iss"], "https://remit.example");
    assert!(subject.get("act").is_none());
    let (_, actor) = jwt_parts(&form["actor_token"]);
    assert_eq!(actor["sub"], "spiffe://example.org/agent/ada");
    assert_eq!(actor["act"], json!({ "sub": "spiffe://example.org/agent/root" }));
    assert_eq!(actor["task"], id(1).to_string());
}

#[tokio::test]
async fn without_an_actor_token_the_subject_token_names_the_actors() {
    let issuer = "https://remit.example".to_owned();
    let flow = Flow::JwtBearer { assertion: Source::Task { issuer, key: given(KEY), kid: None } };
    let server = Server::new().answers(200, bearer(&json!({}))).answers(200, bearer(&json!({})));
    let (oauth, server) = oauth(Settings { flow, ..settings() }, server);
    oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    let mut own = Wanted::of(Class::Read);
    own.task.terms.on_behalf_of = None;
    own.task.deadline = Timestamp::from_unix_s(NOW_S + 30);
    oauth.mint(&own.need()).await.unwrap();
    let asked = server.done();
    let (_, claims) = jwt_parts(&asked[0].form()["assertion"]);
    let root = json!({ "sub": "spiffe://example.org/agent/root" });
    assert_eq!(claims["act"], json!({ "sub": "spiffe://example.org/agent/ada", "act": root }));
    // Where nobody else is named, the root is the subject; and the assertion does not outlive the task.
    let (_, claims) = jwt_parts(&asked[1].form()["assertion"]);
    assert_eq!(claims["sub"], root["sub"]);
    assert_eq!(claims["act"], json!({ "sub": "spiffe://example.org/agent/ada" }));
    assert_eq!(claims["exp"], NOW_S + 30);
}

/// Keeps in memory.
#[derive(Default)]
struct Kept(Mutex<Option<String>>);

impl Keeper for Kept {
    fn kept(&self) -> BoxFuture<'_, Result<Option<Secret<String>>, MintError>> {
        Box::pin(std::future::ready(Ok(self.0.lock().unwrap().as_deref().map(secret))))
    }
    fn keep<'a>(&'a self, secret: &'a Secret<String>) -> BoxFuture<'a, Result<(), MintError>> {
        *self.0.lock().unwrap() = Some(secret.reveal().clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn a_refresh_token_that_was_replaced_is_kept_until_a_new_login() {
    let kept = Arc::new(Kept::default());
    let with = |token: &str| Settings { flow: Flow::Refresh { token: given(token) }, ..settings() };
    let oauth = |settings: Settings, server: Server| {
        let server = Arc::new(server);
        let keeper = Some(Arc::clone(&kept) as Arc<dyn Keeper>);
        (Oauth::new(settings, Ports { keeper, ..ports(&server) }), server)
    };
    let replaced = |token: &str| bearer(&json!({ "refresh_token": token }));
    let server = Server::new().answers(200, replaced("rt-2")).answers(200, bearer(&json!({})));
    let (first, server) = oauth(with("rt-1"), server);
    let minted = first.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    // The refresh token is not a part of the lease.
    assert!(!minted.handle.unwrap().reveal().contains("rt-"));
    first.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    let used = |server: &Server| {
        server.done().iter().map(|asked| asked.form()["refresh_token"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(used(&server), ["rt-1", "rt-2"]);
    // Another start of the node.
    let (second, server) = oauth(with("rt-1"), Server::new().answers(200, bearer(&json!({}))));
    second.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    assert_eq!(used(&server), ["rt-2"]);
    // A person logged in again.
    let (third, server) = oauth(with("rt-9"), Server::new().answers(200, bearer(&json!({}))));
    third.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    assert_eq!(used(&server), ["rt-9"]);
}

#[tokio::test]
async fn the_end_of_a_lease_ends_both_tokens() {
    let server = Server::new()
        .answers(200, bearer(&json!({ "refresh_token": "rt-1" })))
        .answers(200, Value::Null)
        .answers(200, Value::Null);
    let (oauth, server) = oauth(settings(), server);
    let minted = oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    assert_eq!(oauth.revoke(&minted.handle.unwrap()).await, Ok(Returned::Revoked));
    let asked = server.done();
    let pairs: Vec<_> = asked[1..]
        .iter()
        .map(|asked| (asked.form()["token"].clone(), asked.form()["token_type_hint"].clone()))
        .collect();
    assert_eq!(pairs, [("rt-1".into(), "refresh_token".into()), ("at-1".into(), "access_token".into())]);
    assert!(asked[1..].iter().all(|asked| asked.url == "https://as.example/revoke"
        && asked.header("authorization").starts_with("Basic ")));
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_told_with_its_end() {
    let handle = secret(r#"{"access":"at-1","expires":1800000300000000000}"#);
    let refused = |code: &str| json!({ "error": code, "error_description": "no" });
    let (oauth_one, server) =
        oauth(settings(), Server::new().answers(400, refused("unsupported_token_type")));
    assert_eq!(oauth_one.revoke(&handle).await, Ok(Returned::Until(after_s(300))));
    server.done();
    let (oauth_two, _) = oauth(
        Settings { revocation_url: None, ..settings() },
        Server::new().answers(200, bearer(&json!({}))),
    );
    assert!(oauth_two.mint(&Wanted::of(Class::Read).need()).await.unwrap().handle.is_none());
    // An outage, and an answer that was lost, are tried again; a refusal is not.
    let server =
        Server::new().answers(503, Value::Null).next(|_| lost(true)).answers(401, refused("invalid_client"));
    let (oauth_three, _) = oauth(settings(), server);
    assert!(matches!(oauth_three.revoke(&handle).await, Err(MintError::Unavailable(_))));
    assert!(matches!(oauth_three.revoke(&handle).await, Err(MintError::Unavailable(_))));
    assert!(
        matches!(oauth_three.revoke(&handle).await, Err(MintError::Refused(text)) if text.contains("client_auth"))
    );
    assert!(matches!(oauth_three.revoke(&secret("{")).await, Err(MintError::Refused(_))));
}

#[tokio::test]
async fn without_a_lifetime_there_is_no_end_unless_the_operator_knows_it() {
    let said = json!({ "access_token": "at-1", "token_type": "Bearer" });
    let (oauth_one, _) = oauth(settings(), Server::new().answers(200, said.clone()));
    let minted = oauth_one.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    assert!(minted.expires.is_none() && minted.handle.is_some());
    let lifetime = Some(Duration::from_secs(90));
    let (oauth_two, _) = oauth(Settings { lifetime, ..settings() }, Server::new().answers(200, said));
    assert_eq!(oauth_two.mint(&Wanted::of(Class::Read).need()).await.unwrap().expires, after_s(90));
}

#[tokio::test]
async fn what_must_not_be_a_lease_is_taken_back_at_once() {
    let exchange = || Flow::Exchange {
        subject: Source::Configured { token: given("id"), kind: Kind::IdToken },
        actor: None,
    };
    let cases = [
        (Flow::ClientCredentials, json!({ "scope": "doc:read admin" }), "more than was asked for (`admin`)"),
        (Flow::ClientCredentials, json!({ "token_type": "mac" }), "`mac`"),
        (Flow::ClientCredentials, json!({ "token_type": "DPoP" }), "`DPoP`"),
        (Flow::ClientCredentials, json!({ "expires_in": 0 }), "lifetime of 0 s"),
        (Flow::ClientCredentials, json!({ "expires_in": 99_999_999_999_u64 }), "lifetime of 99999999999 s"),
        (Flow::ClientCredentials, json!({ "expires_in": -5 }), "no number of seconds"),
        (exchange(), json!({}), "issued_token_type"),
        (exchange(), json!({ "issued_token_type": Kind::IdToken.urn() }), "issued_token_type"),
    ];
    for (flow, more, why) in cases {
        let server = Server::new().answers(200, bearer(&more)).answers(200, Value::Null);
        let (oauth, server) = oauth(Settings { flow, ..settings() }, server);
        let error = oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap_err().to_string();
        assert!(error.contains(why) && error.ends_with("it was taken back"), "{why}: {error}");
        assert_eq!(server.done()[1].form()["token"], "at-1");
    }
    let server = Server::new().answers(200, bearer(&json!({ "scope": "admin" }))).next(|_| lost(false));
    let (oauth, _) = oauth(settings(), server);
    let error = oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
    assert!(
        matches!(&error, MintError::Stray(text) if text.contains("could not be taken back")),
        "{error:?}"
    );
}

#[tokio::test]
async fn fewer_scopes_than_were_asked_for_are_welcome_and_wide_takes_what_comes() {
    let (oauth_one, _) =
        oauth(settings(), Server::new().answers(200, bearer(&json!({ "scope": "doc:read" }))));
    assert!(oauth_one.mint(&Wanted::of(Class::Act).need()).await.is_ok());
    let wide = Settings { scopes: ByClass::Unsaid, width: Width::Wide, ..settings() };
    let (oauth_two, server) = oauth(wide, Server::new().answers(200, bearer(&json!({ "scope": "admin" }))));
    let wanted = Wanted::of(Class::Read);
    assert!(oauth_two.mint(&wanted.need()).await.is_ok());
    assert!(!server.done()[0].form().contains_key("scope"));
    assert_eq!(oauth_two.scope(&wanted.need()).unwrap(), "whatever the server gives");
}

#[tokio::test]
async fn an_error_becomes_what_can_be_done_about_it_and_repeats_no_secret() {
    let cases = [
        (400, "invalid_client", "client_auth"),
        (400, "invalid_scope", "`scopes`"),
        (400, "invalid_target", "RFC 8707"),
        (400, "unauthorized_client", "`grant`"),
        (400, "invalid_grant", "log"),
        (400, "something_new", "log"),
    ];
    for (status, code, remedy) in cases {
        let said = json!({ "error": code, "error_description": "you sent s:cret\u{7}" });
        let (oauth, _) = oauth(settings(), Server::new().answers(status, said));
        let error = oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
        let MintError::Refused(text) = &error else { panic!("{error:?}") };
        assert!(text.contains(code) && text.contains(remedy) && !text.contains("s:cret"), "{text}");
    }
    for (status, said) in
        [(429, Value::Null), (500, Value::Null), (400, json!({ "error": "temporarily_unavailable" }))]
    {
        let (oauth, _) = oauth(settings(), Server::new().answers(status, said));
        let error = oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
        assert!(matches!(error, MintError::Unavailable(_)), "{error:?}");
    }
    let (oauth, _) = oauth(settings(), Server::new().next(|_| lost(true)));
    assert!(matches!(oauth.mint(&Wanted::of(Class::Read).need()).await, Err(MintError::Unknown(_))));
}

#[tokio::test]
async fn with_dpop_the_token_request_is_proven_again_with_the_servers_nonce() {
    let dpop = Settings { proven: Proven::Dpop, ..settings() };
    let server = Server::new()
        .next(|asked| {
            assert!(jwt_parts(asked.header("dpop")).1.get("nonce").is_none());
            let body = json!({ "error": "use_dpop_nonce" }).to_string();
            Ok(Response::builder().status(400).header("DPoP-Nonce", "n-1").body(body.into()).unwrap())
        })
        .next(|asked| {
            let (_, claims) = jwt_parts(asked.header("dpop"));
            assert_eq!((&claims["nonce"], &claims["htu"]), (&json!("n-1"), &json!(TOKEN_URL)));
            said(200, &bearer(&json!({ "token_type": "DPoP" })))
        });
    let (oauth, server) = oauth(dpop, server);
    let minted = oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    let Material::Dpop { token, key } = &minted.material else { panic!("{minted:?}") };
    assert_eq!(token.reveal(), "at-1");
    let used: jsonwebtoken::jwk::Jwk =
        serde_json::from_value(jwt_parts(server.done()[1].header("dpop")).0["jwk"].clone()).unwrap();
    let prover = super::super::dpop::Prover::new(key).unwrap();
    assert_eq!(used.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), prover.thumbprint());
}

#[tokio::test]
async fn a_server_that_asks_for_nonces_for_ever_is_asked_twice() {
    let again = |_: &Asked| {
        let body = json!({ "error": "use_dpop_nonce" }).to_string();
        Ok(Response::builder().status(400).header("DPoP-Nonce", "n").body(body.into()).unwrap())
    };
    let (oauth_one, server) =
        oauth(Settings { proven: Proven::Dpop, ..settings() }, Server::new().next(again).next(again));
    assert!(oauth_one.mint(&Wanted::of(Class::Read).need()).await.is_err());
    server.done();
    // A token that is not bound where a bound one was asked for is no token (RFC 9449 §5).
    let server = Server::new().answers(200, bearer(&json!({}))).answers(200, Value::Null);
    let (oauth_two, _) = oauth(Settings { proven: Proven::Dpop, ..settings() }, server);
    let error = oauth_two.mint(&Wanted::of(Class::Read).need()).await.unwrap_err().to_string();
    assert!(error.contains("DPoP was wanted"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_told_by_their_key() {
    let refresh = || Flow::Refresh { token: given("rt") };
    let cases = [
        (Settings { client_id: String::new(), ..settings() }, "client_id"),
        (Settings { scopes: ByClass::Same(vec!["a b".to_owned()]), ..settings() }, "scopes"),
        (Settings { resources: vec!["api".to_owned()], ..settings() }, "resource"),
        (Settings { resources: vec!["https://a.example/#x".to_owned()], ..settings() }, "resource"),
        (Settings { lifetime: Some(Duration::ZERO), ..settings() }, "lifetime_s"),
        (Settings { client: ClientAuth::Public, ..settings() }, "client_auth"),
        (
            Settings { client: ClientAuth::Public, flow: refresh(), proven: Proven::Dpop, ..settings() },
            "dpop",
        ),
    ];
    for (settings, key) in cases {
        assert_eq!(settings.check().unwrap_err().key, key);
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_told_without_showing_it() {
    let client = ClientAuth::PrivateKeyJwt { key: given("-----BEGIN hunter2"), kid: None };
    let (oauth, server) = oauth(Settings { client, ..settings() }, Server::new());
    let error = oauth.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
    assert!(matches!(&error, MintError::Refused(text) if text.contains("PEM") && !text.contains("hunter2")));
    server.done();
}
