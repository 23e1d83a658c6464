//! The latest calls first, each with its end: what a listing shows, page by page.
//!
//! Read from the back. A call's closing stands behind its opening, so it is met first and waits for it. Segments that are over
//! are looked at by their index where the filter asks for anything; the one that is written to is read as it is, and no
//! line is parsed that cannot match.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::entry::{Entry, What};
use super::error::JournalError;
use super::filter::{CLOSED, Filter, OPENED};
use super::index::Index;
use super::search::Look;
use super::{segment, sweep};
use crate::call::{CallId, EntryId};

/// Bytes that are read at one time.
const BLOCK: u64 = 1 << 20;

/// A call as the journal tells it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its opening, or the refusal.
    pub opening: Entry,
    /// That entry's line, without the newline.
    pub line: String,
    /// Its end; none: it is under way, or it was refused.
    pub end: Option<Box<(Entry, String)>>,
}

/// Some calls, the latest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The calls.
    pub calls: Vec<Told>,
    /// Where to go on, if not all was looked at: `before` of the next page.
    pub next: Option<EntryId>,
}

/// How much is wanted of one search.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Only calls that were opened before this entry.
    pub before: Option<EntryId>,
    /// At most so many.
    pub limit: usize,
    /// After so long it gives back what it has.
    pub patience: Duration,
}

