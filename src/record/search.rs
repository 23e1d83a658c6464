//! Search: entries by what they say.
//!
//! Segments that are over have an [`Index`](super::index) which tells the lines to look at; the one that is written to is
//! read from front to back. Whichever way a line is found, [`Look`] judges it by its own words.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::Path;

use super::entry::{Entry, What, instant};
use super::error::JournalError;
pub use super::filter::Filter;
use super::filter::{CLOSED, Shape};
use super::index::{Index, Line};
use super::segment;
use crate::call::{CallId, EntryId};

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
    take: impl FnMut(Found<'_>) -> ControlFlow<()>,
) -> Result<(), JournalError> {
    search_from(state_dir, filter, EntryId(0), take)
}

/// Like [`search`], but nothing of segments that lie wholly before entry `from` is looked at.
pub fn search_from(
    state_dir: &Path,
    filter: &Filter,
    from: EntryId,
    mut take: impl FnMut(Found<'_>) -> ControlFlow<()>,
) -> Result<(), JournalError> {
    let folder = segment::folder(state_dir);
    let mut look = Look::new(filter);
    let firsts = segment::list(&folder)?;
    for (at, &first) in firsts.iter().enumerate() {
        let next = firsts.get(at + 1);
        if next.is_some_and(|next| *next <= from.0) {
            continue;
        }
        let path = segment::path(&folder, first);
        let has_index = next.is_some() && filter.asks();
        let looked = match has_index.then(|| Index::of(&folder, first).ok()).flatten() {
            Some(index) => look.picked(&path, &index.candidates(filter), &mut take),
            // Without one, or where the segment is damaged, from front to back: that finds what is before the damage.
            None => look.scan(&path, &mut take),
        };
        match looked {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return Ok(()),
            // Retired under our hands.
            Err(JournalError::Disk { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An entry from which on about `count` calls and events are found, told from the indexes alone; the first of all where
/// there are fewer.
pub fn latest(state_dir: &Path, filter: &Filter, count: usize) -> Result<EntryId, JournalError> {
    let folder = segment::folder(state_dir);
    let firsts = segment::list(&folder)?;
    let mut found = 0;
    // The newest has no index, and what it has comes on top.
    for &first in firsts.iter().rev().skip(1) {
        // A damaged segment is told of by the search itself.
        found += Index::of(&folder, first).map_or(0, |index| index.count(filter));
        if found >= count {
            return Ok(EntryId(first));
        }
    }
    Ok(EntryId(0))
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
pub(super) struct Look<'a> {
    filter: &'a Filter,
    /// Words that an entry of interest must have in its line; closings excepted.
    words: Vec<String>,
    since: Option<String>,
    until: Option<String>,
    /// Calls that were let through and are not closed yet.
    open: HashSet<CallId>,
}

const CLOSING: &str = r#""kind":"closed","#;
const AT: &str = r#""at":""#;

impl<'a> Look<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
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
            filter.kind.as_deref().filter(|kind| *kind != CLOSED).map(quoted),
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

    /// Reads a whole segment. What can be told from the bytes of a line is told before the line is parsed.
    fn scan(
        &mut self,
        path: &Path,
        take: &mut impl FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, JournalError> {
        let failed = |e| JournalError::disk("read", path, e);
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(failed)?);
        let (mut line, mut offset) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line).map_err(failed)? != 0 {
            // Half a line is a write that is under way, or what a crash left.
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            if self.may_match(whole) && self.judge(whole, path, offset, take)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            offset += line.len() as u64;
            line.clear();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads these lines of a segment.
    fn picked(
        &mut self,
        path: &Path,
        lines: &[Line],
        take: &mut impl FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, JournalError> {
        if lines.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let failed = |e| JournalError::disk("read", path, e);
        let mut reader = BufReader::with_capacity(1 << 14, File::open(path).map_err(failed)?);
        let (mut bytes, mut here) = (Vec::new(), 0);
        for line in lines {
            let gap = i64::try_from(line.offset - here).unwrap_or(i64::MAX);
            reader.seek_relative(gap).map_err(failed)?;
            bytes.resize(usize::try_from(line.bytes).unwrap_or_default(), 0);
            reader.read_exact(&mut bytes).map_err(failed)?;
            here = line.offset + u64::from(line.bytes);
            let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            if self.judge(whole, path, line.offset, take)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn judge(
        &mut self,
        line: &[u8],
        path: &Path,
        offset: u64,
        take: &mut impl FnMut(Found<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, JournalError> {
        let damaged = |why: String| JournalError::Damaged { path: path.to_owned(), offset, why };
        let text = std::str::from_utf8(line).map_err(|e| damaged(format!("it is not UTF-8 ({e})")))?;
        let entry: Entry =
            serde_json::from_str(text).map_err(|e| damaged(format!("the line is no entry ({e})")))?;
        if self.matches(&entry) {
            Ok(take(Found { entry: &entry, line: text }))
        } else {
            Ok(ControlFlow::Continue(()))
        }
    }

    /// Whether the entry, and so every one before it, was written before the time that is asked for.
    pub(super) fn is_before_all(&self, line: &[u8]) -> bool {
        let (Some(since), Ok(line)) = (self.since.as_deref(), std::str::from_utf8(line)) else {
            return false;
        };
        line.split_once(AT).is_some_and(|(_, rest)| rest < since)
    }

    /// False only where the entry cannot match.
    pub(super) fn may_match(&self, line: &[u8]) -> bool {
        // What is no text is damage, and told as such.
        let Ok(line) = std::str::from_utf8(line) else { return true };
        // The time is at the front of every line and of one length, so text compares as time does.
        let at = line.split_once(AT).map_or("", |(_, rest)| rest);
        if self.since.as_deref().is_some_and(|since| at < since)
            || self.until.as_deref().is_some_and(|until| at.get(..until.len()).is_some_and(|at| at >= until))
        {
            return false;
        }
        let of_open = || {
            !self.open.is_empty()
                && self.filter.kind.as_deref().is_none_or(|kind| kind == CLOSED)
                && line.contains(CLOSING)
        };
        self.words.iter().all(|word| line.contains(word.as_str())) || of_open()
    }

    pub(super) fn matches(&mut self, entry: &Entry) -> bool {
        let filter = self.filter;
        let in_time = filter.since.is_none_or(|since| entry.at >= since)
            && filter.until.is_none_or(|until| entry.at < until);
        if !in_time {
            return false;
        }
        let of_kind = filter.kind.as_deref().is_none_or(|kind| kind == entry.what.kind());
        let is_call = |call: CallId| filter.call.is_none_or(|wanted| wanted == call);
        match &entry.what {
            What::Opened(facts) => {
                let wanted = is_call(facts.call) && filter.matches(&Shape::of(&entry.what));
                if wanted {
                    self.open.insert(facts.call);
                }
                wanted && of_kind
            }
            What::Refused(facts) => of_kind && is_call(facts.call) && filter.matches(&Shape::of(&entry.what)),
            What::Closed(closed) => {
                let ours = self.open.remove(&closed.call);
                (ours || (is_call(closed.call) && !filter.asks_of_shapes())) && of_kind
            }
            other => of_kind && filter.call.is_none() && filter.matches(&Shape::of(other)),
        }
    }
}
