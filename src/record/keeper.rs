//! The thread that keeps house behind the writer: it indexes segments that are over, and retires the oldest.
//!
//! A retirement is written down and on disk before anything goes. The leaf hashes stay (32 bytes an entry), so that every
//! checkpoint, old or new, can still be held against the journal. Nothing goes that somebody still needs: a segment in
//! which an open call was opened, nor one that a follower has not yet told of.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::entry::{Entry, What};
use super::error::JournalError;
use super::facts::Text;
use super::inbox::{Effect, Fate, Inbox, Order, Strength};
use super::index::Index;
use super::journal::Retention;
use super::{index, leaves, merkle, segment};
use crate::call::{Clock, EntryId};

/// How often it looks whether a segment has become too old. Long against the start of the followers, which say what they
/// still need: nothing is retired before the first look.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What followers still need. Each has a number of its own, `u64::MAX` while it needs nothing.
#[derive(Default)]
pub(super) struct Needs(Mutex<Vec<Weak<AtomicU64>>>);

impl Needs {
    /// A follower's own number.
    pub(super) fn enter(&self) -> Arc<AtomicU64> {
        let number = Arc::new(AtomicU64::new(u64::MAX));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() != 0);
        all.push(Arc::downgrade(&number));
        number
    }

    /// The first entry that one of them needs.
    fn first(&self) -> u64 {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = all.iter().filter_map(Weak::upgrade).map(|one| one.load(Ordering::SeqCst));
        numbers.min().unwrap_or(u64::MAX)
    }
}

pub(super) struct Keeper {
    pub(super) folder: PathBuf,
    pub(super) retention: Retention,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) inbox: Arc<Inbox>,
    /// The opening entry of the oldest call that is open; `u64::MAX`: none is.
    pub(super) oldest_open: Arc<AtomicU64>,
    pub(super) needs: Arc<Needs>,
    /// A word for each segment that is over. It ends with the writer.
    pub(super) sealed: Receiver<()>,
}

/// The oldest segments, to be retired.
struct Due {
    /// The first entry that stays.
    before: u64,
    segments: Vec<u64>,
    bytes: u64,
    why: &'static str,
}

impl Keeper {
    /// Runs until the writer has ended.
    pub(super) fn run(self) {
        self.index();
        loop {
            match self.sealed.recv_timeout(LOOK_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.index();
            if let Err(error) = self.retire() {
                tracing::error!(error = %error, "old entries cannot be retired; they stay");
            }
        }
    }

    /// Makes the indexes that are missing. The newest segment has none: it still grows.
    fn index(&self) {
        let firsts = segment::list(&self.folder).unwrap_or_default();
        let (_, over) = firsts.split_last().unwrap_or((&0, &[]));
        // The newest first: it is asked for most.
        for &first in over.iter().rev() {
            if self.inbox.stopping() {
                return;
            }
            if !Index::is_kept(&self.folder, first)
                && let Err(error) = Index::of(&self.folder, first)
            {
                tracing::warn!(error = %error, "a segment cannot be indexed; searches read all of it");
            }
        }
    }

    fn retire(&self) -> Result<(), JournalError> {
        let Some(due) = self.due()? else { return Ok(()) };
        // First what stays in their place, then the word that they go, then they go.
        due.segments.iter().try_for_each(|first| self.secure(*first))?;
        let what = What::Retired { before: EntryId(due.before), bytes: due.bytes, why: Text::new(due.why) };
        if !self.announce(&what)? {
            return Ok(());
        }
        for &first in &due.segments {
            remove(&segment::path(&self.folder, first))?;
            remove(&index::path(&self.folder, first))?;
        }
        tracing::info!(
            before = due.before,
            bytes = due.bytes,
            why = due.why,
            "the oldest entries were retired"
        );
        Ok(())
    }

    /// The oldest segments that are too old or too much.
    fn due(&self) -> Result<Option<Due>, JournalError> {
        let Retention { age, bytes: most } = self.retention;
        if age.is_none() && most.is_none() {
            return Ok(None);
        }
        // The list before the needs: what is opened or followed afterwards is of a segment that is not on it.
        let firsts = segment::list(&self.folder)?;
        let needed = self.oldest_open.load(Ordering::SeqCst).min(self.needs.first());
        let lengths = firsts.iter().map(|first| self.length(*first)).collect::<Result<Vec<_>, _>>()?;
        let mut rest: u64 = lengths.iter().sum();
        let mut due = Due { before: 0, segments: Vec::new(), bytes: 0, why: "size" };
        let pairs = firsts.iter().zip(firsts.iter().skip(1)).zip(lengths);
        for ((&first, &next), bytes) in pairs {
            let too_much = most.is_some_and(|most| rest > most.get());
            let too_old = match age {
                Some(age) if !too_much => self.clock.now().since(self.began(next)?) > age,
                _ => false,
            };
            if !too_much && !too_old {
                break;
            }
            if next > needed {
                tracing::warn!(
                    first,
                    needed,
                    "old entries stay: a call is open, or the collector has not got them"
                );
                break;
            }
            rest = rest.saturating_sub(bytes);
            due.why = if too_old { "age" } else { due.why };
            due.before = next;
            due.segments.push(first);
            due.bytes += bytes;
        }
        Ok((!due.segments.is_empty()).then_some(due))
    }

    fn length(&self, first: u64) -> Result<u64, JournalError> {
        let path = segment::path(&self.folder, first);
        let meta = std::fs::metadata(&path).map_err(|e| JournalError::disk("read", &path, e))?;
        Ok(meta.len())
    }

    /// When the first entry of a segment was written: the one before was over by then.
    fn began(&self, first: u64) -> Result<crate::call::Timestamp, JournalError> {
        let path = segment::path(&self.folder, first);
        let failed = |e| JournalError::disk("read", &path, e);
        let mut line = Vec::new();
        let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            // The writer has made the file and not yet written: it is as new as can be.
            return Ok(self.clock.now());
        }
        let damaged = |why: String| JournalError::Damaged { path: path.clone(), offset: 0, why };
        let entry: Entry = serde_json::from_slice(&line).map_err(|e| damaged(e.to_string()))?;
        Ok(entry.at)
    }

    /// Sees to it that the leaf hashes of a segment are right and on disk.
    fn secure(&self, first: u64) -> Result<(), JournalError> {
        let path = segment::path(&self.folder, first);
        let failed = |e| JournalError::disk("read", &path, e);
        let mut reader = BufReader::with_capacity(1 << 18, File::open(&path).map_err(failed)?);
        let (mut line, mut all) = (Vec::new(), Vec::new());
        while reader.read_until(b'\n', &mut line).map_err(failed)? != 0 {
            all.push(merkle::leaf(line.strip_suffix(b"\n").unwrap_or(&line)));
            line.clear();
        }
        let path = leaves::path(&self.folder, first);
        leaves::mend(&self.folder, first, &all).map_err(|e| JournalError::disk("write", &path, e))
    }

    /// Writes an entry and waits until it is durable. False: the journal ends before.
    fn announce(&self, what: &What) -> Result<bool, JournalError> {
        let (tell, told) = sync_channel(1);
        let answer = Box::new(move |fate| {
            let _gone = tell.try_send(fate);
        });
        let what = what.to_json()?;
        let (strength, effect) = (Strength::Durable, Effect::Neither);
        self.inbox.push(Order { what, strength, effect, answer: Some(answer) });
        match told.recv() {
            Ok(Fate::Written(_)) => Ok(true),
            Ok(Fate::Doubtful(_, error) | Fate::Refused(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(JournalError::disk("remove", path, error))
        }
        _ => Ok(()),
    }
}
