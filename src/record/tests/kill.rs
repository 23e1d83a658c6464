//! A process that keeps a journal under load is killed with SIGKILL at every numbered step of its disk, half-done steps
//! included, and started again on what that left. What "the origin" got is counted against the journal.
//!
//! `REMIT_TEST_CRASHES=300` kills that often, at each step in turn; the default is every third step once.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fixture::{Ticking, decided, entries, renumber, signed};
use crate::call::{Class, Closing, Outcome};
use crate::record::checkpoint;
use crate::record::disk::{Disk, FileSystem, Storage};
use crate::record::verify::{VerifierKey, verify};
use crate::record::{Journal, Settings, What};

const CHILD: &str = "record::tests::kill::the_process_that_is_killed";
const WORKERS: u64 = 4;
const CALLS: u64 = 4;

/// The disk of a process that dies at a step of it.
struct Deadly {
    left: Arc<AtomicU64>,
}

struct DeadlyFile(Box<dyn Storage>, Arc<AtomicU64>);

/// Counts a step; at the last one does half of it, then SIGKILL.
fn step(left: &AtomicU64, half: impl FnOnce()) {
    if left.fetch_sub(1, Ordering::SeqCst) == 1 {
        half();
        let _sent = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal is on its way; nothing more may be done.
        loop {
            std::thread::park();
        }
    }
}

impl Deadly {
    fn file(&self, file: io::Result<Box<dyn Storage>>) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(DeadlyFile(file?, Arc::clone(&self.left))))
    }
}

impl Disk for Deadly {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        step(&self.left, || drop(FileSystem.create(path)));
        self.file(FileSystem.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        self.file(FileSystem.open(path))
    }

    fn aside(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        step(&self.left, || drop(FileSystem.aside(path)));
        self.file(FileSystem.aside(path))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = path.with_extension("new");
        step(&self.left, || std::fs::write(&beside, &bytes[..bytes.len() / 2]).unwrap());
        step(&self.left, || std::fs::write(&beside, bytes).unwrap());
        FileSystem.replace(path, bytes)
    }
}

impl Storage for DeadlyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        step(&self.1, || self.0.write_at(&bytes[..bytes.len() / 2], offset).unwrap());
        self.0.write_at(bytes, offset)?;
        step(&self.1, || {});
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        step(&self.1, || {});
        self.0.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        step(&self.1, || {});
        self.0.set_len(len)
    }
}

fn small(dir: &Path) -> Settings {
    Settings { segment_bytes: 6_000.try_into().unwrap(), ..signed(dir) }
}

/// Not a test of its own: the other one starts it as a process, and kills it.
#[test]
#[ignore = "it is started by the test beside it"]
fn the_process_that_is_killed() {
    let Ok(dir) = std::env::var("REMIT_KILL_DIR") else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    renumber(number("REMIT_KILL_RUN") << 32);
    let disk = Arc::new(Deadly { left: Arc::new(AtomicU64::new(number("REMIT_KILL_STEP"))) });
    let dir = Path::new(&dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let journal = Arc::new(Journal::start_on(small(dir), Ticking::new(), disk).unwrap());
        let workers =
            (0..WORKERS).map(|worker| tokio::spawn(work(Arc::clone(&journal), dir.join("origin"), worker)));
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
        journal.stop().await;
    });
}

/// Calls, each of which "the origin" writes down as soon as it may go out.
async fn work(journal: Arc<Journal>, origin: std::path::PathBuf, worker: u64) {
    for call in 0..CALLS {
        let class = if (worker + call).is_multiple_of(3) { Class::Read } else { Class::Act };
        let call = decided(class);
        let opened = journal.open(&call).await.unwrap();
        // One `write` with O_APPEND: it is there whole, also if the next step is the last.
        let line = format!("{}\n", call.head().id);
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&origin)
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
        opened.close(Closing::bare(Outcome::Answered));
    }
}

/// Whether it was killed, rather than came to its end.
fn run(dir: &Path, run: u64, step: u64) -> bool {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored", "--test-threads=1"])
        .env("REMIT_KILL_DIR", dir)
        .env("REMIT_KILL_RUN", run.to_string())
        .env("REMIT_KILL_STEP", step.to_string())
        .output()
        .unwrap();
    let killed = child.status.signal() == Some(9);
    assert!(killed || child.status.success(), "run {run}, step {step}: {child:?}");
    killed
}

/// Gives back how many calls were closed as unknown.
fn assert_sound(dir: &Path, run: u64) -> usize {
    let key = std::fs::read_to_string(dir.join("journal/log.vkey")).unwrap();
    // Before the first entry nothing is signed.
    let note = std::fs::read(checkpoint::path(dir)).ok();
    let held: Vec<_> =
        note.iter().map(|note| VerifierKey::parse(&key).unwrap().open(note).unwrap()).collect();
    let verified = verify(dir, &held).unwrap_or_else(|error| panic!("run {run}: {error}"));
    assert_eq!((verified.torn_bytes, verified.covered), (0, verified.entries), "run {run}");
    let (mut opened, mut closed, mut unknown) = (std::collections::HashSet::new(), 0, 0);
    for entry in entries(dir) {
        match entry.what {
            What::Opened(facts) => assert!(opened.insert(facts.call.to_string()), "run {run}"),
            What::Closed(end) => {
                closed += 1;
                unknown += usize::from(end.closing.outcome == Outcome::Unknown);
            }
            _ => {}
        }
    }
    assert_eq!(opened.len(), closed, "run {run}: each call has one end");
    let origin = std::fs::read_to_string(dir.join("origin")).unwrap_or_default();
    let missing: Vec<_> = origin.lines().filter(|call| !opened.contains(*call)).collect();
    assert!(missing.is_empty(), "run {run}: the origin got what the journal does not have: {missing:?}");
    unknown
}

#[tokio::test]
async fn a_kill_at_every_step_under_load_loses_nothing_that_went_out() {
    let wanted = std::env::var("REMIT_TEST_CRASHES").ok().map(|text| text.parse::<u64>().unwrap());
    let stride = if wanted.is_some() { 1 } else { 3 };
    let mut dir = tempfile::tempdir().unwrap();
    let (mut killed, mut unknown, mut step, mut ends) = (0, 0, 1, 0);
    for number in 1.. {
        let died = run(dir.path(), number, step);
        killed += u64::from(died);
        ends += u64::from(!died);
        // Past the last step it comes to its end: from the first one again.
        step = if died { step + stride } else { 1 };
        // A start of its own mends what was left; the next child finds a journal of some length.
        Journal::start(small(dir.path()), Ticking::new()).unwrap().stop().await;
        unknown += assert_sound(dir.path(), number);
        if number % 8 == 0 {
            dir = tempfile::tempdir().unwrap();
        }
        if ends > 0 && killed >= wanted.unwrap_or(0) {
            break;
        }
    }
    println!("killed {killed} times; {unknown} closings as unknown, seen again while their journal lived");
    assert!(killed * stride > 40, "there are more steps than were killed at: {killed}");
    assert!(unknown > 10, "no kill hit a call that was under way: {unknown}");
}
