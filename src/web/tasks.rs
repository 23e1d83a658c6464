//! Tasks: opened, listed, shown and ended.
//!
//! What changes a task runs in a task of its own, because a client that hangs up drops its request half-way, and an end
//! without its entry in the journal must not come of that.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MAX_BODY_BYTES, Problem, STEP_LIMIT, Shared, TaskEvent};
use crate::call::{IntentName, Secret, SpiffeId, Task, TaskId, Timestamp};
use crate::intent::{
    Counts, DEFAULT_TTL, IntentError, NewTask, SummaryRow, TaskEnd, TaskLine, TaskState, TaskView,
};

/// The body of `POST /v1/tasks`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    agent: String,
    intent: String,
    /// Seconds.
    ttl_s: Option<u64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Whether a loopback port is to stand for the task, for clients that cannot send proxy credentials.
    #[serde(default)]
    port: bool,
}

/// The query of `GET /v1/tasks`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    state: Option<StateName>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateName {
    Open,
    Ended,
}

/// A task as JSON.
#[derive(Serialize)]
struct TaskBody<'a> {
    id: TaskId,
    agent: &'a SpiffeId,
    intent: &'a IntentName,
    labels: &'a BTreeMap<String, String>,
    state: StateName,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<EndBody>,
    opened_at: String,
    /// Absent for the standing task of a default agent, which has no deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    in_flight: u64,
    calls: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a [SummaryRow]>,
}

#[derive(Serialize)]
struct EndBody {
    why: TaskEnd,
    at: String,
}

/// `POST /v1/tasks`.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: Wanted = read_json(&headers, body).await?;
    let Wanted { agent, intent, ttl_s, labels, port } = wanted;
    let unprocessable = |code, why: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, why);
    let agent = SpiffeId::parse_or_name(&agent, &shared.settings.trust_domain)
        .map_err(|error| unprocessable("bad_agent", error.to_string()))?;
    let intent =
        IntentName::parse(&intent).map_err(|error| unprocessable("bad_intent", error.to_string()))?;
    let ttl = ttl_s.map_or(DEFAULT_TTL, Duration::from_secs);
    shared.rooms.node.ready().map_err(|why| Problem::unavailable("not_ready", why))?;
    let entrance = if port { Entrance::TaskPort } else { Entrance::ProxyOnly };
    let opening = open_and_record(shared, NewTask { agent, intent, labels, ttl }, entrance);
    to_the_end(opening).await
}

/// What a new task can be reached by.
#[derive(Clone, Copy)]
enum Entrance {
    ProxyOnly,
    TaskPort,
}

/// The token is minted and the port is open before the journal says so, and nobody hears of either until it does.
async fn open_and_record(
    shared: Arc<Shared>,
    wanted: NewTask,
    entrance: Entrance,
) -> Result<Response, Problem> {
    let task = shared.rooms.tasks.open(wanted)?;
    match complete(&shared, &task, entrance).await {
        Ok(opened) => Ok(opened),
        Err(problem) => {
            // Over already is as good: what matters is that it takes no call.
            let _ = shared.rooms.tasks.end(task.id, TaskEnd::Withdrawn);
            Err(problem)
        }
    }
}

async fn complete(shared: &Shared, task: &Arc<Task>, entrance: Entrance) -> Result<Response, Problem> {
    let node = &shared.rooms.node;
    let token = shared.rooms.tokens.mint(task, task.deadline).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "token_not_made", error.to_string())
    })?;
    let port = match entrance {
        Entrance::ProxyOnly => None,
        Entrance::TaskPort => {
            Some(within_limit("port_not_opened", node.open_task_port(Arc::clone(task))).await?)
        }
    };
    let event = TaskEvent::Opened { task: Arc::clone(task) };
    within_limit("journal_unavailable", node.record(event)).await?;
    Ok(opened(shared, task, &token, port))
}

