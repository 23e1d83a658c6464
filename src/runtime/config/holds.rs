//! `[holds]`: how long calls wait for people, and how often people are asked.

use std::time::Duration;

use super::read::{Section, Value};
use crate::judge::hold;

/// How held calls wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// How long the agent's connection waits before its call is refused as held.
    pub patience: Duration,
    /// Everything else.
    pub settings: hold::Settings,
}

impl Default for Holds {
    fn default() -> Self {
        Self { patience: Duration::from_secs(30), settings: hold::Settings::default() }
    }
}

pub(super) fn holds(mut section: Section<'_>) -> Holds {
    let default = Holds::default();
    let mut seconds = |key, default: Duration, least: u64, most: u64| {
        section.take(key, |value| value.integer(least, most, "seconds")).map_or(default, Duration::from_secs)
    };
    let settings = default.settings;
    let patience = seconds("patience_s", default.patience, 0, 3_600);
    let asked_for = seconds("ask_s", settings.asked_for, 1, 7 * 86_400);
    let good_for = seconds("approval_s", settings.good_for, 1, 86_400);
    let no_stands_for = seconds("refusal_s", settings.no_stands_for, 0, 7 * 86_400);
    let mut number = |key, default: usize, unit| {
        section
            .take(key, |value| value.integer(1, 100_000, unit))
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(default)
    };
    let waiting_per_task = number("waiting_per_task", settings.waiting_per_task, "calls");
    let waiting_per_agent = number("waiting_per_agent", settings.waiting_per_agent, "calls");
    let asks_per_minute = number("asks_per_minute", settings.asks_per_minute, "times");
    let owner_votes =
        section.take("owner_votes", |value: Value<'_>| value.truth()).unwrap_or(settings.owner_votes);
    section.finish();
    let settings = hold::Settings {
        asked_for,
        good_for,
        no_stands_for,
        waiting_per_task,
        waiting_per_agent,
        asks_per_minute,
        owner_votes,
    };
    Holds { patience, settings }
}
