//! Numbers for those who watch the node, as the text that Prometheus reads (exposition format 0.0.4).
//!
//! A family is told with its name, unit and labels at the moment when somebody asks; between two questions nobody works.
//! Labels come from closed sets (`&'static str`), so no caller can make a new series. The same families go out by OTLP
//! (`push`). It must not count anything itself: rooms count, `runtime::measure` gathers.

use std::fmt::Write as _;

use crate::call::meter::{Histogram, Measured};

/// One metric with all its series.
#[derive(Clone, Debug)]
pub struct Family {
    /// Dotted, without unit: `remit.journal.commit.duration`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What is counted or measured, in UCUM: `s`, `{call}`, `1`.
    pub unit: &'static str,
    /// Its series.
    pub series: Series,
}

/// The labels of a series: name and value.
pub type Labels = Vec<(&'static str, &'static str)>;

/// The series of a family; all of one kind.
#[derive(Clone, Debug)]
pub enum Series {
    /// Only go up while the process lives.
    Sums(Vec<(Labels, u64)>),
    /// Go up and down.
    Gauges(Vec<(Labels, f64)>),
    /// Durations.
    Histograms(Vec<(Labels, Measured)>),
}

impl Family {
    /// The name in Prometheus: underscores, the unit, `_total` for what only goes up.
    fn prometheus_name(&self) -> String {
        let mut name = self.name.replace('.', "_");
        if self.unit == "s" {
            name.push_str("_seconds");
        }
        if matches!(self.series, Series::Sums(_)) {
            name.push_str("_total");
        }
        name
    }
}

/// `Content-Type` of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What Prometheus reads.
pub fn text(families: &[Family]) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for family in families {
        let name = family.prometheus_name();
        let kind = match &family.series {
            Series::Sums(_) => "counter",
            Series::Gauges(_) => "gauge",
            Series::Histograms(_) => "histogram",
        };
        put(&mut out, format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", family.help));
        match &family.series {
            Series::Sums(all) => all.iter().for_each(|(l, value)| line(&mut out, &name, l, None, value)),
            Series::Gauges(all) => all.iter().for_each(|(l, value)| line(&mut out, &name, l, None, value)),
            Series::Histograms(all) => all.iter().for_each(|(l, value)| histogram(&mut out, &name, l, value)),
        }
    }
    out
}

fn histogram(out: &mut String, name: &str, labels: &Labels, measured: &Measured) {
    let bucket = format!("{name}_bucket");
    let mut below = 0;
    let bounds = Histogram::BOUNDS_NS.iter().map(|ns| seconds(*ns).to_string()).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(measured.buckets) {
        below += count;
        line(out, &bucket, labels, Some(&bound), below);
    }
    line(out, &format!("{name}_sum"), labels, None, seconds(measured.sum_ns));
    line(out, &format!("{name}_count"), labels, None, below);
}

/// Nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 ns (104 days) a part in 10^15 does not matter")]
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn line(out: &mut String, name: &str, labels: &Labels, le: Option<&str>, value: impl std::fmt::Display) {
    let all = labels.iter().copied().chain(le.map(|bound| ("le", bound)));
    let all: Vec<String> = all.map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    if all.is_empty() {
        put(out, format_args!("{name} {value}\n"));
    } else {
        put(out, format_args!("{name}{{{}}} {value}\n", all.join(",")));
    }
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _infallible = out.write_fmt(what);
}
