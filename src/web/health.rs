//! How the node is, and what it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::{NodeFacts, Problem, Shared};

/// The process answers: nothing more, so that a probe does not restart a node that only waits for something.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Calls can be taken.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    shared.rooms.node.ready().map_err(|why| Problem::unavailable("not_ready", why))?;
    let mut ready = json!({"status": "ready"});
    if let (Some(notice), Some(ready)) = (shared.rooms.node.notice(), ready.as_object_mut()) {
        ready.insert("notice".into(), notice.into());
    }
    Ok(Json(ready))
}

/// `GET /metrics`.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let (kind, text) = shared.rooms.node.metrics();
    ([(CONTENT_TYPE, kind)], text)
}

/// `GET /v1/node`.
pub(super) async fn node(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let NodeFacts { version, pid, proxy, admin, state_dir, ca, ca_bundle, rules, generation } =
        shared.rooms.node.facts();
    Json(json!({
        "version": version,
        "pid": pid,
        "proxy": proxy.to_string(),
        "admin": admin.to_string(),
        "state_dir": state_dir.display().to_string(),
        "ca": ca.display().to_string(),
        "ca_bundle": ca_bundle.display().to_string(),
        "policy_digest": rules.to_string(),
        "generation": generation,
    }))
}
