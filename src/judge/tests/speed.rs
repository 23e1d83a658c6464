//! A rough figure, not a bench: `cargo test --lib judge::tests::speed -- --ignored --nocapture`.

use std::fmt::Write;
use std::time::Instant;

use super::ground::{Small, call, on, operation, rules};
use crate::call::{Class, ServiceName};
use crate::judge::{PolicySource, Rules, Vocabulary};

/// As many services as a full catalog.
struct Many;

impl Vocabulary for Many {
    fn operation(&self, _: &str) -> Option<(ServiceName, Class)> {
        None
    }
    fn services(&self) -> Vec<ServiceName> {
        (0..150).map(|n| ServiceName(format!("service{n}").into())).collect()
    }
    fn operation_ids(&self) -> Vec<String> {
        Vec::new()
    }
}

#[test]
#[ignore = "prints times"]
fn times_of_a_ruling() {
    let mut many = String::new();
    for n in 0..100 {
        let _ = writeln!(
            many,
            "@id(\"p{n}\") permit (principal, action == Action::\"github:issues/get\", resource) when {{ context.task.intent == \"i{n}\" }};"
        );
    }
    let shipped = Rules::load(&PolicySource::embedded(), &Small).unwrap();
    let begun = Instant::now();
    let loaded = Rules::load(&PolicySource::embedded(), &Many).unwrap();
    println!("load, 150 services, {} actions: {:?}", loaded.actions(), begun.elapsed());
    let asked = call(on(operation("github:issues/get", Class::Read), "repo", "octo/hello"));
    for (what, rules) in [("shipped", shipped), ("100 policies", rules(&many))] {
        let mut times: Vec<_> = (0..5_000)
            .map(|_| {
                let begun = Instant::now();
                let ruling = rules.rule(&asked);
                let took = begun.elapsed();
                drop(ruling);
                took
            })
            .collect();
        times.sort();
        println!("{what}: p50 {:?}, p99 {:?}", times[2_500], times[4_950]);
    }
}
