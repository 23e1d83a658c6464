//! Holds: calls that wait for a person, each with what would be sent, and the two buttons.
//!
//! A vote goes with the digest of what was shown, so what is approved is what was seen. What stands on the card was written by
//! remit from the request; where the agent's own words are shown, they stand in a box that says so.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::holds::{cast, find};
use super::super::tasks::to_the_end;
use super::super::{Problem, Shared};
use super::calls::policy;
use super::html;
use super::layout::{Frame, Page};
use super::parts::{self, said};
use super::visitor::Visitor;
use crate::call::card::{Difference, ShownBody};
use crate::call::{Card, Hold, HoldState, Role, Timestamp, inert};
use crate::judge::hold::Ballot;

/// Holds on one page.
const SHOWN: usize = 200;
/// Characters of a note.
const NOTE: usize = 500;
/// Characters of a body, and of a target, that are shown: more than a card has, so that nobody approves what they do not see.
const BODY: usize = 500_000;

/// The query of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    state: Option<String>,
}

/// How many calls wait.
pub(super) fn waiting(shared: &Shared) -> usize {
    shared.rooms.node.holds().iter().filter(|(hold, _)| hold.state == HoldState::Waiting).count()
}

/// `GET /console/holds`: those that wait, the oldest first; or all, the latest first.
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
    let all = wanted.state.as_deref() == Some("all");
    let frame = Frame::new(&shared, Page::Holds, visitor);
    let mut holds = shared.rooms.node.holds();
    if all {
        holds.reverse();
    } else {
        holds.retain(|(hold, _)| hold.state == HoldState::Waiting);
    }
    let now = shared.rooms.insight.now();
    let body = html! {
        div.head {
            h1 { "Holds" }
            nav aria-label="Which holds" { ul.choice {
                li { a href="/console/holds" aria-current=[(!all).then_some("page")] { "Waiting" } }
                li { a href="/console/holds?state=all" aria-current=[all.then_some("page")] { "All" } }
            } }
        }
        div #holds hx-get=[(!all).then_some("/console/holds")] hx-trigger=[(!all).then_some("every 3s")] hx-select="#holds" hx-swap="outerHTML" data-calm="" { (table(&holds, now, all)) }
        @if holds.len() > SHOWN { p.muted { "and " (holds.len() - SHOWN) " more; `remit holds` has them all" } }
    };
    Ok(html(frame.page("Holds", &body)))
}

fn table(holds: &[(Arc<Hold>, Arc<Card>)], now: Timestamp, all: bool) -> Markup {
    html! {
        @if holds.is_empty() { (parts::nothing(if all { "No call was ever held." } else { "No call waits for a person." })) }
        @else {
            table.holds data-rows="" {
                thead { tr { th scope="col" { "since" } th scope="col" { "what it would do" } th scope="col" { "class" } th scope="col" { "agent" } th scope="col" { "state" } th scope="col" { "asks for" } th scope="col" { "until" } } }
                tbody { @for (hold, card) in holds.iter().take(SHOWN) { tr {
                    td { (parts::when(hold.asked, now)) }
                    td.what { a href={ "/console/holds/" (hold.id) } { (said(sentence(hold, card), 200)) }
                        @if card.does.len() > 1 { " " span.muted { "and " (card.does.len() - 1) " more" } }
                        @if hold.asks > 1 { " " span.muted { "asked " (hold.asks) " times" } } }
                    td { (parts::class(Some(hold.class))) }
                    td { (parts::agent(Some(&hold.agent))) }
                    td { (state(&hold.state)) }
                    td { (wants(hold)) }
                    td { (parts::when(hold.until, now)) }
                } } }
            }
        }
    }
}

fn sentence<'h>(hold: &'h Hold, card: &'h Card) -> &'h str {
    card.does.first().map_or(&*hold.operation.0, |deed| deed.sentence.as_str())
}

