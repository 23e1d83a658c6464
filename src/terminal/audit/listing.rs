//! `remit audit query`, `tail` and `export`: entries as rows for people, or as the lines that they are.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::super::failure::Failure;
use super::super::table::{Lean, Table};
use super::super::{arguments, screen};
use super::{Form, wanting};
use crate::call::{CallId, Class, Closing, Decision, EntryId, TaskId, Timestamp};
use crate::record::{self, CallFacts, Entry, Filter, What, search};
use crate::runtime::SpanLines;

/// What to look for.
#[derive(Debug, clap::Args)]
pub(super) struct Query {
    /// A SPIFFE ID, or the last part of one
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// A task
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,
    /// A call
    #[arg(long, value_name = "ID")]
    call: Option<CallId>,
    /// read, act or delegate
    #[arg(long, value_parser = class)]
    class: Option<Class>,
    /// allow, deny or hold
    #[arg(long, value_parser = decision)]
    decision: Option<Decision>,
    /// An operation; `github:*` means all that begin so
    #[arg(long, value_name = "OP")]
    operation: Option<String>,
    /// The host that was called
    #[arg(long)]
    host: Option<String>,
    /// The operator who did it, such as local:admin
    #[arg(long, value_name = "OPERATOR")]
    by: Option<String>,
    /// The kind of entry: opened, closed, refused, `turned_away`, `task_opened` …
    #[arg(long)]
    kind: Option<String>,
    #[command(flatten)]
    times: Times,
    /// How many rows at most; the latest are shown
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    limit: usize,
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct Times {
    /// Written at this time (RFC 3339) or later, or within the last such as 1h30m
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Written before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Tail {
    /// Go on with what is written from now on
    #[arg(long, short)]
    follow: bool,
    /// How many entries to begin with
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10)]
    lines: u64,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// As what: the journal's lines, or spans as OTLP in JSON
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    #[command(flatten)]
    times: Times,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Jsonl,
    Otlp,
}

/// How long `tail --follow` waits before it looks again.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many entries `tail` reads at one time.
const AT_ONCE: usize = 256;

fn class(text: &str) -> Result<Class, String> {
    Class::ALL
        .into_iter()
        .find(|class| class.as_str() == text)
        .ok_or_else(|| "write read, act or delegate".to_owned())
}

fn decision(text: &str) -> Result<Decision, String> {
    match text {
        "allow" => Ok(Decision::Allow),
        "deny" => Ok(Decision::Deny),
        "hold" => Ok(Decision::Hold),
        _ => Err("write allow, deny or hold".to_owned()),
    }
}

/// RFC 3339, or a duration back from now.
fn time(text: &str) -> Result<Timestamp, String> {
    let wrong =
        || format!("`{text}` is not a time; write `2026-11-24T09:30:00Z`, or `1h30m` for that long ago");
    let at = match arguments::duration(text) {
        Ok(ago) => jiff::Timestamp::now().checked_sub(ago).map_err(|_| wrong())?,
        Err(_) => text.parse::<jiff::Timestamp>().map_err(|_| wrong())?,
    };
    u64::try_from(at.as_nanosecond()).map(Timestamp::from_unix_ns).map_err(|_| wrong())
}

