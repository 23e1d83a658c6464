//! Counters and histograms that cost an atomic addition: what a room counts of its own work.
//!
//! Names, units and labels are given where they are told (`runtime::measure`); nothing here waits or allocates.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many measurements were no longer than each of [`Histogram::BOUNDS_NS`], and the rest.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; Self::BOUNDS_NS.len() + 1],
    sum_ns: AtomicU64,
}

/// A [`Histogram`] as it stood at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Measurements in each bucket alone; the last one has what is longer than every bound.
    pub buckets: [u64; Histogram::BOUNDS_NS.len() + 1],
    /// All measurements together, nanoseconds.
    pub sum_ns: u64,
}

impl Histogram {
    /// Upper bounds of the buckets, nanoseconds: from what judging a call takes to what a slow origin takes.
    pub const BOUNDS_NS: [u64; 17] = [
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        1_000_000_000,
        5_000_000_000,
        30_000_000_000,
    ];

    /// Takes one measurement.
    pub fn add(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = Self::BOUNDS_NS.partition_point(|&bound| bound < ns);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// What was measured so far. Measurements that come in meanwhile may be in one part and not yet in the other.
    pub fn measured(&self) -> Measured {
        Measured {
            buckets: std::array::from_fn(|at| {
                self.buckets.get(at).map_or(0, |bucket| bucket.load(Ordering::Relaxed))
            }),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

impl Measured {
    /// How many measurements there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}
