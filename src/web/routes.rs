//! Every route of the admin API, and which role it asks for. A route stands here or nowhere, and cannot stand here without
//! saying who may use it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};

use super::{Problem, Shared, agents, health, holds, leases, login, opening, policies, pressed, tasks};
use crate::call::{Operator, Role};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// Anybody: probes and scrapers have no token, and what they are told is no secret.
    Nobody,
    /// An operator with this role.
    For(Role),
}

/// One route.
pub(super) struct Route {
    #[cfg_attr(not(test), expect(dead_code, reason = "tests ask each route by its method"))]
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) asks: Asks,
    handler: MethodRouter<Arc<Shared>>,
}

/// Looking asks for a viewer, which every operator is; changing tasks, agents, policies and leases for an admin; voting on held
/// calls for an approver. No role brings another with it: who may change everything else is not thereby the one to be asked.
pub(super) fn table() -> Vec<Route> {
    use Role::{Admin, Approver, Viewer};
    vec![
        Route::open("/healthz", health::healthz),
        Route::open("/readyz", health::readyz),
        Route::open("/metrics", health::metrics),
        Route::open("/login", login::page),
        Route::open("/login/oidc", login::depart),
        Route::open("/login/oidc/callback", login::arrive),
        // What makes somebody an operator cannot ask for one.
        Route { method: Method::POST, path: "/login", asks: Asks::Nobody, handler: post(login::sign_in) },
        // Slack's signature stands for the operator.
        Route {
            method: Method::POST,
            path: "/v1/slack/interactions",
            asks: Asks::Nobody,
            handler: post(pressed::press),
        },
        Route::post("/logout", Viewer, login::sign_out),
        Route::get("/v1/node", Viewer, health::node),
        Route::post("/v1/policies/reload", Admin, policies::reload),
        Route::get("/v1/agents", Viewer, agents::list),
        Route::post("/v1/agents", Admin, agents::register),
        Route::post("/v1/agents/forget", Admin, agents::forget),
        Route::post("/v1/agents/quarantine", Admin, agents::quarantine),
        Route::post("/v1/agents/release", Admin, agents::release),
        Route::get("/v1/holds", Viewer, holds::list),
        Route::get("/v1/holds/{id}", Viewer, holds::show),
        Route::post("/v1/holds/{id}/approve", Approver, holds::approve),
        Route::post("/v1/holds/{id}/refuse", Approver, holds::refuse),
        Route::get("/v1/leases", Viewer, leases::list),
        Route::post("/v1/leases/{id}/seen", Admin, leases::seen),
        Route::get("/v1/session", Viewer, login::session),
        Route::get("/v1/tasks", Viewer, tasks::list),
        Route::post("/v1/tasks", Admin, opening::open),
        Route::post("/v1/tasks/end", Admin, tasks::end_all),
        Route::post("/v1/owners/end", Admin, tasks::end_owned),
        Route::get("/v1/tasks/{id}", Viewer, tasks::show),
        Route::post("/v1/tasks/{id}/delegate", Admin, opening::delegate),
        Route::post("/v1/tasks/{id}/end", Admin, tasks::end),
        Route::post("/v1/tasks/{id}/renew", Admin, opening::renew),
    ]
}

/// All routes, each behind what it asks for.
pub(super) fn router() -> Router<Arc<Shared>> {
    table().into_iter().fold(Router::new(), |router, route| {
        let asks = route.asks;
        let asked = move |request: Request, next: Next| admit(asks, request, next);
        router.route(route.path, route.handler.route_layer(axum::middleware::from_fn(asked)))
    })
}

impl Route {
    fn open<H: Handler<T, Arc<Shared>>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self { method: Method::GET, path, asks: Asks::Nobody, handler: get(handler) }
    }

    fn get<H: Handler<T, Arc<Shared>>, T: 'static>(path: &'static str, role: Role, handler: H) -> Self {
        Self { method: Method::GET, path, asks: Asks::For(role), handler: get(handler) }
    }

    fn post<H: Handler<T, Arc<Shared>>, T: 'static>(path: &'static str, role: Role, handler: H) -> Self {
        Self { method: Method::POST, path, asks: Asks::For(role), handler: post(handler) }
    }
}

/// The paths that are for anybody. What else is at one of them finds no operator, and lets nobody in.
pub(super) fn open_paths() -> BTreeSet<&'static str> {
    table().iter().filter(|route| route.asks == Asks::Nobody).map(|route| route.path).collect()
}

/// The guard has found out who asks; here it is decided whether that is enough.
async fn admit(asks: Asks, request: Request, next: Next) -> Response {
    let Asks::For(role) = asks else { return next.run(request).await };
    match request.extensions().get::<Operator>() {
        Some(operator) if operator.may(role) => next.run(request).await,
        Some(operator) => {
            tracing::warn!(operator = %operator.id, role = role.as_str(), path = request.uri().path(), "refused for want of a role");
            lacking(operator, role).into_response()
        }
        // The guard lets nobody get here; should it, this is no way in.
        None => {
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "nobody is known to ask").into_response()
        }
    }
}

fn lacking(operator: &Operator, role: Role) -> Problem {
    let has = operator.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    let detail = format!(
        "`{}` is not {role}: its roles are {}; ask one who is, or have the role given to it in the configuration",
        operator.id,
        if has.is_empty() { "none" } else { &has },
        role = role.as_str(),
    );
    Problem::new(StatusCode::FORBIDDEN, "role_wanted", detail)
}
