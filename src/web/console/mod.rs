//! The console: the node as people see it.
//!
//! HTML that the server makes, in templates that the compiler checks and that escape whatever is put into them. What moves is
//! fetched as fragments (htmx) or pushed as such (server-sent events); without script every page is still there. Nothing is fetched
//! from elsewhere, no script and no style stands in a page, and the policy that is sent along has the browser keep to that.
//!
//! It must not decide or change anything itself: what it changes goes the way of the admin API. Text that an agent chose is
//! passed through [`parts::said`], which shows what would act on its surroundings.

mod agents;
mod assets;
mod calls;
mod cedar;
mod health;
mod holds;
mod layout;
mod now;
mod parts;
mod plot;
mod policies;
mod tasks;
#[cfg(test)]
mod tests;
mod tree;
mod visitor;
mod walk;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

pub(super) use now::Fragments;

use super::MAX_BODY_BYTES;
use super::routes::Route;
use crate::call::Role;

/// Every page, and which role it asks for.
pub(super) fn routes() -> Vec<Route> {
    use Role::{Admin, Approver, Viewer};
    vec![
        Route::get("/", Viewer, home),
        Route::get("/console", Viewer, home),
        Route::get("/console/", Viewer, home),
        Route::get("/console/now", Viewer, now::page),
        Route::get("/console/now/stream", Viewer, now::stream),
        Route::get("/console/holds", Viewer, holds::page),
        Route::get("/console/holds/{id}", Viewer, holds::show),
        Route::post("/console/holds/{id}/approve", Approver, holds::approve),
        Route::post("/console/holds/{id}/refuse", Approver, holds::refuse),
        Route::get("/console/tasks", Viewer, tasks::page),
        Route::get("/console/tasks/{id}", Viewer, tasks::show),
        Route::post("/console/tasks/{id}/end", Admin, tasks::end),
        Route::post("/console/leases/{id}/seen", Admin, tasks::seen),
        Route::get("/console/agents", Viewer, agents::page),
        Route::post("/console/agents/quarantine", Admin, agents::quarantine),
        Route::post("/console/agents/release", Admin, agents::release),
        Route::get("/console/calls", Viewer, calls::page),
        Route::get("/console/calls/{id}", Viewer, calls::show),
        Route::get("/console/calls/{id}/proof", Viewer, calls::proof),
        Route::get("/console/calls/{id}/explanation", Viewer, calls::explanation),
        Route::get("/console/policies", Viewer, policies::page),
        Route::post("/console/policies/replay", Admin, policies::replay),
        Route::get("/console/health", Viewer, health::page),
        // The login page wears them too.
        Route::open("/console/assets/{name}", assets::serve),
    ]
}

async fn home() -> Redirect {
    Redirect::to("/console/now")
}

/// Has a browser show what is wrong as a page: programs are told in JSON, and script that waits for a part is told by status.
pub(super) async fn as_page(request: Request, next: Next) -> Response {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wants_page = accepts.contains("text/html") && !request.headers().contains_key("hx-request");
    let answer = next.run(request).await;
    let is_problem =
        answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    if !wants_page || !is_problem {
        return answer;
    }
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), MAX_BODY_BYTES).await.unwrap_or_default();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let said =
        |name: &str| problem.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    (status, html(layout::wrong(&said("title"), &said("detail")))).into_response()
}

/// A page or a part of one.
fn html(markup: maud::Markup) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(CONTENT_TYPE, kind)], markup.into_string()).into_response()
}
