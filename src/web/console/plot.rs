//! Plots, drawn by the server as SVG: bars over time, by what was decided.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::super::pulse::{BAR_S, BARS, Tally};
use super::parts;
use crate::call::{Decision, Timestamp};

/// Units of the drawing for one bar, and its height.
const BAR: u64 = 4;
const HEIGHT: u64 = 120;
const WIDTH: u64 = BAR * BARS as u64;
/// From the bottom up.
const STACK: [Decision; 3] = [Decision::Allow, Decision::Hold, Decision::Deny];

/// Calls over the last quarter of an hour.
pub(super) fn over_time(bars: &[Tally], at: Timestamp) -> Markup {
    let most = bars.iter().map(Tally::all).max().unwrap_or_default();
    let top = ceiling(u64::from(most));
    let paths: Vec<_> =
        STACK.iter().enumerate().map(|(level, decision)| (decision, path(bars, level, top))).collect();
    let sum = |decision| bars.iter().map(|bar| u64::from(bar.decided(decision))).sum::<u64>();
    let label = format!(
        "Calls in the last 15 minutes: {} allowed, {} held, {} denied; at most {most} in {BAR_S} seconds",
        sum(Decision::Allow),
        sum(Decision::Hold),
        sum(Decision::Deny)
    );
    let first = at.unix_s() / BAR_S + 1 - (BARS as u64).min(at.unix_s() / BAR_S);
    html! {
        figure.plot {
            svg role="img" aria-label=(label) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" {
                @for level in 1..4u64 {
                    line.grid x1="0" x2=(WIDTH) y1=(HEIGHT * level / 4) y2=(HEIGHT * level / 4) {}
                }
                @for (decision, path) in &paths { path class=(decision.as_str()) d=(path) {} }
            }
            span.top aria-hidden="true" { (parts::number(top)) " in 5 s" }
            ol.ticks aria-hidden="true" {
                @for third in 0..3u64 { li { (clock(first + third * BARS as u64 / 3)) } }
            }
        }
    }
}

fn clock(bar: u64) -> String {
    let text = Timestamp::from_unix_s(bar * BAR_S).to_string();
    text.get(11..16).unwrap_or_default().to_owned()
}

/// The least round number that is no smaller.
fn ceiling(most: u64) -> u64 {
    let mut step = 1;
    loop {
        for round in [4, 8, 10, 20] {
            if round * step >= most {
                return round * step;
            }
        }
        step *= 10;
    }
}

/// One path for all bars of a level: a hundred and eighty rectangles would be ten times the bytes.
fn path(bars: &[Tally], level: usize, top: u64) -> String {
    let mut path = String::new();
    for (at, bar) in bars.iter().enumerate() {
        let below: u64 = STACK.iter().take(level).map(|decision| u64::from(bar.decided(*decision))).sum();
        let here = STACK.get(level).map_or(0, |decision| u64::from(bar.decided(*decision)));
        if here == 0 {
            continue;
        }
        // In tenths, so that few calls of many are still seen.
        let scale = |count: u64| count * HEIGHT * 10 / top.max(1);
        let (low, high) = (scale(below), scale(below + here).max(scale(below) + 10));
        let from_top = (HEIGHT * 10).saturating_sub(high);
        let (x, tall) = (at as u64 * BAR, high - low);
        let _infallible =
            write!(path, "M{x} {}.{}h3v{}.{}h-3z", from_top / 10, from_top % 10, tall / 10, tall % 10);
    }
    path
}

/// A share as a short bar, for rows.
pub(super) fn shares(tally: &Tally, most: u32) -> Markup {
    let width = |count: u32| u64::from(count) * 100 / u64::from(most.max(1));
    let mut x = 0;
    let parts: Vec<_> = STACK
        .iter()
        .map(|decision| {
            let from = x;
            let wide = match tally.decided(*decision) {
                0 => 0,
                count => width(count).max(1),
            };
            x += wide;
            (decision.as_str(), from, wide)
        })
        .collect();
    html! {
        svg.shares aria-hidden="true" viewBox="0 0 100 8" preserveAspectRatio="none" {
            @for (name, from, wide) in parts {
                @if wide > 0 { rect class=(name) x=(from) y="0" width=(wide) height="8" {} }
            }
        }
    }
}