fn opened(shared: &Shared, task: &Task, token: &Secret<String>, port: Option<SocketAddr>) -> Response {
    let facts = shared.rooms.node.facts();
    let token = token.reveal();
    let mut body = json!({
        "id": task.id,
        "agent": task.agent,
        "intent": task.intent,
        "token": token,
        "proxy_url": format!("http://task:{token}@{}", facts.proxy),
        "expires_at": task.deadline.to_string(),
        "ca": facts.ca.display().to_string(),
        "ca_bundle": facts.ca_bundle.display().to_string(),
    });
    if let (Some(port), Some(body)) = (port, body.as_object_mut()) {
        body.insert("port_url".into(), Value::String(format!("http://{port}")));
    }
    let location = format!("/v1/tasks/{}", task.id);
    (StatusCode::CREATED, [(LOCATION, location)], Json(body)).into_response()
}

/// `GET /v1/tasks`, oldest first, all or those of one state.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let lines = shared.rooms.tasks.list();
    let wanted = |line: &&TaskLine| filter.state.is_none_or(|state| state == name_of(line.state));
    let tasks: Vec<_> = lines.iter().filter(wanted).map(|line| body_of(line, None)).collect();
    Ok(Json(json!({"tasks": tasks})))
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
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    to_the_end(end_and_record(shared, id)).await
}

/// First it is over, then it is recorded: in a node that cannot write, an operator can still stop an agent.
async fn end_and_record(shared: Arc<Shared>, id: TaskId) -> Result<Response, Problem> {
    let (tasks, why) = (&shared.rooms.tasks, TaskEnd::Command);
    let task = tasks.show(id).ok_or(IntentError::Unknown(id))?.task;
    match tasks.end(id, why) {
        Ok(()) => {}
        Err(IntentError::Ended { .. }) => return shown(&shared, id),
        Err(error) => return Err(error.into()),
    }
    let answer = shown(&shared, id);
    let recording = shared.rooms.node.record(TaskEvent::Ended { task, why });
    within_limit("journal_unavailable", recording).await.inspect_err(|_| {
        tracing::error!(task = %id, "the end of a task could not be recorded");
    })?;
    answer
}

fn shown(shared: &Shared, id: TaskId) -> Result<Response, Problem> {
    let view = shared.rooms.tasks.show(id).ok_or(IntentError::Unknown(id))?;
    let TaskView { task, state, counts, in_flight, summary } = view;
    let line = TaskLine { task, state, counts, in_flight };
    Ok(Json(body_of(&line, Some(&summary))).into_response())
}

fn body_of<'a>(line: &'a TaskLine, summary: Option<&'a [SummaryRow]>) -> TaskBody<'a> {
    let task = &*line.task;
    let ended = match line.state {
        TaskState::Open => None,
        TaskState::Ended { why, at } => Some(EndBody { why, at: at.to_string() }),
    };
    let endless = task.deadline == Timestamp::from_unix_ns(u64::MAX);
    TaskBody {
        id: task.id,
        agent: &task.agent,
        intent: &task.intent,
        labels: &task.labels,
        state: name_of(line.state),
        ended,
        opened_at: task.opened.to_string(),
        expires_at: (!endless).then(|| task.deadline.to_string()),
        in_flight: line.in_flight,
        calls: line.counts,
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
async fn to_the_end(
    work: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|_| {
        let detail = "remit failed inside while it worked on this; its log says where";
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail))
    })
}

async fn within_limit<T>(code: &'static str, step: BoxFuture<'_, Result<T, String>>) -> Result<T, Problem> {
    let late = || format!("it took longer than {} s", STEP_LIMIT.as_secs());
    let done = tokio::time::timeout(STEP_LIMIT, step).await.unwrap_or_else(|_| Err(late()));
    done.map_err(|why| Problem::unavailable(code, why))
}

fn parse_id(text: &str) -> Result<TaskId, Problem> {
    let short: String = text.chars().take(64).collect();
    short.parse().map_err(|error: crate::call::id::NotAnId| {
        Problem::new(StatusCode::NOT_FOUND, "task_unknown", error.to_string())
    })
}

async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
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
