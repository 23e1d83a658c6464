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

use super::openapi::Says;
use super::{
    Problem, Shared, agents, calls, console, events, health, holds, leases, login, openapi, opening,
    policies, pressed, tasks,
};
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
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) asks: Asks,
    pub(super) says: Option<Says>,
    handler: MethodRouter<Arc<Shared>>,
}

/// Looking asks for a viewer, which every operator is; changing tasks, agents, policies and leases for an admin; voting on held
/// calls for an approver. No role brings another with it: who may change everything else is not thereby the one to be asked.
pub(super) fn table() -> Vec<Route> {
    [open_to_all(), looks(), changes(), console::routes()].into_iter().flatten().collect()
}

fn open_to_all() -> Vec<Route> {
    vec![
        Route::open("/healthz", health::healthz)
            .says(Says::new("Whether the process answers").gives::<health::Health>(200)),
        Route::open("/readyz", health::readyz)
            .says(Says::new("Whether calls can be taken").gives::<health::Health>(200)),
        Route::open("/metrics", health::metrics).says(
            Says::new("Counts and measures, as Prometheus reads them").gives_as::<String>(200, "text/plain"),
        ),
        Route::open("/login", login::page),
        Route::open("/login/oidc", login::depart),
        Route::open("/login/oidc/callback", login::arrive),
        // What makes somebody an operator cannot ask for one.
        Route::bare(Method::POST, "/login", Asks::Nobody, post(login::sign_in)),
        // Slack's signature stands for the operator.
        Route::bare(Method::POST, "/v1/slack/interactions", Asks::Nobody, post(pressed::press)).says(
            Says::new("A button that was pressed in Slack, signed by Slack")
                .gives_as::<String>(200, "text/plain"),
        ),
    ]
}