pub(super) fn query(state: &Path, query: Query, form: Form) -> Result<ExitCode, Failure> {
    let limit = query.limit;
    let filter = Filter {
        agent: query.agent,
        task: query.task,
        class: query.class,
        decision: query.decision,
        operation: query.operation,
        host: query.host,
        kind: query.kind,
        by: query.by,
        call: query.call,
        since: query.times.since,
        until: query.times.until,
    };
    let found = match form {
        Form::Json => lines(state, &filter)?,
        Form::Text => rows(state, &filter, limit)?,
    };
    Ok(if found == 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

pub(super) fn export(state: &Path, Export { format, times }: &Export) -> Result<ExitCode, Failure> {
    let filter = Filter { since: times.since, until: times.until, ..Filter::default() };
    match format {
        Format::Jsonl => lines(state, &filter).map(drop)?,
        Format::Otlp => spans(state, &filter)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the calls that are over as spans.
fn spans(state: &Path, filter: &Filter) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut spans, mut written) = (SpanLines::default(), Ok(()));
    let searched = search(state, filter, |found| {
        if let Some(line) = spans.take(found.entry.clone()) {
            written = out.write_all(line.as_bytes());
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let rest = spans.rest().unwrap_or_default();
    let flushed = written.and_then(|()| out.write_all(rest.as_bytes())).and_then(|()| out.flush());
    searched.map_err(|error| wanting(&error))?;
    gone(flushed).map(drop)
}

/// Prints lines as they stand; gives back how many.
fn lines(state: &Path, filter: &Filter) -> Result<u64, Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut count, mut broken) = (0, None);
    let searched = search(state, filter, |found| match writeln!(out, "{}", found.line) {
        Ok(()) => {
            count += 1;
            ControlFlow::Continue(())
        }
        Err(error) => {
            broken = Some(error);
            ControlFlow::Break(())
        }
    });
    let flushed = broken.map_or_else(|| out.flush(), Err);
    searched.map_err(|error| wanting(&error))?;
    let _there = gone(flushed)?;
    Ok(count)
}

/// Whether the reader is still there; that it has gone away (`| head`) is not a failure.
fn gone(written: io::Result<()>) -> Result<ControlFlow<()>, Failure> {
    match written {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Failure::found_wanting(format!("cannot write to standard output: {error}"))),
    }
}

/// One row a call or event.
#[derive(Default)]
struct Rows {
    cells: std::collections::VecDeque<Vec<String>>,
    /// How many rows were dropped at the front.
    dropped: usize,
    /// Where the row of an open call is, counted from the first that ever was.
    open: HashMap<CallId, usize>,
}

impl Rows {
    fn take(&mut self, entry: &Entry, limit: usize) {
        match &entry.what {
            What::Opened(facts) => {
                self.open.insert(facts.call, self.dropped + self.cells.len());
                self.push(call_row(entry, facts, "open"), limit);
            }
            What::Refused(facts) => {
                let end = facts.refusal.as_ref().map_or("refused", |refusal| refusal.code.as_str());
                self.push(call_row(entry, facts, end), limit);
            }
            What::Closed(closed) => {
                let row = self.open.remove(&closed.call).and_then(|at| at.checked_sub(self.dropped));
                match row.and_then(|at| self.cells.get_mut(at)).and_then(|row| row.get_mut(END)) {
                    Some(end) => *end = ending(&closed.closing),
                    None => self.push(event_row(entry), limit),
                }
            }
            _ => self.push(event_row(entry), limit),
        }
    }

    fn push(&mut self, row: Vec<String>, limit: usize) {
        self.cells.push_back(row);
        if self.cells.len() > limit {
            self.cells.pop_front();
            self.dropped += 1;
        }
    }
}

/// The column that tells how a call ended.
const END: usize = 5;

fn rows(state: &Path, filter: &Filter, limit: usize) -> Result<u64, Failure> {
    let mut from = record::search::latest(state, filter, limit).map_err(|error| wanting(&error))?;
    let mut rows = gather(state, filter, limit, from)?;
    // The indexes count what may match; where that was less, nothing for it but to look at all.
    if rows.cells.len() < limit && from.0 != 0 {
        from = EntryId(0);
        rows = gather(state, filter, limit, from)?;
    }
    let columns = ["entry", "at", "agent", "operation", "class", "end", "what", "call"];
    let mut table = Table::new(&columns.map(|name| (name, Lean::Left)));
    let count = rows.cells.len();
    rows.cells.into_iter().for_each(|row| table.row(row));
    if count == 0 {
        screen::tell("nothing found");
    } else {
        screen::print(&table.text())?;
    }
    if rows.dropped != 0 || from.0 != 0 {
        screen::tell("there may be earlier rows; raise --limit or use --json");
    }
    Ok(count as u64)
}

fn gather(state: &Path, filter: &Filter, limit: usize, from: EntryId) -> Result<Rows, Failure> {
    let mut rows = Rows::default();
    let searched = record::search::search_from(state, filter, from, |found| {
        rows.take(found.entry, limit);
        ControlFlow::Continue(())
    });
    searched.map_err(|error| wanting(&error))?;
    Ok(rows)
}

fn call_row(entry: &Entry, facts: &CallFacts, end: &str) -> Vec<String> {
    let agent = facts.agent.as_ref().and_then(|agent| agent.as_str().rsplit('/').next()).unwrap_or("-");
    let strongest = facts.strongest();
    vec![
        entry.seq.to_string(),
        entry.at.to_string(),
        agent.to_owned(),
        strongest.map_or_else(|| "-".to_owned(), |operation| operation.id.to_string()),
        strongest.map_or("-", |operation| operation.class.as_str()).to_owned(),
        end.to_owned(),
        format!("{} {}{}", facts.http.method, facts.http.host, facts.http.path),
        facts.call.to_string(),
    ]
}

fn ending(closing: &Closing) -> String {
    let outcome = serde_json::to_value(closing.outcome);
    let outcome = outcome.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    closing.status.map_or_else(|| outcome.clone(), |status| format!("{outcome} {status}"))
}

/// A row of what is no call: its kind, and what it says in the journal's own words.
fn event_row(entry: &Entry) -> Vec<String> {
    let dash = || "-".to_owned();
    let (agent, end, call) = match &entry.what {
        What::Closed(closed) => (dash(), ending(&closed.closing), closed.call.to_string()),
        What::TaskOpened(task) => {
            (task.agent.as_str().rsplit('/').next().unwrap_or("-").to_owned(), dash(), dash())
        }
        _ => (dash(), dash(), dash()),
    };
    let data = serde_json::to_value(&entry.what).ok();
    let said = match (&entry.what, data.as_ref().and_then(|data| data.get("data"))) {
        (What::Closed(closed), _) => format!("closes entry {}", closed.opened),
        (_, Some(serde_json::Value::Object(fields))) => {
            let plain =
                |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let words: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
            words.join(" ")
        }
        _ => String::new(),
    };
    vec![
        entry.seq.to_string(),
        entry.at.to_string(),
        agent,
        entry.what.kind().to_owned(),
        dash(),
        end,
        said,
        call,
    ]
}

#[expect(
    clippy::disallowed_methods,
    reason = "this verb runs on no runtime, and nothing tells of a file that grows"
)]
pub(super) fn tail(state: &Path, tail: &Tail, form: Form) -> Result<ExitCode, Failure> {
    let from = record::search::last(state, tail.lines).map_err(|error| wanting(&error))?;
    let mut reader = record::Tail::open(state, from);
    let mut out = io::stdout().lock();
    loop {
        let entries = reader.read(AT_ONCE).map_err(|error| wanting(&error))?;
        let done = entries.len() < AT_ONCE;
        let text: String = entries.iter().map(|entry| one_line(entry, form)).collect();
        if gone(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?.is_break()
            || (done && !tail.follow)
        {
            return Ok(ExitCode::SUCCESS);
        }
        if done {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn one_line(entry: &Entry, form: Form) -> String {
    if form == Form::Json {
        // Canonical: what was read gives back the line.
        return serde_json::to_string(entry).unwrap_or_default() + "\n";
    }
    let row = match &entry.what {
        What::Opened(facts) => call_row(entry, facts, "opened"),
        What::Refused(facts) => {
            call_row(entry, facts, facts.refusal.as_ref().map_or("refused", |refusal| refusal.code.as_str()))
        }
        _ => event_row(entry),
    };
    let tame =
        |cell: String| -> String { cell.chars().map(|c| if c.is_control() { '?' } else { c }).collect() };
    row.into_iter().filter(|cell| cell != "-").map(tame).collect::<Vec<_>>().join("  ") + "\n"
}
