//! Each route of the table is asked by operators of each role.

use axum::body::Body;
use axum::http::{Method, Request};
use axum::{Extension, Router};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::*;
use crate::call::{Membership, Operator, OperatorId, Role};
use crate::web::routes::{self, Asks};

impl Stand {
    /// The routes as this operator finds them, without the guard that finds out who asks.
    fn seen_by(&self, operator: Option<Operator>) -> Router {
        let settings = Settings {
            bound: self.at,
            bound_tls: None,
            url: None,
            names: Vec::new(),
            trust_domain: TrustDomain::parse("example.org").unwrap(),
            trace_url: None,
        };
        let rooms = Rooms {
            tasks: self.tasks.clone(),
            tokens: self.tokens.clone(),
            node: self.node.clone(),
            admin: self.admin.clone(),
            operators: self.operators.clone(),
            slack: Vec::new(),
            insight: self.insight.clone(),
            pulse: self.pulse.clone(),
        };
        let shared = Shared::new(settings, rooms);
        let router = routes::router().with_state(shared);
        match operator {
            Some(operator) => router.layer(Extension(operator)),
            None => router,
        }
    }
}

fn with(roles: &[Role]) -> Operator {
    let id = OperatorId("oidc:ada@example.org".into());
    Operator { id, roles: roles.iter().copied().collect(), groups: Membership::Of([].into()), person: None }
}

/// Status and the code of the problem, if it is one.
async fn ask(router: Router, method: &Method, path: &str, body: &'static str) -> (u16, Value) {
    let path = path.replace("{id}", "01KB0ZX5D2Q7C3V9T4N8M6R1WE");
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let answer =
        TowerToHyperService::new(router).call(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    // A stream has no end.
    if answer.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
        return (status, Value::Null);
    }
    let body = axum::body::to_bytes(answer.into_body(), MAX_BODY_BYTES).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn no_role_brings_another_but_whoever_may_do_anything_may_look() {
    let stand = stand().await;
    let sets: [&[Role]; 5] =
        [&[], &[Role::Viewer], &[Role::Approver], &[Role::Admin], &[Role::Approver, Role::Admin]];
    for route in routes::table() {
        for roles in sets {
            let (status, said) = ask(stand.seen_by(Some(with(roles))), &route.method, route.path, "").await;
            let may = match route.asks {
                Asks::Nobody => true,
                Asks::For(Role::Viewer) => !roles.is_empty(),
                Asks::For(role) => roles.contains(&role),
            };
            let refused = status == 403 && said["code"] == "role_wanted";
            assert_eq!(refused, !may, "{} {} {roles:?}: {status} {said}", route.method, route.path);
            assert!(may || said["detail"].as_str().unwrap().contains("oidc:ada@example.org"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_route_that_the_guard_let_through_by_mistake_is_closed() {
    let stand = stand().await;
    for route in routes::table().iter().filter(|route| route.asks != Asks::Nobody) {
        let (status, _) = ask(stand.seen_by(None), &route.method, route.path, "").await;
        assert_eq!(status, 401, "{} {}", route.method, route.path);
    }
}

#[test]
fn what_changes_asks_for_more_than_looking() {
    for route in routes::table() {
        // Whoever signed in may sign out.
        let own = route.path == "/logout";
        let looks = own || route.method == Method::GET || route.asks != Asks::For(Role::Viewer);
        assert!(looks, "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn a_change_is_recorded_under_whoever_made_it() {
    let stand = stand().await;
    let admin = || stand.seen_by(Some(with(&[Role::Admin])));
    let opening = r#"{"agent":"coder","intent":"triage"}"#;
    let (status, _) = ask(admin(), &Method::POST, "/v1/tasks", opening).await;
    assert_eq!(status, 201);
    for path in ["/v1/agents/quarantine", "/v1/agents/release", "/v1/agents"] {
        assert_eq!(ask(admin(), &Method::POST, path, r#"{"agent":"coder"}"#).await.0, 200, "{path}");
    }
    let events = stand.node.events.lock().unwrap();
    assert_eq!(events.len(), 5, "{events:?}");
    assert!(events.iter().all(|(by, _)| *by.0 == *"oidc:ada@example.org"), "{events:?}");
}
