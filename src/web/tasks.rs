//! Tasks: listed, shown and ended. How one begins is in `opening`.
//!
//! What changes a task runs in a task of its own, because a client that hangs up drops its request half-way, and an end
//! without its entry in the journal must not come of that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::leases::{LeaseBody, gone_of};
use super::{MAX_BODY_BYTES, Problem, STEP_LIMIT, Shared, TaskEvent};
use crate::call::money::Money;
use crate::call::{Gone, IntentName, Operator, OperatorId, SpiffeId, TaskId, Terms};
use crate::intent::{Counts, Ended, IntentError, SummaryRow, TaskEnd, TaskLine, TaskState, TaskView};

/// How long whoever ends a task waits for its calls to be gone. They are cut at once; this is for those whose client
/// does not take what it is sent.
const QUIET_LIMIT: Duration = Duration::from_secs(1);

/// The query of `GET /v1/tasks`.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    state: Option<StateName>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StateName {
    Open,
    Ended,
}

/// A task as JSON.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskBody<'a> {
    id: TaskId,
    agent: &'a SpiffeId,
    intent: &'a IntentName,
    labels: &'a BTreeMap<String, String>,
    #[serde(flatten)]
    terms: &'a Terms,
    state: StateName,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<EndBody>,
    opened_at: String,
    /// Absent for the standing task of a default agent, which has no deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    in_flight: u64,
    calls: Counts,
    bytes_out: u64,
    #[serde(skip_serializing_if = "Money::is_empty")]
    #[schema(value_type = BTreeMap<String, u64>)]
    money: &'a Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a [SummaryRow]>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct EndBody {
    why: TaskEnd,
    at: String,
}

/// Tasks.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskList<'a> {
    tasks: Vec<TaskBody<'a>>,
}

/// A task with what it holds.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskShown<'a> {
    #[serde(flatten)]
    task: TaskBody<'a>,
    leases: Vec<LeaseBody<'a>>,
    gone: Gone,
}

/// How many tasks were ended.
#[derive(Serialize, ToSchema)]
pub(super) struct EndedCount {
    ended: usize,
}

/// `GET /v1/tasks`, oldest first, all or those of one state.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let lines = shared.rooms.tasks.list();
    let wanted = |line: &&TaskLine| filter.state.is_none_or(|state| state == name_of(line.state));
    let tasks: Vec<_> = lines.iter().filter(wanted).map(|line| body_of(line, None)).collect();
    Ok(Json(TaskList { tasks }).into_response())
}

/// `GET /v1/tasks/{id}`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    shown(&shared, parse_id(&id)?)
}

/// `POST /v1/tasks/{id}/end`. Ending what is over is no error: the answer shows how it ended.
pub(super) async fn end(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    to_the_end(async move {
        end_one(&shared, &operator.id, id).await?;
        shown(&shared, id)
    })
    .await
}

