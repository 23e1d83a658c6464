//! `remit policy replay`: what other policies would have ruled on the calls of the journal.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;

use super::failure::Failure;
use super::past::Past;
use super::screen;
use super::table::{Lean, Table};
use crate::call::{Attributed, Call, Decision};
use crate::judge::Rules;
use crate::record::{Filter, What, search};

/// Calls that are judged together, so that all processors have work.
const BATCH: usize = 8_192;

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

/// Judges the journal in `state` under `rules`.
pub(super) fn replay(state: &Path, rules: &Rules) -> Result<(Replayed, Past), Failure> {
    let (mut past, mut replayed, mut batch) = (Past::default(), Replayed::default(), Vec::new());
    let progress = screen::stderr_is_terminal();
    let begun = Instant::now();
    search(state, &Filter::default(), |found| {
        let then = match &found.entry.what {
            What::Opened(facts) | What::Refused(facts) => facts.ruled(),
            What::TaskOpened(_) => None,
            _ => return ControlFlow::Continue(()),
        };
        let is_call = !matches!(found.entry.what, What::TaskOpened(_));
        match past.read(found.entry.what.clone()) {
            Some(call) => batch.push((call, then)),
            None => replayed.unattributed += u64::from(is_call),
        }
        if batch.len() == BATCH {
            replayed.judge(&batch, rules);
            batch.clear();
            if progress {
                screen::progress(&format!("{} calls, {:.0}/s", replayed.calls, rate(replayed.calls, begun)));
            }
        }
        ControlFlow::Continue(())
    })
    .map_err(|error| Failure::found_wanting(error.to_string()))?;
    replayed.judge(&batch, rules);
    if progress {
        screen::progress("");
    }
    Ok((replayed, past))
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
            "without_task": past.without_task, "newly_allowed": list(allowed), "newly_denied": list(denied),
        }))?;
    } else {
        let columns = [
            ("now", Lean::Left),
            ("calls", Lean::Right),
            ("class", Lean::Left),
            ("operation", Lean::Left),
            ("agent", Lean::Left),
        ];
        let mut table = Table::new(&columns);
        for (now, kinds) in [("allow", allowed), ("deny", denied)] {
            for ((agent, operation, class), calls) in kinds {
                table.row(vec![
                    now.into(),
                    calls.to_string(),
                    (*class).into(),
                    operation.clone(),
                    agent.clone(),
                ]);
            }
        }
        if !(allowed.is_empty() && denied.is_empty()) {
            screen::print(&table.text())?;
        }
        let sum = |kinds: &BTreeMap<Kind, u64>| kinds.values().sum::<u64>();
        screen::tell(&format!(
            "{calls} calls in {:.1} s ({:.0} a second): {} newly allowed, {} newly denied under {}",
            begun.elapsed().as_secs_f64(),
            rate(*calls, begun),
            sum(allowed),
            sum(denied),
            rules.digest()
        ));
        if past.without_task > 0 {
            screen::tell(&format!(
                "{} of them without their task's labels: its opening is not in the journal",
                past.without_task
            ));
        }
    }
    let same = allowed.is_empty() && denied.is_empty();
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people, of far fewer than 2^53 calls")]
fn rate(calls: u64, since: Instant) -> f64 {
    calls as f64 / since.elapsed().as_secs_f64().max(f64::EPSILON)
}

impl Replayed {
    fn judge(&mut self, batch: &[(Call<Attributed>, Option<Decision>)], rules: &Rules) {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = batch.len().div_ceil(threads).max(1);
        let now: Vec<Decision> = std::thread::scope(|scope| {
            let judge = |part: &[(Call<Attributed>, Option<Decision>)]| {
                part.iter().map(|(call, _)| rules.rule(call).decision()).collect::<Vec<_>>()
            };
            let parts: Vec<_> = batch.chunks(share).map(|part| scope.spawn(move || judge(part))).collect();
            let done = parts
                .into_iter()
                .map(|part| part.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
            done.flatten().collect()
        });
        for ((call, then), now) in batch.iter().zip(now) {
            self.calls += 1;
            let differs = match (then, now) {
                (Some(Decision::Allow), Decision::Deny | Decision::Hold) => &mut self.denied,
                (Some(Decision::Deny | Decision::Hold), Decision::Allow) => &mut self.allowed,
                // The same as then; or no policy was asked then (a budget was spent, the journal was full).
                _ => continue,
            };
            let strongest = call.stage().operations.strongest();
            let agent = call.stage().principal.agent.to_string();
            *differs.entry((agent, strongest.id.to_string(), strongest.class.as_str())).or_default() += 1;
        }
    }
}
