//! GitHub Apps: what a token is asked for, and what is done about one that reaches further.

use super::super::endpoint::Endpoint;
use super::super::github_app::{GithubApp, Permissions, Settings};
use super::super::narrow::Width;
use super::*;

const SHIPPED: &str = include_str!("../../../catalog/data/github/permissions.toml");

fn settings() -> Settings<Arc<dyn SecretSource>> {
    Settings {
        api: Endpoint::parse("https://ghe.example/api/v3").unwrap(),
        app_id: "Iv1.42".to_owned(),
        key: given(KEY),
        installation_id: 7,
        owner: "Octo".to_owned(),
        permissions: Permissions::parse(SHIPPED).unwrap(),
        width: Width::Narrow,
    }
}

fn app(
    settings: Settings<Arc<dyn SecretSource>>,
    server: Server,
) -> (GithubApp<Arc<dyn SecretSource>>, Arc<Server>) {
    let server = Arc::new(server);
    (GithubApp::new(settings, ports(&server)), server)
}

fn wanted(resources: &[&str], id: &str, class: Class, repository: Option<&str>) -> Wanted {
    Wanted::to(task(resources), operation(id, class, repository))
}

fn scope(wanted: &Wanted) -> Result<String, MintError> {
    app(settings(), Server::new()).0.scope(&wanted.need())
}

fn given_token(permissions: &Value, repositories: &[&str]) -> Value {
    let repositories: Vec<_> = repositories.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "token": "ghs_1", "expires_at": "2027-01-15T08:10:00Z", "permissions": permissions,
        "repository_selection": "selected", "repositories": repositories,
    })
}

#[tokio::test]
async fn a_token_is_asked_for_the_grants_repositories_and_the_operations_permission() {
    let wanted = wanted(
        &[
            "github/repo/octo/Hello",
            "github/repo/octo/world",
            "github/repo/other/x",
            "github/org/octo",
            "slack/*",
        ],
        "github:issues/get",
        Class::Read,
        Some("octo/hello"),
    );
    let answer = given_token(&json!({ "issues": "read", "metadata": "read" }), &["Hello", "world"]);
    let (app, server) = app(settings(), Server::new().answers(201, answer));
    assert_eq!(app.scope(&wanted.need()).unwrap(), "issues:read on Octo/hello Octo/world");
    let minted = app.mint(&wanted.need()).await.unwrap();
    assert_eq!((token_of(&minted), minted.expires), ("ghs_1", after_s(600)));
    let asked = server.done().remove(0);
    assert_eq!(asked.url, "https://ghe.example/api/v3/app/installations/7/access_tokens");
    assert_eq!((asked.method.as_str(), asked.header("x-github-api-version")), ("POST", "2022-11-28"));
    assert_eq!(asked.header("accept"), "application/vnd.github+json");
    assert_eq!(
        asked.json(),
        json!({ "repositories": ["hello", "world"], "permissions": { "issues": "read" } })
    );
    let (_, claims) = jwt_parts(asked.header("authorization").strip_prefix("Bearer ").unwrap());
    assert_eq!(claims, json!({ "iat": NOW_S - 60, "exp": NOW_S + 540, "iss": "Iv1.42" }));
}

#[test]
fn the_class_says_read_or_write_and_the_operation_says_what() {
    let told = |id, class| scope(&wanted(&[], id, class, Some("octo/hello"))).unwrap();
    assert_eq!(told("github:issues/list-for-repo", Class::Read), "issues:read on Octo/hello");
    assert_eq!(told("github:issues/create", Class::Act), "issues:write on Octo/hello");
    assert_eq!(told("github:git/receive-pack", Class::Act), "contents:write on Octo/hello");
    assert_eq!(told("github:pulls/merge", Class::Act), "contents:write pull_requests:write on Octo/hello");
    assert_eq!(told("github:repos/add-collaborator", Class::Delegate), "administration:write on Octo/hello");
    assert_eq!(told("github:repos/get", Class::Read), "metadata:read on Octo/hello");
}

#[test]
fn patterns_of_the_grant_name_no_repository_so_the_calls_own_is_named() {
    for resources in [&["github/repo/octo/*"][..], &["github/*"], &[], &["github/repo/octo/world"]] {
        let wanted = wanted(resources, "github:issues/get", Class::Read, Some("octo/hello"));
        assert_eq!(scope(&wanted).unwrap(), "issues:read on Octo/hello", "{resources:?}");
    }
}

