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
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tasks::{parse_id, read_json, to_the_end, within_limit};
use super::{Problem, Shared, TaskEvent};
use crate::call::{
    Binding, Budget, Dummy, Grant, IntentName, Operator, OperatorId, Secret, SpiffeId, Subject, Task, TaskId,
};
use crate::identity::{Issued, TokenError};
use crate::intent::{DEFAULT_TTL, Delegation, IntentError, NewTask, TaskEnd, TaskState};

/// The body of `POST /v1/tasks`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskWanted {
    #[schema(pattern = "^(spiffe://[a-z0-9._-]+/)?[A-Za-z0-9._/-]+$", example = "coder")]
    agent: String,
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "triage")]
    intent: String,
    on_behalf_of: Option<Subject>,
    /// The task that it is to lie under.
    #[schema(pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    parent: Option<String>,
    /// Seconds.
    #[schema(minimum = 1, maximum = 86400)]
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

/// The body of `POST /v1/tasks/{id}/delegate`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Handed {
    #[schema(pattern = "^(spiffe://[a-z0-9._-]+/)?[A-Za-z0-9._/-]+$", example = "coder")]
    to: String,
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "triage")]
    intent: Option<String>,
    /// Seconds.
    #[schema(minimum = 1, maximum = 86400)]
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

/// What both have.
struct More {
    ttl_s: Option<u64>,
    labels: BTreeMap<String, String>,
    grant: Grant,
    budget: Budget,
    bind: Option<Binding>,
    port: bool,
}

/// The body of `POST /v1/tasks/{id}/renew`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Renewed {
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
    let wanted: TaskWanted = read_json(&headers, body).await?;
    let TaskWanted { agent, intent, on_behalf_of, parent, ttl_s, labels, grant, budget, bind, port } = wanted;
    let more = More { ttl_s, labels, grant, budget, bind, port };
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
    let handed: Handed = read_json(&headers, body).await?;
    let Handed { to, intent, ttl_s, labels, grant, budget, bind, port } = handed;
    let more = More { ttl_s, labels, grant, budget, bind, port };
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

/// What a task can be worked on with.
#[derive(Serialize, ToSchema)]
pub(super) struct Opened {
    id: TaskId,
    agent: SpiffeId,
    intent: IntentName,
    token: String,
    token_expires_at: String,
    /// The proxy, with the token in it.
    proxy_url: String,
    expires_at: String,
    /// The issuing CA's certificate, PEM.
    ca: String,
    /// The system's roots and the issuing CA, PEM.
    ca_bundle: String,
    /// The loopback port that stands for the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    port_url: Option<String>,
    /// What the agent has in the place of credentials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    placeholders: Vec<Dummy>,
    /// The same as variables: two entries may serve one service, each its classes; the client has one variable, and the first of
    /// them has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<BTreeMap<String, String>>,
    /// Variables that hold secrets of the node and must not be inherited.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_env: Option<Vec<String>>,
}

fn opened(shared: &Shared, task: &Task, issued: &Issued, port: Option<SocketAddr>) -> Opened {
    let facts = shared.rooms.node.facts();
    let token = issued.token.reveal();
    let (placeholders, hidden) = shared.rooms.node.dummies(task.id);
    let has_some = !placeholders.is_empty();
    let mut env = BTreeMap::new();
    for (name, value) in placeholders.iter().flat_map(|dummy| &dummy.env) {
        env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Opened {
        id: task.id,
        agent: task.agent.clone(),
        intent: task.intent.clone(),
        token: token.clone(),
        token_expires_at: issued.expires.to_string(),
        proxy_url: format!("http://task:{token}@{}", facts.proxy),
        expires_at: task.deadline.to_string(),
        ca: facts.ca.display().to_string(),
        ca_bundle: facts.ca_bundle.display().to_string(),
        port_url: port.map(|port| format!("http://{port}")),
        placeholders,
        env: has_some.then_some(env),
        hidden_env: has_some.then_some(hidden),
    }
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
