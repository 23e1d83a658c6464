//! What a task did, as a table.

use serde_json::Value;

use crate::terminal::leases;
use crate::terminal::screen::Paint;
use crate::terminal::table::{Lean, Table};
use crate::terminal::task::text;

/// The end of a `remit run`: one line, and the table if there is anything in it.
pub(in crate::terminal) fn report(task: &Value, paint: Paint) -> String {
    let rows = rows(task);
    let all: u64 = rows.iter().map(|row| calls(row)).sum();
    let decided = |decision: &str| -> u64 {
        rows.iter().filter(|row| text(row, "decision") == decision).map(|row| calls(row)).sum()
    };
    let (held, refused) = (decided("hold"), all - decided("allow") - decided("hold"));
    let who = paint.bold(&format!("remit: task {}", text(task, "id")));
    if all == 0 {
        return format!("{who} made no calls through the proxy");
    }
    let refused = match refused {
        0 => "none refused".to_owned(),
        number => paint.red(&format!("{number} refused")),
    };
    let held = if held == 0 { String::new() } else { format!(", {}", paint.red(&format!("{held} held"))) };
    let noun = if all == 1 { "call" } else { "calls" };
    let leases = leases::left(task).map(|left| format!("\n{left}")).unwrap_or_default();
    format!("{who} made {all} {noun}, {refused}{held}\n{}{leases}", table(task, paint).trim_end())
}

/// One line an operation and decision.
pub(in crate::terminal) fn table(task: &Value, paint: Paint) -> String {
    let mut table = Table::new(&[
        ("calls", Lean::Right),
        ("class", Lean::Left),
        ("operation", Lean::Left),
        ("decision", Lean::Left),
        ("refusal", Lean::Left),
    ]);
    for row in rows(task) {
        let cell = |name| text(row, name).to_owned();
        table.row(vec![
            calls(row).to_string(),
            cell("class"),
            cell("operation"),
            cell("decision"),
            cell("refusal"),
        ]);
    }
    painted(&table.text(), paint)
}

/// Colours whole lines, after alignment: escape sequences have no width, but count as letters.
fn painted(text: &str, paint: Paint) -> String {
    let mut whole = String::new();
    for (number, line) in text.lines().enumerate() {
        let refused = line.split_whitespace().nth(3) != Some("allow");
        whole += &match number {
            0 => paint.dim(line),
            _ if refused => paint.red(line),
            _ => line.to_owned(),
        };
        whole.push('\n');
    }
    whole
}

fn rows(task: &Value) -> Vec<&Value> {
    task.get("summary").and_then(Value::as_array).into_iter().flatten().collect()
}

fn calls(row: &Value) -> u64 {
    row.get("calls").and_then(Value::as_u64).unwrap_or(0)
}
