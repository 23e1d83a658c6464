//! One call as the walk that it was: each step, when it was reached, and what was known by then.

use maud::{Markup, html};

use super::calls::policy;
use super::parts::{self, said};
use crate::call::{Closing, Decision, HoldId, Operation, Outcome, Recognition, Timestamp};
use crate::record::recent::Told;
use crate::record::{CallFacts, What};

/// One step.
struct Step {
    name: &'static str,
    /// From the interception, nanoseconds; none: it is not measured.
    at: Option<u64>,
    body: Markup,
    mark: &'static str,
}

/// All steps of a call that the journal knows of.
pub(super) fn timeline(facts: &CallFacts, told: &Told, now: Timestamp, trace_url: Option<&str>) -> Markup {
    let closing = told.end.as_deref().and_then(|(entry, _)| match &entry.what {
        What::Closed(closed) => Some((entry.seq.0, &closed.closing)),
        _ => None,
    });
    let decided = closing
        .map(|(_, closing)| closing.decided_ns)
        .or_else(|| facts.refusal.as_ref().and_then(|refusal| refusal.after_ns));
    let mut steps = vec![
        Step { name: "Intercepted", at: None, body: intercepted(facts, now, trace_url), mark: "" },
        Step { name: "Recognised", at: None, body: recognised(&facts.operations), mark: "" },
        Step { name: "Attributed", at: None, body: attributed(facts), mark: "" },
        Step {
            name: "Decided",
            at: decided,
            body: ruled(facts),
            mark: super::super::calls::decision_of(facts).as_str(),
        },
    ];
    let recorded = html! { p { "Entry " (told.opening.seq) ", " (parts::when(told.opening.at, now)) "." @if facts.refusal.is_none() { " From here on it may go out." } } };
    steps.push(Step { name: "Recorded", at: None, body: recorded, mark: "" });
    if let Some(refusal) = &facts.refusal {
        let body = html! { p { code { (refusal.code) } ", status " (refusal.status) ": " (said(refusal.message.as_str(), 500)) } };
        steps.push(Step { name: "Refused", at: refusal.after_ns, body, mark: "deny" });
    }
    if let Some((entry, closing)) = closing {
        steps.extend(ended(entry, closing));
    } else if facts.refusal.is_none() {
        steps.push(Step {
            name: "Under way",
            at: None,
            body: html! { p { "Its end is not written yet." } },
            mark: "open",
        });
    }
    html! {
        section aria-labelledby="walk-title" {
            h2 #walk-title { "The walk" }
            @if let Some((_, closing)) = closing { (times(closing)) }
            ol.walk {
                @for step in &steps {
                    li class=(step.mark) {
                        h3 { (step.name) @if let Some(at) = step.at { span.at { "+" (parts::span(at)) } } }
                        (step.body)
                    }
                }
            }
        }
    }
}

/// Where the time went, as one bar.
fn times(closing: &Closing) -> Markup {
    let whole = closing.duration_ns.max(1);
    let first = closing.first_byte_ns.unwrap_or(closing.duration_ns).min(whole);
    let decided = closing.decided_ns.min(first);
    // In thousandths; what there is at all is seen.
    let place = |ns: u64| u64::try_from(u128::from(ns) * 1_000 / u128::from(whole)).unwrap_or(1_000);
    let (a, b) = (place(decided).max(2), place(first).max(4));
    let label = format!(
        "remit {}, origin until the head of its answer {}, the rest of the answer {}",
        parts::span(decided),
        parts::span(first - decided),
        parts::span(whole - first)
    );
    html! {
        figure.times {
            svg role="img" aria-label=(label) viewBox="0 0 1000 10" preserveAspectRatio="none" {
                rect.remit x="0" y="0" width=(a) height="10" {}
                rect.origin x=(a) y="0" width=(b.saturating_sub(a)) height="10" {}
                rect.answer x=(b) y="0" width=(1_000u64.saturating_sub(b)) height="10" {}
            }
            figcaption { span.key.remit {} "remit " (parts::span(decided)) " " span.key.origin {} "origin " (parts::span(first - decided)) " " span.key.answer {} "answer " (parts::span(whole - first)) }
        }
    }
}

fn intercepted(facts: &CallFacts, now: Timestamp, trace_url: Option<&str>) -> Markup {
    let http = &facts.http;
    let whole = format!("{} {}://{}:{}{}", http.method, http.scheme, http.host, http.port, http.path);
    html! {
        p { (parts::when(facts.began, now)) " " code { (said(&whole, 600)) } " " span.muted { "HTTP/" (http.version) @if http.websocket { ", WebSocket" } @if http.message { ", a message" } } }
        dl.facts {
            dt { "from" } dd { (facts.peer) @if let Some(process) = &facts.process { ", user " (process.uid) @if let Some(file) = &process.executable { ", " code { (said(file, 200)) } } } }
            @if let Some(agent) = &http.user_agent { dt { "calls itself" } dd { (said(agent.as_str(), 200)) } }
            @if let Some(kind) = &http.content_type { dt { "media type" } dd { (said(kind.as_str(), 100)) } }
            @if !http.query.is_empty() { dt { "query" } dd { @for (at, one) in http.query.iter().enumerate() { @if at > 0 { ", " } code { (said(one.name.as_str(), 60)) } } " (values are kept as digests)" } }
            dt { "trace" } dd { @match trace_url {
                Some(template) => a href=(template.replace("{trace_id}", &facts.trace).replace("{span_id}", &facts.span)) rel="noreferrer" { code { (facts.trace) } },
                None => code { (facts.trace) },
            } ", span " code { (facts.span) } }
        }
    }
}

