//! `remit policy suggest`: the least that agents would have needed, drafted from what they were allowed to do.
//!
//! The draft is loaded and the journal judged under it before it is printed: it allows all that was allowed, or it is said
//! what it does not. What is in force is told beside it: how much each policy was used, and what it grants that nobody used.

mod draft;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::past::{self, Reader};
use super::{replay, screen};
use crate::call::{Attributed, Call, Decision, PolicyId};
use crate::judge::{PolicySource, Rules, SourceFile, Vocabulary, format};
use crate::record::CallFacts;
use draft::Usage;

/// What the calls of the journal used.
pub(super) struct Seen<'v> {
    vocabulary: &'v dyn Vocabulary,
    calls: u64,
    usage: Usage,
    /// By each policy that decided: calls, and the operations that they asked for.
    decided: BTreeMap<PolicyId, (u64, BTreeSet<String>)>,
}

impl<'v> Seen<'v> {
    fn nothing(vocabulary: &'v dyn Vocabulary) -> Self {
        Self { vocabulary, calls: 0, usage: Usage::default(), decided: BTreeMap::new() }
    }

    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.usage.add(other.usage);
        for (policy, (calls, operations)) in other.decided {
            let all = self.decided.entry(policy).or_default();
            all.0 += calls;
            all.1.extend(operations);
        }
    }
}

impl Reader for Seen<'_> {
    fn take(&mut self, facts: &CallFacts, call: Option<Call<Attributed>>) {
        self.calls += 1;
        let observed = facts.observed.iter().flat_map(|observed| &observed.policies);
        for policy in facts.policies.iter().chain(observed) {
            let decided = self.decided.entry(policy.clone()).or_default();
            decided.0 += 1;
            decided.1.extend(facts.operations.iter().map(|operation| operation.id.to_string()));
        }
        if let (Some(Decision::Allow), Some(call)) = (facts.decision, call) {
            self.usage.note(&call, self.vocabulary);
        }
    }

    fn taken(&self) -> u64 {
        self.calls
    }
}

/// Drafts, tries the draft, prints it.
pub(super) fn run(
    state: &Path,
    source: &PolicySource,
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
) -> Result<ExitCode, Failure> {
    let (readers, _) = past::read(state, || Seen::nothing(vocabulary), |_, _| {})?;
    let mut seen = Seen::nothing(vocabulary);
    for reader in readers {
        seen.add(reader);
    }
    if seen.usage.is_empty() {
        return Err(Failure::found_wanting(format!(
            "the journal in `{}` has no allowed call",
            state.display()
        ))
        .remedy("run agents for a while with `mode = \"observe\"` in the configuration, then ask again"));
    }
    let text = seen.usage.draft(vocabulary);
    let file = SourceFile { name: "suggested.cedar".into(), text };
    let bug = |why: String| {
        Failure::found_wanting(format!("the draft does not load, which is a bug of remit:\n{why}"))
    };
    let file = SourceFile { text: format::formatted(&file).map_err(bug)?, ..file };
    let text = file.text.clone();
    let drafted =
        Rules::load(&source.with_policies(file), vocabulary).map_err(|errors| bug(errors.to_string()))?;
    let (replayed, _) = replay::replay(state, &drafted)?;
    screen::print(&text)?;
    for line in in_force(rules, &seen) {
        screen::tell(&line);
    }
    let missed: u64 = replayed.denied.values().sum();
    screen::tell(&format!(
        "drafted from {} calls; under the draft {missed} of those that were allowed would be denied",
        replayed.calls
    ));
    for ((agent, operation, class), calls) in &replayed.denied {
        screen::tell(&format!("  {calls} of {operation} ({class}) by {agent}"));
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What is in force, and what became of it: a policy that decided nothing, a grant that nobody used.
fn in_force(rules: &Rules, seen: &Seen<'_>) -> Vec<String> {
    let nothing = (0, BTreeSet::new());
    let granted = rules.granted();
    let mut lines = Vec::new();
    for id in rules.policies() {
        let (calls, operations) = seen.decided.get(&id).unwrap_or(&nothing);
        if *calls == 0 {
            lines.push(format!("`{id}` is in force and decided no call of the journal"));
            continue;
        }
        let named = granted.iter().find(|granted| granted.policy == id).map(|granted| &granted.actions);
        // Groups are used by whatever is in them; an operation by itself.
        let unused = named
            .into_iter()
            .flatten()
            .filter(|action| action.contains(':') && !operations.contains(*action));
        let unused: Vec<_> = unused.map(|action| format!("`{action}`")).collect();
        let unused = if unused.is_empty() {
            String::new()
        } else {
            format!("; it names and nobody used {}", unused.join(", "))
        };
        lines.push(format!("`{id}` decided {calls} calls of {} operations{unused}", operations.len()));
    }
    lines
}
