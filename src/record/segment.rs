//! One file of the journal: its name, its length, and how far it is durable.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::disk::Storage;
use super::error::JournalError;

/// The journal's folder inside the state folder.
pub(super) fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("journal")
}

/// The file whose first entry has the number `first`.
pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.jsonl"))
}

/// The number of the first entry of each segment, ascending. Other files are not looked at.
pub(super) fn list(folder: &Path) -> Result<Vec<u64>, JournalError> {
    list_of(folder, ".jsonl")
}

/// The numbers in the names of the files with this ending, ascending.
pub(super) fn list_of(folder: &Path, ending: &str) -> Result<Vec<u64>, JournalError> {
    let failed = |cause| JournalError::disk("list", folder, cause);
    let mut firsts = Vec::new();
    for file in std::fs::read_dir(folder).map_err(failed)? {
        let name = file.map_err(failed)?.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(ending));
        firsts
            .extend(first.filter(|digits| digits.len() == 20).and_then(|digits| digits.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// The segment that is written to.
///
/// After a failed `fdatasync` Linux takes the pages for clean, and the next one would succeed without having written
/// anything. So what is not yet durable is kept, and written again before the next attempt. It is bounded: the syncer
/// runs at least every second while something waits, and while it fails nothing is appended.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    storage: Box<dyn Storage>,
    /// Guards what is known of the file's end. Never held while the disk works.
    end: Mutex<End>,
    /// One `fdatasync` at a time: held while the disk works, by writer (at rotation) and syncer only.
    syncing: Mutex<Doubt>,
}

struct End {
    /// Bytes in the file.
    len: u64,
    /// Those of them that are not durable: the last ones.
    tail: Vec<u8>,
    /// Whether something may stand behind `len` that a failed write left.
    ragged: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Doubt {
    None,
    Rewrite,
}

impl Segment {
    /// A segment with `len` good bytes, all of them durable.
    pub(super) fn new(path: PathBuf, storage: Box<dyn Storage>, len: u64) -> Self {
        let end = Mutex::new(End { len, tail: Vec::new(), ragged: false });
        Self { path, storage, end, syncing: Mutex::new(Doubt::None) }
    }

    /// The number of its first entry, which is its name.
    pub(super) fn first(&self) -> u64 {
        let digits = self.path.file_stem().and_then(|name| name.to_str());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    pub(super) fn len(&self) -> u64 {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).len
    }

    /// Appends whole lines. After an error the file is as it was before, or will be before the next write.
    pub(super) fn append(&self, lines: &[u8]) -> Result<(), JournalError> {
        let (len, ragged) = {
            let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            (end.len, end.ragged)
        };
        if ragged {
            self.storage.set_len(len).map_err(|e| JournalError::disk("truncate", &self.path, e))?;
        }
        let written = self.storage.write_at(lines, len);
        let cut = written.is_err().then(|| self.storage.set_len(len));
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.ragged = matches!(cut, Some(Err(_)));
        written.map_err(|e| JournalError::disk("write", &self.path, e))?;
        end.len += lines.len() as u64;
        end.tail.extend_from_slice(lines);
        Ok(())
    }

    /// Makes durable what was appended before this was called.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        let mut doubt = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, waiting) = {
            let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            let again = if *doubt == Doubt::Rewrite { end.tail.clone() } else { Vec::new() };
            (end.len - end.tail.len() as u64, (again, end.tail.len()))
        };
        let (again, count) = waiting;
        if count == 0 {
            return Ok(());
        }
        self.write_through(&again, from)
            .inspect_err(|_| *doubt = Doubt::Rewrite)
            .map_err(|e| JournalError::disk("sync", &self.path, e))?;
        *doubt = Doubt::None;
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        // Only appends came in between: the first `count` bytes are still those that were synced.
        let durable = count.min(end.tail.len());
        end.tail.drain(..durable);
        Ok(())
    }

    fn write_through(&self, again: &[u8], from: u64) -> io::Result<()> {
        if !again.is_empty() {
            self.storage.write_at(again, from)?;
        }
        self.storage.sync()
    }
}
