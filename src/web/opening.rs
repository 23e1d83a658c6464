//! How a task begins: opened, delegated; and how its tokens are renewed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tasks::{parse_id, read_json, to_the_end, within_limit};
use super::{Problem, Shared, TaskEvent};
use crate::call::{
    Binding, Budget, Grant, IntentName, Operator, OperatorId, Secret, SpiffeId, Subject, Task, TaskId,
};
use crate::identity::{Issued, TokenError};
use crate::intent::{DEFAULT_TTL, Delegation, IntentError, NewTask, TaskEnd, TaskState};

/// The body of `POST /v1/tasks`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    agent: String,
    intent: String,
    on_behalf_of: Option<Subject>,
    /// The task that it is to lie under.
    parent: Option<String>,
    #[serde(flatten)]
    more: More,
}

/// The body of `POST /v1/tasks/{id}/delegate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handed {
    to: String,
    intent: Option<String>,
    #[serde(flatten)]
    more: More,
}

/// What both have.
#[derive(Deserialize)]
struct More {
    /// Seconds.
    ttl_s: Option<u64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    grant: Grant,
    #[serde(default)]
    budget: Budget,
    /// What its tokens are to be bound to.
    bind: Option<Binding>,
    /// Whether a loopback port is to stand for the task, for clients that cannot send proxy credentials.
    #[serde(default)]
    port: bool,
}

/// The body of `POST /v1/tasks/{id}/renew`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewed {
    /// The token that is to hold longer; absent: another one is made.
    token: Option<String>,
}

/// What a new task can be reached by.
#[derive(Clone, Copy)]
enum Entrance {
    ProxyOnly,
    TaskPort,
}

/// What is to be opened.
enum Opening {
    Root(NewTask),
    Under(TaskId, Delegation),
}

/// `POST /v1/tasks`.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Wanted { agent, intent, on_behalf_of, parent, more } = read_json(&headers, body).await?;
    let (agent, intent) = (agent_of(&shared, &agent)?, intent_of(&intent)?);
    let entrance = more.entrance();
    let opening = match parent {
        None => {
            let ttl = more.ttl_s.map_or(DEFAULT_TTL, Duration::from_secs);
            let More { labels, grant, budget, bind: binding, .. } = more;
            Opening::Root(NewTask { agent, intent, labels, ttl, on_behalf_of, grant, budget, binding })
        }
        Some(_) if on_behalf_of.is_some() => {
            let detail = "a delegated task is done for whom its parent is; leave `on_behalf_of` out";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_subject", detail));
        }
        Some(parent) => Opening::Under(parse_id(&parent)?, more.delegation(agent, Some(intent))),
    };
    begin(shared, operator.id, opening, entrance).await
}

/// `POST /v1/tasks/{id}/delegate`.
pub(super) async fn delegate(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    Path(parent): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Handed { to, intent, more } = read_json(&headers, body).await?;
    let (to, intent) = (agent_of(&shared, &to)?, intent.as_deref().map(intent_of).transpose()?);
    let entrance = more.entrance();
    let opening = Opening::Under(parse_id(&parent)?, more.delegation(to, intent));
    begin(shared, operator.id, opening, entrance).await
}

async fn begin(
    shared: Arc<Shared>,
    by: OperatorId,
    opening: Opening,
    entrance: Entrance,
) -> Result<Response, Problem> {
    shared.rooms.node.ready().map_err(|why| Problem::unavailable("not_ready", why))?;
    to_the_end(open_and_record(shared, by, opening, entrance)).await
}

/// The token is minted and the port is open before the journal says so, and nobody hears of either until it does.
async fn open_and_record(
    shared: Arc<Shared>,
    by: OperatorId,
    opening: Opening,
    entrance: Entrance,
) -> Result<Response, Problem> {
    let tasks = &shared.rooms.tasks;
    let task = match opening {
        Opening::Root(wanted) => tasks.open(wanted).await?,
        Opening::Under(parent, wanted) => tasks.delegate(parent, wanted).await?,
    };
    match complete(&shared, by, &task, entrance).await {
        Ok(opened) => Ok(opened),
        Err(problem) => {
            // Over already is as good: what matters is that it takes no call.
            let _ = tasks.end(task.id, TaskEnd::Withdrawn).await;
            Err(problem)
        }
    }
}

