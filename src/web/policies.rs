//! Having policies and catalog read again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, Shared};
use crate::call::Operator;

/// What a reload came to.
#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded {
    /// Whether other rules are in force now.
    changed: bool,
    /// Those before.
    from: String,
    /// Those now.
    policy_digest: String,
    /// How often rules were loaded since the node started.
    generation: u64,
}

/// `POST /v1/policies/reload`: reads policies and the operator's services again. `409` with everything that is wrong with them, in which case those
/// before stay in force.
pub(super) async fn reload(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Reloaded>, Problem> {
    let node = shared.rooms.node.clone();
    // In a task of its own: a client that hangs up does not leave a reload half-way.
    let done = tokio::spawn(async move { node.reload_policies(operator.id).await }).await;
    let done = done.map_err(|error| Problem::unavailable("reload_failed", error.to_string()))?;
    let (from, to) = done.map_err(|why| Problem::new(StatusCode::CONFLICT, "policies_refused", why))?;
    let generation = shared.rooms.node.facts().generation;
    let changed = from != to;
    Ok(Json(Reloaded { changed, from: from.to_string(), policy_digest: to.to_string(), generation }))
}