fn state(state: &HoldState) -> Markup {
    let kind = match state {
        HoldState::Waiting => "hold",
        HoldState::Approved { .. } | HoldState::Spent { .. } => "allow",
        HoldState::Expired | HoldState::Refused | HoldState::Void { .. } => "deny",
    };
    html! { span class={ "decision " (kind) } { (state.as_str()) } }
}

fn wants(hold: &Hold) -> Markup {
    html! { @for (group, votes) in &hold.wants { span.label { @if *votes > 1 { (votes) " of " } (said(group, 60)) } " " } }
}

/// `GET /console/holds/{id}`: the card.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (hold, card) = find(&shared, &id)?;
    let frame = Frame::new(&shared, Page::Holds, visitor);
    let now = shared.rooms.insight.now();
    let body = html! {
        nav.crumbs aria-label="Where this is" { a href="/console/holds" { "Holds" } " / " code { (hold.id) } }
        h1 { (said(sentence(&hold, &card), 300)) }
        p.lead { (parts::class(Some(hold.class))) " " (state(&hold.state)) " " span.muted { "until " (parts::when(hold.until, now)) } }
        @for warning in &card.warnings { p.note role="note" { strong { "Note: " } (said(warning, 500)) } }
        @if hold.state == HoldState::Waiting { (ballot(&hold, &frame.visitor)) }
        (outcome(&hold, now))
        (what(&card))
        (difference(card.difference.as_ref()))
        (around(&hold, &card))
        (request(&card))
    };
    Ok(html(frame.page("Hold", &body)))
}

fn ballot(hold: &Hold, visitor: &Visitor) -> Markup {
    let path = format!("/console/holds/{}", hold.id);
    html! {
        @if visitor.may(Role::Approver) {
            form.ballot method="post" action={ (path) "/refuse" } {
                (visitor.token())
                input type="hidden" name="digest" value=(hold.digest);
                label { span { "Note (optional)" } input type="text" name="note" maxlength=(NOTE) autocomplete="off"; }
                div.row {
                    button.good formaction={ (path) "/approve" } { "Approve" }
                    button.danger { "Refuse" }
                }
                p.muted { "An approval is for exactly what stands here, once." }
            }
        } @else { p.muted { "Approvers vote on this; you may look." } }
    }
}

fn outcome(hold: &Hold, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            @match &hold.state {
                HoldState::Spent { call } => { dt { "sent as" } dd { (parts::call(&call.to_string())) } }
                HoldState::Void { why } => { dt { "void" } dd { (said(why, 300)) } }
                HoldState::Approved { until } => { dt { "approved" } dd { "good until " (parts::when(*until, now)) } }
                HoldState::Expired | HoldState::Refused | HoldState::Waiting => {}
            }
            dt { "asks for" } dd { (wants(hold)) @if hold.state == HoldState::Waiting { "; still wanted: " @for (group, votes) in hold.missing() { (votes) " of " (said(group, 60)) " " } } }
            @for vote in &hold.votes { dt { @if vote.approves { "approved by" } @else { "refused by" } } dd { (said(&vote.by.0, 200)) ", " (parts::when(vote.at, now)) @if let Some(note) = &vote.note { ": " (said(note, NOTE)) } } }
        }
    }
}

fn what(card: &Card) -> Markup {
    html! {
        section aria-labelledby="does-title" {
            h2 #does-title { "What it would do" }
            ul.operations { @for deed in &card.does { li { (parts::class(Some(deed.class))) " " (said(&deed.sentence, 2_000)) " " span.muted { code { (said(&deed.operation, 120)) } @if !deed.resource.is_empty() { ", " (said(&deed.resource, 200)) } } } } }
            @for reason in &card.reasons { p { (policy(&reason.policy.to_string())) @if let Some(why) = &reason.reason { ": " (said(why, 400)) } @if let Some(advice) = &reason.advice { " " em { (said(advice, 400)) } } } }
        }
    }
}

