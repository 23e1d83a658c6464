//! Who delegated to whom: tasks as a tree, drawn by the server.

use std::collections::HashSet;

use maud::{Markup, html};

use super::parts;
use crate::call::{TaskId, inert};
use crate::intent::{TaskLine, TaskState};

/// Tasks that are drawn at most.
const MOST: usize = 60;
const COLUMN: usize = 220;
const ROW: usize = 58;
const WIDE: usize = 184;
const TALL: usize = 44;

struct Placed<'t> {
    line: &'t TaskLine,
    depth: usize,
    row: usize,
    /// Where its parent stands among the placed.
    above: Option<usize>,
}

/// The tree that a task belongs to; nothing where it stands alone.
pub(super) fn of(task: TaskId, lines: &[TaskLine]) -> Option<Markup> {
    let placed = place(root(task, lines)?, lines);
    if placed.len() < 2 {
        return None;
    }
    let deepest = placed.iter().map(|one| one.depth).max().unwrap_or_default();
    let rows = placed.iter().map(|one| one.row).max().unwrap_or_default() + 1;
    let (width, height) = (deepest * COLUMN + WIDE + 4, (rows - 1) * ROW + TALL + 4);
    let label = format!("{} tasks, {} deep", placed.len(), deepest + 1);
    Some(html! {
        div.tree tabindex="0" role="region" aria-label="The delegation tree" {
            svg role="group" aria-label=(label) width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
                @for one in &placed {
                    @if let Some(above) = one.above.and_then(|at| placed.get(at)) {
                        path.link d={ "M" (x(above) + WIDE) " " (y(above) + TALL / 2) "C" (x(one) - 14) " " (y(above) + TALL / 2) " " (x(one) - 22) " " (y(one) + TALL / 2) " " (x(one)) " " (y(one) + TALL / 2) } {}
                    }
                }
                @for one in &placed { (node(one, task)) }
            }
        }
        @if placed.len() == MOST { p.muted { "Only " (MOST) " tasks are drawn." } }
    })
}

fn x(one: &Placed<'_>) -> usize {
    one.depth * COLUMN + 2
}

fn y(one: &Placed<'_>) -> usize {
    one.row * ROW + 2
}

fn node(one: &Placed<'_>, here: TaskId) -> Markup {
    let task = &one.line.task;
    let state = match one.line.state {
        TaskState::Open => "open",
        TaskState::Ended { .. } => "ended",
    };
    let is_here = task.id == here;
    let agent = inert::text(parts::short_agent(task.agent.as_str()), 22).into_owned();
    html! {
        a href={ "/console/tasks/" (task.id) } aria-current=[is_here.then_some("true")] {
            rect class={ (state) @if is_here { " here" } } x=(x(one)) y=(y(one)) width=(WIDE) height=(TALL) rx="5" {}
            text.who x=(x(one) + 10) y=(y(one) + 18) { (agent) }
            text.why x=(x(one) + 10) y=(y(one) + 35) { (inert::text(task.intent.as_str(), 18)) " · " (state) }
        }
    }
}

/// The task at the top.
fn root(task: TaskId, lines: &[TaskLine]) -> Option<&TaskLine> {
    let find = |id: TaskId| lines.iter().find(|line| line.task.id == id);
    let mut at = find(task)?;
    // Bounded, whatever the store says.
    for _ in 0..lines.len() {
        match at.task.terms.parent.and_then(find) {
            Some(above) => at = above,
            None => break,
        }
    }
    Some(at)
}

/// Depth first, each leaf in a row of its own, and each parent in the row of its first child.
fn place<'t>(root: &'t TaskLine, lines: &'t [TaskLine]) -> Vec<Placed<'t>> {
    let (mut placed, mut seen): (Vec<Placed<'t>>, _) = (Vec::new(), HashSet::new());
    let mut waiting = vec![(root, 0, None)];
    let mut rows = 0;
    while let Some((line, depth, above)) = waiting.pop() {
        if !seen.insert(line.task.id) || placed.len() == MOST {
            continue;
        }
        let at = placed.len();
        let is_first = above.is_some_and(|above| above + 1 == at);
        if at > 0 && !is_first {
            rows += 1;
        }
        placed.push(Placed { line, depth, row: rows, above });
        let below = lines.iter().rev().filter(|below| below.task.terms.parent == Some(line.task.id));
        waiting.extend(below.map(|below| (below, depth + 1, Some(at))));
    }
    placed
}
