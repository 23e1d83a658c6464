//! `remit policy explain`: why a call was ruled as it was.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::failure::Failure;
use super::past::{Past, unreadable};
use super::screen;
use crate::call::{Attributed, Call, CallId, Decision};
use crate::judge::{Explanation, Rules, Vocabulary, lab};
use crate::record::{CallFacts, Filter, What, search};

/// Explains a call of the journal, or (`-`) a request on standard input.
pub(super) fn run(
    which: &str,
    state: &Path,
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
    json: bool,
) -> Result<ExitCode, Failure> {
    let (call, then) =
        if which == "-" { (from_stdin(vocabulary)?, None) } else { from_journal(which, state)? };
    let now = rules.explain(&call);
    let digest = rules.digest().to_string();
    // The call was ruled under other policies than those that explain it.
    let then = then.filter(|facts| facts.rules.as_ref().is_some_and(|rules| *rules != digest));
    if json {
        let before = then.as_ref().map(
            |facts| json!({"rules": facts.rules, "decision": facts.decision, "policies": facts.policies}),
        );
        screen::print_json(&json!({
            "rules": digest, "operations": now.iter().map(as_json).collect::<Vec<_>>(), "ruled_before": before,
        }))?;
    } else {
        let told: Vec<_> = now.iter().map(ToString::to_string).collect();
        screen::print(&format!("{}\n", told.join("\n")))?;
        if let Some(facts) = then {
            let decision = facts.decision.map_or("not ruled", Decision::as_str);
            let rules = facts.rules.unwrap_or_default();
            screen::tell(&format!("it was ruled under other policies ({rules}) then: {decision}"));
        }
    }
    let allowed = now.iter().all(|explanation| explanation.decision == Decision::Allow);
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn as_json(explanation: &Explanation) -> Value {
    let Explanation { operation, class, link, decision, by, failed, near } = explanation;
    let link = link.as_ref().map(|(task, agent)| json!({"task": task, "agent": agent}));
    let near: Vec<_> = near
        .iter()
        .map(|miss| {
            let values: serde_json::Map<_, _> =
                miss.values.iter().map(|(path, value)| (path.clone(), Value::from(value.as_str()))).collect();
            json!({"policy": miss.policy, "unmet": miss.unmet, "values": values})
        })
        .collect();
    json!({
        "operation": operation, "class": class, "in_place_of": link, "decision": decision, "by": by, "failed": failed, "near": near,
    })
}

fn from_stdin(vocabulary: &dyn Vocabulary) -> Result<Call<Attributed>, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(1 << 20).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    lab::call(&text, vocabulary).map_err(|why| {
        Failure::usage(format!("standard input is no request: {why}"))
            .remedy("write the keys of a test case (policies/README.md), as TOML")
    })
}

fn from_journal(which: &str, state: &Path) -> Result<(Call<Attributed>, Option<CallFacts>), Failure> {
    let id: CallId = which.parse().map_err(|_| {
        Failure::usage(format!("`{which}` is no call id")).remedy(
            "it is what the answer's `remit-call` header says; `-` reads a request from standard input",
        )
    })?;
    let mut facts = None;
    let filter = Filter { call: Some(id), ..Filter::default() };
    search(state, &filter, |found| match &found.entry.what {
        What::Opened(call) | What::Refused(call) => {
            facts = Some(CallFacts::clone(call));
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })
    .map_err(unreadable)?;
    let Some(facts) = facts else {
        return Err(Failure::found_wanting(format!(
            "the journal in `{}` has no call `{id}`",
            state.display()
        )));
    };
    let mut past = Past::default();
    for task in facts.task.into_iter().chain(facts.links.iter().map(|link| link.task)) {
        let filter = Filter { task: Some(task), kind: Some("task_opened".into()), ..Filter::default() };
        search(state, &filter, |found| match &found.entry.what {
            What::TaskOpened(opened) if opened.task == task => {
                past.opened(opened.clone());
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .map_err(unreadable)?;
    }
    let call = past.call(&facts).ok_or_else(|| {
        let why = facts.refusal.as_ref().map_or("", |refusal| refusal.message.as_str());
        Failure::found_wanting(format!("no policy was asked about `{id}`: {why}"))
    })?;
    Ok((call, Some(facts)))
}
