//! Followers: readers with a place of their own.
//!
//! A follower reads the same files as anybody else and says itself how far it has come, so it is served at least once
//! and holds nobody up. Only whole lines are read, and inside the node only entries that the writer has announced:
//! before that a failed write may still take them back.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::entry::{Entry, LINE_LIMIT_BYTES};
use super::error::JournalError;
use super::segment;
use crate::call::EntryId;

/// Reads entries in order, across segments, up to the end of what is written.
#[derive(Debug)]
pub struct Tail {
    folder: PathBuf,
    /// The entry that comes next.
    next: u64,
    place: Option<Place>,
}

/// A segment that is being read.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    reader: BufReader<File>,
    /// Where the next line begins.
    offset: u64,
}

/// What stands at a place.
enum Line {
    Whole(Vec<u8>),
    /// Nothing yet, or half a line.
    NotYet,
}

impl Tail {
    /// Begins at entry `from` of the journal under `state_dir`. Where retention has taken that entry away, it begins
    /// with the oldest that is kept.
    pub fn open(state_dir: &Path, from: EntryId) -> Self {
        Self { folder: segment::folder(state_dir), next: from.0, place: None }
    }

    /// The entry that it would read next.
    pub fn position(&self) -> EntryId {
        EntryId(self.next)
    }

    /// Reads at most `limit` entries; none if there is nothing new. It blocks on the disk.
    pub fn read(&mut self, limit: usize) -> Result<Vec<Entry>, JournalError> {
        self.read_up_to(limit, u64::MAX)
    }

    /// Like [`Self::read`], but stops before entry `end`.
    fn read_up_to(&mut self, limit: usize, end: u64) -> Result<Vec<Entry>, JournalError> {
        let mut entries = Vec::new();
        while entries.len() < limit && self.next < end {
            if self.place.is_none() && !self.enter()? {
                break;
            }
            let Some(place) = &mut self.place else { break };
            match place.line()? {
                Line::Whole(line) => {
                    let entry = place.parse(&line)?;
                    place.offset += line.len() as u64;
                    if entry.seq.0 >= self.next {
                        self.next = entry.seq.0 + 1;
                        entries.push(entry);
                    }
                }
                Line::NotYet if !self.has_follower() => break,
                Line::NotYet => self.place = None,
            }
        }
        // What was read ahead may still change; the next read looks again.
        if let Some(place) = &mut self.place {
            place.rewind()?;
        }
        Ok(entries)
    }

    /// Whether the segment that is being read is over: the next entry stands in one of its own, or it was retired.
    fn has_follower(&self) -> bool {
        let next = segment::path(&self.folder, self.next);
        self.place.as_ref().is_some_and(|place| (place.path != next && next.exists()) || !place.path.exists())
    }

    /// Opens the segment in which the next entry stands. False: there is none yet.
    fn enter(&mut self) -> Result<bool, JournalError> {
        let firsts = segment::list(&self.folder)?;
        let after = firsts.partition_point(|&first| first <= self.next);
        let Some(&first) = firsts.get(after.saturating_sub(1)) else { return Ok(false) };
        self.next = self.next.max(first);
        let path = segment::path(&self.folder, first);
        let file = File::open(&path).map_err(|e| JournalError::disk("read", &path, e))?;
        self.place = Some(Place { path, reader: BufReader::with_capacity(1 << 16, file), offset: 0 });
        Ok(true)
    }
}

impl Place {
    fn line(&mut self) -> Result<Line, JournalError> {
        let mut line = Vec::new();
        let limit = LINE_LIMIT_BYTES as u64 + 1;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line);
        let count = read.map_err(|e| JournalError::disk("read", &self.path, e))?;
        if line.ends_with(b"\n") {
            return Ok(Line::Whole(line));
        }
        if count > LINE_LIMIT_BYTES {
            return Err(self.damaged(format!("the line is longer than {LINE_LIMIT_BYTES} bytes")));
        }
        self.rewind()?;
        Ok(Line::NotYet)
    }

    fn parse(&self, line: &[u8]) -> Result<Entry, JournalError> {
        serde_json::from_slice(line).map_err(|e| self.damaged(format!("the line is no entry ({e})")))
    }

    fn damaged(&self, why: String) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), offset: self.offset, why }
    }

    /// Back to the beginning of the next line, forgetting what was read ahead.
    fn rewind(&mut self) -> Result<(), JournalError> {
        let sought: io::Result<u64> = self.reader.seek(SeekFrom::Start(self.offset));
        sought.map(drop).map_err(|e| JournalError::disk("read", &self.path, e))
    }
}

/// A [`Tail`] inside the node, woken when something is written.
#[derive(Debug)]
pub struct Follow {
    state_dir: PathBuf,
    /// Away while a blocking read has it.
    tail: Option<Tail>,
    position: EntryId,
    written: watch::Receiver<u64>,
    /// The first entry that retention must leave; `u64::MAX`: any may go.
    needed: Arc<AtomicU64>,
}

impl Follow {
    pub(super) fn new(
        state_dir: PathBuf,
        from: EntryId,
        written: watch::Receiver<u64>,
        needed: Arc<AtomicU64>,
    ) -> Self {
        Self { state_dir, tail: None, position: from, written, needed }
    }

    /// From now on retention leaves entry `from` and those after it where they are. A follower that never says so takes
    /// what is there.
    pub fn need(&self, from: EntryId) {
        self.needed.store(from.0, Ordering::SeqCst);
    }

    /// The entry that it reads next.
    pub fn position(&self) -> EntryId {
        self.position
    }

    /// The number of the entry that will be written next: the journal's end as of now.
    pub fn end(&self) -> EntryId {
        EntryId(*self.written.borrow())
    }

    /// How many entries are written and not yet read.
    pub fn behind(&self) -> u64 {
        self.end().0.saturating_sub(self.position.0)
    }

    /// Waits until there is something to read. False: the journal is closed and all is read. May be dropped half-way.
    pub async fn ready(&mut self) -> bool {
        loop {
            if *self.written.borrow_and_update() > self.position.0 {
                return true;
            }
            if self.written.changed().await.is_err() {
                return *self.written.borrow() > self.position.0;
            }
        }
    }

    /// Reads at most `limit` entries; none if there is nothing new. If it is dropped half-way, the next read begins
    /// at the same place.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<Entry>, JournalError> {
        let end = self.end().0;
        let mut tail = self.tail.take().unwrap_or_else(|| Tail::open(&self.state_dir, self.position));
        let reading = tokio::task::spawn_blocking(move || {
            let entries = tail.read_up_to(limit, end);
            (tail, entries)
        });
        let (tail, entries) = reading.await.map_err(|_| JournalError::Stopped)?;
        // After an error the place is found anew.
        let entries = entries?;
        self.position = tail.position();
        self.tail = Some(tail);
        Ok(entries)
    }
}
