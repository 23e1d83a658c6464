//! Vault: logins, secrets of every shape, and the ends of both.

use super::super::endpoint::Endpoint;
use super::super::narrow::{ByClass, Width};
use super::super::vault::{Fields, Login, Settings, Vault};
use super::*;

fn settings() -> Settings<Arc<dyn SecretSource>> {
    let path = |role: &str| format!("database/creds/{role}");
    Settings {
        api: Endpoint::parse("https://vault.example:8200").unwrap(),
        namespace: Some("team/a".to_owned()),
        login: Login::AppRole {
            mount: "approle".to_owned(),
            role_id: "role-1".to_owned(),
            secret_id: Some(given("sid-hunter2")),
        },
        paths: ByClass::Each([(Class::Read, path("ro")), (Class::Act, path("rw"))].into()),
        width: Width::Narrow,
        fields: Fields::Basic { user: "username".to_owned(), password: "password".to_owned() },
    }
}

fn vault(
    settings: Settings<Arc<dyn SecretSource>>,
    server: Server,
) -> (Vault<Arc<dyn SecretSource>>, Arc<Server>) {
    let server = Arc::new(server);
    (Vault::new(settings, ports(&server)), server)
}

fn login() -> Value {
    json!({ "auth": { "client_token": "hvs.own", "lease_duration": 1200, "accessor": "a" } })
}

fn creds() -> Value {
    json!({ "lease_id": "database/creds/ro/abc", "lease_duration": 300, "renewable": true, "data": { "username": "v-1", "password": "pw-1" } })
}

#[tokio::test]
async fn a_lease_has_a_login_of_its_own_and_ends_with_it() {
    let server = Server::new().answers(200, login()).answers(200, creds()).answers(204, Value::Null);
    let (vault, server) = vault(settings(), server);
    let wanted = Wanted::of(Class::Read);
    assert_eq!(vault.scope(&wanted.need()).unwrap(), "database/creds/ro in team/a");
    let minted = vault.mint(&wanted.need()).await.unwrap();
    let Material::Basic { user, password } = &minted.material else { panic!("{minted:?}") };
    assert_eq!((user.as_str(), password.reveal().as_str(), minted.expires), ("v-1", "pw-1", after_s(300)));
    assert_eq!(vault.revoke(&minted.handle.unwrap()).await, Ok(Returned::Revoked));
    let asked = server.done();
    let told: Vec<_> = asked
        .iter()
        .map(|asked| (asked.method.as_str(), asked.url.as_str(), asked.header("x-vault-token")))
        .collect();
    assert_eq!(
        told,
        [
            ("POST", "https://vault.example:8200/v1/auth/approle/login", ""),
            ("GET", "https://vault.example:8200/v1/database/creds/ro", "hvs.own"),
            ("POST", "https://vault.example:8200/v1/auth/token/revoke-self", "hvs.own"),
        ]
    );
    assert!(
        asked.iter().all(|asked| asked.header("x-vault-namespace") == "team/a"
            && asked.header("x-vault-request") == "true")
    );
    assert_eq!(asked[0].json(), json!({ "role_id": "role-1", "secret_id": "sid-hunter2" }));
}

#[tokio::test]
async fn with_a_token_of_the_operators_the_lease_alone_is_ended() {
    let server = Server::new()
        .answers(200, creds())
        .answers(204, Value::Null)
        .answers(403, json!({ "errors": ["permission denied"] }));
    let (vault, server) = vault(Settings { login: Login::Token(given("hvs.op")), ..settings() }, server);
    let handle = vault.mint(&Wanted::of(Class::Read).need()).await.unwrap().handle.unwrap();
    assert!(!handle.reveal().contains("hvs.op"));
    assert_eq!(vault.revoke(&handle).await, Ok(Returned::Revoked));
    let error = vault.revoke(&handle).await.unwrap_err();
    assert!(
        matches!(&error, MintError::Refused(text) if text.contains("permission denied") && text.contains("sys/leases/revoke")),
        "{error:?}"
    );
    let asked = server.done();
    assert_eq!(
        (asked[1].method.as_str(), asked[1].url.as_str()),
        ("PUT", "https://vault.example:8200/v1/sys/leases/revoke")
    );
    assert_eq!(asked[1].json(), json!({ "lease_id": "database/creds/ro/abc", "sync": true }));
    assert_eq!(asked[1].header("x-vault-token"), "hvs.op");
}

#[tokio::test]
async fn a_jwt_or_the_nodes_svid_logs_in_too() {
    let jwt = Login::Jwt { mount: "oidc/ci".to_owned(), role: "remit".to_owned(), jwt: given("j.w.t") };
    let svid =
        Login::Svid { mount: "jwt".to_owned(), role: "remit".to_owned(), audience: "vault".to_owned() };
    for (login_by, url, body) in [
        (jwt, "https://vault.example:8200/v1/auth/oidc/ci/login", json!({ "role": "remit", "jwt": "j.w.t" })),
        (
            svid,
            "https://vault.example:8200/v1/auth/jwt/login",
            json!({ "role": "remit", "jwt": "svid-for-vault" }),
        ),
    ] {
        let (vault, server) = vault(
            Settings { login: login_by, ..settings() },
            Server::new().answers(200, login()).answers(200, creds()),
        );
        vault.mint(&Wanted::of(Class::Read).need()).await.unwrap();
        let asked = server.done();
        assert_eq!((asked[0].url.as_str(), asked[0].json()), (url, body));
    }
}

