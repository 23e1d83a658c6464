//! How the node is, and what it is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::{NodeFacts, Problem, Shared};

/// How the node is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok` or `ready`.
    status: &'static str,
    /// What an operator should know although calls are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'static str>,
}

/// What the node is.
#[derive(Serialize, ToSchema)]
pub(super) struct NodeBody {
    version: &'static str,
    pid: u32,
    /// Where the forward proxy listens.
    proxy: String,
    /// Where the admin API listens.
    admin: String,
    state_dir: String,
    /// The issuing CA's certificate, PEM.
    ca: String,
    /// The system's roots and the issuing CA, PEM.
    ca_bundle: String,
    /// The rules that calls are judged under.
    policy_digest: String,
    /// How often rules were loaded since the node started.
    generation: u64,
}

/// The process answers: nothing more, so that a probe does not restart a node that only waits for something.
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", notice: None })
}

/// Calls can be taken.
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Result<Json<Health>, Problem> {
    shared.rooms.node.ready().map_err(|why| Problem::unavailable("not_ready", why))?;
    Ok(Json(Health { status: "ready", notice: shared.rooms.node.notice() }))
}

/// `GET /metrics`.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let (kind, text) = shared.rooms.node.metrics();
    ([(CONTENT_TYPE, kind)], text)
}

/// `GET /v1/node`.
pub(super) async fn node(State(shared): State<Arc<Shared>>) -> Json<NodeBody> {
    let NodeFacts { version, pid, proxy, admin, state_dir, ca, ca_bundle, rules, generation } =
        shared.rooms.node.facts();
    Json(NodeBody {
        version,
        pid,
        proxy: proxy.to_string(),
        admin: admin.to_string(),
        state_dir: state_dir.display().to_string(),
        ca: ca.display().to_string(),
        ca_bundle: ca_bundle.display().to_string(),
        policy_digest: rules.to_string(),
        generation,
    })
}
