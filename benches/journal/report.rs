//! From waits to the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use remit::call::Class;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    /// `pwrite` and `fdatasync`, one after the other.
    Raw,
    /// Openings of calls.
    Journal {
        /// An act waits for the disk, a read for the operating system.
        class: Class,
        /// At the same time.
        writers: usize,
    },
}

#[derive(Default)]
struct Row {
    per_second: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

/// All slices.
#[derive(Default)]
pub(crate) struct Report(BTreeMap<Case, Row>);

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "figures far below 2^52")]
    pub(crate) fn add(&mut self, case: Case, mut waits: Vec<u64>, slice: Duration) {
        waits.sort_unstable();
        let quantile = |percent: usize| {
            let at = (waits.len() * percent / 100).min(waits.len().saturating_sub(1));
            waits.get(at).copied().unwrap_or_default() as f64
        };
        let row = self.0.entry(case).or_default();
        row.per_second.push(waits.len() as f64 / slice.as_secs_f64());
        row.p50_us.push(quantile(50));
        row.p99_us.push(quantile(99));
    }

    /// Markdown, as it stands in `benches/README.md`.
    pub(crate) fn table(&self, rounds: usize, slice: Duration, line_bytes: usize) -> String {
        let raw = self.0.get(&Case::Raw).map_or(0.0, |row| median(&row.per_second));
        let mut out = format!(
            "{rounds} rounds of {} ms, medians of the rounds; an opening has {line_bytes} bytes\n\n\
             | what | writers | entries/s | of raw | p50 µs | p99 µs |\n|---|---|---|---|---|---|\n",
            slice.as_millis()
        );
        for (case, row) in &self.0 {
            let (what, writers) = match case {
                Case::Raw => ("`pwrite` + `fdatasync`".to_owned(), 1),
                Case::Journal { class: Class::Read, writers } => ("appended (read)".to_owned(), *writers),
                Case::Journal { class, writers } => (format!("durable ({class})"), *writers),
            };
            let rate = median(&row.per_second);
            let _infallible = writeln!(
                out,
                "| {what} | {writers} | {rate:.0} | {:.2} | {:.0} | {:.0} |",
                rate / raw,
                median(&row.p50_us),
                median(&row.p99_us)
            );
        }
        out
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
