//! Tasks: what agents work on, within which bounds, with which credentials, and the button that ends it.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::calls::{self, Row};
use super::super::leases::{lease_id, mark_seen};
use super::super::tasks::{end_one, parse_id, to_the_end};
use super::super::{Problem, Shared};
use super::layout::{Frame, Page};
use super::parts::{self, said};
use super::visitor::Visitor;
use super::{calls as rows, html, tree};
use crate::call::{Budget, Gone, Grant, Lease, LeaseState, Role, Task, Timestamp};
use crate::intent::{Counts, IntentError, TaskLine, TaskState, TaskView};
use crate::record::Filter;
use crate::record::recent::Extent;

/// Tasks that are shown on one page.
const SHOWN: usize = 200;
/// Calls that are shown with a task.
const CALLS: usize = 20;

/// The query of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    state: Option<String>,
}

/// `GET /console/tasks`: open ones, or all, the latest first.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let all = wanted.state.as_deref() == Some("all");
    let frame = Frame::new(&shared, Page::Tasks, visitor);
    let now = shared.rooms.insight.now();
    let mut lines = shared.rooms.tasks.list();
    lines.retain(|line| all || line.state == TaskState::Open);
    lines.reverse();
    let body = html! {
        div.head {
            h1 { "Tasks" }
            nav aria-label="Which tasks" { ul.choice {
                li { a href="/console/tasks" aria-current=[(!all).then_some("page")] { "Open" } }
                li { a href="/console/tasks?state=all" aria-current=[all.then_some("page")] { "All" } }
            } }
        }
        (table(&lines, now))
        @if lines.len() > SHOWN { p.muted { "and " (lines.len() - SHOWN) " more; `remit task list` has them all" } }
    };
    Ok(html(frame.page("Tasks", &body)))
}

fn table(lines: &[TaskLine], now: Timestamp) -> Markup {
    html! {
        @if lines.is_empty() { (parts::nothing("No task is open. `remit run -- CMD` and `remit task open` open one.")) }
        @else {
            table.tasks data-rows="" {
                thead { tr {
                    th scope="col" { "opened" } th scope="col" { "agent" } th scope="col" { "intent" } th scope="col" { "state" } th.n scope="col" { "read" }
                    th.n scope="col" { "act" } th.n scope="col" { "dele\u{ad}gate" } th.n scope="col" { "denied" } th.n scope="col" { "under way" } th scope="col" { "task" }
                } }
                tbody { @for line in lines.iter().take(SHOWN) {
                    @let Counts { reads, acts, delegates, denials, .. } = line.counts;
                    tr {
                        td { (parts::when(line.task.opened, now)) }
                        td { (parts::agent(Some(&line.task.agent))) @if line.task.depth() > 0 { " " span.muted { "under " (parts::short_agent(line.task.terms.actors.first().map_or("", |actor| actor.as_str()))) } } }
                        td { a href={ "/console/tasks/" (line.task.id) } { (said(line.task.intent.as_str(), 64)) } }
                        td { (state(line.state, &line.task, now)) }
                        td.n { (reads) } td.n { (acts) } td.n { (delegates) } td.n { (denials) } td.n { (line.in_flight) }
                        td { code.id title=(line.task.id) { (parts::tail(&line.task.id.to_string())) } }
                    }
                } }
            }
        }
    }
}

fn state(state: TaskState, task: &Task, now: Timestamp) -> Markup {
    match state {
        TaskState::Open => html! { span.open { "open" } " " span.muted { (left(task, now)) } },
        TaskState::Ended { why, .. } => {
            html! { span.over { "ended" } " " span.muted { "by " (why.as_str()) } }
        }
    }
}

fn left(task: &Task, now: Timestamp) -> String {
    if task.is_standing() {
        return "no deadline".to_owned();
    }
    let left = task.deadline.since(now).as_nanos();
    format!("{} left", parts::span(u64::try_from(left).unwrap_or(u64::MAX)))
}

