//! Google service accounts: both ways to a token, and what is said of its end.

use super::super::endpoint::Endpoint;
use super::super::google::{Google, Impersonate, Settings};
use super::super::narrow::{ByClass, Width};
use super::*;

fn settings() -> Settings<Arc<dyn SecretSource>> {
    let key = json!({
        "type": "service_account", "client_email": "remit@p.iam.example", "private_key": KEY, "private_key_id": "kid-1",
        "token_uri": "https://oauth.example/token", "universe_domain": "apis.example",
    });
    let scopes = |name: &str| vec![format!("https://www.example/auth/{name}")];
    Settings {
        key: given(&key.to_string()),
        scopes: ByClass::Each(
            [(Class::Read, scopes("drive.readonly")), (Class::Act, scopes("drive"))].into(),
        ),
        width: Width::Narrow,
        impersonate: None,
        token_url: None,
        revocation_url: Some(Endpoint::parse("https://oauth.example/revoke").unwrap()),
    }
}

fn other() -> Impersonate {
    Impersonate {
        account: "worker@p.iam.example".to_owned(),
        delegates: vec!["between@p.iam.example".to_owned()],
        iam: None,
        scope: "https://www.example/auth/iam".to_owned(),
    }
}

fn google(
    settings: Settings<Arc<dyn SecretSource>>,
    server: Server,
) -> (Google<Arc<dyn SecretSource>>, Arc<Server>) {
    let server = Arc::new(server);
    (Google::new(settings, ports(&server)), server)
}

fn token(text: &str) -> Value {
    json!({ "access_token": text, "token_type": "Bearer", "expires_in": 3599 })
}

#[tokio::test]
async fn the_accounts_own_token_is_asked_for_with_the_scopes_of_the_class() {
    let (google, server) = google(settings(), Server::new().answers(200, token("ya29.1")));
    let wanted = Wanted::of(Class::Read);
    assert_eq!(google.scope(&wanted.need()).unwrap(), "https://www.example/auth/drive.readonly");
    let minted = google.mint(&wanted.need()).await.unwrap();
    assert_eq!((token_of(&minted), minted.expires), ("ya29.1", after_s(3599)));
    let asked = server.done().remove(0);
    assert_eq!(asked.url, "https://oauth.example/token");
    let form = asked.form();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header, claims) = jwt_parts(&form["assertion"]);
    assert_eq!(header["kid"], "kid-1");
    let scope = "https://www.example/auth/drive.readonly";
    let wanted = json!({ "iss": "remit@p.iam.example", "scope": scope, "aud": "https://oauth.example/token", "iat": NOW_S, "exp": NOW_S + 3600 });
    assert_eq!(claims, wanted);
}

#[tokio::test]
async fn a_token_of_another_account_lives_as_long_as_the_task() {
    let iam = json!({ "accessToken": "ya29.2", "expireTime": "2027-01-15T08:10:00Z" });
    let server = Server::new().answers(200, token("ya29.1")).answers(200, iam);
    let (google, server) = google(Settings { impersonate: Some(other()), ..settings() }, server);
    let wanted = Wanted::of(Class::Act);
    assert_eq!(
        google.scope(&wanted.need()).unwrap(),
        "https://www.example/auth/drive as worker@p.iam.example"
    );
    let minted = google.mint(&wanted.need()).await.unwrap();
    assert_eq!((token_of(&minted), minted.expires), ("ya29.2", after_s(600)));
    let asked = server.done();
    assert_eq!(jwt_parts(&asked[0].form()["assertion"]).1["scope"], "https://www.example/auth/iam");
    assert_eq!(
        asked[1].url,
        "https://iamcredentials.apis.example/v1/projects/-/serviceAccounts/worker@p.iam.example:generateAccessToken"
    );
    assert_eq!(asked[1].header("authorization"), "Bearer ya29.1");
    let body = json!({
        "scope": ["https://www.example/auth/drive"], "lifetime": "600s",
        "delegates": ["projects/-/serviceAccounts/between@p.iam.example"],
    });
    assert_eq!(asked[1].json(), body);
}

#[tokio::test]
async fn a_life_below_a_minute_or_beyond_an_hour_is_not_asked_for() {
    for (left, lifetime) in [(5, "60s"), (86_400, "3600s")] {
        let iam = json!({ "accessToken": "ya29.2", "expireTime": "2027-01-15T08:10:00Z" });
        let server = Server::new().answers(200, token("ya29.1")).answers(200, iam);
        let (google, server) = google(Settings { impersonate: Some(other()), ..settings() }, server);
        let mut wanted = Wanted::of(Class::Act);
        wanted.task.deadline = Timestamp::from_unix_s(NOW_S + left);
        google.mint(&wanted.need()).await.unwrap();
        assert_eq!(server.done()[1].json()["lifetime"], lifetime);
    }
}

#[tokio::test]
async fn what_google_does_not_end_is_told_with_its_end() {
    let server = Server::new()
        .answers(200, token("ya29.1"))
        .answers(200, json!({}))
        .answers(400, json!({ "error": "invalid_token" }))
        .answers(503, Value::Null);
    let (google_one, server) = google(settings(), server);
    let handle = google_one.mint(&Wanted::of(Class::Read).need()).await.unwrap().handle.unwrap();
    assert_eq!(google_one.revoke(&handle).await, Ok(Returned::Revoked));
    assert_eq!(google_one.revoke(&handle).await, Ok(Returned::Until(after_s(3599))));
    assert!(matches!(google_one.revoke(&handle).await, Err(MintError::Unavailable(_))));
    assert_eq!(server.done()[1].form()["token"], "ya29.1");
    let (google_two, _) =
        google(Settings { revocation_url: None, ..settings() }, Server::new().answers(200, token("x")));
    assert!(google_two.mint(&Wanted::of(Class::Read).need()).await.unwrap().handle.is_none());
}

#[tokio::test]
async fn errors_of_both_apis_are_told_and_the_key_file_is_not() {
    let (google_one, _) = google(
        settings(),
        Server::new().answers(400, json!({ "error": "invalid_grant", "error_description": "Invalid JWT" })),
    );
    let error = google_one.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
    assert!(
        matches!(&error, MintError::Refused(text) if text.contains("invalid_grant: Invalid JWT") && text.contains("clock")),
        "{error:?}"
    );
    let denied =
        json!({ "error": { "code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED" } });
    let server = Server::new().answers(200, token("ya29.1")).answers(403, denied);
    let (google_two, _) = google(Settings { impersonate: Some(other()), ..settings() }, server);
    let error = google_two.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
    assert!(
        matches!(&error, MintError::Refused(text) if text.contains("Permission denied") && text.contains("Token Creator")),
        "{error:?}"
    );
    let (google_three, _) =
        google(Settings { key: given("{\"private_key\": \"hunter2\""), ..settings() }, Server::new());
    let error = google_three.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
    assert!(
        matches!(&error, MintError::Refused(text) if text.contains("client_email") && !text.contains("hunter2")),
        "{error:?}"
    );
    let (google_four, _) =
        google(Settings { scopes: ByClass::Unsaid, width: Width::Wide, ..settings() }, Server::new());
    assert!(matches!(google_four.mint(&Wanted::of(Class::Read).need()).await, Err(MintError::Refused(_))));
}
