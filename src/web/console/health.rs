//! Health: whether the node does what it is there for, and what it does not know.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::super::pulse::Gap;
use super::super::{Health, Shared};
use super::html;
use super::layout::{Frame, Page};
use super::parts::{self, said};
use super::visitor::Visitor;
use crate::call::{Lease, LeaseState, Timestamp};

/// A certificate that ends within this is told of, seconds: thirty days.
const SOON_S: u64 = 30 * 86_400;
/// Gaps that are shown.
const GAPS: usize = 50;

/// `GET /console/health`.
pub(super) async fn page(State(shared): State<Arc<Shared>>, visitor: Visitor) -> Response {
    let frame = Frame::new(&shared, Page::Health, visitor);
    let health = shared.rooms.insight.health();
    let (leases, now) = shared.rooms.node.leases(None);
    let facts = shared.rooms.node.facts();
    let gaps = shared.rooms.pulse.gaps();
    let body = html! {
        h1 { "Health" }
        div.cards {
            (journal(&health))
            (export(&health, now))
            (authority(&health, now, &facts.ca.display().to_string()))
            (rules(&health, &facts.rules.to_string(), facts.generation))
            (leased(&leases, now))
        }
        section aria-labelledby="gaps-title" {
            h2 #gaps-title { "Coverage" }
            p.muted { "Calls whose operation the catalog did not know for certain, of the latest. What is not recognised is judged as the strongest thing that it could be." }
            (coverage(&gaps))
        }
    };
    html(frame.page("Health", &body))
}

/// One matter, and whether it is well.
fn card(title: &str, well: Result<&str, &str>, rest: &Markup) -> Markup {
    html! {
        section.card aria-label=(title) {
            h2 { (title) }
            @match well {
                Ok(word) => p.good { span aria-hidden="true" { "✓ " } (word) },
                Err(word) => p.bad { span aria-hidden="true" { "✕ " } (said(word, 400)) },
            }
            dl.facts { (rest) }
        }
    }
}

fn journal(health: &Health) -> Markup {
    let well = health.failing.as_deref().map_or(Ok("written"), Err);
    card(
        "Journal",
        well,
        &html! {
            dt { "entries" } dd { (parts::number(health.entries)) }
            dt { "calls under way" } dd { (parts::number(health.open_calls)) }
        },
    )
}

fn export(health: &Health, now: Timestamp) -> Markup {
    let error = health.export.iter().find_map(|one| one.error.as_deref());
    let well = match (error, health.export.is_empty()) {
        (Some(error), _) => Err(error),
        (None, true) => Ok("no collector is configured"),
        (None, false) => Ok("told"),
    };
    card(
        "Export",
        well,
        &html! {
            @for one in &health.export {
                dt { (one.follower) } dd { (parts::number(one.behind)) " entries behind"
                    @if let Some(since) = one.waiting_since { ", the oldest " (parts::span(u64::try_from(now.since(since).as_nanos()).unwrap_or(u64::MAX))) }
                    "; " (parts::number(one.taken)) " spans taken" @if one.rejected > 0 { ", " strong { (parts::number(one.rejected)) " rejected" } } }
            }
        },
    )
}

fn authority(health: &Health, now: Timestamp, file: &str) -> Markup {
    let left = health.ca_until.map(|until| until.since(now).as_secs());
    let well = match left {
        Some(0) => Err("the issuing certificate has ended: agents trust nothing that remit shows"),
        Some(left) if left < SOON_S => Err("the issuing certificate ends within thirty days"),
        _ => Ok("issuing"),
    };
    card(
        "Issuing CA",
        well,
        &html! {
            @if let Some(until) = health.ca_until { dt { "until" } dd { (parts::when(until, now)) } }
            dt { "SHA-256" } dd { code title=(health.ca_fingerprint) { (health.ca_fingerprint.get(..16).unwrap_or(&health.ca_fingerprint)) "…" } }
            dt { "file" } dd { code { (file) } }
        },
    )
}

fn rules(health: &Health, digest: &str, generation: u64) -> Markup {
    let well = health.refused.as_deref().map_or(Ok("in force"), Err);
    card(
        "Policies",
        well,
        &html! {
            dt { "generation" } dd { (generation) }
            dt { "digest" } dd { code title=(digest) { (parts::short_digest(digest)) } }
            @if !health.observed.is_empty() { dt { "observed only" } dd { strong { (health.observed.join(", ")) } } }
        },
    )
}

fn leased(leases: &[Lease], now: Timestamp) -> Markup {
    let count = |is: &dyn Fn(&&Lease) -> bool| leases.iter().filter(is).count();
    let overdue = count(&|lease| lease.is_overdue(now));
    let lost = count(&|lease| lease.state == LeaseState::Lost);
    let well = match (overdue, lost) {
        (0, 0) => Ok("none overdue"),
        (0, _) => Err("some are lost: nobody knows whether they still work"),
        _ => Err("some should be gone by now and are not"),
    };
    card(
        "Leases",
        well,
        &html! {
            dt { "active" } dd { (count(&|lease| lease.state == LeaseState::Active)) }
            dt { "overdue" } dd { (overdue) }
            dt { "lost" } dd { (lost) }
            @for lease in leases.iter().filter(|lease| lease.is_overdue(now) || lease.state == LeaseState::Lost).take(10) {
                dt { (parts::lease(lease.state, lease.is_overdue(now))) } dd { (said(&lease.service.0, 80)) " of task " (parts::task(&lease.task.to_string())) @if let Some(why) = &lease.why { ": " (said(why, 200)) } }
            }
        },
    )
}

fn coverage(gaps: &[Gap]) -> Markup {
    html! {
        @if gaps.is_empty() { (parts::nothing("Each call was known by the catalog.")) }
        @else {
            table.gaps data-rows="" { thead { tr { th.n scope="col" { "calls" } th scope="col" { "host" } th scope="col" { "operation" } th scope="col" { "recognition" } th scope="col" { "latest" } } }
                tbody { @for gap in gaps.iter().take(GAPS) { tr {
                    td.n { (parts::number(gap.calls)) } td { (said(&gap.host, 120)) } td { (said(&gap.operation, 120)) } td { (gap.how.as_str()) } td { (parts::call(&gap.latest.to_string())) }
                } } } }
            @if gaps.len() > GAPS { p.muted { "and " (gaps.len() - GAPS) " more" } }
        }
    }
}
