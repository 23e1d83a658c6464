//! A hold on a terminal. What the agent chose came inert from the node; here it is made so once more, because a terminal
//! obeys what it is sent.

use std::fmt::Write as _;

use serde_json::Value;

use crate::call::inert;
use crate::terminal::screen::Paint;
use crate::terminal::task::text;

/// How much of a line is shown, characters.
const LINE_CHARS: usize = 400_000;

/// The whole card.
pub(in crate::terminal) fn shown(hold: &Value, paint: Paint) -> String {
    let mut out = String::new();
    let card = hold.get("card").unwrap_or(&Value::Null);
    let list = |of: &Value, name: &str| -> Vec<Value> {
        of.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let state = text(hold, "state");
    let state = if state == "waiting" { paint.bold(state) } else { state.to_owned() };
    let _ = writeln!(out, "hold {}  {state}, until {}", text(hold, "id"), text(hold, "until"));
    out.push('\n');
    for deed in list(card, "does") {
        let class = text(&deed, "class").to_owned();
        let class = if class == "read" { class } else { paint.red(&class) };
        let _ = writeln!(out, "  {}  [{class}]", paint.bold(&line(text(&deed, "sentence"))));
        let _ = writeln!(out, "      {}  {}", line(text(&deed, "operation")), line(text(&deed, "resource")));
    }
    for warning in list(card, "warnings") {
        let _ = writeln!(out, "  {} {}", paint.red("!"), line(warning.as_str().unwrap_or_default()));
    }
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {} {value}", paint.dim(&format!("{name:<12}")));
        }
    };
    let texts =
        |name: &str| -> Vec<String> { list(card, name).iter().filter_map(Value::as_str).map(line).collect() };
    field("intent", line(text(card, "intent")));
    field("for", line(text(card, "on_behalf_of")));
    field("agents", texts("chain").join(" → "));
    field("task", text(hold, "task").to_owned());
    for reason in list(card, "reasons") {
        let why = line(text(&reason, "reason"));
        field("held by", format!("{}  {why}", line(text(&reason, "policy"))));
    }
    field("wanted", wanted(hold, "wants"));
    let touched = list(card, "touched");
    let touched = touched.iter().map(|row| {
        format!("{} ({} × {})", line(text(row, "operation")), number(row, "calls"), text(row, "class"))
    });
    field("did before", touched.collect::<Vec<_>>().join(", "));
    difference(&mut out, card.get("difference").unwrap_or(&Value::Null), paint);
    for vote in list(hold, "votes") {
        let said = if is_true(&vote, "approves") { "approved" } else { "refused" };
        let note = text(&vote, "note");
        let note = if note.is_empty() { String::new() } else { format!(": {}", line(note)) };
        let name = paint.dim(&format!("{said:<12}"));
        let _ = writeln!(out, "  {name} {} by {}{note}", text(&vote, "at"), line(text(&vote, "by")));
    }
    request(&mut out, card, paint);
    let _ = writeln!(out, "  {} {}", paint.dim("digest      "), text(hold, "digest"));
    out
}

/// What would be sent: the agent's own words from here on.
fn request(out: &mut String, card: &Value, paint: Paint) {
    let body = card.get("body").unwrap_or(&Value::Null);
    let _ = writeln!(out, "\n  {}", paint.dim("what would be sent, in the agent's own words:"));
    let _ = writeln!(out, "  {} {}", line(text(card, "method")), line(text(card, "url")));
    for pair in card.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let part = |n: usize| pair.get(n).and_then(Value::as_str).map(line).unwrap_or_default();
        let _ = writeln!(out, "  {}", paint.dim(&format!("{}: {}", part(0), part(1))));
    }
    let bytes = body.get("bytes").and_then(Value::as_u64).unwrap_or_default();
    match body.get("text").and_then(Value::as_str) {
        Some(said) => {
            out.push('\n');
            for said in said.lines() {
                let _ = writeln!(out, "    {}", line(said));
            }
            if is_true(body, "cut") {
                let _ = writeln!(out, "    … (the body has {bytes} bytes; not all of it is shown)");
            }
        }
        None if bytes > 0 => {
            let media = line(text(body, "media"));
            let _ = writeln!(out, "\n    ({bytes} bytes of {media}, not shown)");
        }
        None => {}
    }
    out.push('\n');
}

fn difference(out: &mut String, difference: &Value, paint: Paint) {
    let Some(from) = difference.get("from").and_then(Value::as_str) else { return };
    let places = |name: &str| -> Vec<String> {
        let all = difference.get(name).and_then(Value::as_array);
        all.into_iter().flatten().filter_map(Value::as_str).map(line).collect()
    };
    let mut said: Vec<String> = Vec::new();
    for (name, sign) in [("changed", "~"), ("added", "+"), ("removed", "-")] {
        said.extend(places(name).iter().map(|place| format!("{sign}{place}")));
    }
    let said = if said.is_empty() { "none".to_owned() } else { said.join(" ") };
    let _ = writeln!(out, "  {} {said}  (since hold {from})", paint.dim("difference  "));
}

/// `1 of approvers, 2 of security`.
pub(super) fn wanted(hold: &Value, name: &str) -> String {
    let all = hold.get(name).and_then(Value::as_object);
    let one = |(group, votes): (&String, &Value)| format!("{votes} of {}", line(group));
    all.into_iter().flatten().map(one).collect::<Vec<_>>().join(", ")
}

fn is_true(of: &Value, name: &str) -> bool {
    of.get(name) == Some(&Value::Bool(true))
}

fn number(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn line(text: &str) -> String {
    inert::text(text, LINE_CHARS).into_owned()
}