fn looks() -> Vec<Route> {
    use Role::Viewer;
    vec![
        Route::get("/v1/openapi.json", Viewer, openapi::show)
            .says(Says::new("This document").gives::<serde_json::Value>(200)),
        Route::get("/v1/session", Viewer, login::session)
            .says(Says::new("Who asks").gives::<login::SessionBody<'static>>(200)),
        Route::get("/v1/node", Viewer, health::node)
            .says(Says::new("The node").gives::<health::NodeBody>(200)),
        Route::get("/v1/agents", Viewer, agents::list)
            .says(Says::new("The agents that were put down or seen").gives::<agents::AgentList>(200)),
        Route::get("/v1/calls", Viewer, calls::list).says(
            Says::new("Calls of the journal, newest first")
                .asked::<calls::Wanted>()
                .gives::<calls::CallList>(200),
        ),
        Route::get("/v1/calls/{id}", Viewer, calls::show)
            .says(Says::new("A call, with its proof").gives::<calls::CallShown>(200)),
        Route::get("/v1/events", Viewer, events::stream).says(
            Says::new("Entries of the journal as they are written")
                .asked::<events::Wanted>()
                .gives_as::<String>(200, "text/event-stream"),
        ),
        Route::get("/v1/holds", Viewer, holds::list).says(
            Says::new("Held calls, oldest first")
                .asked::<holds::Filter>()
                .gives::<holds::HoldList<'static>>(200),
        ),
        Route::get("/v1/holds/{id}", Viewer, holds::show)
            .says(Says::new("A held call, with what would be sent").gives::<holds::HoldBody<'static>>(200)),
        Route::get("/v1/leases", Viewer, leases::list).says(
            Says::new("Leases, oldest first")
                .asked::<leases::Filter>()
                .gives::<leases::LeaseList<'static>>(200),
        ),
        Route::get("/v1/tasks", Viewer, tasks::list).says(
            Says::new("Tasks, oldest first").asked::<tasks::Filter>().gives::<tasks::TaskList<'static>>(200),
        ),
        Route::get("/v1/tasks/{id}", Viewer, tasks::show)
            .says(Says::new("A task, what it did and what it holds").gives::<tasks::TaskShown<'static>>(200)),
        // Whoever signed in may sign out.
        Route::post("/logout", Viewer, login::sign_out),
    ]
}

fn changes() -> Vec<Route> {
    use Role::{Admin, Approver};
    let vote = |summary| Says::new(summary).takes::<holds::Cast>().gives::<holds::HoldBody<'static>>(200);
    let agent = |summary| Says::new(summary).takes::<agents::AgentNamed>();
    vec![
        Route::post("/v1/policies/reload", Admin, policies::reload)
            .says(Says::new("Read the policies again").gives::<policies::Reloaded>(200)),
        Route::post("/v1/agents", Admin, agents::register).says(
            Says::new("Put an agent down")
                .takes::<agents::AgentWanted>()
                .gives::<agents::RegistrationBody>(200),
        ),
        Route::post("/v1/agents/forget", Admin, agents::forget)
            .says(agent("Forget an agent").gives::<agents::RegistrationBody>(200)),
        Route::post("/v1/agents/quarantine", Admin, agents::quarantine)
            .says(agent("Put an agent into quarantine").gives::<agents::QuarantineBody>(200)),
        Route::post("/v1/agents/release", Admin, agents::release)
            .says(agent("Let an agent out of quarantine").gives::<agents::QuarantineBody>(200)),
        Route::post("/v1/holds/{id}/approve", Approver, holds::approve).says(vote("Approve a held call")),
        Route::post("/v1/holds/{id}/refuse", Approver, holds::refuse).says(vote("Refuse a held call")),
        Route::post("/v1/leases/{id}/seen", Admin, leases::seen).says(
            Says::new("Say that nothing of a lost lease works any more")
                .takes::<leases::Word>()
                .gives::<leases::LeaseBody<'static>>(200),
        ),
        Route::post("/v1/tasks", Admin, opening::open)
            .says(Says::new("Open a task").takes::<opening::TaskWanted>().gives::<opening::Opened>(201)),
        Route::post("/v1/tasks/end", Admin, tasks::end_all)
            .says(Says::new("End all tasks").gives::<tasks::EndedCount>(200)),
        Route::post("/v1/owners/end", Admin, tasks::end_owned).says(
            Says::new("End all tasks of an owner's agents")
                .takes::<tasks::Owner>()
                .gives::<tasks::EndedCount>(200),
        ),
        Route::post("/v1/tasks/{id}/delegate", Admin, opening::delegate).says(
            Says::new("Open a task under another").takes::<opening::Handed>().gives::<opening::Opened>(201),
        ),
        Route::post("/v1/tasks/{id}/end", Admin, tasks::end)
            .says(Says::new("End a task").gives::<tasks::TaskShown<'static>>(200)),
        Route::post("/v1/tasks/{id}/renew", Admin, opening::renew).says(
            Says::new("Have a task's token hold longer")
                .takes::<opening::Renewed>()
                .gives::<opening::Opened>(200),
        ),
    ]
}

/// All routes, each behind what it asks for.
pub(super) fn router() -> Router<Arc<Shared>> {
    table().into_iter().fold(Router::new(), |router, route| {
        let asks = route.asks;
        let asked = move |request: Request, next: Next| admit(asks, request, next);
        let mut handler = route.handler.route_layer(axum::middleware::from_fn(asked));
        if route.path.starts_with("/console/") {
            handler = handler.layer(axum::middleware::from_fn(console::as_page));
        }
        router.route(route.path, handler)
    })
}

impl Route {
    pub(super) fn bare(
        method: Method,
        path: &'static str,
        asks: Asks,
        handler: MethodRouter<Arc<Shared>>,
    ) -> Self {
        Self { method, path, asks, says: None, handler }
    }

    pub(super) fn open<H: Handler<T, Arc<Shared>>, T: 'static>(path: &'static str, handler: H) -> Self {
        Self::bare(Method::GET, path, Asks::Nobody, get(handler))
    }

    pub(super) fn get<H: Handler<T, Arc<Shared>>, T: 'static>(
        path: &'static str,
        role: Role,
        handler: H,
    ) -> Self {
        Self::bare(Method::GET, path, Asks::For(role), get(handler))
    }

    pub(super) fn post<H: Handler<T, Arc<Shared>>, T: 'static>(
        path: &'static str,
        role: Role,
        handler: H,
    ) -> Self {
        Self::bare(Method::POST, path, Asks::For(role), post(handler))
    }

    /// What the document says of it. Only what is for browsers has nothing there.
    pub(super) fn says(self, says: Says) -> Self {
        Self { says: Some(says), ..self }
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
