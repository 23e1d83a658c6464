//! From measurements to the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::origin::Protocol;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    /// On both legs.
    pub(crate) protocol: Protocol,
    /// At the same time, one call each.
    pub(crate) connections: usize,
}

/// How the origin is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Without anything between.
    Direct,
    /// Through a plain CONNECT tunnel.
    Tunnel,
    /// Through remit.
    Remit,
    /// Through a second remit, whose state is on a file system in memory: its journal costs no disk.
    RemitInMemory,
}

impl Way {
    /// All.
    pub(crate) const ALL: [Self; 4] = [Self::Direct, Self::Tunnel, Self::Remit, Self::RemitInMemory];
}

/// One slice.
#[derive(Default)]
pub(crate) struct Measured {
    /// Of every call, microseconds.
    pub(crate) latencies_us: Vec<u64>,
    /// Of the whole slice.
    pub(crate) elapsed: Duration,
    /// Processor time of the process between, in ticks of 10 ms.
    pub(crate) cpu_ticks: u64,
}

/// The slices of one case by one way.
#[derive(Default)]
struct Row {
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    per_second: Vec<f64>,
    calls: usize,
    cpu_ticks: u64,
}

/// All slices.
#[derive(Default)]
pub(crate) struct Report(BTreeMap<(Case, Way), Row>);

impl Report {
    /// Takes a slice in.
    #[expect(clippy::cast_precision_loss, reason = "figures far below 2^52")]
    pub(crate) fn add(&mut self, case: Case, way: Way, mut measured: Measured) {
        measured.latencies_us.sort_unstable();
        let calls = measured.latencies_us.len();
        let quantile = |percent: usize| {
            let at = (calls * percent / 100).min(calls.saturating_sub(1));
            measured.latencies_us.get(at).copied().unwrap_or_default() as f64
        };
        let row = self.0.entry((case, way)).or_default();
        row.p50_us.push(quantile(50));
        row.p99_us.push(quantile(99));
        row.per_second.push(calls as f64 / measured.elapsed.as_secs_f64());
        row.calls += calls;
        row.cpu_ticks += measured.cpu_ticks;
    }

    /// Markdown, as it stands in `benches/README.md`.
    pub(crate) fn table(&self, rounds: usize, slice: Duration) -> String {
        let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let mut out = format!(
            "{processors} processors, shared by client, proxy and origin; {rounds} rounds of {} ms; medians of the rounds\n\n\
             | HTTP | connections | way | p50 µs | added | p99 µs | added | calls/s | of direct | CPU µs/call | of tunnel |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
            slice.as_millis()
        );
        for ((case, way), row) in &self.0 {
            let direct = self.0.get(&(*case, Way::Direct)).unwrap_or(row);
            let (p50, p99, rate) = (median(&row.p50_us), median(&row.p99_us), median(&row.per_second));
            let added = |value: f64, base: &[f64]| match way {
                Way::Direct => String::new(),
                Way::Tunnel | Way::Remit | Way::RemitInMemory => format!("{:+.0}", value - median(base)),
            };
            let cpu = row.cpu_us();
            let tunnel = self.0.get(&(*case, Way::Tunnel)).and_then(Row::cpu_us);
            let times = cpu.zip(tunnel).map_or(String::new(), |(own, base)| format!("{:.2}", own / base));
            let _infallible = writeln!(
                out,
                "| {} | {} | {way:?} | {p50:.0} | {} | {p99:.0} | {} | {rate:.0} | {:.2} | {} | {times} |",
                if case.protocol == Protocol::Http1 { "1.1" } else { "2" },
                case.connections,
                added(p50, &direct.p50_us),
                added(p99, &direct.p99_us),
                rate / median(&direct.per_second),
                cpu.map_or(String::new(), |us| format!("{us:.0}")),
            );
        }
        out
    }
}

impl Row {
    /// Over all rounds together, because a tick is coarse; none where nobody is between.
    #[expect(clippy::cast_precision_loss, reason = "figures far below 2^52")]
    fn cpu_us(&self) -> Option<f64> {
        (self.cpu_ticks > 0 && self.calls > 0).then(|| self.cpu_ticks as f64 * 10_000.0 / self.calls as f64)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
