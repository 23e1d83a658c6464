//! Calls as a tree on a terminal, for whoever has no tracing backend at hand.
//!
//! ```text
//! ● coder · triage · task 01KB0ZX5D2Q7C3V9T4N8M6R1WE
//! ├─ ✓ github:issues/list  read  GET api.github.com/repos/o/r/issues  200  34.1 ms
//! │  ├─ 0.2 ms   allowed by reads-are-fine
//! │  ├─ 30.0 ms  the origin begins to answer
//! │  └─ 34.1 ms  answered, 0 B sent, 12.3 kB received
//! ├─ ✗ github:issues/create  act  POST api.github.com/repos/o/r/issues  refused policy_denied by acts-need-a-policy
//! │  └─ 0.3 ms   `github:issues/create` (act) is refused by policy acts-need-a-policy
//! ```
//!
//! What strangers chose is stripped of everything that could move the cursor or turn the text round.

use std::io::{self, Write};

use super::pair::Finished;
use crate::call::{Closing, Decision, Outcome};
use crate::record::{CallFacts, RefusalFacts};

/// Whether the terminal wants colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    #[default]
    Never,
    /// ANSI colours (ECMA-48).
    Always,
}

/// Draws calls.
pub struct Tree {
    out: Box<dyn Write + Send>,
    colour: Colour,
    /// Whose calls were drawn last: task, or trace where there is no task.
    under: Option<String>,
}

#[derive(Clone, Copy)]
enum Ink {
    Good,
    Bad,
    Faint,
    Strong,
}

impl Tree {
    /// Draws to `out`. Writes block, so `out` should be a terminal or a file.
    pub fn new(out: Box<dyn Write + Send>, colour: Colour) -> Self {
        Self { out, colour, under: None }
    }

    pub(super) fn show(&mut self, finished: &Finished) -> io::Result<()> {
        let text = self.text(finished);
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn text(&mut self, finished: &Finished) -> String {
        let Finished { facts, closing, .. } = finished;
        let mut text = String::new();
        let under =
            facts.task.map_or_else(|| format!("trace {}", facts.trace), |task| format!("task {task}"));
        if self.under.as_ref() != Some(&under) {
            text.push_str(&self.root(facts, &under));
            self.under = Some(under);
        }
        let (mark, ink, end) = verdict(facts, closing.as_ref());
        let mut line = vec![format!("{} {}", self.paint(ink, mark), self.paint(Ink::Strong, &title(facts)))];
        line.extend(facts.strongest().map(|operation| operation.class.to_string()));
        line.push(format!("{} {}{}", facts.http.method, facts.http.host, clean(&facts.http.path)));
        line.push(self.paint(ink, &end));
        line.extend(closing.as_ref().filter(|c| c.duration_ns != 0).map(|c| ms(c.duration_ns)));
        text.extend(["├─ ", &line.join("  "), "\n"]);
        self.branches(&mut text, facts, closing.as_ref());
        text
    }

    fn root(&self, facts: &CallFacts, under: &str) -> String {
        let agent = facts
            .agent
            .as_ref()
            .map_or("nobody", |agent| agent.as_str().rsplit('/').next().unwrap_or("nobody"));
        let intent = facts.intent.as_ref().map(|intent| format!(" · {intent}")).unwrap_or_default();
        format!(
            "{}{}\n",
            self.paint(Ink::Strong, &format!("● {agent}")),
            self.paint(Ink::Faint, &format!("{intent} · {under}"))
        )
    }

    fn branches(&self, text: &mut String, facts: &CallFacts, closing: Option<&Closing>) {
        let mut branches: Vec<(Option<u64>, String)> = Vec::new();
        if let Some(refusal) = &facts.refusal {
            branches.push((refusal.after_ns, clean(refusal.message.as_str())));
        }
        if let Some(closing) = closing {
            let decided = Some(closing.decided_ns).filter(|&ns| ns != 0);
            branches.push((decided, allowed(facts)));
            branches
                .extend(closing.first_byte_ns.map(|ns| (Some(ns), "the origin begins to answer".to_owned())));
            let took = Some(closing.duration_ns).filter(|&ns| ns != 0);
            branches.push((took, ending(closing)));
        }
        let last = branches.len().saturating_sub(1);
        for (at, (ns, what)) in branches.into_iter().enumerate() {
            let joint = if at == last { "└─" } else { "├─" };
            let time = ns.map(ms).unwrap_or_default();
            text.extend(["│  ", &self.paint(Ink::Faint, &format!("{joint} {time:<8} {what}")), "\n"]);
        }
    }

    fn paint(&self, ink: Ink, text: &str) -> String {
        let code = match (self.colour, ink) {
            (Colour::Never, _) => return text.to_owned(),
            (Colour::Always, Ink::Good) => 32,
            (Colour::Always, Ink::Bad) => 31,
            (Colour::Always, Ink::Faint) => 2,
            (Colour::Always, Ink::Strong) => 1,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

fn title(facts: &CallFacts) -> String {
    match facts.strongest() {
        Some(first) if facts.operations.len() > 1 => {
            clean(&format!("{} and {} more", first.id, facts.operations.len() - 1))
        }
        Some(operation) => clean(&operation.id.to_string()),
        None => "not recognised".to_owned(),
    }
}

fn verdict(facts: &CallFacts, closing: Option<&Closing>) -> (&'static str, Ink, String) {
    if let Some(RefusalFacts { code, .. }) = &facts.refusal {
        return ("✗", Ink::Bad, format!("refused {code}{}", by(facts)));
    }
    let Some(closing) = closing else { return ("?", Ink::Bad, "unknown".to_owned()) };
    if let Some(code) = &closing.refusal {
        return ("✗", Ink::Bad, format!("refused {}", clean(code)));
    }
    match (closing.outcome, closing.status) {
        (Outcome::Answered, Some(status)) => {
            let failed = status >= 400 || closing.grpc_status.is_some_and(|code| code != 0);
            ("✓", if failed { Ink::Bad } else { Ink::Good }, status.to_string())
        }
        (other, _) => ("!", Ink::Bad, other.as_str().replace('_', " ")),
    }
}

fn by(facts: &CallFacts) -> String {
    let policies: Vec<_> = facts.policies.iter().map(|policy| clean(&policy.0)).collect();
    if policies.is_empty() { String::new() } else { format!(" by {}", policies.join(", ")) }
}

fn allowed(facts: &CallFacts) -> String {
    match &facts.observed {
        Some(observed) if observed.decision != Decision::Allow => {
            let policies: Vec<_> = observed.policies.iter().map(|policy| clean(&policy.0)).collect();
            let by = if policies.is_empty() { String::new() } else { format!(" by {}", policies.join(", ")) };
            format!("observed: the policies say {}{by}", observed.decision.as_str())
        }
        _ => format!("allowed{}", by(facts)),
    }
}

fn ending(closing: &Closing) -> String {
    let how = closing.outcome.as_str().replace('_', " ");
    let error = closing.error.as_deref().map(|error| format!(": {}", clean(error))).unwrap_or_default();
    format!("{how}, {} sent, {} received{error}", size(closing.request.bytes), size(closing.response.bytes))
}

/// Milliseconds with one digit behind the point.
fn ms(ns: u64) -> String {
    format!("{}.{} ms", ns / 1_000_000, ns / 100_000 % 10)
}

/// Decimal units (SI), one digit behind the point.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes / 100 % 10),
        1_000_000..1_000_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

/// No control characters, no marks that turn the direction of text (UAX #9).
fn clean(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    text.chars().filter(|&c| !c.is_control() && !turns(c)).collect()
}
