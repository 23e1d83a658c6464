//! What pages are made of: times, badges, ids, and text that somebody else chose.

use maud::{Markup, html};

use super::super::calls::End;
use crate::call::inert;
use crate::call::money::Money;
use crate::call::{Class, Decision, LeaseState, SpiffeId, Timestamp};

/// Characters of an agent's text that are shown in a row.
pub(super) const ROW: usize = 120;

/// Text that an agent, or a service, chose: it acts on nothing around it, nor does its direction.
pub(super) fn said(text: &str, limit_chars: usize) -> Markup {
    html! { bdi.said { (inert::text(text, limit_chars)) } }
}

/// A time of day; the date too, where it is another one.
pub(super) fn when(at: Timestamp, now: Timestamp) -> Markup {
    let text = at.to_string();
    let (date, time) = (text.get(..10).unwrap_or_default(), text.get(11..19).unwrap_or_default());
    let is_today = now.to_string().get(..10) == Some(date);
    html! { time datetime=(text) title=(text) { @if !is_today { (date) " " } (time) } }
}

/// How long, for people: `3 min`, `2.5 ms`.
pub(super) fn span(ns: u64) -> String {
    const US: u64 = 1_000;
    const MS: u64 = 1_000 * US;
    const S: u64 = 1_000 * MS;
    let tenths = |unit: u64| format!("{}.{}", ns / unit, ns % unit * 10 / unit);
    match ns {
        0..US => format!("{ns} ns"),
        US..MS => format!("{} µs", ns / US),
        MS..10_000_000 => format!("{} ms", tenths(MS)),
        10_000_000..S => format!("{} ms", ns / MS),
        S..10_000_000_000 => format!("{} s", tenths(S)),
        10_000_000_000..120_000_000_000 => format!("{} s", ns / S),
        120_000_000_000..7_200_000_000_000 => format!("{} min", ns / (60 * S)),
        7_200_000_000_000..172_800_000_000_000 => format!("{} h", ns / (3_600 * S)),
        _ => format!("{} d", ns / (86_400 * S)),
    }
}

/// How many bytes, for people.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=9_999_999 => format!("{} kB", count / 1_000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

/// Amounts by currency, each in its smallest unit.
pub(super) fn money(money: &Money) -> String {
    let amounts: Vec<_> = money
        .iter()
        .map(|(currency, amount)| format!("{} {currency} (smallest unit)", number(*amount)))
        .collect();
    amounts.join(", ")
}

/// A number with its thousands apart.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// What kind of thing a call does.
pub(super) fn class(class: Option<Class>) -> Markup {
    html! {
        @if let Some(class) = class { span class={ "class " (class.as_str()) } { (class.as_str()) } } @else { span.none { "–" } }
    }
}

/// What was decided; told by word and mark, never by colour alone.
pub(super) fn decision(decision: Decision) -> Markup {
    let (mark, word) = match decision {
        Decision::Allow => ("●", "allowed"),
        Decision::Hold => ("◐", "held"),
        Decision::Deny => ("✕", "denied"),
    };
    html! { span class={ "decision " (decision.as_str()) } { span aria-hidden="true" { (mark) " " } (word) } }
}

/// How a lease stands.
pub(super) fn lease(state: LeaseState, overdue: bool) -> Markup {
    html! { span class={ "lease " (state.as_str()) } { (state.as_str()) @if overdue { " (overdue)" } } }
}

/// How a call ended.
pub(super) fn end(end: &End) -> Markup {
    match end {
        End::Open => html! { span.open { "under way" } },
        End::Refused { code } => html! { code { (code) } },
        End::Ended { outcome, status, duration_ns, .. } => html! {
            @match status {
                Some(status) => { (status) }
                None => { (outcome.replace('_', " ")) }
            }
            " " span.muted { (span(*duration_ns)) }
        },
    }
}

/// An id, short, leading to its page.
pub(super) fn call(id: &str) -> Markup {
    html! { a.id href={ "/console/calls/" (id) } title=(id) { (tail(id)) } }
}

/// A task's id, short, leading to its page.
pub(super) fn task(id: &str) -> Markup {
    html! { a.id href={ "/console/tasks/" (id) } title=(id) { (tail(id)) } }
}

/// The last characters of an id, which tell it from others: the first ones are its time.
pub(super) fn tail(id: &str) -> &str {
    id.get(id.len().saturating_sub(8)..).unwrap_or(id)
}

/// An agent by the last part of its name; the whole of it is there too.
pub(super) fn agent(id: Option<&SpiffeId>) -> Markup {
    html! {
        @if let Some(id) = id { (agent_named(id.as_str())) } @else { span.none { "nobody known" } }
    }
}

/// The same, from its name.
pub(super) fn agent_named(id: &str) -> Markup {
    html! { bdi.agent title=(inert::text(id, 300)) { (inert::text(short_agent(id), 60)) } }
}

/// The path of a SPIFFE ID without what all agents have in front.
pub(super) fn short_agent(id: &str) -> &str {
    let path =
        id.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).map_or(id, |(_, path)| path);
    path.strip_prefix("agent/").unwrap_or(path)
}

/// `sha256:1234abcd…`.
pub(super) fn short_digest(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest).get(..12).unwrap_or(digest)
}

/// What stands where there is nothing.
pub(super) fn nothing(text: &str) -> Markup {
    html! { p.nothing { (text) } }
}