/// `GET /console/tasks/{id}`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    let view = shared.rooms.tasks.show(id).ok_or(IntentError::Unknown(id))?;
    let (leases, now) = shared.rooms.node.leases(Some(id));
    let extent = Extent { before: None, limit: CALLS, patience: std::time::Duration::from_secs(2) };
    let filter = Filter { task: Some(id), ..Filter::default() };
    let page = calls::find(&shared, filter, extent).await?;
    let recent: Vec<_> = page.calls.iter().filter_map(Row::of).collect();
    let labels = page.calls.iter().find_map(|told| match &told.opening.what {
        crate::record::What::Opened(facts) | crate::record::What::Refused(facts) => {
            facts.history.as_ref().map(|history| history.labels.clone())
        }
        _ => None,
    });
    let frame = Frame::new(&shared, Page::Tasks, visitor);
    let TaskView { task, summary, .. } = &view;
    let body = html! {
        nav.crumbs aria-label="Where this is" { a href="/console/tasks" { "Tasks" } " / " code { (id) } }
        div.head {
            h1 { (said(task.intent.as_str(), 64)) " " small { "by " (parts::agent(Some(&task.agent))) } }
            @if view.state == TaskState::Open {
                (frame.visitor.button(Role::Admin, &format!("/console/tasks/{id}/end"), &[], "End task", "End this task and all under it? Calls under way are cut, and its credentials taken back."))
            }
        }
        (about(&view, now))
        @if let Some(tree) = tree::of(id, &shared.rooms.tasks.list()) {
            section aria-labelledby="tree-title" { h2 #tree-title { "Delegation" } (tree) }
        }
        section aria-labelledby="leases-title" { h2 #leases-title { "Leases" } (lease_table(&leases, &frame.visitor, now)) }
        section aria-labelledby="history-title" {
            h2 #history-title { "History" }
            @if let Some(labels) = labels.filter(|labels| !labels.is_empty()) { p { "It touched data with these labels: " @for label in labels.iter() { span.label { (said(label, 60)) } " " } } }
            @if summary.is_empty() { (parts::nothing("It has made no call.")) }
            @else { table.summary {
                thead { tr { th scope="col" { "operation" } th scope="col" { "class" } th scope="col" { "decision" } th scope="col" { "refused with" } th.n scope="col" { "calls" } } }
                tbody { @for row in summary { tr {
                    td { (said(&row.operation.0, parts::ROW)) } td { (parts::class(Some(row.class))) } td { (parts::decision(row.decision)) }
                    td { @if let Some(code) = row.refusal { code { (code) } } } td.n { (parts::number(row.calls)) }
                } } }
            } }
        }
        section aria-labelledby="recent-title" {
            h2 #recent-title { "Latest calls" }
            (rows::table(&recent, now))
            @if page.next.is_some() { p { a href={ "/console/calls?task=" (id) } { "All its calls" } } }
        }
    };
    Ok(html(frame.page("Task", &body)))
}

fn about(view: &TaskView, now: Timestamp) -> Markup {
    let TaskView { task, state: stands, counts, in_flight, bytes_out, money, .. } = view;
    let terms = &task.terms;
    html! {
        dl.facts.about-task {
            dt { "state" } dd { (state(*stands, task, now)) @if let TaskState::Ended { at, .. } = stands { ", " (parts::when(*at, now)) } }
            dt { "agent" } dd { code { (said(task.agent.as_str(), 300)) } }
            @if let Some(subject) = &terms.on_behalf_of { dt { "on behalf of" } dd { (said(subject.as_str(), 256)) } }
            @if let Some(parent) = terms.parent { dt { "delegated from" } dd { (parts::task(&parent.to_string())) @for actor in &terms.actors { ", " (parts::agent(Some(actor))) } } }
            @if let Some(call) = terms.call { dt { "opened by call" } dd { (parts::call(&call.to_string())) } }
            @if let Some(node) = &terms.lent_to { dt { "lent to" } dd { (said(&node.to_string(), 200)) } }
            dt { "opened" } dd { (parts::when(task.opened, now)) }
            dt { "grant" } dd { (grant(&terms.grant)) }
            dt { "budget" } dd { (budget(&terms.budget, *counts, *bytes_out, money)) }
            dt { "under way" } dd { (in_flight) }
            @if !task.labels.is_empty() { dt { "labels" } dd { @for (name, value) in &task.labels { span.label { (said(name, 60)) "=" (said(value, 60)) } " " } } }
        }
    }
}

fn grant(grant: &Grant) -> Markup {
    let patterns = |all: &std::collections::BTreeSet<crate::call::grant::Pattern>| {
        all.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let parts = [
        ("classes", grant.classes.iter().map(ToString::to_string).collect()),
        ("services", patterns(&grant.services)),
        ("operations", patterns(&grant.operations)),
        ("resources", patterns(&grant.resources)),
        (
            "links",
            grant
                .links
                .iter()
                .map(|link| format!("{}={}", link.template(), link.resource()))
                .collect::<Vec<String>>(),
        ),
    ];
    html! {
        @if grant.is_everything() { "everything that policies allow" }
        @else { @for (name, values) in parts { @if !values.is_empty() { span.part { (name) ": " @for value in &values { code { (said(value, 200)) } " " } } } } }
    }
}

fn budget(budget: &Budget, counts: Counts, bytes_out: u64, money: &crate::call::money::Money) -> Markup {
    let Counts { reads, acts, delegates, .. } = counts;
    let lines = [
        ("calls", reads + acts + delegates, budget.calls),
        ("reads", reads, budget.reads),
        ("acts", acts, budget.acts),
        ("delegations", delegates, budget.delegates),
        ("bytes out", bytes_out, budget.bytes),
    ];
    html! {
        @if budget.is_endless() { "none; " (parts::number(reads + acts + delegates)) " calls, " (parts::bytes(bytes_out)) " out so far" }
        @else {
            @for (name, spent, limit) in lines { @if let Some(limit) = limit {
                span.part { (name) ": " (parts::number(spent)) " of " (parts::number(limit)) " " meter min="0" max=(limit) value=(spent.min(limit)) aria-label={ (name) " spent" } {} }
            } }
            @if !budget.money.is_empty() { span.part { "money: " (parts::money(&budget.money)) } }
        }
        @if !money.is_empty() { span.part { "spent: " (parts::money(money)) } }
    }
}

fn lease_table(leases: &[Lease], visitor: &Visitor, now: Timestamp) -> Markup {
    let gone = match Gone::of(leases, now) {
        Gone::Yes => "Everything is gone.",
        Gone::Attested { .. } => "Everything is gone; of what was lost an operator says so.",
        Gone::Until { .. } => "Something works until its time is up; nobody can take it back.",
        Gone::Stays => "remit has let go of everything; a key that was there before stays at its service.",
        Gone::No => "Something is in use or being taken back.",
        Gone::Unknown => "Nobody knows of something whether it still works: look at what is lost.",
    };
    html! {
        @if leases.is_empty() { (parts::nothing("It was given no credential.")) }
        @else {
            table.leases {
                thead { tr { th scope="col" { "lease" } th scope="col" { "state" } th scope="col" { "service" } th scope="col" { "provider" } th scope="col" { "scope" } th scope="col" { "since" } th scope="col" { "until" } } }
                tbody { @for lease in leases { tr {
                    td { code.id title=(lease.id) { (parts::tail(&lease.id.to_string())) } }
                    td { (parts::lease(lease.state, lease.is_overdue(now))) @if let Some(why) = &lease.why { " " span.muted { (said(why, 200)) } } (looked(lease, visitor, now)) }
                    td { (said(&lease.service.0, 100)) } td { (said(&lease.provider, 60)) } td { (said(&lease.scope, 200)) }
                    td { (parts::when(lease.since, now)) }
                    td { @match lease.until { Some(until) => (parts::when(until, now)), None => "–" } }
                } } }
            }
            p.muted { (gone) }
        }
    }
}

/// Of what is lost, the word of somebody who looked, or a button for it.
fn looked(lease: &Lease, visitor: &Visitor, now: Timestamp) -> Markup {
    let path = format!("/console/leases/{}/seen", lease.id);
    html! {
        @if let Some(seen) = &lease.seen {
            " " span.muted { "gone, says " (said(&seen.by.0, 120)) ", " (parts::when(seen.at, now)) @if let Some(note) = &seen.note { ": " (said(note, 200)) } }
        } @else if lease.state == LeaseState::Lost {
            " " (visitor.button(Role::Admin, &path, &[], "It is gone", "Have you looked at the service, and is this credential worth nothing any more? Your word is recorded."))
        }
    }
}

/// `POST /console/leases/{id}/seen`: nothing of what was lost works any more.
pub(super) async fn seen(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = lease_id(&id)?;
    to_the_end(async move {
        let (lease, _) = mark_seen(&shared, id, visitor.operator.id, None).await?;
        Ok(Redirect::to(&format!("/console/tasks/{}", lease.task)).into_response())
    })
    .await
}

/// `POST /console/tasks/{id}/end`.
pub(super) async fn end(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse_id(&id)?;
    to_the_end(async move {
        end_one(&shared, &visitor.operator.id, id).await?;
        Ok(Redirect::to(&format!("/console/tasks/{id}")).into_response())
    })
    .await
}
