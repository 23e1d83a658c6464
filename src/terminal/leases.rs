//! What `remit task show` and `remit run` tell of a task's leases: each of them, and whether everything is gone.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::{Lean, Table};
use super::task::text;

/// The leases of a task as a table, and the answer to "is everything gone?". Nothing where there never were any.
pub(super) fn shown(task: &Value) -> String {
    let leases = leases(task);
    if leases.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("lease", Lean::Left),
        ("state", Lean::Left),
        ("service", Lean::Left),
        ("provider", Lean::Left),
        ("scope", Lean::Left),
        ("until", Lean::Left),
    ]);
    for lease in &leases {
        let cell = |name| text(lease, name).to_owned();
        let until = match cell("until") {
            never if never.is_empty() => "-".to_owned(),
            until => until,
        };
        table.row(vec![cell("id"), state(lease), cell("service"), cell("provider"), cell("scope"), until]);
    }
    let mut lines = format!("\n{}", table.text());
    for lease in leases.iter().filter(|lease| !text(lease, "why").is_empty()) {
        let _ = writeln!(lines, "{}: {}", text(lease, "id"), text(lease, "why"));
    }
    let _ = writeln!(lines, "everything gone?  {}", gone(task));
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
    format!("{}{}", text(lease, "state"), if late { " (overdue)" } else { "" })
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
        _ => "nobody knows: look at the leases that are lost".to_owned(),
    }
}

#[cfg(test)]
mod tests;
