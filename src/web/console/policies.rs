//! Policies: what they say, whether their own cases agree, what is claimed of them, and what others would have ruled.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::super::{Difference, Policies, Shared};
use super::layout::{Frame, Page};
use super::parts::{self, said};
use super::visitor::Visitor;
use super::{cedar, html};
use crate::call::Role;
use crate::judge::SourceFile;
use crate::judge::prove::{Found, Kept};

/// Latest calls that a draft is tried on, unless another number is asked for.
const CALLS: usize = 10_000;
/// And at most.
const MOST: usize = 100_000;
/// What a draft is called in messages.
const DRAFT: &str = "draft.cedar";

/// `GET /console/policies`.
pub(super) async fn page(State(shared): State<Arc<Shared>>, visitor: Visitor) -> Response {
    let frame = Frame::new(&shared, Page::Policies, visitor);
    let in_force = shared.rooms.node.facts().rules.to_string();
    let found = shared.rooms.insight.policies().await;
    let body = html! {
        h1 { "Policies" }
        @match found {
            Err(why) => p.trouble role="alert" { "They cannot be read: " (said(&why, 1_000)) },
            Ok(policies) => (whole(&policies, &in_force, &frame.visitor)),
        }
    };
    html(frame.page("Policies", &body))
}

fn whole(policies: &Policies, in_force: &str, visitor: &Visitor) -> Markup {
    let all = policies.passed + policies.failed.len();
    html! {
        dl.facts {
            dt { "from" } dd { (said(&policies.place, 300)) }
            dt { "digest" } dd { code title=(policies.digest) { (parts::short_digest(&policies.digest)) }
                @if policies.digest == in_force { ", in force" } @else { ", " strong.bad { "not what is in force" } " (" code { (parts::short_digest(in_force)) } ")" } }
            dt { "test cases" } dd { @if all == 0 { "none" } @else if policies.failed.is_empty() { span.good { span aria-hidden="true" { "✓ " } (all) " as expected" } } @else { span.bad { (policies.failed.len()) " of " (all) " not as expected" } } }
        }
        @if !policies.failed.is_empty() { ul.bad { @for why in &policies.failed { li { (said(why, 600)) } } } }
        (invariants(policies))
        @if visitor.may(Role::Admin) { (draft(policies, visitor)) }
        section aria-labelledby="text-title" {
            h2 #text-title { "Text" }
            @for file in &policies.files {
                details open[is_policy(file)] {
                    summary { code { (said(&file.name, 200)) } " " span.muted { (file.text.lines().count()) " lines" } }
                    pre.cedar tabindex="0" role="region" aria-label=(file.name) { code { (cedar::coloured(&file.text)) } }
                }
            }
        }
    }
}

fn invariants(policies: &Policies) -> Markup {
    let proofs = if let Kept::Proofs(proofs) = &policies.proofs { Some(proofs) } else { None };
    let found = |id: &str| proofs.and_then(|proofs| proofs.found.get(id));
    html! {
        section aria-labelledby="invariants-title" {
            h2 #invariants-title { "Invariants" }
            @if policies.invariants.is_empty() { (parts::nothing("Nothing is claimed of all requests.")) }
            @else {
                table.invariants { thead { tr { th scope="col" { "claim" } th scope="col" { "expects" } th scope="col" { "holds" } th scope="col" { "says" } } }
                    tbody { @for claim in &policies.invariants { tr {
                        th scope="row" { code { (said(&claim.id, 120)) } } td { (claim.expect) } td { (holds(found(&claim.id))) }
                        td { @if let Some(says) = &claim.says { (said(says, 400)) } }
                    } } } }
                p.muted { @match &policies.proofs {
                    Kept::Proofs(proofs) => { "For every request that there could be, by " (said(&proofs.solver, 60)) ", " (said(&proofs.at, 40)) "." }
                    Kept::Unfit(why) => { "The proofs on file do not count: " (said(why, 300)) ". " code { "remit policy verify --keep" } " makes new ones, off the node." }
                    Kept::Nothing => { "Whether they hold for every request is proved by " code { "remit policy verify --keep" } ", off the node." }
                } }
            }
        }
    }
}

