//! Leases: listed, and shown with their task. Nothing here is secret.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tasks::parse_id;
use super::{Problem, Shared};
use crate::call::{Gone, Lease, LeaseId, LeaseState, TaskId, Timestamp};

/// The query of `GET /v1/leases`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    task: Option<String>,
    state: Option<LeaseState>,
}

/// A lease as JSON.
#[derive(Serialize)]
struct LeaseBody<'a> {
    id: LeaseId,
    task: TaskId,
    service: &'a str,
    provider: &'a str,
    scope: &'a str,
    state: LeaseState,
    since: String,
    minted_at: String,
    /// When it ends by itself; absent: never, or nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    short_lived: bool,
    /// Whether it should be gone by now.
    overdue: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

/// `GET /v1/leases`, oldest first, all or those of one task or state.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let task = filter.task.as_deref().map(parse_id).transpose()?;
    let (leases, now) = shared.rooms.node.leases(task);
    let wanted = |lease: &&Lease| filter.state.is_none_or(|state| state == lease.state);
    let leases: Vec<_> = leases.iter().filter(wanted).map(|lease| body_of(lease, now)).collect();
    Ok(Json(json!({ "leases": leases })))
}

/// What a task shows of its leases: each of them, and whether all are gone.
pub(super) fn of_task(shared: &Shared, task: TaskId) -> (Value, Value) {
    let (leases, now) = shared.rooms.node.leases(Some(task));
    let gone = Gone::of(&leases, now);
    let leases: Vec<_> = leases.iter().map(|lease| body_of(lease, now)).collect();
    (json!(leases), json!(gone))
}

fn body_of(lease: &Lease, now: Timestamp) -> LeaseBody<'_> {
    LeaseBody {
        id: lease.id,
        task: lease.task,
        service: &lease.service.0,
        provider: &lease.provider,
        scope: &lease.scope,
        state: lease.state,
        since: lease.since.to_string(),
        minted_at: lease.minted.to_string(),
        until: lease.until.map(|at| at.to_string()),
        short_lived: lease.short_lived,
        overdue: lease.is_overdue(now),
        why: lease.why.as_deref(),
    }
}
