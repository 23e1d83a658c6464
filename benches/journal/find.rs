//! Reading a long journal with the shipped program: `remit audit query` searches it, `remit policy replay` judges all of it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use remit::call::{Class, Closing, Outcome};
use remit::record::{Journal, Settings};

use super::calls::{Calls, SystemClock};

/// Calls under way at the same time.
const AT_ONCE: usize = 128;
/// Each search this often; the median is told.
const TIMES: usize = 3;

pub(crate) async fn run(dir: &Path, entries: u64) -> anyhow::Result<()> {
    let place = tempfile::tempdir_in(dir)?;
    let calls = Arc::new(Calls::new()?);
    let began = Instant::now();
    let one = write(place.path(), &calls, entries).await?;
    println!("{entries} entries written in {:.0} s", began.elapsed().as_secs_f64());
    let (segments, bytes) = size(place.path(), "jsonl")?;

    let began = Instant::now();
    search(place.path(), &["--call", &one])?;
    println!("indexes that the node had not made yet: {:.1} s", began.elapsed().as_secs_f64());
    for file in files(place.path(), "index")? {
        std::fs::remove_file(file)?;
    }
    let began = Instant::now();
    search(place.path(), &["--call", &one])?;
    println!("all indexes made anew from the log: {:.1} s", began.elapsed().as_secs_f64());
    let (_, index_bytes) = size(place.path(), "index")?;
    println!("{segments} segments, {} MiB; indexes {} MiB\n", bytes >> 20, index_bytes >> 20);

    let (agent, task, operation, host) = calls.samples();
    let searches: [&[&str]; 9] = [
        &["--call", &one],
        &["--task", &task, "--json"],
        &["--agent", &agent],
        &["--class", "act"],
        &["--decision", "deny"],
        &["--operation", &operation],
        &["--operation", "service-3:*", "--class", "delegate", "--json"],
        &["--host", &host],
        &["--since", "2s", "--class", "act"],
    ];
    println!("| `remit audit query …` | lines | s |\n|---|---|---|");
    for arguments in searches {
        let mut took = Vec::new();
        let mut lines = 0;
        for _ in 0..TIMES {
            let began = Instant::now();
            lines = search(place.path(), arguments)?;
            took.push(began.elapsed().as_secs_f64());
        }
        took.sort_unstable_by(f64::total_cmp);
        println!("| `{}` | {lines} | {:.2} |", arguments.join(" "), took.get(TIMES / 2).context("no time")?);
    }
    replays(place.path())
}

/// Under the shipped policies; a process of its own each time.
fn replays(dir: &Path) -> anyhow::Result<()> {
    let (mut took, mut calls) = (Vec::new(), 0);
    for _ in 0..TIMES {
        let began = Instant::now();
        let done = Command::new(env!("CARGO_BIN_EXE_remit"))
            .current_dir(dir)
            .args(["policy", "replay", "--json", "--state"])
            .arg(dir)
            .output()?;
        took.push(began.elapsed().as_secs_f64());
        let told: serde_json::Value = serde_json::from_slice(&done.stdout)
            .with_context(|| String::from_utf8_lossy(&done.stderr).into_owned())?;
        calls = told.get("calls").and_then(serde_json::Value::as_u64).context("no calls")?;
    }
    took.sort_unstable_by(f64::total_cmp);
    let median = took.get(TIMES / 2).context("no time")?;
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 calls")]
    let rate = calls as f64 / median;
    println!(
        "\n`remit policy replay`: {calls} calls in {median:.2} s, {rate:.0} a second, start of the program included"
    );
    Ok(())
}

/// Writes calls, ninety reads, nine acts and one delegation of a hundred; gives back the id of one in the middle.
async fn write(dir: &Path, calls: &Arc<Calls>, entries: u64) -> anyhow::Result<String> {
    let journal = Arc::new(Journal::start(Settings::new(dir), Arc::new(SystemClock))?);
    let each = entries / 2 / AT_ONCE as u64;
    let writer = |_| {
        let (journal, calls) = (Arc::clone(&journal), Arc::clone(calls));
        tokio::spawn(async move {
            let mut middle = String::new();
            for number in 0..each {
                let class = match number % 100 {
                    0..90 => Class::Read,
                    90..99 => Class::Act,
                    _ => Class::Delegate,
                };
                let call = calls.call(class);
                if number == each / 2 {
                    middle = call.head().id.to_string();
                }
                journal.open(&call).await?.close(Closing::bare(Outcome::Answered));
            }
            anyhow::Ok(middle)
        })
    };
    let mut middle = String::new();
    for one in (0..AT_ONCE).map(writer).collect::<Vec<_>>() {
        middle = one.await??;
    }
    journal.stop().await;
    Ok(middle)
}

/// How many lines the program prints.
fn search(dir: &Path, arguments: &[&str]) -> anyhow::Result<usize> {
    let done = Command::new(env!("CARGO_BIN_EXE_remit"))
        .args(["audit", "query", "--state"])
        .arg(dir)
        .args(arguments)
        .stderr(Stdio::piped())
        .output()?;
    let nothing = done.status.code() == Some(1) && done.stdout.is_empty();
    ensure!(done.status.success() || nothing, "{}", String::from_utf8_lossy(&done.stderr));
    Ok(done.stdout.split_inclusive(|&byte| byte == b'\n').count())
}

fn files(dir: &Path, kind: &str) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let all = std::fs::read_dir(dir.join("journal"))?;
    let all = all.map(|file| Ok(file?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == kind)).collect())
}

fn size(dir: &Path, kind: &str) -> anyhow::Result<(usize, u64)> {
    let files = files(dir, kind)?;
    let lengths =
        files.iter().map(|file| Ok(std::fs::metadata(file)?.len())).collect::<anyhow::Result<Vec<_>>>()?;
    Ok((files.len(), lengths.iter().sum()))
}