async fn complete(
    shared: &Shared,
    by: OperatorId,
    task: &Arc<Task>,
    entrance: Entrance,
) -> Result<Response, Problem> {
    let node = &shared.rooms.node;
    let issued = shared.rooms.tokens.issue(task).map_err(|error| not_made(&error))?;
    let port = match entrance {
        Entrance::ProxyOnly => None,
        Entrance::TaskPort => {
            Some(within_limit("port_not_opened", node.open_task_port(Arc::clone(task))).await?)
        }
    };
    let event = TaskEvent::Opened { task: Arc::clone(task) };
    within_limit("journal_unavailable", node.record(by, event)).await?;
    let location = format!("/v1/tasks/{}", task.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(opened(shared, task, &issued, port)))
        .into_response())
}

fn opened(shared: &Shared, task: &Task, issued: &Issued, port: Option<SocketAddr>) -> Value {
    let facts = shared.rooms.node.facts();
    let token = issued.token.reveal();
    let mut body = json!({
        "id": task.id,
        "agent": task.agent,
        "intent": task.intent,
        "token": token,
        "token_expires_at": issued.expires.to_string(),
        "proxy_url": format!("http://task:{token}@{}", facts.proxy),
        "expires_at": task.deadline.to_string(),
        "ca": facts.ca.display().to_string(),
        "ca_bundle": facts.ca_bundle.display().to_string(),
    });
    if let (Some(port), Some(body)) = (port, body.as_object_mut()) {
        body.insert("port_url".into(), Value::String(format!("http://{port}")));
    }
    let (dummies, hidden) = shared.rooms.node.dummies(task.id);
    if let (false, Some(body)) = (dummies.is_empty(), body.as_object_mut()) {
        // Two entries may serve one service, each its classes; the client has one variable, and the first of them has it.
        let mut env = serde_json::Map::new();
        for (name, value) in dummies.iter().flat_map(|dummy| &dummy.env) {
            env.entry(name.clone()).or_insert_with(|| Value::String(value.clone()));
        }
        body.insert("placeholders".into(), json!(dummies));
        body.insert("env".into(), Value::Object(env));
        body.insert("hidden_env".into(), json!(hidden));
    }
    body
}

/// `POST /v1/tasks/{id}/renew`: while the task is open, a token that is shown holds for another while, or another one is
/// made. The token of whoever stops asking ends by itself.
pub(super) async fn renew(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    let Renewed { token } = read_json(&headers, body).await?;
    to_the_end(async move {
        let view = shared.rooms.tasks.show(id).ok_or(IntentError::Unknown(id))?;
        if let TaskState::Ended { why, .. } = view.state {
            return Err(IntentError::Ended { task: id, why }.into());
        }
        let (tokens, task) = (&shared.rooms.tokens, &view.task);
        let issued = match token {
            None => tokens.issue(task),
            Some(token) => {
                tokens.renew(task, &token).map(|expires| Issued { token: Secret::new(token), expires })
            }
        };
        let issued = issued.map_err(|error| not_made(&error))?;
        let event = TaskEvent::Renewed { task: id, until: issued.expires };
        within_limit("journal_unavailable", shared.rooms.node.record(operator.id, event)).await?;
        Ok(Json(opened(&shared, task, &issued, None)).into_response())
    })
    .await
}

impl More {
    fn entrance(&self) -> Entrance {
        if self.port { Entrance::TaskPort } else { Entrance::ProxyOnly }
    }

    fn delegation(self, to: SpiffeId, intent: Option<IntentName>) -> Delegation {
        let Self { ttl_s, labels, grant, budget, bind: binding, port: _ } = self;
        Delegation { to, intent, labels, ttl: ttl_s.map(Duration::from_secs), grant, budget, binding }
    }
}

pub(super) fn agent_of(shared: &Shared, text: &str) -> Result<SpiffeId, Problem> {
    SpiffeId::parse_or_name(text, &shared.settings.trust_domain)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_agent", error.to_string()))
}

fn intent_of(text: &str) -> Result<IntentName, Problem> {
    IntentName::parse(text)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_intent", error.to_string()))
}

fn not_made(error: &TokenError) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "token_not_made", error.to_string())
}
