//! Calls: searched, and one of them from its interception to its end.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use maud::{Markup, html};

use super::super::calls::{self, Row, Wanted};
use super::super::{Problem, Shared};
use super::layout::{Frame, Page};
use super::visitor::Visitor;
use super::{html, parts, walk};
use crate::call::{Class, Decision, Timestamp};
use crate::judge::Explanation;
use crate::record::proof::Proof;
use crate::record::{CallFacts, What};

/// `GET /console/calls`.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let frame = Frame::new(&shared, Page::Calls, visitor);
    let now = shared.rooms.insight.now();
    let found = match wanted.parse(now) {
        Err(problem) => html! { p.trouble role="alert" { (parts::said(problem.detail(), 300)) } },
        Ok((filter, extent)) => {
            let page = calls::find(&shared, filter, extent).await?;
            let rows: Vec<_> = page.calls.iter().filter_map(Row::of).collect();
            html! {
                (table(&rows, now))
                @if let Some(next) = page.next {
                    p { a.next href={ "/console/calls?" (query(&wanted, next.0)) } rel="next" { "Earlier calls" } }
                } @else if !rows.is_empty() { p.muted { "That is all that the journal has." } }
            }
        }
    };
    let body = html! {
        h1 { "Calls" }
        (form(&wanted))
        section #found aria-label="Calls that were found" { (found) }
    };
    Ok(html(frame.page("Calls", &body)))
}

/// The address of the next page.
fn query(wanted: &Wanted, before: u64) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields(wanted) {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    query.append_pair("before", &before.to_string()).finish()
}

fn fields(wanted: &Wanted) -> [(&'static str, &str); 9] {
    fn text(value: Option<&String>) -> &str {
        value.map(String::as_str).unwrap_or_default()
    }
    [
        ("operation", text(wanted.operation.as_ref())),
        ("agent", text(wanted.agent.as_ref())),
        ("class", text(wanted.class.as_ref())),
        ("decision", text(wanted.decision.as_ref())),
        ("host", text(wanted.host.as_ref())),
        ("task", text(wanted.task.as_ref())),
        ("call", text(wanted.call.as_ref())),
        ("since", text(wanted.since.as_ref())),
        ("until", text(wanted.until.as_ref())),
    ]
}

/// What each field may look like.
fn hint(name: &str) -> &'static str {
    match name {
        "operation" => "github:issues/*",
        "agent" => "coder",
        "host" => "api.example.org",
        "since" => "1h30m, or a time",
        "until" => "2026-11-24T09:30:00Z",
        _ => "",
    }
}

fn form(wanted: &Wanted) -> Markup {
    let choices = |name: &str| -> Vec<&'static str> {
        match name {
            "class" => Class::ALL.into_iter().map(Class::as_str).collect(),
            "decision" => Decision::ALL.into_iter().map(Decision::as_str).collect(),
            _ => Vec::new(),
        }
    };
    html! {
        form.search role="search" method="get" action="/console/calls" {
            @for (name, value) in fields(wanted) {
                @let choices = choices(name);
                label {
                    span { (name) }
                    @if choices.is_empty() {
                        input type="text" name=(name) value=(value) placeholder=(hint(name)) data-search[name == "operation"]
                            autocomplete="off" spellcheck="false";
                    } @else {
                        select name=(name) {
                            option value="" { "any" }
                            @for choice in choices { option value=(choice) selected[choice == value] { (choice) } }
                        }
                    }
                }
            }
            button { "Search" }
        }
    }
}

/// Calls as rows, the latest first.
pub(super) fn table(rows: &[Row], now: Timestamp) -> Markup {
    html! {
        @if rows.is_empty() { (parts::nothing("No call was found.")) }
        @else {
            table.calls data-rows="" {
                thead { tr {
                    th scope="col" { "time" } th scope="col" { "agent" } th scope="col" { "operation" } th scope="col" { "class" }
                    th scope="col" { "decision" } th scope="col" { "end" } th scope="col" { "task" }
                } }
                tbody { @for row in rows { tr {
                    td { (parts::when(row.began, now)) }
                    td { @match &row.agent { Some(agent) => (parts::agent_named(agent)), None => (parts::agent(None)) } }
                    td.what {
                        a href={ "/console/calls/" (row.call) } { (parts::said(row.operation.as_deref().unwrap_or("not recognised"), parts::ROW)) }
                        " " span.muted { (parts::said(&format!("{} {}{}", row.method, row.host, row.path), parts::ROW)) }
                    }
                    td { (parts::class(row.class)) }
                    td { (parts::decision(row.decision)) }
                    td { (parts::end(&row.end)) }
                    td { @if let Some(task) = &row.task { (parts::task(task)) } }
                } } }
            }
        }
    }
}

