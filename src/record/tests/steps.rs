//! The process is killed at each step that the disk sees: what was done stays, what comes after is never done.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fixture::{Ticking, decided, entries, settings};
use crate::call::{Call, Class, Closing, Decided, Outcome};
use crate::record::disk::{Disk, FileSystem, Storage};
use crate::record::verify::verify;
use crate::record::{Journal, JournalError, Settings, What};

/// Lets this many steps through; the one after that is done half, and then the process is gone.
struct Killed {
    disk: FileSystem,
    left: Arc<AtomicU64>,
}

struct KilledFile(Box<dyn Storage>, Arc<AtomicU64>);

#[derive(PartialEq)]
enum Step {
    Done,
    Half,
    Never,
}

fn step(left: &AtomicU64) -> Step {
    // Zero is the state after the kill; one is the kill itself.
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1))) {
        Ok(0) | Err(_) => Step::Never,
        Ok(1) => Step::Half,
        Ok(_) => Step::Done,
    }
}

fn gone() -> io::Error {
    io::Error::other("the process is gone")
}

impl Disk for Killed {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        match step(&self.left) {
            Step::Done => Ok(Box::new(KilledFile(self.disk.create(path)?, Arc::clone(&self.left)))),
            Step::Half => self.disk.create(path).and_then(|_| Err(gone())),
            Step::Never => Err(gone()),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(KilledFile(self.disk.open(path)?, Arc::clone(&self.left))))
    }

    fn aside(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        self.disk.aside(path)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(path, bytes)
    }
}

impl Storage for KilledFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match step(&self.1) {
            Step::Done => self.0.write_at(bytes, offset),
            Step::Half => self.0.write_at(&bytes[..bytes.len() / 2], offset).and(Err(gone())),
            Step::Never => Err(gone()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        if step(&self.1) == Step::Done { self.0.sync() } else { Err(gone()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if step(&self.1) == Step::Done { self.0.set_len(len) } else { Err(gone()) }
    }
}

fn small(dir: &Path) -> Settings {
    Settings { segment_bytes: 3_000.try_into().unwrap(), ..settings(dir) }
}

/// Calls until the process is gone; gives back those of which it was said that they are written.
async fn live(journal: &Journal, calls: &[Call<Decided>]) -> usize {
    for (at, call) in calls.iter().enumerate() {
        match journal.open(call).await {
            Ok(opened) => opened.close(Closing::bare(Outcome::Answered)),
            Err(_) => return at,
        }
    }
    calls.len()
}

/// Starts where another was. A child of another test holds our lock from its fork to its exec (flock(2)): that passes.
async fn again(dir: &Path) -> Journal {
    loop {
        match Journal::start(small(dir), Ticking::new()) {
            Err(JournalError::Busy { .. }) => tokio::task::yield_now().await,
            started => return started.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_kill_at_any_step_of_the_disk_leaves_a_journal_that_goes_on() {
    let mut killed = 0;
    for steps in 1..60 {
        let dir = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicU64::new(steps));
        let disk = Arc::new(Killed { disk: FileSystem, left: Arc::clone(&left) });
        let calls: Vec<_> = (0..10).map(|_| decided(Class::Act)).collect();
        let journal = Journal::start_on(small(dir.path()), Ticking::new(), disk).unwrap();
        let promised = live(&journal, &calls).await;
        journal.stop().await;
        let died = left.load(Ordering::SeqCst) == 0;
        killed += u64::from(died);
        assert!(died || promised == calls.len(), "step {steps}");

        again(dir.path()).await.stop().await;
        let found = verify(dir.path(), &[]).unwrap_or_else(|error| panic!("step {steps}: {error}"));
        assert_eq!(found.torn_bytes, 0, "step {steps}");
        let entries = entries(dir.path());
        for call in &calls[..promised] {
            let is_it = |what: &What| matches!(what, What::Opened(facts) if facts.call == call.head().id);
            assert!(entries.iter().any(|entry| is_it(&entry.what)), "step {steps}: a promised entry is lost");
        }
        let opened = entries.iter().filter(|entry| entry.what.kind() == "opened").count();
        let closed = entries.iter().filter(|entry| entry.what.kind() == "closed").count();
        assert_eq!(opened, closed, "step {steps}");
    }
    assert!(
        (20..59).contains(&killed),
        "the kills cover the whole of the journal's life, and some come after it: {killed}"
    );
}
