//! The rules of naming, held against what providers publish: of each shipped operation whose class comes from a scope, an
//! access level or a root type, what its method and its words alone would have said. Nobody wrote a rule while looking at
//! most of these, so they tell how the rules do elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use crate::call::{Class, Recognition};

use super::super::naming::{Words, judge};
use super::CATALOG;

/// Counts of (published, judged).
#[derive(Clone, Copy, Default)]
struct Score([[u32; 3]; 3]);

impl Score {
    fn add(&mut self, truth: Class, said: Class) {
        self.0[truth as usize][said as usize] += 1;
    }

    /// How many, the share judged alike, of effects that judged weaker, of reads that judged stronger.
    fn shares(&self) -> (u32, f64, f64, f64) {
        let count = |cells: &[(usize, usize)]| cells.iter().map(|(a, b)| self.0[*a][*b]).sum::<u32>();
        let share = |part: u32, whole: u32| if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) };
        let all = self.0.iter().flatten().sum();
        let alike = count(&[(0, 0), (1, 1), (2, 2)]);
        let effects = self.0[1].iter().chain(&self.0[2]).sum();
        let under = count(&[(1, 0), (2, 0), (2, 1)]);
        let over = count(&[(0, 1), (0, 2)]);
        (all, share(alike, all), share(under, effects), share(over, self.0[0].iter().sum()))
    }
}

/// By name and path, and by path alone where there is one; the second by family too.
fn measure() -> (Score, Score, BTreeMap<String, Score>) {
    let (mut named, mut bare, mut families) = (Score::default(), Score::default(), BTreeMap::new());
    CATALOG.with(|catalog| {
        for service in &catalog.services {
            let family = service.about.name.split('-').next().unwrap().to_owned();
            let published = |because: &str| because.starts_with("catalog, published");
            let mut seen = HashSet::new();
            for row in &service.table().unwrap().rows {
                if row.how != Recognition::Exact || !published(&row.because) || !seen.insert(&row.id) {
                    continue;
                }
                let name = row.id.0.split_once(':').unwrap().1;
                let (verbs, template) = row.place.split_once(' ').unwrap();
                let verb = verbs.split(',').next().unwrap();
                let path =
                    template.strip_prefix("//").map_or(template, |rest| &rest[rest.find('/').unwrap()..]);
                let (verb, path) = match (template.starts_with('#'), verb) {
                    (true, "POST") => ("ACTION", ""),
                    (true, other) => (other, ""),
                    (false, verb) => (verb, path),
                };
                named.add(row.class, judge(verb, Words { name, path }).class);
                let by_path =
                    judge(verb, Words { name: if path.is_empty() { name } else { "" }, path }).class;
                bare.add(row.class, by_path);
                families.entry(family.clone()).or_insert_with(Score::default).add(row.class, by_path);
            }
        }
    });
    (named, bare, families)
}

#[test]
fn names_say_what_providers_publish() {
    let (named, bare, families) = measure();
    let mut said = String::new();
    let mut line = |name: &str, score: &Score| {
        let (all, alike, under, over) = score.shares();
        writeln!(said, "{name:<16} n={all:>6} alike={alike:.3} under={under:.3} over={over:.3}").unwrap();
    };
    line("name and path", &named);
    line("path alone", &bare);
    families.iter().filter(|(_, score)| score.shares().0 >= 20).for_each(|(name, score)| line(name, score));
    println!("{said}");
    let (all, alike, under, over) = named.shares();
    assert!(all > 15_000, "{said}");
    assert!(alike >= 0.955 && under <= 0.02 && over <= 0.015, "{said}");
    let (_, alike, under, over) = bare.shares();
    assert!(alike >= 0.935 && under <= 0.025 && over <= 0.05, "{said}");
}
