//! Leases: listed, and shown with their task. Nothing here is secret.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::tasks::{parse_id, read_json, to_the_end};
use super::{Problem, Shared};
use crate::call::id::NotAnId;
use crate::call::{Gone, Lease, LeaseId, LeaseState, Operator, OperatorId, SeenError, TaskId, Timestamp};

/// Longest note on a lease, bytes.
const MAX_NOTE_BYTES: usize = 1_024;

/// The query of `GET /v1/leases`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    task: Option<String>,
    state: Option<LeaseState>,
}

/// A lease as JSON.
#[derive(Serialize, ToSchema)]
pub(super) struct LeaseBody<'a> {
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
    /// The operator who looked at it after it was lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<SeenBody<'a>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SeenBody<'a> {
    by: &'a OperatorId,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// The body of `POST /v1/leases/{id}/seen`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    note: Option<String>,
}

/// Leases.
#[derive(Serialize, ToSchema)]
pub(super) struct LeaseList<'a> {
    leases: Vec<LeaseBody<'a>>,
}

/// `GET /v1/leases`, oldest first, all or those of one task or state.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let task = filter.task.as_deref().map(parse_id).transpose()?;
    let (leases, now) = shared.rooms.node.leases(task);
    let wanted = |lease: &&Lease| filter.state.is_none_or(|state| state == lease.state);
    let leases: Vec<_> = leases.iter().filter(wanted).map(|lease| body_of(lease, now)).collect();
    Ok(Json(LeaseList { leases }).into_response())
}

/// `POST /v1/leases/{id}/seen`: whoever asks has looked, at the provider, and nothing of a lost lease works any more.
pub(super) async fn seen(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = lease_id(&id)?;
    let Word { note } = read_json(&headers, body).await?;
    to_the_end(async move {
        let (lease, now) = mark_seen(&shared, id, operator.id, note).await?;
        Ok(Json(body_of(&lease, now)).into_response())
    })
    .await
}

/// A lease by its id.
pub(super) fn lease_id(id: &str) -> Result<LeaseId, Problem> {
    let short: String = id.chars().take(64).collect();
    short.parse().map_err(|error: NotAnId| unknown(error.to_string()))
}

fn unknown(why: String) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "lease_unknown", why)
}

/// Takes an operator's word for it that what is lost is gone.
pub(super) async fn mark_seen(
    shared: &Shared,
    id: LeaseId,
    by: OperatorId,
    note: Option<String>,
) -> Result<(Lease, Timestamp), Problem> {
    if note.as_ref().is_some_and(|note| note.len() > MAX_NOTE_BYTES) {
        let detail = format!("a note has at most {MAX_NOTE_BYTES} bytes");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_note", detail));
    }
    shared.rooms.node.lease_seen(id, by, note).await.map_err(|error| match error {
        SeenError::Unknown => unknown(error.to_string()),
        SeenError::NotLost(_) => Problem::new(StatusCode::CONFLICT, "lease_not_lost", error.to_string()),
        SeenError::Unwritten(why) => Problem::unavailable("journal_unavailable", why),
    })
}

/// What a task shows of its leases: each of them, and whether all are gone.
pub(super) fn gone_of(leases: &[Lease], now: Timestamp) -> (Vec<LeaseBody<'_>>, Gone) {
    let gone = Gone::of(leases, now);
    (leases.iter().map(|lease| body_of(lease, now)).collect(), gone)
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
        seen: lease.seen.as_ref().map(|seen| SeenBody {
            by: &seen.by,
            at: seen.at.to_string(),
            note: seen.note.as_deref(),
        }),
    }
}
