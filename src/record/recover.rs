//! What a node does with the journal that it finds: checks it, cuts a torn tail, lists the calls that have no end.
//!
//! It reads every segment once, front to back, in memory bounded by one line and the calls that were open: seconds a
//! gigabyte. On the way it builds the tree again and holds it against the last checkpoint. It repairs nothing that a crash does not explain; such a journal is damaged and the node does not
//! start.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::disk::Disk;
use super::entry::LINE_LIMIT_BYTES;
use super::error::JournalError;
use super::leaves;
use super::merkle::{Frontier, Hash};
use super::segment::{self, Segment};
use crate::call::{CallId, EntryId};

/// The journal as it was found, ready to be written.
#[derive(Default)]
pub(super) struct Found {
    /// The number of the next entry.
    pub(super) next: u64,
    /// The segment to go on with.
    pub(super) segment: Option<Arc<Segment>>,
    /// Calls without an end, in the order of their opening.
    pub(super) open: Vec<(EntryId, CallId)>,
    /// What was cut: the file's name and how many bytes.
    pub(super) cut: Option<(String, u64)>,
    /// The tree over all entries.
    pub(super) tree: Frontier,
}

/// As much of an entry as recovery needs.
#[derive(Deserialize)]
struct Skimmed<'a> {
    seq: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    data: Subject,
}

#[derive(Deserialize)]
struct Subject {
    call: Option<CallId>,
    /// Of a retirement.
    before: Option<u64>,
}

/// One pass over the segments.
#[derive(Default)]
struct Pass {
    next: u64,
    tree: Frontier,
    /// Of the segment that is being read.
    leaves: Vec<Hash>,
    /// What was signed last: size and root.
    signed: Option<(u64, Hash)>,
    open: BTreeMap<CallId, EntryId>,
    /// Entries before this one may be missing: an entry that is there says so.
    retired: u64,
}

pub(super) fn recover(
    folder: &Path,
    signed: Option<(u64, Hash)>,
    disk: &dyn Disk,
) -> Result<Found, JournalError> {
    let firsts = segment::list(folder)?;
    let last = firsts.last().copied();
    let mut pass = Pass { signed, ..Pass::default() };
    let mut found = Found::default();
    // Segments whose leaves a crash left short. They are mended once it is sure that the entries are as they were signed.
    let mut short = Vec::new();
    pass.retired(folder, firsts.first().copied())?;
    let kept_from = pass.next;
    for first in firsts {
        let path = segment::path(folder, first);
        if first != pass.next {
            let why = format!("it should begin with entry {}", pass.next);
            return Err(JournalError::Damaged { path, offset: 0, why });
        }
        let Scan { good, len } = pass.scan(&path)?;
        let leaves = std::mem::take(&mut pass.leaves);
        if !leaves::complete(folder, first, leaves.len()) {
            short.push((first, leaves));
        }
        if Some(first) != last && good != len {
            let why = "the line is torn, though another segment follows".to_owned();
            return Err(JournalError::Damaged { path, offset: good, why });
        }
        if Some(first) == last {
            found.segment = Some(Arc::new(reopen(&path, good, len, disk)?));
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.cut = (good != len).then_some((name, len - good));
        }
    }
    if let Some((size, _)) = signed.filter(|(size, _)| *size > pass.next) {
        let why = format!("{size} entries were signed and {} are there", pass.next);
        return Err(JournalError::Untrue { entry: pass.next, path: folder.to_owned(), why });
    }
    if kept_from > pass.retired {
        let why =
            format!("entries before {kept_from} are not there, and no entry says that they were retired");
        return Err(JournalError::Damaged { path: folder.to_owned(), offset: 0, why });
    }
    for (first, leaves) in short {
        let path = leaves::path(folder, first);
        leaves::mend(folder, first, &leaves).map_err(|e| JournalError::disk("write", &path, e))?;
    }
    found.next = pass.next;
    found.tree = pass.tree;
    found.open = pass.open.into_iter().map(|(call, entry)| (entry, call)).collect();
    found.open.sort_unstable();
    Ok(found)
}

