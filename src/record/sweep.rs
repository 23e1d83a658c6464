//! The whole journal from front to back, fast: whole lines in pieces of a megabyte, so that several threads can read in them.
//!
//! Only what a replay asks for is parsed: tasks as they were opened, and calls as they were opened or refused. Which line says
//! what is told from its front, since the writer glues it: `{"v":1,"seq":7,"at":"…","kind":"opened","data":{…}}`.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::entry::{Entry, LINE_LIMIT_BYTES, What};
use super::error::JournalError;
use super::facts::{CallFacts, TaskFacts};
use super::segment;

/// Bytes of a piece, unless a line is longer.
const PIECE: usize = 1 << 20;
/// Where a line's kind stands at the latest: behind version, number and time.
const FRONT: usize = 128;

/// The journal, being read.
#[derive(Debug)]
pub struct Sweep {
    folder: PathBuf,
    segments: std::vec::IntoIter<u64>,
    open: Option<(File, PathBuf, u64)>,
    /// The beginning of a line whose end is yet to be read.
    rest: Vec<u8>,
    bytes: u64,
}

/// Whole lines, one after the other.
#[derive(Debug)]
pub struct Piece {
    path: PathBuf,
    /// Where it begins in its file.
    offset: u64,
    bytes: Vec<u8>,
}

/// What a line says.
#[derive(Debug)]
pub enum Said {
    /// A task was opened.
    Task(TaskFacts),
    /// A call was opened or refused.
    Call(Box<CallFacts>),
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Tasks that were opened.
    Tasks,
    /// Calls that were opened or refused.
    Calls,
}

impl Sweep {
    /// Of the journal in this state folder.
    pub fn of(state_dir: &Path) -> Result<Self, JournalError> {
        let folder = segment::folder(state_dir);
        let firsts = segment::list(&folder)?;
        let length =
            |first: &u64| std::fs::metadata(segment::path(&folder, *first)).map_or(0, |file| file.len());
        let bytes = firsts.iter().map(length).sum();
        Ok(Self { folder, segments: firsts.into_iter(), open: None, rest: Vec::new(), bytes })
    }

    /// How much there was to read when it began, bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next lines; none at the end. What stands behind the last newline of a segment is a write that is under way, or what
    /// a crash left.
    pub fn piece(&mut self) -> Result<Option<Piece>, JournalError> {
        loop {
            let Some((file, path, offset)) = &mut self.open else {
                let Some(first) = self.segments.next() else { return Ok(None) };
                let path = segment::path(&self.folder, first);
                match File::open(&path) {
                    Ok(file) => self.open = Some((file, path, 0)),
                    // Retired under our hands.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(JournalError::disk("read", &path, error)),
                }
                self.rest.clear();
                continue;
            };
            let mut bytes = std::mem::take(&mut self.rest);
            let more = (&*file).take(PIECE as u64).read_to_end(&mut bytes);
            let more = more.map_err(|error| JournalError::disk("read", path, error))?;
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.rest = bytes.split_off(whole);
            let piece = (whole > 0).then(|| Piece { path: path.clone(), offset: *offset, bytes });
            *offset += whole as u64;
            if self.rest.len() > LINE_LIMIT_BYTES {
                let why = format!("a line is longer than {LINE_LIMIT_BYTES} bytes");
                return Err(JournalError::Damaged { path: path.clone(), offset: *offset, why });
            }
            if more == 0 {
                self.open = None;
            }
            if piece.is_some() {
                return Ok(piece);
            }
        }
    }
}

impl Piece {
    /// Its length, bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// What its lines say, as far as that is wanted. A line that is no entry is an error.
    pub fn read(&self, wanted: Lines) -> impl Iterator<Item = Result<Said, JournalError>> {
        let mut at = self.offset;
        self.bytes.split_inclusive(|byte| *byte == b'\n').filter_map(move |line| {
            let here = at;
            at += line.len() as u64;
            read(line, wanted)
                .map_err(|why| JournalError::Damaged { path: self.path.clone(), offset: here, why })
                .transpose()
        })
    }
}

fn read(line: &[u8], wanted: Lines) -> Result<Option<Said>, String> {
    let (kind, data) = kind(line).ok_or("the line is no entry")?;
    match (kind, wanted) {
        (b"task_opened", Lines::Tasks) => {
            let entry: Entry = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            Ok(if let What::TaskOpened(task) = entry.what { Some(Said::Task(task)) } else { None })
        }
        (b"opened" | b"refused", Lines::Calls) => {
            let facts = serde_json::from_slice(data).map_err(|error| error.to_string())?;
            Ok(Some(Said::Call(Box::new(facts))))
        }
        _ => Ok(None),
    }
}

/// The kind that a line names, and what stands behind `"data":` up to the line's own brace.
pub(super) fn kind(line: &[u8]) -> Option<(&[u8], &[u8])> {
    const KIND: &[u8] = br#""kind":""#;
    const DATA: &[u8] = br#","data":"#;
    let front = line.get(..FRONT.min(line.len()))?;
    let at = front.windows(KIND.len()).position(|window| window == KIND)? + KIND.len();
    let rest = line.get(at..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let (kind, rest) = rest.split_at_checked(end)?;
    let data = rest.strip_prefix(b"\"")?.strip_prefix(DATA)?;
    Some((kind, data.trim_ascii_end().strip_suffix(b"}")?))
}
