//! The index beside a segment that is over: `<state>/journal/<first>.index`.
//!
//! It tells which lines a search must look at, and nothing else: what is found is read from the segment and judged there,
//! so an index can hide entries but not invent them. It is made from the segment alone, by the node once the segment is
//! over or by the first search that misses it, and anybody may delete it. One that does not fit its segment, or is
//! damaged, is made anew.
//!
//! ```text
//! <SHA-256 of all that follows, 64 hex digits>\n
//! {"index":2,"segment_bytes":…,"since":…,"until":…,"shapes":[…]}\n
//! for each line of the segment 12 bytes: number of its shape, last 4 bytes of its call's id, its length (big-endian)
//! ```

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::disk;
use super::entry::{Entry, What};
use super::error::JournalError;
use super::filter::{CLOSED, Filter, Shape};
use super::segment;
use crate::call::CallId;

/// 2: shapes say who did it, and more kinds say which task and agent.
const VERSION: u8 = 2;
/// Bytes of one row.
const ROW: usize = 12;

/// The index of the segment whose first entry has the number `first`.
pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.index"))
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    index: u8,
    segment_bytes: u64,
    /// The earliest and the latest time of an entry, nanoseconds since 1970.
    since: u64,
    until: u64,
    shapes: Vec<Shape>,
}

/// An index in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index {
    header: Header,
    rows: Vec<u8>,
}

/// A line to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where in the segment it begins.
    pub(super) offset: u64,
    /// How long it is, newline included.
    pub(super) bytes: u32,
}

impl Index {
    /// The index of a segment that is over: the one beside it, or a new one, which is then kept if the folder lets us.
    pub(super) fn of(folder: &Path, first: u64) -> Result<Self, JournalError> {
        let at = segment::path(folder, first);
        let len = std::fs::metadata(&at).map_err(|e| JournalError::disk("read", &at, e))?.len();
        if let Some(index) = Self::load(&path(folder, first), len) {
            return Ok(index);
        }
        let index = Self::build(&at)?;
        if let Err(error) = index.keep(&path(folder, first)) {
            tracing::debug!(error = %error, first, "the index is not kept; the next search makes it again");
        }
        Ok(index)
    }

    /// Whether one is there that fits.
    pub(super) fn is_kept(folder: &Path, first: u64) -> bool {
        let len = std::fs::metadata(segment::path(folder, first)).map_or(0, |meta| meta.len());
        Self::load(&path(folder, first), len).is_some()
    }

    fn load(path: &Path, segment_bytes: u64) -> Option<Self> {
        let mut bytes = std::fs::read(path).ok()?;
        let digest = bytes.get(..64)?;
        if digest != hex_digest(bytes.get(65..)?).as_bytes() {
            return None;
        }
        let end = 65 + bytes.get(65..)?.iter().position(|&byte| byte == b'\n')?;
        let header: Header = serde_json::from_slice(bytes.get(65..end)?).ok()?;
        let rows = bytes.split_off(end + 1);
        let fits = header.index == VERSION
            && header.segment_bytes == segment_bytes
            && rows.len().is_multiple_of(ROW);
        fits.then_some(Self { header, rows })
    }

    fn build(segment: &Path) -> Result<Self, JournalError> {
        let failed = |e| JournalError::disk("read", segment, e);
        let mut reader = BufReader::with_capacity(1 << 18, File::open(segment).map_err(failed)?);
        let (mut line, mut making) = (Vec::new(), Making::default());
        while reader.read_until(b'\n', &mut line).map_err(failed)? != 0 {
            let entry: Entry = serde_json::from_slice(&line).map_err(|e| JournalError::Damaged {
                path: segment.to_owned(),
                offset: making.segment_bytes,
                why: format!("the line is no entry ({e})"),
            })?;
            making.take(&entry, line.len());
            line.clear();
        }
        Ok(making.done())
    }

