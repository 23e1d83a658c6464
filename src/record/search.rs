//! Search: entries by what they say, straight from the segments.
//!
//! A linear scan. What can be told from the bytes of a line (its time, and that a wanted word is not in it) is told
//! before the line is parsed, so most lines cost a look and no more. An index would be another file to keep true.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::Path;

use super::entry::{Entry, What, instant};
use super::error::JournalError;
use super::segment;
use crate::call::{CallId, Class, Decision, EntryId, SpiffeId, TaskId, Timestamp};

/// What to look for; what is empty asks nothing, and everything that is asked must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// A SPIFFE ID, or the last part of one.
    pub agent: Option<String>,
    /// A task.
    pub task: Option<TaskId>,
    /// The class of one of the call's operations.
    pub class: Option<Class>,
    /// What was decided; a call that was refused before any policy was asked counts as denied.
    pub decision: Option<Decision>,
    /// The id of one of the call's operations; `github:*` means all that begin so.
    pub operation: Option<String>,
    /// The host that was called.
    pub host: Option<String>,
    /// The kind of the entry, as it stands in the line.
    pub kind: Option<String>,
    /// The call.
    pub call: Option<CallId>,
    /// Written at this time or later.
    pub since: Option<Timestamp>,
    /// Written before this time.
    pub until: Option<Timestamp>,
}

/// An entry that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// What it says.
    pub entry: &'a Entry,
    /// Its line, without the newline.
    pub line: &'a str,
}

/// Gives each entry that the filter lets through to `take`, in order, until that says enough. Closings carry no more than
/// the call's id: they are let through where the opening was.
pub fn search(
    state_dir: &Path,
    filter: &Filter,
    mut take: impl FnMut(Found<'_>) -> ControlFlow<()>,
) -> Result<(), JournalError> {
    let folder = segment::folder(state_dir);
    let mut look = Look::new(filter);
    for first in segment::list(&folder)? {
        let path = segment::path(&folder, first);
        let failed = |e| JournalError::disk("read", &path, e);
        let mut reader = BufReader::with_capacity(1 << 18, File::open(&path).map_err(failed)?);
        let (mut line, mut offset) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line).map_err(failed)? != 0 {
            // Half a line is a write that is under way, or what a crash left.
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            let damaged = |why: String| JournalError::Damaged { path: path.clone(), offset, why };
            let text = std::str::from_utf8(whole).map_err(|e| damaged(format!("it is not UTF-8 ({e})")))?;
            if look.may_match(text) {
                let entry: Entry =
                    serde_json::from_str(text).map_err(|e| damaged(format!("the line is no entry ({e})")))?;
                if look.matches(&entry) && take(Found { entry: &entry, line: text }).is_break() {
                    return Ok(());
                }
            }
            offset += line.len() as u64;
            line.clear();
        }
    }
    Ok(())
}

/// The number of the entry from which on `count` are written, or the oldest that is kept.
pub fn last(state_dir: &Path, count: u64) -> Result<EntryId, JournalError> {
    let folder = segment::folder(state_dir);
    let Some(&newest) = segment::list(&folder)?.last() else { return Ok(EntryId(0)) };
    let path = segment::path(&folder, newest);
    let failed = |e| JournalError::disk("read", &path, e);
    let mut reader = BufReader::with_capacity(1 << 18, File::open(&path).map_err(failed)?);
    let (mut line, mut end) = (Vec::new(), newest);
    while reader.read_until(b'\n', &mut line).map_err(failed)? != 0 {
        end += u64::from(line.ends_with(b"\n"));
        line.clear();
    }
    Ok(EntryId(end.saturating_sub(count)))
}

/// A filter at work.
struct Look<'a> {
    filter: &'a Filter,
    /// Words that an entry of interest must have in its line; closings excepted.
    words: Vec<String>,
    since: Option<String>,
    until: Option<String>,
    /// Calls that were let through and are not closed yet.
    open: HashSet<CallId>,
}

const CLOSED: &str = r#""kind":"closed","#;
const AT: &str = r#""at":""#;