/// Ends a task and all under it. One that is over is as it should be.
pub(super) async fn end_one(shared: &Shared, by: &OperatorId, id: TaskId) -> Result<(), Problem> {
    match shared.rooms.tasks.end(id, TaskEnd::Command).await {
        Ok(ended) => settle_end(shared, by, &ended).await,
        Err(IntentError::Ended { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// `POST /v1/tasks/end`: every task of the node, at once.
pub(super) async fn end_all(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
) -> Result<Response, Problem> {
    to_the_end(async move {
        let ended = shared.rooms.tasks.end_all(TaskEnd::Stop).await?;
        settle_end(&shared, &operator.id, &ended).await?;
        Ok(Json(EndedCount { ended: ended.len() }).into_response())
    })
    .await
}

/// The body of `POST /v1/owners/end`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    #[schema(min_length = 1)]
    owner: String,
}

/// `POST /v1/owners/end`: every task of the agents that one owner answers for.
pub(super) async fn end_owned(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Owner { owner } = read_json(&headers, body).await?;
    if owner.is_empty() {
        return Err(Problem::bad_request(
            "bad_owner",
            "agents without an owner belong to nobody; name an owner",
        ));
    }
    to_the_end(async move {
        let ended = shared.rooms.tasks.end_owned(&owner).await?;
        settle_end(&shared, &operator.id, &ended).await?;
        Ok(Json(EndedCount { ended: ended.len() }).into_response())
    })
    .await
}

/// First it is over, then it is recorded: in a node that cannot write, an operator can still stop an agent. Whoever is
/// answered knows that nothing of these tasks is under way any more, or reads in `in_flight` how much still is.
pub(super) async fn settle_end(shared: &Shared, by: &OperatorId, ended: &[Ended]) -> Result<(), Problem> {
    let ids: Vec<_> = ended.iter().map(|(task, _)| task.id).collect();
    if !shared.rooms.tasks.quiet(&ids, QUIET_LIMIT).await {
        tracing::warn!(tasks = ids.len(), "calls of ended tasks are still under way");
    }
    for (task, why) in ended {
        let event = TaskEvent::Ended { task: Arc::clone(task), why: *why };
        let recording = shared.rooms.node.record(by.clone(), event);
        within_limit("journal_unavailable", recording).await.inspect_err(|_| {
            tracing::error!(task = %task.id, "the end of a task could not be recorded");
        })?;
    }
    Ok(())
}

fn shown(shared: &Shared, id: TaskId) -> Result<Response, Problem> {
    let view = shared.rooms.tasks.show(id).ok_or(IntentError::Unknown(id))?;
    let TaskView { task, state, counts, in_flight, bytes_out, money, summary } = view;
    let line = TaskLine { task, state, counts, in_flight, bytes_out, money };
    let (leases, now) = shared.rooms.node.leases(Some(id));
    let (leases, gone) = gone_of(&leases, now);
    Ok(Json(TaskShown { task: body_of(&line, Some(&summary)), leases, gone }).into_response())
}

fn body_of<'a>(line: &'a TaskLine, summary: Option<&'a [SummaryRow]>) -> TaskBody<'a> {
    let task = &*line.task;
    let ended = match line.state {
        TaskState::Open => None,
        TaskState::Ended { why, at } => Some(EndBody { why, at: at.to_string() }),
    };
    TaskBody {
        id: task.id,
        agent: &task.agent,
        intent: &task.intent,
        labels: &task.labels,
        terms: &task.terms,
        state: name_of(line.state),
        ended,
        opened_at: task.opened.to_string(),
        expires_at: (!task.is_standing()).then(|| task.deadline.to_string()),
        in_flight: line.in_flight,
        calls: line.counts,
        bytes_out: line.bytes_out,
        money: &line.money,
        summary,
    }
}

fn name_of(state: TaskState) -> StateName {
    match state {
        TaskState::Open => StateName::Open,
        TaskState::Ended { .. } => StateName::Ended,
    }
}

/// Brings a change to its end even if whoever asked for it has gone.
pub(super) async fn to_the_end(
    work: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|_| {
        let detail = "remit failed inside while it worked on this; its log says where";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail))
    })
}

pub(super) async fn within_limit<T>(
    code: &'static str,
    step: BoxFuture<'_, Result<T, String>>,
) -> Result<T, Problem> {
    let late = || format!("it took longer than {} s", STEP_LIMIT.as_secs());
    let done = tokio::time::timeout(STEP_LIMIT, step).await.unwrap_or_else(|_| Err(late()));
    done.map_err(|why| Problem::unavailable(code, why))
}

pub(super) fn parse_id(text: &str) -> Result<TaskId, Problem> {
    let short: String = text.chars().take(64).collect();
    short.parse().map_err(|error: crate::call::id::NotAnId| {
        Problem::new(StatusCode::NOT_FOUND, "task_unknown", error.to_string())
    })
}

pub(super) async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    // Also keeps out what a web page may send without asking first (Fetch §3.3, CORS-safelisted types).
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let detail = "send the body with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
    }
    let read = tokio::time::timeout(STEP_LIMIT, axum::body::to_bytes(body, MAX_BODY_BYTES)).await;
    let bytes = match read {
        Err(_) => {
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive"));
        }
        Ok(Err(error)) => return Err(body_problem(error)),
        Ok(Ok(bytes)) => bytes,
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request("bad_json", format!("the body is not understood: {error}")))
}

fn body_problem(error: axum::Error) -> Problem {
    if error.into_inner().is::<http_body_util::LengthLimitError>() {
        let detail = format!("the body is longer than {MAX_BODY_BYTES} bytes");
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail);
    }
    Problem::bad_request("bad_body", "the body broke off")
}
