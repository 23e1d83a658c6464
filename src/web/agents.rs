//! Agents: listed, registered, put into quarantine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::opening::agent_of;
use super::tasks::{read_json, settle_end, to_the_end, within_limit};
use super::{Problem, Shared, TaskEvent};
use crate::call::grant::{MAX_NAMES, Pattern};
use crate::call::{AgentKind, AgentProfile, Binding, Host, Operator, OperatorId, PeerName, SpiffeId};
use crate::intent::{Counts, MAX_LABEL_BYTES, MAX_LABELS, Registration};

/// Longest learning time, seconds: a year.
const MAX_LEARNING_S: u64 = 366 * 86_400;

/// The body of `POST /v1/agents`: what `[[agents]]` says in the configuration.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentWanted {
    #[schema(pattern = "^(spiffe://[a-z0-9._-]+/)?[A-Za-z0-9._/-]+$", example = "coder")]
    agent: String,
    #[serde(default)]
    kind: AgentKind,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    bind_tokens: Binding,
    learning_s: Option<u64>,
    #[serde(default)]
    operations: BTreeSet<Pattern>,
    #[serde(default)]
    hosts: BTreeSet<Host>,
    behind: Option<PeerName>,
    lends_percent: Option<u8>,
}

impl AgentWanted {
    fn registration(self) -> Result<Registration, Problem> {
        let Self { kind, owner, environment, purpose, labels, bind_tokens, learning_s, .. } = self;
        let texts = [&owner, &environment, &purpose].into_iter().chain(labels.keys()).chain(labels.values());
        let long = texts.map(String::len).max().unwrap_or_default() > MAX_LABEL_BYTES;
        let many = labels.len() > MAX_LABELS || self.operations.len().max(self.hosts.len()) > MAX_NAMES;
        let beyond =
            learning_s.unwrap_or_default() > MAX_LEARNING_S || self.lends_percent.unwrap_or_default() > 100;
        if long || many || beyond {
            let detail = format!(
                "texts have at most {MAX_LABEL_BYTES} bytes, labels are at most {MAX_LABELS}, operations and hosts \
                 {MAX_NAMES} each, `learning_s` at most {MAX_LEARNING_S}, `lends_percent` at most 100"
            );
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_registration", detail));
        }
        Ok(Registration {
            profile: AgentProfile { registered: true, kind, owner, environment, purpose, labels },
            binding: bind_tokens,
            learning: learning_s.map(Duration::from_secs),
            operations: self.operations.into_iter().collect(),
            hosts: self.hosts.into_iter().collect(),
            behind: self.behind,
            lends_percent: self.lends_percent,
        })
    }
}

/// `POST /v1/agents`: registers an agent, or changes what was registered. What gives rights is recorded before it applies.
pub(super) async fn register(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: AgentWanted = read_json(&headers, body).await?;
    let agent = agent_of(&shared, &wanted.agent)?;
    let registration = Box::new(wanted.registration()?);
    put_down(shared, operator.id, agent, Some(registration)).await
}

/// `POST /v1/agents/forget`: it is one that nobody answers for again.
pub(super) async fn forget(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let agent = named(&shared, &headers, body).await?;
    put_down(shared, operator.id, agent, None).await
}

async fn put_down(
    shared: Arc<Shared>,
    by: OperatorId,
    agent: SpiffeId,
    registration: Option<Box<Registration>>,
) -> Result<Response, Problem> {
    to_the_end(async move {
        shared.rooms.tasks.can_register(&agent, registration.as_deref())?;
        let event = TaskEvent::Registered { agent: agent.clone(), registration: registration.clone() };
        within_limit("journal_unavailable", shared.rooms.node.record(by, event)).await?;
        shared.rooms.tasks.register(&agent, registration.as_deref()).await?;
        Ok(Json(RegistrationBody { agent, registered: registration.is_some() }).into_response())
    })
    .await
}

/// The body of `POST /v1/agents/forget`, `quarantine` and `release`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentNamed {
    #[schema(pattern = "^(spiffe://[a-z0-9._-]+/)?[A-Za-z0-9._/-]+$", example = "coder")]
    agent: String,
}

async fn named(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<SpiffeId, Problem> {
    let AgentNamed { agent } = read_json(headers, body).await?;
    agent_of(shared, &agent)
}

/// An agent as JSON.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentBody {
    id: SpiffeId,
    registered: bool,
    kind: AgentKind,
    owner: String,
    environment: String,
    purpose: String,
    labels: BTreeMap<String, String>,
    quarantined: bool,
    first_call_at: Option<String>,
    last_call_at: Option<String>,
    calls: Counts,
    /// How many different operations it was let through with.
    operations: usize,
}

/// Agents.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentList {
    agents: Vec<AgentBody>,
}

/// What was put down.
#[derive(Serialize, ToSchema)]
pub(super) struct RegistrationBody {
    agent: SpiffeId,
    registered: bool,
}

/// Whether an agent may do nothing.
#[derive(Serialize, ToSchema)]
pub(super) struct QuarantineBody {
    agent: SpiffeId,
    quarantined: bool,
    /// How many of its tasks, and of those below them, were ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<usize>,
}

/// `GET /v1/agents`: those that were put down, and those that were seen.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<AgentList> {
    let line = |line: crate::intent::AgentLine| AgentBody {
        id: line.id,
        registered: line.profile.registered,
        kind: line.profile.kind,
        owner: line.profile.owner.clone(),
        environment: line.profile.environment.clone(),
        purpose: line.profile.purpose.clone(),
        labels: line.profile.labels.clone(),
        quarantined: line.quarantined,
        first_call_at: line.first.map(|at| at.to_string()),
        last_call_at: line.last.map(|at| at.to_string()),
        calls: line.counts,
        operations: line.operations,
    };
    let agents: Vec<_> = shared.rooms.tasks.agents().into_iter().map(line).collect();
    Json(AgentList { agents })
}

/// `POST /v1/agents/quarantine`.
pub(super) async fn quarantine(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let agent = named(&shared, &headers, body).await?;
    to_the_end(async move {
        let ended = Some(shut_out(&shared, operator.id, &agent).await?);
        Ok(Json(QuarantineBody { agent, quarantined: true, ended }).into_response())
    })
    .await
}

/// Puts an agent into quarantine; how many tasks ended with that.
pub(super) async fn shut_out(shared: &Shared, by: OperatorId, agent: &SpiffeId) -> Result<usize, Problem> {
    let ended = shared.rooms.tasks.quarantine(agent, true).await?;
    settle_end(shared, &by, &ended).await?;
    let event = TaskEvent::Quarantined { agent: agent.clone() };
    within_limit("journal_unavailable", shared.rooms.node.record(by, event)).await?;
    Ok(ended.len())
}

/// `POST /v1/agents/release`. What gives rights is recorded before it applies.
pub(super) async fn release(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let agent = named(&shared, &headers, body).await?;
    to_the_end(async move {
        let_out(&shared, operator.id, &agent).await?;
        Ok(Json(QuarantineBody { agent, quarantined: false, ended: None }).into_response())
    })
    .await
}

/// Lets an agent out of quarantine.
pub(super) async fn let_out(shared: &Shared, by: OperatorId, agent: &SpiffeId) -> Result<(), Problem> {
    let event = TaskEvent::Released { agent: agent.clone() };
    within_limit("journal_unavailable", shared.rooms.node.record(by, event)).await?;
    shared.rooms.tasks.quarantine(agent, false).await?;
    Ok(())
}