fn holds(found: Option<&Found>) -> Markup {
    html! { @match found {
        Some(Found::Proved) => span.good { span aria-hidden="true" { "✓ " } "proved" },
        Some(Found::Refuted) => strong.bad { span aria-hidden="true" { "✗ " } "refuted" },
        Some(Found::NotProved(why)) => span.bad title=(crate::call::inert::text(why, 400)) { "not proved" },
        None => span.muted { "not known" },
    } }
}

fn is_policy(file: &SourceFile) -> bool {
    file.name.rsplit_once('.').is_some_and(|(_, end)| end == "cedar")
}

fn draft(policies: &Policies, visitor: &Visitor) -> Markup {
    let text: Vec<_> =
        policies.files.iter().filter(|file| is_policy(file)).map(|file| file.text.as_str()).collect();
    let text = text.join("\n");
    html! {
        section aria-labelledby="draft-title" {
            h2 #draft-title { "Try a draft" }
            form.draft method="post" action="/console/policies/replay" hx-post="/console/policies/replay" hx-headers=[visitor.headers()] hx-target="#difference" hx-disabled-elt="find button" {
                (visitor.token())
                label { span { "The policies in force, to change. They are tried on calls of the journal, and nothing is changed by that." }
                    textarea name="text" rows="14" spellcheck="false" autocomplete="off" { (text) } }
                div.row { label { "on the latest " input type="number" name="calls" value=(CALLS) min="1" max=(MOST) step="1"; " calls" } button { "Replay" } }
            }
            div #difference aria-live="polite" {}
        }
    }
}

/// `POST /console/policies/replay`: a part of the page where script asks for it, else a page.
pub(super) async fn replay(
    State(shared): State<Arc<Shared>>,
    visitor: Visitor,
    headers: axum::http::HeaderMap,
    body: Bytes,
) -> Response {
    let field = |wanted: &str| {
        url::form_urlencoded::parse(&body)
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    let calls = field("calls").and_then(|calls| calls.parse().ok()).unwrap_or(CALLS).clamp(1, MOST);
    let text = field("text").unwrap_or_default();
    let found = shared.rooms.insight.replay(SourceFile { name: DRAFT.into(), text }, calls).await;
    let part = match found {
        Err(why) => html! { pre.trouble role="alert" { (crate::call::inert::lines(&why, 10_000)) } },
        Ok(difference) => differences(&difference),
    };
    if headers.contains_key("hx-request") {
        return html(part);
    }
    let frame = Frame::new(&shared, Page::Policies, visitor);
    html(frame.page(
        "Replay",
        &html! { h1 { "Replay" } (part) p { a href="/console/policies" { "Back to the policies" } } },
    ))
}

fn differences(found: &Difference) -> Markup {
    html! {
        p { (parts::number(found.calls)) " calls judged under the draft (" (found.policies) " policies, " code { (parts::short_digest(&found.digest)) } ")."
            @if found.unattributed > 0 { " " (parts::number(found.unattributed)) " more were refused before it was known who made them." }
            @if found.without_task > 0 { " " (parts::number(found.without_task)) " without their task's labels and terms, whose opening is not kept." } }
        @if found.kinds.is_empty() { p.good { span aria-hidden="true" { "✓ " } "Each of them is ruled as it was." } }
        @else {
            table.difference { thead { tr { th.n scope="col" { "calls" } th scope="col" { "was" } th scope="col" { "would be" } th scope="col" { "class" } th scope="col" { "operation" } th scope="col" { "agent" } th scope="col" { "one of them" } } }
                tbody { @for kind in &found.kinds { tr {
                    td.n { (parts::number(kind.calls)) } td { (parts::decision(kind.then)) } td { (parts::decision(kind.now)) } td { (parts::class(Some(kind.class))) }
                    td { (said(&kind.operation, parts::ROW)) } td { (parts::agent_named(&kind.agent)) } td { (parts::call(&kind.example.to_string())) }
                } } } }
        }
    }
}
