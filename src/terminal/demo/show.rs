//! The demo's words. (Writing into a text cannot fail, so what `write!` returns is dropped.)

use std::fmt::Write as _;

use serde_json::Value;

use super::story::{Step, Story};
use crate::runtime::NodeFacts;
use crate::terminal::client::Answer;
use crate::terminal::screen::Paint;

/// Lines are broken before this, so that they fit a terminal.
const WIDTH: usize = 100;

pub(super) fn opening(story: &Story, facts: &NodeFacts, paint: Paint) -> String {
    format!(
        "{}\nA node runs inside this process at {}. The agent `{}` calls {} through it.\n\
         That name is mapped onto a small origin in this process: nothing leaves the machine.\n",
        paint.bold("remit demo"),
        facts.proxy,
        story.agent,
        story.host
    )
}

pub(super) fn question(number: usize, step: &Step, story: &Story, paint: Paint) -> String {
    let mut text = format!(
        "\n{}\n  agent      {}\n  sent       {} https://{}{}\n",
        paint.bold(&format!("{number}. {}", step.title)),
        step.says,
        step.method,
        story.host,
        step.path
    );
    if !step.body.is_empty() {
        let _ = writeln!(text, "             {}", step.body);
    }
    text
}

/// What came back: the origin's answer, or what remit says instead (RFC 9457).
pub(super) fn answer(answer: &Answer, paint: Paint) -> String {
    let header =
        |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = answer.status.to_string();
    let refusal = header("remit-refusal");
    if refusal.is_empty() && answer.status.is_success() {
        let body = String::from_utf8_lossy(&answer.body);
        return format!("  came back  {}\n{}", paint.green(&status), indented(&body));
    }
    let mut text = format!("  came back  {}\n", paint.red(&format!("{status}, remit-refusal: {refusal}")));
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(Value::Object(problem)) => {
            // The detail says it all in one sentence; the other members are the same for programs.
            for value in [problem.get("detail").or(problem.get("title"))].into_iter().flatten() {
                text += &indented(&plain(value));
            }
            let members: Vec<_> = ["operation", "class", "policies", "approvers"]
                .iter()
                .filter_map(|name| problem.get(*name).map(|value| format!("{name}: {}", plain(value))))
                .collect();
            text += &indented(&paint.dim(&members.join(" · ")));
        }
        _ => text += &indented(&String::from_utf8_lossy(&answer.body)),
    }
    text
}

pub(super) fn span(tree: &str, paint: Paint) -> String {
    if tree.is_empty() {
        return format!("  {}\n", paint.dim("its span is late; the journal has it"));
    }
    let mut text = "  its span\n".to_owned();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "    {line}");
    }
    text
}

pub(super) fn closing(seen: &[String], paint: Paint) -> String {
    let mut text = format!("\n{}\n", paint.bold("What reached the origin"));
    for line in seen {
        let _ = writeln!(text, "  {line}");
    }
    text + &format!(
        "  and nothing else: what is refused never leaves remit, and what waits for a person leaves it once they said yes.\n\n{}\n\
        \x20 remit run -- CMD ...       your own agent behind remit, with a table of what it did at the end\n\
        \x20 remit catalog list         the services that it knows\n\
        \x20 remit policy test          the policies, and what they say of example calls (policies/README.md)\n\
        \x20 remit serve                one node for many agents (config.toml)\n",
        paint.bold("Next")
    )
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

/// The text under its line, broken at blanks.
fn indented(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH - 13 {
            let _ = writeln!(lines, "             {line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    if line.is_empty() { lines } else { lines + &format!("             {line}\n") }
}
