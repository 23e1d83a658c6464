//! Agents: who they are, what they did, whether they drift, and the button that shuts one out.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::super::agents::{let_out, shut_out};
use super::super::opening::agent_of;
use super::super::pulse::Drift;
use super::super::tasks::to_the_end;
use super::super::{Problem, Shared};
use super::html;
use super::layout::{Frame, Page};
use super::parts::{self, said};
use super::visitor::Visitor;
use crate::call::{Role, SpiffeId, Timestamp};
use crate::intent::AgentLine;

/// `GET /console/agents`: those that were seen lately first.
pub(super) async fn page(State(shared): State<Arc<Shared>>, visitor: Visitor) -> Response {
    let frame = Frame::new(&shared, Page::Agents, visitor);
    let now = shared.rooms.insight.now();
    let mut lines = shared.rooms.tasks.agents();
    lines.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.id.cmp(&b.id)));
    let drifts = shared.rooms.pulse.drifts();
    let body = html! {
        h1 { "Agents" }
        @if lines.is_empty() { (parts::nothing("No agent is registered, and none has called.")) }
        @else { (table(&lines, &drifts, &frame.visitor, now)) }
    };
    html(frame.page("Agents", &body))
}

fn table(lines: &[AgentLine], drifts: &BTreeMap<String, Drift>, visitor: &Visitor, now: Timestamp) -> Markup {
    html! {
        table.agents data-rows="" {
            thead { tr {
                th scope="col" { "agent" } th scope="col" { "owner" } th scope="col" { "state" } th.n scope="col" { "read" } th.n scope="col" { "act" }
                th.n scope="col" { "dele\u{ad}gate" } th.n scope="col" { "denied" } th.n scope="col" { "operations" } th scope="col" { "last call" }
                @if visitor.may(Role::Admin) { th scope="col" { span.hidden { "change" } } }
            } }
            tbody { @for line in lines { (row(line, drifts.get(line.id.as_str()), visitor, now)) } }
        }
    }
}

fn row(line: &AgentLine, drift: Option<&Drift>, visitor: &Visitor, now: Timestamp) -> Markup {
    let profile = &line.profile;
    let id = line.id.as_str();
    let calls = format!(
        "/console/calls?{}",
        url::form_urlencoded::Serializer::new(String::new()).append_pair("agent", id).finish()
    );
    let short = parts::short_agent(id);
    html! {
        tr {
            th scope="row" {
                a href=(calls) { (parts::agent_named(id)) }
                div.muted { (said(id, 200)) }
                @if !profile.purpose.is_empty() { div { (said(&profile.purpose, 200)) } }
            }
            td { @if profile.owner.is_empty() { span.none { "nobody" } } @else { (said(&profile.owner, 80)) } @if !profile.environment.is_empty() { " " span.label { (said(&profile.environment, 40)) } } }
            td {
                @if line.quarantined { span.bad { "in quarantine" } } @else if profile.registered { (profile.kind.as_str()) } @else { span.muted { "not registered" } }
                @if let Some(drift) = drift { div.bad { "drift: " (drift.calls) " calls, last " a href={ "/console/calls/" (drift.latest) } { (said(&drift.operation, 80)) } } }
            }
            td.n { (line.counts.reads) } td.n { (line.counts.acts) } td.n { (line.counts.delegates) } td.n { (line.counts.denials) } td.n { (line.operations) }
            td { @match line.last { Some(at) => (parts::when(at, now)), None => span.none { "never" } } }
            @if visitor.may(Role::Admin) { td {
                @if line.quarantined { (visitor.button(Role::Admin, "/console/agents/release", &[("agent", id)], "Release", &format!("Let {short} work again?"))) }
                @else { (visitor.button(Role::Admin, "/console/agents/quarantine", &[("agent", id)], "Quarantine", &format!("Shut {short} out? All tasks that it has a part in end."))) }
            } }
        }
    }
}

fn named(shared: &Shared, body: &Bytes) -> Result<SpiffeId, Problem> {
    let agent = url::form_urlencoded::parse(body).find(|(name, _)| name == "agent");
    let (_, agent) = agent.ok_or_else(|| Problem::bad_request("bad_form", "the form names no agent"))?;
    agent_of(shared, &agent)
}

/// `POST /console/agents/quarantine`.
pub(super) async fn quarantine(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    body: Bytes,
) -> Result<Response, Problem> {
    let agent = named(&shared, &body)?;
    to_the_end(async move {
        shut_out(&shared, visitor.operator.id, &agent).await?;
        Ok(Redirect::to("/console/agents").into_response())
    })
    .await
}

/// `POST /console/agents/release`.
pub(super) async fn release(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    body: Bytes,
) -> Result<Response, Problem> {
    let agent = named(&shared, &body)?;
    to_the_end(async move {
        let_out(&shared, visitor.operator.id, &agent).await?;
        Ok(Redirect::to("/console/agents").into_response())
    })
    .await
}