impl<'a> Look<'a> {
    fn new(filter: &'a Filter) -> Self {
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        // A wanted word as it would stand in the line, less the quotes where only a part of it is asked for.
        let bare = |text: &str| quoted(text).trim_matches('"').to_owned();
        let words = [
            filter.agent.as_deref().map(bare),
            filter.task.map(|task| task.to_string()),
            filter.class.map(|class| quoted(class.as_str())),
            filter.operation.as_deref().map(|operation| bare(operation.trim_end_matches('*'))),
            filter.host.as_deref().map(quoted),
            // Which closings are wanted, their openings tell.
            filter.kind.as_deref().filter(|kind| *kind != "closed").map(quoted),
            filter.call.map(|call| call.to_string()),
        ];
        Self {
            filter,
            words: words.into_iter().flatten().collect(),
            since: filter.since.map(instant::to_text),
            until: filter.until.map(instant::to_text),
            open: HashSet::new(),
        }
    }

    /// False only where the entry cannot match.
    fn may_match(&self, line: &str) -> bool {
        // The time is at the front of every line and of one length, so text compares as time does.
        let at = line.split_once(AT).map_or("", |(_, rest)| rest);
        if self.since.as_deref().is_some_and(|since| at < since)
            || self.until.as_deref().is_some_and(|until| at.get(..until.len()).is_some_and(|at| at >= until))
        {
            return false;
        }
        let of_open = || {
            !self.open.is_empty()
                && self.filter.kind.as_deref().is_none_or(|kind| kind == "closed")
                && line.contains(CLOSED)
        };
        self.words.iter().all(|word| line.contains(word.as_str())) || of_open()
    }

    fn matches(&mut self, entry: &Entry) -> bool {
        let filter = self.filter;
        let in_time = filter.since.is_none_or(|since| entry.at >= since)
            && filter.until.is_none_or(|until| entry.at < until);
        let of_kind = filter.kind.as_deref().is_none_or(|kind| kind == entry.what.kind());
        if !in_time {
            return false;
        }
        match &entry.what {
            What::Opened(facts) => {
                let wanted = filter.matches(&entry.what);
                if wanted {
                    self.open.insert(facts.call);
                }
                wanted && of_kind
            }
            What::Closed(closed) => {
                let ours = self.open.remove(&closed.call);
                (ours || filter.matches(&entry.what)) && of_kind
            }
            other => of_kind && filter.matches(other),
        }
    }
}

impl Filter {
    fn matches(&self, what: &What) -> bool {
        match what {
            What::Opened(facts) | What::Refused(facts) => {
                let some =
                    |asked: &dyn Fn(&crate::call::Operation) -> bool| facts.operations.iter().any(asked);
                let decision = facts.decision.or(facts.refusal.as_ref().map(|_| Decision::Deny));
                self.is_agent(facts.agent.as_ref())
                    && self.task.is_none_or(|task| facts.task == Some(task))
                    && self.call.is_none_or(|call| facts.call == call)
                    && self.class.is_none_or(|class| some(&|operation| operation.class == class))
                    && self.decision.is_none_or(|wanted| decision == Some(wanted))
                    && self.operation.as_deref().is_none_or(|wanted| some(&|one| named(&one.id.0, wanted)))
                    && self.host.as_deref().is_none_or(|host| facts.http.host == host)
            }
            What::TaskOpened(task) => {
                self.is_agent(Some(&task.agent))
                    && self.task.is_none_or(|wanted| task.task == wanted)
                    && !self.asks_of_calls()
            }
            What::TaskEnded { task, .. } => {
                self.agent.is_none()
                    && self.task.is_none_or(|wanted| *task == wanted)
                    && !self.asks_of_calls()
            }
            What::Closed(closed) if self.call.is_some() => self.call == Some(closed.call),
            _ => self.agent.is_none() && self.task.is_none() && !self.asks_of_calls(),
        }
    }

    /// Whether it asks something that only a call can answer.
    fn asks_of_calls(&self) -> bool {
        self.class.is_some()
            || self.decision.is_some()
            || self.operation.is_some()
            || self.host.is_some()
            || self.call.is_some()
    }

    fn is_agent(&self, agent: Option<&SpiffeId>) -> bool {
        let Some(wanted) = self.agent.as_deref() else { return true };
        let Some(agent) = agent.map(SpiffeId::as_str) else { return false };
        agent == wanted || agent.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/'))
    }
}

fn named(id: &str, wanted: &str) -> bool {
    wanted.strip_suffix('*').map_or(id == wanted, |beginning| id.starts_with(beginning))
}
