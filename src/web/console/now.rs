//! Now: what agents do at this moment.
//!
//! The page is whole when it comes; after that three parts of it are pushed, at most a few times a second, however much happens.
//! All who look get the same bytes, made once.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use maud::{Markup, html};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::super::calls::End;
use super::super::pulse::{Live, Picture, Stands, Tally};
use super::super::{Problem, Shared, events};
use super::layout::{Frame, Page};
use super::visitor::Visitor;
use super::{html, parts, plot};
use crate::call::{Class, Decision, Timestamp};

/// Calls that are shown.
const CALLS: usize = 40;
/// Agents that are shown.
const AGENTS: usize = 12;
/// Between two pushes there is at least this, whatever happens.
const CALM: Duration = Duration::from_millis(500);
/// And at most this, even if nothing does: the plot moves on.
const STIR: Duration = Duration::from_secs(5);

/// A part of the page by the name of its event.
type Part = (&'static str, String);

/// The parts that are pushed, as they were made last, and when that was.
#[derive(Default)]
pub(in crate::web) struct Fragments(Mutex<(u64, Arc<[Part]>)>);

impl Fragments {
    /// The parts as of now; those of the last half second, where they were made then.
    fn of(&self, shared: &Shared) -> Arc<[Part]> {
        let now = shared.rooms.insight.now();
        let turn = now.unix_ms() / u64::try_from(CALM.as_millis()).unwrap_or(1);
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != turn {
            let picture = picture(shared, now);
            let parts =
                [("plot", over_time(&picture)), ("agents", by_agent(&picture)), ("calls", latest(&picture))];
            *last = (turn, parts.map(|(name, markup)| (name, markup.into_string())).into());
        }
        Arc::clone(&last.1)
    }
}

/// `GET /console/now`.
pub(super) async fn page(State(shared): State<Arc<Shared>>, visitor: Visitor) -> Response {
    let frame = Frame::new(&shared, Page::Now, visitor);
    let picture = picture(&shared, shared.rooms.insight.now());
    let body = html! {
        div.head {
            h1 { "Now" }
            p { button type="button" #pause aria-pressed="false" { "Pause" } }
        }
        div hx-ext="sse" sse-connect="/console/now/stream" {
            section aria-labelledby="plot-title" {
                h2.hidden #plot-title { "Calls over time" }
                div sse-swap="plot" { (over_time(&picture)) }
            }
            div.columns {
                section aria-labelledby="calls-title" {
                    h2 #calls-title { "Latest calls" }
                    div sse-swap="calls" { (latest(&picture)) }
                }
                section aria-labelledby="agents-title" {
                    h2 #agents-title { "By agent" }
                    div sse-swap="agents" { (by_agent(&picture)) }
                }
            }
        }
    };
    html(frame.page("Now", &body))
}

fn picture(shared: &Shared, now: Timestamp) -> Picture {
    Picture { waiting: super::holds::waiting(shared), ..shared.rooms.pulse.picture(now, CALLS) }
}

fn over_time(picture: &Picture) -> Markup {
    let sum =
        |count: &dyn Fn(&Tally) -> u32| picture.bars.iter().map(|bar| u64::from(count(bar))).sum::<u64>();
    let of = |decision| sum(&move |bar: &Tally| bar.decided(decision));
    let minute: u64 = picture.bars.iter().rev().take(12).map(|bar| u64::from(bar.all())).sum();
    let words = [(Decision::Allow, "allowed"), (Decision::Hold, "held"), (Decision::Deny, "denied")];
    html! {
        dl.figures {
            div { dt { "last minute" } dd { (parts::number(minute)) } }
            div { dt { "under way" } dd { (parts::number(picture.open as u64)) } }
            div.hold { dt { "waiting" } dd { (parts::number(picture.waiting as u64)) } }
            @for (decision, word) in words {
                div class=(decision.as_str()) { dt { (word) ", 15 min" } dd { (parts::number(of(decision))) } }
            }
            @for class in Class::ALL {
                div { dt { (class.as_str()) ", 15 min" } dd { (parts::number(sum(&|bar: &Tally| bar.classed(class)))) } }
            }
        }
        (plot::over_time(&picture.bars, picture.at))
    }
}

fn by_agent(picture: &Picture) -> Markup {
    let most = picture.agents.first().map_or(0, |(_, tally)| tally.all());
    html! {
        @if picture.agents.is_empty() { (parts::nothing("No agent has called in the last 15 minutes.")) }
        @else {
            table.agents {
                thead { tr { th scope="col" { "agent" } th.n scope="col" { "read" } th.n scope="col" { "act" } th.n scope="col" { "dele\u{ad}gate" } th.n scope="col" { "denied" } } }
                tbody {
                    @for (agent, tally) in picture.agents.iter().take(AGENTS) {
                        tr {
                            th scope="row" { (parts::agent_named(agent)) (plot::shares(tally, most)) }
                            @for class in Class::ALL { td.n { (tally.of(class, Decision::Allow)) } }
                            td.n { (tally.decided(Decision::Deny) + tally.decided(Decision::Hold)) }
                        }
                    }
                }
            }
            @if picture.agents.len() > AGENTS { p.muted { "and " (picture.agents.len() - AGENTS) " more" } }
        }
    }
}

fn latest(picture: &Picture) -> Markup {
    html! {
        @if picture.calls.is_empty() { (parts::nothing("No call has come yet. `remit run -- CMD` makes some.")) }
        @else {
            table.calls data-rows="" {
                thead { tr { th scope="col" { "time" } th scope="col" { "agent" } th scope="col" { "operation" } th scope="col" { "class" } th scope="col" { "decision" } th scope="col" { "end" } } }
                tbody { @for live in &picture.calls { (row(live, picture.at)) } }
            }
        }
    }
}

fn row(live: &Live, now: Timestamp) -> Markup {
    let end = match &live.stands {
        Stands::Open => End::Open,
        Stands::Refused(code) => End::Refused { code: code.clone() },
        Stands::Ended { outcome, status, duration_ns } => {
            End::Ended { entry: 0, outcome: outcome.as_str(), status: *status, duration_ns: *duration_ns }
        }
    };
    html! {
        tr {
            td { (parts::when(live.at, now)) }
            td { (parts::agent(live.agent.as_ref())) }
            td.what {
                a href={ "/console/calls/" (live.call) } { (parts::said(live.operation.as_deref().unwrap_or("not recognised"), parts::ROW)) }
                " " span.muted { (parts::said(&format!("{} {}{}", live.method, live.host, live.path), parts::ROW)) }
            }
            td { (parts::class(live.class)) }
            td { (parts::decision(live.decision)) }
            td { (parts::end(&end)) }
        }
    }
}

struct Pushing {
    shared: Arc<Shared>,
    beats: watch::Receiver<u64>,
    waiting: Vec<Part>,
    /// What went out last, by part: what has not changed is not sent again.
    sent: Vec<Part>,
    _place: OwnedSemaphorePermit,
}

/// `GET /console/now/stream`.
pub(super) async fn stream(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let place = events::place(&shared)?;
    let beats = shared.rooms.pulse.beats();
    let begun = Pushing { shared, beats, waiting: Vec::new(), sent: Vec::new(), _place: place };
    let pushed = stream::unfold(begun, |mut pushing| async move {
        let (name, part) = pushing.next().await?;
        Some((Ok::<_, Infallible>(Event::default().event(name).data(part)), pushing))
    });
    Ok(Sse::new(pushed).keep_alive(KeepAlive::default()).into_response())
}

impl Pushing {
    async fn next(&mut self) -> Option<Part> {
        loop {
            if let Some(part) = self.waiting.pop() {
                return Some(part);
            }
            // The other end is never dropped while the node runs.
            if let Ok(Err(_)) = tokio::time::timeout(STIR, self.beats.changed()).await {
                return None;
            }
            tokio::time::sleep(CALM).await;
            self.beats.mark_unchanged();
            let parts = self.shared.fragments.of(&self.shared);
            self.waiting = parts.iter().filter(|part| !self.sent.contains(part)).cloned().collect();
            self.sent = parts.to_vec();
        }
    }
}

/// For tests: what a page shows of agents.
#[cfg(test)]
pub(super) fn shown(picture: &Picture) -> String {
    (over_time(picture).into_string() + &by_agent(picture).into_string()) + &latest(picture).into_string()
}