fn reopen(path: &Path, good: u64, len: u64, disk: &dyn Disk) -> Result<Segment, JournalError> {
    let storage = disk.open(path).map_err(|e| JournalError::disk("open", path, e))?;
    if good != len {
        storage.set_len(good).map_err(|e| JournalError::disk("truncate", path, e))?;
    }
    // What a killed node only appended becomes durable before anything follows it.
    storage.sync().map_err(|e| JournalError::disk("sync", path, e))?;
    Ok(Segment::new(path.to_owned(), storage, good))
}

/// How much of a file is whole lines.
struct Scan {
    good: u64,
    len: u64,
}

impl Pass {
    /// What was retired: up to the first segment that is there, leaf hashes stand for the entries.
    fn retired(&mut self, folder: &Path, kept: Option<u64>) -> Result<(), JournalError> {
        let Some(kept) = kept else { return Ok(()) };
        for first in leaves::list(folder)?.into_iter().take_while(|first| *first < kept) {
            let path = leaves::path(folder, first);
            if first != self.next {
                let why = format!("it should begin with entry {}", self.next);
                return Err(JournalError::Damaged { path, offset: 0, why });
            }
            for leaf in leaves::read(folder, first)? {
                self.tree.push_leaf(leaf);
                self.next += 1;
                self.compare(&path)?;
            }
        }
        Ok(())
    }

    fn scan(&mut self, path: &Path) -> Result<Scan, JournalError> {
        let failed = |e| JournalError::disk("read", path, e);
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path).map_err(failed)?);
        let (mut good, mut len) = (0, 0);
        let mut torn: Option<String> = None;
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = LINE_LIMIT_BYTES as u64 + 1;
            let count = reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(failed)?;
            if count == 0 {
                return Ok(Scan { good, len });
            }
            len += count as u64;
            match (line.strip_suffix(b"\n").map(serde_json::from_slice::<Skimmed<'_>>), &torn) {
                (Some(Ok(entry)), None) => {
                    self.take(&entry, path, good)?;
                    self.grow(line.strip_suffix(b"\n").unwrap_or(&line), path)?;
                    good = len;
                }
                (Some(Ok(_)), Some(why)) => {
                    let why = format!("{why}, though a whole entry follows");
                    return Err(JournalError::Damaged { path: path.to_owned(), offset: good, why });
                }
                (Some(Err(error)), None) => torn = Some(format!("the line is no entry ({error})")),
                (None, None) => torn = Some("the line has no end".to_owned()),
                (_, Some(_)) => {}
            }
        }
    }

    /// Nothing that was signed may have changed.
    fn grow(&mut self, line: &[u8], path: &Path) -> Result<(), JournalError> {
        let leaf = self.tree.push(line);
        self.leaves.push(leaf);
        self.compare(path)
    }

    fn compare(&self, path: &Path) -> Result<(), JournalError> {
        match self.signed {
            Some((size, root)) if size == self.tree.size() && root != self.tree.root() => {
                let why = format!("the root over {size} entries is not the signed one");
                Err(JournalError::Untrue { entry: size.saturating_sub(1), path: PathBuf::from(path), why })
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, entry: &Skimmed<'_>, path: &Path, offset: u64) -> Result<(), JournalError> {
        if entry.seq != self.next {
            let why = format!("entry {} stands where {} should", entry.seq, self.next);
            return Err(JournalError::Damaged { path: PathBuf::from(path), offset, why });
        }
        self.next += 1;
        if entry.kind == "retired" {
            self.retired = self.retired.max(entry.data.before.unwrap_or(0));
        }
        match (entry.kind.as_ref(), entry.data.call) {
            ("opened", Some(call)) => {
                self.open.insert(call, EntryId(entry.seq));
            }
            ("closed", Some(call)) => {
                self.open.remove(&call);
            }
            _ => {}
        }
        Ok(())
    }
}