fn recognised(operations: &[Operation]) -> Markup {
    html! {
        @if operations.is_empty() { p { "It was refused before that." } }
        ul.operations { @for operation in operations { li {
            (parts::class(Some(operation.class))) " " code { (said(&operation.id.0, 200)) } " of " (said(&operation.service.0, 100))
            @if let Some(resource) = &operation.resource { ", " (said(&resource.kind, 60)) " " (said(&resource.id, 200)) }
            " " span.muted { "(" @if operation.how != Recognition::Exact { strong { (operation.how.as_str()) } ", " } (said(&operation.because, 120)) ")" }
            @for label in &operation.facts.labels { " " span.label { (said(label, 60)) } }
            @if operation.facts.drifted { " " strong.bad { "the tool's description has changed" } }
            @if let Some(format) = &operation.facts.brought_key { " " strong.bad { "brings a key of its own (" (said(format, 40)) ")" } }
        } } }
    }
}

fn attributed(facts: &CallFacts) -> Markup {
    let evidence = facts.evidence.and_then(|evidence| serde_json::to_value(evidence).ok());
    let evidence = evidence.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
    html! {
        @match &facts.agent {
            None => p { "Nobody was known to have made it." },
            Some(agent) => p { code { (said(agent.as_str(), 300)) } @if !evidence.is_empty() { " by " (evidence) } }
        }
        dl.facts {
            @if let (Some(task), Some(intent)) = (facts.task, &facts.intent) { dt { "task" } dd { (parts::task(&task.to_string())) ", intent " (said(intent.as_str(), 64)) } }
            @for link in &facts.links { dt { "under" } dd { (parts::agent(Some(&link.agent))) ", task " (parts::task(&link.task.to_string())) ", intent " (said(link.intent.as_str(), 64)) } }
            @if let Some(history) = &facts.history {
                dt { "before" } dd {
                    (history.reads) " reads, " (history.acts) " acts, " (history.delegates) " delegations, " (history.denials) " denials"
                    @if !history.labels.is_empty() { "; touched " @for label in history.labels.iter() { span.label { (said(label, 60)) } " " } }
                    @if history.agent.drift { strong.bad { " otherwise than it was learnt to do" } }
                }
            }
        }
    }
}

fn ruled(facts: &CallFacts) -> Markup {
    html! {
        @match facts.decision {
            None => p { "No policy was asked." },
            Some(decision) => p { (parts::decision(decision)) @if !facts.policies.is_empty() { " by " @for (at, id) in facts.policies.iter().enumerate() { @if at > 0 { ", " } (policy(&id.to_string())) } } }
        }
        dl.facts {
            @if let Some(approval) = &facts.approval {
                dt { "approved" } dd { "by " @for (at, who) in approval.by.iter().enumerate() { @if at > 0 { ", " } (said(&who.0, 200)) }
                    " in " (hold(approval.hold)) @if !approval.policies.is_empty() { ", which lifts " @for id in &approval.policies { (policy(&id.to_string())) " " } } }
            }
            @if let Some(id) = facts.hold { dt { "hold" } dd { (hold(id)) } }
            @if let Some(note) = &facts.note { dt { "note" } dd { (said(note.as_str(), 500)) } }
            @if let Some(rules) = &facts.rules { dt { "rules" } dd { code { (parts::short_digest(rules)) } } }
            @if let Some(observed) = &facts.observed { dt { "observed only" } dd { "the policies say " (parts::decision(observed.decision)) } }
            @if let Some(candidate) = &facts.candidate { dt { "candidate" } dd { (parts::decision(candidate.decision)) } }
        }
    }
}

fn hold(id: HoldId) -> Markup {
    html! { a.id href={ "/console/holds/" (id) } title=(id) { (parts::tail(&id.to_string())) } }
}

fn ended(entry: u64, closing: &Closing) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(lease) = &closing.lease {
        let body = html! { p { "Lease " code { (lease.id) } " of " (lease.provider) @if !lease.short_lived { ", a key that was there before" } } };
        steps.push(Step { name: "Credentialed", at: None, body, mark: "" });
    }
    if let (Some(status), Some(first)) = (closing.status, closing.first_byte_ns) {
        let body = html! { p { "The origin answered " (status) @if let Some(grpc) = closing.grpc_status { ", grpc-status " (grpc) } "." } };
        steps.push(Step { name: "Forwarded", at: Some(first), body, mark: "" });
    }
    let body_line = |name: &str, body: &crate::call::BodyFacts| {
        html! {
            dt { (name) } dd { (parts::bytes(body.bytes)) @if !body.complete { ", not to its end" } @if let Some(sha) = &body.sha256 { ", SHA-256 " code title=(sha) { (sha.get(..16).unwrap_or(sha)) "…" } } }
        }
    };
    let body = html! {
        p { (closing.outcome.as_str().replace('_', " ")) @if let Some(code) = &closing.refusal { ", refused with " code { (code) } } @if let Some(error) = &closing.error { ": " (said(error, 300)) } ". Entry " (entry) "." }
        dl.facts {
            (body_line("request", &closing.request)) (body_line("answer", &closing.response))
            @for (operation, messages) in &closing.messages { dt { "messages" } dd { (messages) " " code { (said(operation, 100)) } } }
            @if let Some(candidate) = &closing.candidate { dt { "candidate" } dd { (parts::decision(candidate.decision)) } }
        }
    };
    let mark =
        if closing.outcome == Outcome::Answered { Decision::Allow.as_str() } else { Decision::Deny.as_str() };
    steps.push(Step { name: "Closed", at: Some(closing.duration_ns), body, mark });
    steps
}
