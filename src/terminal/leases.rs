//! `remit lease`, and what `remit task show` and `remit run` tell of a task's leases: each of them, and whether everything is gone.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::failure::Failure;
use super::find::NodeArguments;
use super::screen;
use super::table::{Lean, Table};
use super::task::text;

/// List leases, and say what was found of those that were lost
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit lease list --state lost\n\n\
    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the node cannot be reached.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    node: NodeArguments,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the leases that are known, oldest first
    #[command(
        after_help = "Example:\n  remit lease list --state lost --json\n\nExit codes: 0 done, 2 wrong usage, 3 the node cannot be reached."
    )]
    List {
        /// Those of one task
        #[arg(long, value_name = "ID")]
        task: Option<String>,
        /// Those in one state
        #[arg(long, value_parser = ["minting", "active", "revoking", "revoked", "expired", "lost"])]
        state: Option<String>,
    },
    /// Say that you looked at the provider, and that nothing of a lost lease works any more
    #[command(
        after_help = "Example:\n  remit lease seen 01K4B3M0Q2W8R6T5Y7P9S1D3FG --note \"no such token there\"\n\nExit codes: 0 done, 1 refused, 2 wrong usage, 3 the node cannot be reached."
    )]
    Seen {
        /// The lease, as `remit lease list --state lost` shows it
        id: String,
        /// What you found; it stands in the journal beside your name
        #[arg(long)]
        note: Option<String>,
    },
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let admin = arguments.node.admin()?;
    let (answer, told): (Value, fn(&Value) -> String) = match arguments.verb {
        Verb::List { task, state } => {
            let given = [("task", task), ("state", state)];
            let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
            let query = form_urlencoded(given);
            (admin.get(&format!("/v1/leases{query}")).await?, |answer| {
                let leases: Vec<_> =
                    answer.get("leases").and_then(Value::as_array).into_iter().flatten().collect();
                listed(&leases)
            })
        }
        Verb::Seen { id, note } => {
            let path = format!("/v1/leases/{}/seen", escaped(&id));
            (admin.post(&path, &json!({ "note": note })).await?, |answer| {
                let seen = answer.get("seen").unwrap_or(&Value::Null);
                format!("{} is gone, by the word of {}\n", text(answer, "id"), text(seen, "by"))
            })
        }
    };
    if arguments.json {
        screen::print_json(&answer)?;
    } else {
        screen::print(&told(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn form_urlencoded(given: impl Iterator<Item = (&'static str, String)>) -> String {
    let pairs: Vec<_> = given.map(|(name, value)| format!("{name}={}", escaped(&value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn escaped(text: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

/// The leases of a task as a table, and the answer to "is everything gone?". Nothing where there never were any.
pub(super) fn shown(task: &Value) -> String {
    let leases = leases(task);
    if leases.is_empty() {
        return String::new();
    }
    let mut lines = format!("\n{}", listed(&leases));
    let _ = writeln!(lines, "everything gone?  {}", gone(task));
    lines
}

/// Leases as a table, with what is in the way of each.
fn listed(leases: &[&Value]) -> String {
    let mut table = Table::new(&[
        ("lease", Lean::Left),
        ("state", Lean::Left),
        ("service", Lean::Left),
        ("provider", Lean::Left),
        ("scope", Lean::Left),
        ("until", Lean::Left),
    ]);
    for lease in leases {
        let cell = |name| text(lease, name).to_owned();
        let until = match cell("until") {
            never if never.is_empty() => "-".to_owned(),
            until => until,
        };
        table.row(vec![cell("id"), state(lease), cell("service"), cell("provider"), cell("scope"), until]);
    }
    let mut lines = table.text();
    for lease in leases.iter().filter(|lease| !text(lease, "why").is_empty()) {
        let _ = writeln!(lines, "{}: {}", text(lease, "id"), text(lease, "why"));
    }
    lines
}

/// One line for the end of `remit run`; nothing where there is nothing to tell.
pub(super) fn left(task: &Value) -> Option<String> {
    if leases(task).is_empty() {
        return None;
    }
    Some(format!("its credentials: everything gone? {}", gone(task)))
}

/// Whether something of a task that is over is still in use or being taken back.
pub(super) fn is_under_way(task: &Value) -> bool {
    !leases(task).is_empty() && text(task.get("gone").unwrap_or(&Value::Null), "answer") == "no"
}

fn leases(task: &Value) -> Vec<&Value> {
    task.get("leases").and_then(Value::as_array).into_iter().flatten().collect()
}

fn state(lease: &Value) -> String {
    let late = lease.get("overdue").and_then(Value::as_bool).unwrap_or_default();
    let more = match (late, lease.get("seen").is_some()) {
        (true, _) => " (overdue)",
        (false, true) => " (seen)",
        (false, false) => "",
    };
    format!("{}{more}", text(lease, "state"))
}

fn gone(task: &Value) -> String {
    let gone = task.get("gone").unwrap_or(&Value::Null);
    match text(gone, "answer") {
        "yes" => "yes".to_owned(),
        "no" if text(task, "state") == "open" => "no: the task is open".to_owned(),
        "no" => "no: it is being taken back".to_owned(),
        "until" => format!("nobody can take back what works until {}", text(gone, "at")),
        "stays" => {
            "yes for the agent; a key that was there before stays at its service, and remit alone holds it"
                .to_owned()
        }
        "attested" => {
            format!("yes, by the word of {}, who looked at {}", text(gone, "by"), text(gone, "at"))
        }
        _ => "nobody knows: look at the provider for the leases that are lost, then say so with `remit lease seen ID`"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
