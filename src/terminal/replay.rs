//! `remit policy replay`: what other policies would have ruled on the calls of the journal.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

use super::failure::Failure;
use super::past::{self, Past, Reader, rate};
use super::screen;
use super::table::{Lean, Table};
use crate::call::{Attributed, Call, Decision};
use crate::judge::{Recall, Rules};
use crate::record::CallFacts;

/// What becomes of calls that are alike: agent, operation, class.
type Kind = (String, String, &'static str);

/// What a replay found.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// Calls that were judged.
    pub(super) calls: u64,
    /// Calls that nobody was known to have made: no policy is asked about such.
    pub(super) unattributed: u64,
    /// Denied then, allowed now.
    pub(super) allowed: BTreeMap<Kind, u64>,
    /// Allowed then, denied now.
    pub(super) denied: BTreeMap<Kind, u64>,
}

/// Judges what it is given.
struct Judge<'r> {
    recall: Recall<'r>,
    found: Replayed,
}

impl Reader for Judge<'_> {
    fn take(&mut self, facts: &CallFacts, call: Option<Call<Attributed>>) {
        match call {
            Some(call) => {
                let now = self.recall.decide(&call);
                self.found.note(&call, facts.ruled(), now);
            }
            None => self.found.unattributed += 1,
        }
    }

    fn taken(&self) -> u64 {
        self.found.calls
    }
}

impl Replayed {
    fn note(&mut self, call: &Call<Attributed>, then: Option<Decision>, now: Decision) {
        self.calls += 1;
        let differs = match (then, now) {
            (Some(Decision::Allow), Decision::Deny | Decision::Hold) => &mut self.denied,
            (Some(Decision::Deny | Decision::Hold), Decision::Allow) => &mut self.allowed,
            // The same as then; or no policy was asked then (a budget was spent, the journal was full).
            _ => return,
        };
        let strongest = call.stage().operations.strongest();
        let agent = call.stage().principal.agent.to_string();
        *differs.entry((agent, strongest.id.to_string(), strongest.class.as_str())).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        let Self { calls, unattributed, allowed, denied } = other;
        self.calls += calls;
        self.unattributed += unattributed;
        for (all, more) in [(&mut self.allowed, allowed), (&mut self.denied, denied)] {
            for (kind, calls) in more {
                *all.entry(kind).or_default() += calls;
            }
        }
    }
}

/// Judges the journal in `state` under `rules`.
pub(super) fn replay(state: &Path, rules: &Rules) -> Result<(Replayed, Past), Failure> {
    let make = || Judge { recall: rules.recall(), found: Replayed::default() };
    let (judges, past) = past::read(state, make, past::bar(Instant::now()))?;
    let mut all = Replayed::default();
    for judge in judges {
        all.add(judge.found);
    }
    if screen::stderr_is_terminal() {
        screen::progress("");
    }
    Ok((all, past))
}

/// Replays, and tells the differences: exit 0 if there are none, else 1.
pub(super) fn run(state: &Path, rules: &Rules, json: bool) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let (replayed, past) = replay(state, rules)?;
    let Replayed { calls, unattributed, allowed, denied } = &replayed;
    if json {
        let list = |kinds: &BTreeMap<Kind, u64>| -> Vec<_> {
            let row = |((agent, operation, class), calls): (&Kind, &u64)| json!({"agent": agent, "operation": operation, "class": class, "calls": calls});
            kinds.iter().map(row).collect()
        };
        screen::print_json(&json!({
            "rules": rules.digest().to_string(), "calls": calls, "unattributed": unattributed,
            "without_task": past.without_task(), "newly_allowed": list(allowed), "newly_denied": list(denied),
        }))?;
    } else {
        print(&replayed)?;
        let sum = |kinds: &BTreeMap<Kind, u64>| kinds.values().sum::<u64>();
        screen::tell(&format!(
            "{calls} calls in {:.1} s ({:.0} a second): {} newly allowed, {} newly denied under {}",
            begun.elapsed().as_secs_f64(),
            rate(*calls, begun),
            sum(allowed),
            sum(denied),
            rules.digest()
        ));
        if past.without_task() > 0 {
            screen::tell(&format!(
                "{} of them without their task's labels and terms: its opening is not in the journal",
                past.without_task()
            ));
        }
    }
    let same = allowed.is_empty() && denied.is_empty();
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print(replayed: &Replayed) -> Result<(), Failure> {
    let columns = [
        ("now", Lean::Left),
        ("calls", Lean::Right),
        ("class", Lean::Left),
        ("operation", Lean::Left),
        ("agent", Lean::Left),
    ];
    let mut table = Table::new(&columns);
    for (now, kinds) in [("allow", &replayed.allowed), ("deny", &replayed.denied)] {
        for ((agent, operation, class), calls) in kinds {
            table.row(vec![now.into(), calls.to_string(), (*class).into(), operation.clone(), agent.clone()]);
        }
    }
    if replayed.allowed.is_empty() && replayed.denied.is_empty() {
        return Ok(());
    }
    screen::print(&table.text())
}
