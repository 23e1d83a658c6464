//! What a decision costs, by the number of policies; next to Cedar's own `is_authorized` over the whole set, in the same run.
//! And what loading costs: the whole set, and one changed policy in it.
//!
//! `cargo bench --bench judge` takes about a minute. Method and figures: `benches/README.md`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that goes wrong is to say so and end"
)]

#[path = "judge/ground.rs"]
mod ground;

use std::time::{Duration, Instant};

use cedar_policy::{Authorizer, PolicySet};
use remit::judge::{Loader, Rules};

use ground::{Many, OPERATIONS};

/// Numbers of policies.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// Calls that take turns, so that no two in a row are alike.
const CALLS: usize = 256;
/// Turns over all sizes: what else the machine does falls on each of them alike.
const ROUNDS: usize = 20;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        // `cargo test --all-targets` starts benches too.
        println!("left out: figures come from `cargo bench --bench judge`");
        return;
    }
    let sets: Vec<_> = SIZES.into_iter().map(Set::load).collect();
    let mut figures: Vec<_> = sets.iter().map(|_| Figures::default()).collect();
    for _ in 0..ROUNDS {
        for (set, figures) in sets.iter().zip(&mut figures) {
            set.measure(figures);
        }
    }
    println!(
        "policies   decision p50   p99   allocations   | bare is_authorized, whole set p50   allocations"
    );
    for (size, figures) in SIZES.into_iter().zip(&mut figures) {
        let Figures { decisions, allocations, bare, bare_allocations } = figures;
        println!(
            "{size:>8}   {:>9.1} µs {:>8.1} µs {allocations:>8}   | {:>12.1} µs {bare_allocations:>12}",
            quantile(decisions, 0.5),
            quantile(decisions, 0.99),
            quantile(bare, 0.5),
        );
    }
    let (least, most) = (quantile(&mut figures[0].decisions, 0.5), quantile(&mut figures[3].decisions, 0.5));
    println!("p50 at {} is {:.2} times that at {}", SIZES[3], most / least, SIZES[0]);
    loading();
}

/// A set of policies, loaded, and the calls to it.
struct Set {
    rules: Rules,
    whole: PolicySet,
    calls: Vec<ground::Asked>,
}

/// Nanoseconds of each, and allocations of the last.
#[derive(Default)]
struct Figures {
    decisions: Vec<u64>,
    allocations: u64,
    bare: Vec<u64>,
    bare_allocations: u64,
}

impl Set {
    fn load(size: usize) -> Self {
        let source = ground::policies(size, None);
        let rules = Rules::load(&source, &Many).unwrap_or_else(|errors| panic!("{errors}"));
        Self { rules, whole: ground::whole(size), calls: (0..CALLS).map(ground::Asked::nth).collect() }
    }

    fn measure(&self, figures: &mut Figures) {
        for asked in &self.calls {
            let begun = Instant::now();
            let ruling = self.rules.rule(&asked.call);
            figures.decisions.push(nanoseconds(begun.elapsed()));
            drop(ruling);
        }
        let asked = &self.calls[0];
        let counted = allocation_counter::measure(|| drop(self.rules.rule(&asked.call)));
        figures.allocations = counted.count_total;
        for asked in self.calls.iter().take(8) {
            let begun = Instant::now();
            let answer = Authorizer::new().is_authorized(&asked.request, &self.whole, &asked.entities);
            figures.bare.push(nanoseconds(begun.elapsed()));
            drop(answer);
        }
        let counted = allocation_counter::measure(|| {
            drop(Authorizer::new().is_authorized(&asked.request, &self.whole, &asked.entities));
        });
        figures.bare_allocations = counted.count_total;
    }
}

/// Milliseconds to load the largest set over a whole catalog, and to load it again with one policy changed.
fn loading() {
    let size = SIZES[3];
    let (mut first, mut changed) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let mut loader = Loader::default();
        for (times, change) in [(&mut first, None), (&mut changed, Some(round))] {
            let source = ground::policies(size, change);
            let begun = Instant::now();
            loader.load(&source, &Many).unwrap_or_else(|errors| panic!("{errors}"));
            times.push(nanoseconds(begun.elapsed()));
        }
    }
    println!(
        "loading {size} policies over {OPERATIONS} operations: {:.0} ms; one of them changed: {:.0} ms",
        quantile(&mut first, 0.5) / 1_000.0,
        quantile(&mut changed, 0.5) / 1_000.0
    );
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// In microseconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times of a bench are far below 2^53 ns"
)]
fn quantile(times: &mut [u64], part: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize] as f64 / 1_000.0
}