    fn keep(&self, path: &Path) -> io::Result<()> {
        let mut rest = serde_json::to_vec(&self.header)?;
        rest.push(b'\n');
        rest.extend_from_slice(&self.rows);
        // Two may make the same index at one time: each writes a file of its own, and either may win.
        let beside = path.with_extension(format!("index-{}", std::process::id()));
        let mut file = disk::lock_file(&beside)?;
        file.set_len(0)?;
        let written = writeln!(file, "{}", hex_digest(&rest)).and_then(|()| file.write_all(&rest));
        written.and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| {
            let _nothing_more_to_do = std::fs::remove_file(&beside);
        })
    }

    /// The lines that may match, in order.
    pub(super) fn candidates(&self, filter: &Filter) -> Vec<Line> {
        let mut found = Vec::new();
        self.each(filter, |line, _| found.push(line));
        found
    }

    /// About how many rows of calls and events match: closings are not counted.
    pub(super) fn count(&self, filter: &Filter) -> usize {
        let mut count = 0;
        self.each(filter, |_, shape| count += usize::from(shape.kind != CLOSED));
        count
    }

    fn each(&self, filter: &Filter, mut take: impl FnMut(Line, &Shape)) {
        let Header { since, until, shapes, .. } = &self.header;
        if filter.since.is_some_and(|wanted| *until < wanted.unix_ns())
            || filter.until.is_some_and(|wanted| *since >= wanted.unix_ns())
        {
            return;
        }
        let wanted: Vec<bool> = shapes.iter().map(|shape| filter.may_match(shape)).collect();
        let call = filter.call.map(mark);
        let mut offset = 0;
        for row in self.rows.as_chunks::<ROW>().0 {
            let [s0, s1, s2, s3, c0, c1, c2, c3, l0, l1, l2, l3] = *row;
            let number = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).unwrap_or(usize::MAX);
            let bytes = u32::from_be_bytes([l0, l1, l2, l3]);
            if wanted.get(number) == Some(&true)
                && call.is_none_or(|call| call == [c0, c1, c2, c3])
                && let Some(shape) = shapes.get(number)
            {
                take(Line { offset, bytes }, shape);
            }
            offset += u64::from(bytes);
        }
    }
}

/// The last bytes of a call's id, which are random.
fn mark(call: CallId) -> [u8; 4] {
    let [.., a, b, c, d] = call.to_bytes();
    [a, b, c, d]
}

fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}

/// An index in the making.
#[derive(Default)]
struct Making {
    segment_bytes: u64,
    times: Option<(u64, u64)>,
    shapes: Vec<Shape>,
    numbers: HashMap<Shape, u32>,
    /// The shape of each call that is open.
    open: HashMap<CallId, u32>,
    rows: Vec<u8>,
}

impl Making {
    fn take(&mut self, entry: &Entry, bytes: usize) {
        let (shape, call) = match &entry.what {
            What::Opened(facts) => {
                let number = self.number(Shape::of(&entry.what));
                self.open.insert(facts.call, number);
                (number, Some(facts.call))
            }
            What::Refused(facts) => (self.number(Shape::of(&entry.what)), Some(facts.call)),
            What::Closed(closed) => {
                let opened = self.open.remove(&closed.call);
                let opened = opened.and_then(|number| self.shapes.get(usize::try_from(number).ok()?));
                let shape = opened.map_or_else(|| Shape::of(&entry.what), Shape::closing);
                (self.number(shape), Some(closed.call))
            }
            other => (self.number(Shape::of(other)), None),
        };
        // A line's length is bounded far below 2^32.
        let len = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.rows.extend(shape.to_be_bytes());
        self.rows.extend(call.map(mark).unwrap_or_default());
        self.rows.extend(len.to_be_bytes());
        self.segment_bytes += u64::from(len);
        let at = entry.at.unix_ns();
        let (since, until) = self.times.unwrap_or((at, at));
        self.times = Some((since.min(at), until.max(at)));
    }

    fn number(&mut self, shape: Shape) -> u32 {
        if let Some(number) = self.numbers.get(&shape) {
            return *number;
        }
        let number = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        self.shapes.push(shape.clone());
        self.numbers.insert(shape, number);
        number
    }

    fn done(self) -> Index {
        let (since, until) = self.times.unwrap_or_default();
        let Self { segment_bytes, shapes, rows, .. } = self;
        Index { header: Header { index: VERSION, segment_bytes, since, until, shapes }, rows }
    }
}