/// The latest calls that a filter lets through.
pub fn calls(state_dir: &Path, filter: &Filter, extent: Extent) -> Result<Page, JournalError> {
    let folder = segment::folder(state_dir);
    let firsts = segment::list(&folder)?;
    let (mut backwards, mut stopped) = (Backwards::new(filter, extent), false);
    // Ends that stand further behind than the next segment are looked up one by one.
    let wanted = extent.before.map_or(usize::MAX, |before| firsts.partition_point(|first| *first < before.0));
    for (at, &first) in firsts.iter().enumerate().rev().filter(|(at, _)| *at <= wanted) {
        let path = segment::path(&folder, first);
        let has_index = at + 1 != firsts.len() && filter.asks();
        let looked = match has_index.then(|| Index::of(&folder, first).ok()).flatten() {
            Some(index) => backwards.picked(&path, &index.candidates(filter)),
            None => backwards.whole(&path),
        };
        match looked {
            Ok(Step::On) => {}
            Ok(Step::Enough) => {
                stopped = true;
                break;
            }
            // Retired under our hands, as are all before it.
            Err(JournalError::Disk { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    let mut page = backwards.page;
    if !stopped {
        page.next = None;
    }
    if wanted.saturating_add(1) < firsts.len() {
        for told in page.calls.iter_mut().filter(|told| told.end.is_none()) {
            if let What::Opened(facts) = &told.opening.what {
                told.end = one(state_dir, facts.call)?.and_then(|whole| whole.end);
            }
        }
    }
    Ok(page)
}

/// One call.
pub fn one(state_dir: &Path, call: CallId) -> Result<Option<Told>, JournalError> {
    let filter = Filter { call: Some(call), ..Filter::default() };
    let extent = Extent { before: None, limit: 1, patience: Duration::MAX };
    Ok(calls(state_dir, &filter, extent)?.calls.pop())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    On,
    Enough,
}

struct Backwards<'f> {
    look: Look<'f>,
    extent: Extent,
    began: Instant,
    /// Closings whose openings are yet to come, by the call's id as it is written.
    ends: HashMap<String, Vec<u8>>,
    page: Page,
}

impl<'f> Backwards<'f> {
    fn new(filter: &'f Filter, extent: Extent) -> Self {
        let (look, began) = (Look::new(filter), Instant::now());
        Self { look, extent, began, ends: HashMap::new(), page: Page::default() }
    }

    /// A whole segment, from its back.
    fn whole(&mut self, path: &Path) -> Result<Step, JournalError> {
        let failed = |e| JournalError::disk("read", path, e);
        let mut file = File::open(path).map_err(failed)?;
        let mut start = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut rest: Vec<u8> = Vec::new();
        let mut is_last = true;
        while start > 0 {
            let from = start.saturating_sub(BLOCK);
            let mut block = vec![0; usize::try_from(start - from).unwrap_or_default()];
            file.read_exact_at(&mut block, from).map_err(failed)?;
            block.append(&mut rest);
            start = from;
            if is_last {
                // What stands behind the last newline is a write that is under way, or what a crash left.
                let end = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                block.truncate(end);
                is_last = end == 0;
            }
            // The first line may have begun in the block before.
            let whole = if start == 0 {
                0
            } else {
                block.iter().position(|byte| *byte == b'\n').map_or(block.len(), |at| at + 1)
            };
            let (cut, lines) = block.split_at_checked(whole).unwrap_or_default();
            let mut offset = start + block.len() as u64;
            for line in lines.split_inclusive(|byte| *byte == b'\n').rev() {
                offset -= line.len() as u64;
                if self.line(line.strip_suffix(b"\n").unwrap_or(line), path, offset)? == Step::Enough {
                    return Ok(Step::Enough);
                }
            }
            rest = cut.to_vec();
            if self.is_late() {
                return Ok(Step::Enough);
            }
        }
        Ok(Step::On)
    }

    /// These lines of a segment, from the last.
    fn picked(&mut self, path: &Path, lines: &[super::index::Line]) -> Result<Step, JournalError> {
        let failed = |e| JournalError::disk("read", path, e);
        if lines.is_empty() {
            return Ok(Step::On);
        }
        let file = File::open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        for line in lines.iter().rev() {
            bytes.resize(usize::try_from(line.bytes).unwrap_or_default(), 0);
            file.read_exact_at(&mut bytes, line.offset).map_err(failed)?;
            let whole = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            if self.line(whole, path, line.offset)? == Step::Enough || self.is_late() {
                return Ok(Step::Enough);
            }
        }
        Ok(Step::On)
    }

    fn is_late(&self) -> bool {
        self.began.elapsed() > self.extent.patience
    }

    fn line(&mut self, line: &[u8], path: &Path, offset: u64) -> Result<Step, JournalError> {
        let damaged = |why: String| JournalError::Damaged { path: PathBuf::from(path), offset, why };
        let (kind, data) = sweep::kind(line).ok_or_else(|| damaged("the line is no entry".into()))?;
        if kind == CLOSED.as_bytes() {
            if let Some(call) = call_of(data) {
                self.ends.insert(call, line.to_vec());
            }
            return Ok(Step::On);
        }
        if kind != OPENED.as_bytes() && kind != b"refused" {
            return Ok(Step::On);
        }
        let end = call_of(data).and_then(|call| self.ends.remove(&call));
        if self.look.is_before_all(line) {
            self.page.next = None;
            return Ok(Step::Enough);
        }
        let seq = seq_of(line).ok_or_else(|| damaged("the line has no number".into()))?;
        if self.extent.before.is_some_and(|before| seq >= before.0) {
            return Ok(Step::On);
        }
        // Wherever it stops, it has looked at all from here on.
        self.page.next = (seq > 0).then_some(EntryId(seq));
        if !self.look.may_match(line) {
            return Ok(Step::On);
        }
        let text = String::from_utf8(line.to_vec()).map_err(|e| damaged(format!("it is not UTF-8 ({e})")))?;
        let parse = |text: &str| -> Result<Entry, JournalError> {
            serde_json::from_str(text).map_err(|e| damaged(format!("the line is no entry ({e})")))
        };
        let opening = parse(&text)?;
        if !self.look.matches(&opening) {
            return Ok(Step::On);
        }
        let end = end.map(|end| String::from_utf8_lossy(&end).into_owned());
        let end = end.map(|end| parse(&end).map(|entry| Box::new((entry, end)))).transpose()?;
        self.page.calls.push(Told { opening, line: text, end });
        Ok(if self.page.calls.len() >= self.extent.limit { Step::Enough } else { Step::On })
    }
}

/// The call that the data of a call's entry begin with.
fn call_of(data: &[u8]) -> Option<String> {
    let id = data.strip_prefix(br#"{"call":""#)?.get(..26)?;
    std::str::from_utf8(id).ok().map(str::to_owned)
}

/// The number at the front of a line.
fn seq_of(line: &[u8]) -> Option<u64> {
    const SEQ: &[u8] = br#""seq":"#;
    let front = line.get(..line.len().min(64))?;
    let at = front.windows(SEQ.len()).position(|window| window == SEQ)? + SEQ.len();
    let digits: Vec<u8> = front.get(at..)?.iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}