#[test]
fn what_cannot_be_said_in_githubs_terms_is_too_wide() {
    let cases = [
        (wanted(&[], "github:issues/get", Class::Read, Some("other/x")), "other/x"),
        (wanted(&[], "github:orgs/list-members", Class::Read, None), "no repository that can be told"),
        (
            wanted(&[], "github:codespaces/create-with-repo", Class::Act, Some("octo/hello")),
            "which permission",
        ),
        (wanted(&[], "unknown:act", Class::Act, Some("octo/hello")), "which permission"),
    ];
    for (wanted, why) in cases {
        assert!(
            matches!(scope(&wanted), Err(MintError::TooWide(text)) if text.contains(why) && text.contains("wide")),
            "{why}"
        );
    }
    let wide = Settings { width: Width::Wide, ..settings() };
    let wanted = wanted(&[], "github:orgs/list-members", Class::Read, None);
    assert_eq!(app(wide, Server::new()).0.scope(&wanted.need()).unwrap(), "all permissions on all of Octo");
}

#[test]
fn the_operators_own_line_goes_before_the_catalogs() {
    let mut permissions = Permissions::parse(SHIPPED).unwrap();
    permissions.add("codespaces/*", vec!["codespaces".to_owned()]).unwrap();
    permissions.add("issues/get", vec!["pull_requests".to_owned()]).unwrap();
    let app = app(Settings { permissions, ..settings() }, Server::new()).0;
    let told = |id| app.scope(&wanted(&[], id, Class::Read, Some("octo/hello")).need()).unwrap();
    assert_eq!(told("github:codespaces/list"), "codespaces:read on Octo/hello");
    assert_eq!(told("github:issues/get"), "pull_requests:read on Octo/hello");
    assert!(Permissions::parse(SHIPPED).unwrap().api().is_some_and(|api| api.starts_with("https://")));
    let mut permissions = Permissions::default();
    assert!(permissions.add("a*b", vec!["issues".to_owned()]).is_err());
    assert!(
        permissions.add("a", vec!["Issues: write".to_owned()]).is_err()
            && permissions.add("a", Vec::new()).is_err()
    );
    assert!(Permissions::parse("[[permission]]\noperation = []").is_err());
}

#[tokio::test]
async fn a_token_that_reaches_further_than_asked_for_is_taken_back() {
    let mut all = given_token(&json!({ "issues": "read" }), &[]);
    all["repository_selection"] = json!("all");
    let cases = [
        (given_token(&json!({ "issues": "write" }), &["hello"]), "`issues:write`"),
        (given_token(&json!({ "issues": "admin" }), &["hello"]), "`issues:admin`"),
        (given_token(&json!({ "issues": "read", "contents": "read" }), &["hello"]), "`contents:read`"),
        (given_token(&json!({ "issues": "read" }), &["hello", "secret"]), "not named"),
        (all, "all repositories"),
        (json!({ "token": "ghs_1", "expires_at": "soon" }), "expires_at"),
    ];
    for (answer, why) in cases {
        let (app, server) = app(settings(), Server::new().answers(201, answer).answers(204, Value::Null));
        let error = app.mint(&Wanted::of(Class::Read).need()).await.unwrap_err().to_string();
        assert!(error.contains(why) && error.ends_with("it was taken back"), "{error}");
        let asked = server.done().remove(1);
        assert_eq!(
            (asked.method.as_str(), asked.url.as_str()),
            ("DELETE", "https://ghe.example/api/v3/installation/token")
        );
        assert_eq!(asked.header("authorization"), "Bearer ghs_1");
    }
}

#[tokio::test]
async fn the_end_of_a_lease_ends_the_token_and_one_that_is_gone_counts_as_ended() {
    let server = Server::new()
        .answers(204, Value::Null)
        .answers(401, json!({ "message": "Bad credentials" }))
        .answers(502, Value::Null);
    let (app, server) = app(settings(), server);
    assert_eq!(app.revoke(&secret("ghs_1")).await, Ok(Returned::Revoked));
    assert_eq!(app.revoke(&secret("ghs_1")).await, Ok(Returned::Revoked));
    assert!(matches!(app.revoke(&secret("ghs_1")).await, Err(MintError::Unavailable(_))));
    server.done();
}

#[tokio::test]
async fn refusals_name_their_remedy_and_limits_are_waited_for() {
    for (status, remedy) in
        [(401, "`app_id`"), (404, "`installation_id`"), (422, "grant it to the app"), (403, "suspended")]
    {
        let (app, _) = app(settings(), Server::new().answers(status, json!({ "message": "no" })));
        let error = app.mint(&Wanted::of(Class::Read).need()).await.unwrap_err();
        assert!(matches!(&error, MintError::Refused(text) if text.contains(remedy)), "{error:?}");
    }
    let limited = |_: &Asked| {
        Ok(Response::builder().status(403).header("retry-after", "60").body(Bytes::new()).unwrap())
    };
    let (app, _) = app(settings(), Server::new().next(limited).next(|_| lost(true)));
    assert!(matches!(app.mint(&Wanted::of(Class::Read).need()).await, Err(MintError::Unavailable(_))));
    assert!(matches!(app.mint(&Wanted::of(Class::Read).need()).await, Err(MintError::Unknown(_))));
}
