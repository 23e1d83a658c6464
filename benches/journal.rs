//! How fast the journal makes entries durable, next to what the same file system does by itself; and how fast it is
//! searched.
//!
//! `cargo bench --bench journal` takes about half a minute. Arguments behind `--`: `--rounds N` (default 5), `--slice-ms N`
//! (default 500), `--dir DIR` (default: the temporary folder; the figures are those of its file system), `--entries N`
//! (then it writes that many entries first and measures searches instead). Method and figures: `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[path = "journal/calls.rs"]
mod calls;
#[path = "journal/find.rs"]
mod find;
#[path = "journal/report.rs"]
mod report;

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use remit::call::{Class, Closing, Outcome};
use remit::record::{Journal, Settings};

use calls::{Calls, SystemClock};
use report::{Case, Report};

/// Callers at the same time.
const WRITERS: [usize; 3] = [1, 8, 64];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` starts benches too.
        println!("left out: figures come from `cargo bench --bench journal`");
        return Ok(());
    }
    let options = Options::parse(&arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match options.entries {
        Some(entries) => runtime.block_on(find::run(&options.dir, entries)),
        None => runtime.block_on(run(&options)),
    }
}

struct Options {
    rounds: usize,
    slice: Duration,
    dir: PathBuf,
    entries: Option<u64>,
}

impl Options {
    fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let (slice, dir) = (Duration::from_millis(500), std::env::temp_dir());
        let mut options = Self { rounds: 5, slice, dir, entries: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                // cargo's own.
                "--bench" => {}
                "--rounds" => options.rounds = value()?.parse()?,
                "--slice-ms" => options.slice = Duration::from_millis(value()?.parse()?),
                "--dir" => options.dir = value()?.into(),
                "--entries" => options.entries = Some(value()?.parse()?),
                other => {
                    bail!("unknown argument `{other}`; known are --rounds, --slice-ms, --dir and --entries")
                }
            }
        }
        Ok(options)
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let calls = Arc::new(Calls::new()?);
    let place = tempfile::tempdir_in(&options.dir)?;
    let line_bytes = line_bytes(place.path(), &calls).await?;
    let mut report = Report::default();
    // Interleaved, so that whatever else the machine does falls on all alike.
    for round in 0..options.rounds {
        let dir = place.path().join(round.to_string());
        report.add(Case::Raw, raw(&dir, line_bytes, options.slice)?, options.slice);
        for class in [Class::Act, Class::Read] {
            for writers in WRITERS {
                let waits = slice(&dir, &calls, class, writers, options.slice).await?;
                report.add(Case::Journal { class, writers }, waits, options.slice);
            }
        }
    }
    println!("{}", report.table(options.rounds, options.slice, line_bytes));
    Ok(())
}

/// How long the line of an opening is.
async fn line_bytes(dir: &Path, calls: &Calls) -> anyhow::Result<usize> {
    let journal = Journal::start(Settings::new(dir), Arc::new(SystemClock))?;
    drop(journal.open(&calls.call(Class::Act)).await?);
    journal.stop().await;
    let text = std::fs::read_to_string(dir.join("journal/00000000000000000000.jsonl"))?;
    Ok(text.lines().next().context("nothing was written")?.len() + 1)
}

/// What the file system does without us: append as much as an entry has, wait for the disk, again. Microseconds each.
fn raw(dir: &Path, bytes: usize, slice: Duration) -> anyhow::Result<Vec<u64>> {
    std::fs::create_dir_all(dir)?;
    let file = std::fs::File::create(dir.join("raw"))?;
    let (line, mut offset, mut waits, began) = (vec![b'x'; bytes], 0, Vec::new(), Instant::now());
    while began.elapsed() < slice {
        let at = Instant::now();
        file.write_all_at(&line, offset)?;
        file.sync_data()?;
        waits.push(micros(at));
        offset += bytes as u64;
    }
    Ok(waits)
}

/// Each writer opens a call, waits for its proof, closes it. Microseconds of each wait.
async fn slice(
    dir: &Path,
    calls: &Arc<Calls>,
    class: Class,
    writers: usize,
    slice: Duration,
) -> anyhow::Result<Vec<u64>> {
    let dir = dir.join(format!("{class}-{writers}"));
    let journal = Arc::new(Journal::start(Settings::new(dir), Arc::new(SystemClock))?);
    let began = Instant::now();
    let writer = || {
        let (journal, calls) = (Arc::clone(&journal), Arc::clone(calls));
        tokio::spawn(async move {
            let mut waits = Vec::new();
            while began.elapsed() < slice {
                let call = calls.call(class);
                let at = Instant::now();
                let opened = journal.open(&call).await?;
                waits.push(micros(at));
                opened.close(Closing::bare(Outcome::Answered));
            }
            anyhow::Ok(waits)
        })
    };
    let running: Vec<_> = (0..writers).map(|_| writer()).collect();
    let mut waits = Vec::new();
    for one in running {
        waits.extend(one.await??);
    }
    journal.stop().await;
    Ok(waits)
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