/// `GET /console/calls/{id}`.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let told = calls::one(&shared, &id).await?;
    let frame = Frame::new(&shared, Page::Calls, visitor);
    let now = shared.rooms.insight.now();
    let Some((facts, row)) = facts(&told.opening.what).zip(Row::of(&told)) else {
        return Err(Problem::unavailable("journal_unreadable", "the call's entry is none of a call"));
    };
    let path = format!("/console/calls/{}", row.call);
    let body = html! {
        nav.crumbs aria-label="Where this is" { a href="/console/calls" { "Calls" } " / " code { (row.call) } }
        h1 { (parts::said(row.operation.as_deref().unwrap_or("Not recognised"), 200)) }
        p.lead { (parts::class(row.class)) " " (parts::decision(row.decision)) " " (parts::end(&row.end)) }
        (walk::timeline(facts, &told, now, shared.settings.trace_url.as_deref()))
        section aria-labelledby="why-title" {
            h2 #why-title { "Why" }
            div hx-get={ (path) "/explanation" } hx-trigger="load" hx-swap="innerHTML" {
                p.muted { a href={ (path) "/explanation" } { "Ask the rules in force" } }
            }
        }
        section aria-labelledby="proof-title" {
            h2 #proof-title { "Receipt" }
            div hx-get={ (path) "/proof" } hx-trigger="load" hx-swap="innerHTML" {
                p.muted { a href={ (path) "/proof" } { "Prove that it is in the signed journal" } }
            }
        }
        section aria-labelledby="lines-title" {
            h2 #lines-title { "As it stands in the journal" }
            @for (entry, line) in std::iter::once((&told.opening, &told.line)).chain(told.end.as_deref().map(|(entry, line)| (entry, line))) {
                details {
                    summary { "Entry " (entry.seq) ": " (entry.what.kind()) }
                    pre.line tabindex="0" role="region" aria-label={ "Entry " (entry.seq) } { (crate::call::inert::lines(&pretty(line), 40_000)) }
                }
            }
        }
    };
    Ok(html(frame.page("Call", &body)))
}

fn facts(what: &What) -> Option<&CallFacts> {
    match what {
        What::Opened(facts) | What::Refused(facts) => Some(facts),
        _ => None,
    }
}

fn pretty(line: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(line);
    value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| line.to_owned())
}

/// `GET /console/calls/{id}/explanation`: a part of the page.
pub(super) async fn explanation(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let told = calls::one(&shared, &id).await?;
    let Some(facts) = facts(&told.opening.what) else {
        return Err(Problem::unavailable("journal_unreadable", "the call's entry is none of a call"));
    };
    Ok(html(match shared.rooms.insight.explain(Box::new(facts.clone())).await {
        Err(why) => html! { p { (parts::said(&why, 500)) } },
        Ok(explained) => html! {
            @if facts.rules.as_ref().is_some_and(|rules| *rules != explained.rules) {
                p.note { "Other rules are in force by now (" code { (parts::short_digest(&explained.rules)) } "); this is what they say of it." }
            }
            @for part in &explained.parts { (explained_part(part)) }
        },
    }))
}

fn explained_part(part: &Explanation) -> Markup {
    html! {
        div.explanation {
            p { (parts::decision(part.decision)) " " code { (part.operation) } " "
                @if let Some((task, agent)) = &part.link { "in the place of " (parts::agent(Some(agent))) ", task " (parts::task(&task.to_string())) } }
            ul {
                @for reason in &part.by { li { (policy(&reason.policy.to_string())) @if let Some(why) = &reason.reason { ": " (why) } @if let Some(advice) = &reason.advice { " " em { (advice) } } } }
                @for failed in &part.failed { li.bad { "failed: " (parts::said(failed, 500)) } }
                @if part.by.is_empty() && part.near.is_empty() && part.failed.is_empty() { li { "No policy permits it, and none comes near." } }
                @for miss in &part.near { li { (policy(&miss.policy.to_string())) " would permit it if " code { (parts::said(&miss.unmet, 300)) }
                    @if !miss.values.is_empty() { "; but " @for (at, (name, value)) in miss.values.iter().enumerate() { @if at > 0 { ", " } code { (parts::said(name, 100)) } " is " code { (parts::said(value, 200)) } } } } }
            }
        }
    }
}

/// A policy by its name, leading to its text.
pub(super) fn policy(id: &str) -> Markup {
    html! { a.policy href={ "/console/policies#policy-" (id) } { code { (id) } } }
}

/// `GET /console/calls/{id}/proof`: a part of the page.
pub(super) async fn proof(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let told = calls::one(&shared, &id).await?;
    Ok(html(match calls::proof(&shared, told).await {
        Ok(Some(proof)) => proved(&proof),
        Ok(None) => {
            html! { p { "Nothing of this journal is signed yet; a running node signs every second." } }
        }
        Err(problem) => html! { p.bad { "There is no proof: " (parts::said(problem.detail(), 500)) } },
    }))
}

fn proved(proof: &Proof) -> Markup {
    html! {
        @if proof.inclusions.is_empty() { p { "It is younger than the latest checkpoint. A running node signs every second." } }
        @else { p { span.good { span aria-hidden="true" { "✓ " } "proved" }
            ": " (proof.inclusions.len()) @if proof.inclusions.len() == 1 { " entry is" } @else { " entries are" } " in the journal that this checkpoint signs (RFC 9162)."
            @if proof.unsigned > 0 { " Its end is not signed yet." } } }
        @for inclusion in &proof.inclusions {
            details { summary { "Entry " (inclusion.entry) ": " (inclusion.path.len()) " hashes up to the root" }
                ol.hashes { @for hash in &inclusion.path { li { code { (hex(hash)) } } } } }
        }
        details { summary { "The signed checkpoint: " (parts::number(proof.checkpoint.size)) " entries" }
            pre.line tabindex="0" role="region" aria-label="The signed checkpoint" { (proof.note) } p.muted { "Public key: " code { (proof.key) } } }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}