#[tokio::test]
async fn a_secret_may_be_a_token_keys_or_stand_one_level_deeper() {
    let with = |fields, data: Value| {
        let answer = json!({ "lease_id": "x/1", "lease_duration": 60, "data": data });
        vault(
            Settings { login: Login::Token(given("hvs.op")), fields, ..settings() },
            Server::new().answers(200, answer),
        )
        .0
    };
    let one = with(Fields::Token("token".to_owned()), json!({ "token": "t-1" }));
    assert_eq!(token_of(&one.mint(&Wanted::of(Class::Read).need()).await.unwrap()), "t-1");
    let two = with(
        Fields::Token("token".to_owned()),
        json!({ "data": { "token": "t-2" }, "metadata": { "version": 1 } }),
    );
    assert_eq!(token_of(&two.mint(&Wanted::of(Class::Read).need()).await.unwrap()), "t-2");
    let aws = Fields::Aws {
        access_key_id: "access_key".to_owned(),
        secret_access_key: "secret_key".to_owned(),
        session_token: Some("security_token".to_owned()),
    };
    let three = with(aws, json!({ "access_key": "ASIA1", "secret_key": "s", "security_token": "t" }));
    let minted = three.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    assert!(
        matches!(minted.material, Material::Aws { access_key_id, session_token: Some(_), .. } if access_key_id == "ASIA1")
    );
}

#[tokio::test]
async fn what_has_no_lease_is_said_to_hold_for_ever_and_its_login_goes_at_once() {
    let answer =
        json!({ "lease_id": "", "lease_duration": 2_764_800, "data": { "username": "u", "password": "p" } });
    let server = Server::new().answers(200, login()).answers(200, answer).answers(204, Value::Null);
    let (vault, server) = vault(settings(), server);
    let minted = vault.mint(&Wanted::of(Class::Read).need()).await.unwrap();
    assert!(minted.expires.is_none() && minted.handle.is_none());
    assert!(server.done()[2].url.ends_with("/auth/token/revoke-self"));
}

#[tokio::test]
async fn whatever_fails_after_the_login_ends_the_login() {
    let cases: [(Answering, &str); 4] = [
        (Box::new(|_| said(403, &json!({ "errors": ["permission denied"] }))), "policy"),
        (
            Box::new(|_| {
                said(200, &json!({ "lease_id": "x", "lease_duration": 5, "data": { "username": "u" } }))
            }),
            "`password`",
        ),
        (
            Box::new(|_| {
                said(
                    200,
                    &json!({ "lease_id": "x", "lease_duration": 99_999_999_999_u64, "data": { "username": "u", "password": "p" } }),
                )
            }),
            "lifetime",
        ),
        (Box::new(|_| lost(true)), "ended with the login"),
    ];
    for (answer, why) in cases {
        let server = Server::new().answers(200, login()).next(answer).answers(204, Value::Null);
        let (vault, server) = vault(settings(), server);
        let error = vault.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error:?}");
        assert!(!matches!(error, MintError::Unknown(_)), "{error:?}");
        assert!(server.done()[2].url.ends_with("/auth/token/revoke-self"));
    }
    // Nobody can end what an operator's token was given if the answer is lost.
    let (vault, _) = vault(
        Settings { login: Login::Token(given("hvs.op")), ..settings() },
        Server::new().next(|_| lost(true)),
    );
    assert!(matches!(vault.mint(&Wanted::of(Class::Read).need()).await, Err(MintError::Unknown(_))));
}

#[tokio::test]
async fn a_sealed_vault_is_an_outage_and_a_wrong_login_is_not() {
    let (vault_one, _) =
        vault(settings(), Server::new().answers(503, json!({ "errors": ["Vault is sealed"] })));
    let error = vault_one.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
    assert!(matches!(&error, MintError::Unavailable(text) if text.contains("sealed")), "{error:?}");
    let (vault_two, _) =
        vault(settings(), Server::new().answers(400, json!({ "errors": ["invalid secret id sid-hunter2"] })));
    let error = vault_two.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
    assert!(
        matches!(&error, MintError::Refused(text) if text.contains("auth_mount") && !text.contains("hunter2")),
        "{error:?}"
    );
    assert!(matches!(vault_two.revoke(&secret("?")).await, Err(MintError::Refused(_))));
}

#[test]
fn one_path_for_all_classes_takes_wide() {
    let same = || ByClass::Same("kv/data/api".to_owned());
    let wanted = Wanted::of(Class::Read);
    let (vault_one, _) = vault(Settings { paths: same(), ..settings() }, Server::new());
    assert!(matches!(vault_one.scope(&wanted.need()), Err(MintError::TooWide(_))));
    let (vault_two, _) =
        vault(Settings { paths: same(), width: Width::Wide, namespace: None, ..settings() }, Server::new());
    assert_eq!(vault_two.scope(&wanted.need()).unwrap(), "kv/data/api");
}