fn difference(difference: Option<&Difference>) -> Markup {
    let Some(difference) = difference else {
        return html! { section { p.muted { "No call of this kind by this agent was approved before." } } };
    };
    let lists =
        [("changed", &difference.changed), ("added", &difference.added), ("removed", &difference.removed)];
    let same = lists.iter().all(|(_, places)| places.is_empty());
    html! {
        section aria-labelledby="difference-title" {
            h2 #difference-title { "Against the one that was approved last" @if let Some(from) = difference.from { " (" a.id href={ "/console/holds/" (from) } { (parts::tail(&from.to_string())) } ")" } }
            @if same { p { "The same in every value." } }
            dl.facts { @for (name, places) in lists { @if !places.is_empty() { dt { (name) } dd { @for place in places { code { (said(place, 120)) } " " } } } } }
        }
    }
}

fn around(hold: &Hold, card: &Card) -> Markup {
    html! {
        section aria-labelledby="task-title" {
            h2 #task-title { "For whom and why" }
            dl.facts {
                dt { "task" } dd { (parts::task(&hold.task.to_string())) ", intent " (said(&card.intent, 64)) }
                @if !card.on_behalf_of.is_empty() { dt { "on behalf of" } dd { (said(&card.on_behalf_of, 256)) } }
                dt { "chain" } dd { @for (at, agent) in card.chain.iter().enumerate() { @if at > 0 { " → " } (parts::agent_named(agent)) } }
                dt { "call" } dd { (parts::call(&hold.call.to_string())) @if hold.asks > 1 { ", asked " (hold.asks) " times" } }
                @if !card.touched.is_empty() { dt { "did before" } dd { @for one in &card.touched { span.part { (parts::number(one.calls)) " × " code { (said(&one.operation, 120)) } } } } }
            }
        }
    }
}

fn request(card: &Card) -> Markup {
    let ShownBody { media, bytes, text, cut, .. } = &card.body;
    html! {
        section aria-labelledby="request-title" {
            h2 #request-title { "The request " small { "(the agent's own words; what looks like a secret is masked)" } }
            p { code { (said(&card.method, 20)) " " (said(&card.url, BODY)) } }
            dl.facts { @for (name, value) in &card.headers { dt { (said(name, 80)) } dd { (said(value, BODY)) } } }
            p.muted { (parts::bytes(*bytes)) " of " @if media.is_empty() { "no media type" } @else { (said(media, 100)) } }
            @match text {
                Some(text) => pre.line.words tabindex="0" role="region" aria-label="The body of the request" { (inert::lines(text, BODY)) },
                None => @if *bytes > 0 { p.muted { "The body is no text, or is not kept any more." } },
            }
            @if *cut { p.note { "Not all of the body is shown." } }
        }
    }
}

/// `POST /console/holds/{id}/approve`.
pub(super) async fn approve(
    shared: State<Arc<Shared>>,
    visitor: Visitor,
    id: Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    vote(shared, visitor, id, &body, true).await
}

/// `POST /console/holds/{id}/refuse`.
pub(super) async fn refuse(
    shared: State<Arc<Shared>>,
    visitor: Visitor,
    id: Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    vote(shared, visitor, id, &body, false).await
}

async fn vote(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    Path(id): Path<String>,
    body: &Bytes,
    approves: bool,
) -> Result<Response, Problem> {
    let field = |wanted: &str| {
        url::form_urlencoded::parse(body)
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    let (hold, _) = find(&shared, &id)?;
    let digest = field("digest").unwrap_or_default().parse();
    let digest = digest.map_err(|error: crate::call::hold::NotADigest| {
        Problem::bad_request("bad_form", error.to_string())
    })?;
    let note = field("note").filter(|note| !note.trim().is_empty());
    if note.as_deref().is_some_and(|note| note.chars().count() > NOTE) {
        let detail = format!("a note has at most {NOTE} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_note", detail));
    }
    to_the_end(async move {
        let ballot = Ballot { hold: hold.id, digest, approves, note: note.map(Into::into) };
        cast(&shared, ballot, visitor.operator).await?;
        Ok(Redirect::to(&format!("/console/holds/{}", hold.id)).into_response())
    })
    .await
}
