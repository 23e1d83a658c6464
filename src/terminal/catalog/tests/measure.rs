//! The measure of recognition, on labelled calls that the repository does not hold. Where they are not beside it (or where
//! `REMIT_CORPUS` names), these tests say so and pass.
//!
//! Two numbers: with the catalog that is shipped, and with none, as for services that nobody has described. The shares are
//! those of the corpus' own scorer: an act or a delegation taken for less is under-classified, a read taken for more is
//! over-classified.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::classify;
use crate::catalog::Catalog;

/// Families of the corpus that are protocols and no services: whether the catalog knows them is no question.
const PROTOCOLS: [&str; 6] = ["a2a", "generic", "git", "mcp", "oauth", "webdav"];

const CLASSES: [&str; 3] = ["read", "act", "delegate"];

fn corpus() -> Option<Vec<Value>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/dev.jsonl");
    let file = std::env::var_os("REMIT_CORPUS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("no labelled calls at {}: nothing was measured", file.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Counts of (truth, answer).
#[derive(Default)]
struct Score([[u32; 3]; 3]);

impl Score {
    fn add(&mut self, truth: usize, answer: usize) {
        self.0[truth][answer] += 1;
    }

    fn share(part: u32, whole: u32) -> f64 {
        if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) }
    }

    fn total(&self) -> u32 {
        self.0.iter().flatten().sum()
    }

    fn accuracy(&self) -> f64 {
        Self::share((0..3).map(|class| self.0[class][class]).sum(), self.total())
    }

    fn macro_f1(&self) -> f64 {
        let one = |class: usize| {
            let said: u32 = (0..3).map(|truth| self.0[truth][class]).sum();
            let is: u32 = self.0[class].iter().sum();
            Self::share(2 * self.0[class][class], said + is)
        };
        (0..3).map(one).sum::<f64>() / 3.0
    }

    fn under(&self) -> f64 {
        let effects = self.0[1].iter().chain(&self.0[2]).sum();
        Self::share(self.0[1][0] + self.0[2][0] + self.0[2][1], effects)
    }

    fn over(&self) -> f64 {
        Self::share(self.0[0][1] + self.0[0][2], self.0[0].iter().sum())
    }

    fn line(&self, name: &str) -> String {
        format!(
            "{name:<16} n={:>5} accuracy={:.3} F1={:.3} under={:.3} over={:.3}",
            self.total(),
            self.accuracy(),
            self.macro_f1(),
            self.under(),
            self.over()
        )
    }
}

struct Measured {
    all: Score,
    adversarial: Score,
    families: BTreeMap<String, Score>,
    wrong: Vec<String>,
}

fn measure(catalog: &Catalog, rows: &[Value]) -> Measured {
    let input: Vec<String> = rows.iter().map(Value::to_string).collect();
    let mut out = Vec::new();
    classify(catalog, input.join("\n").as_bytes(), &mut out).unwrap();
    let answers = String::from_utf8(out).unwrap();
    let place = |label: &Value| CLASSES.iter().position(|class| label == class).unwrap();
    let mut measured = Measured {
        all: Score::default(),
        adversarial: Score::default(),
        families: BTreeMap::new(),
        wrong: Vec::new(),
    };
    for (row, answer) in rows.iter().zip(answers.lines()) {
        let answer: Value = serde_json::from_str(answer).unwrap();
        let (truth, said) = (place(&row["label"]), place(&answer["label"]));
        measured.all.add(truth, said);
        measured.families.entry(row["family"].as_str().unwrap().to_owned()).or_default().add(truth, said);
        if row["adversarial"] == true {
            measured.adversarial.add(truth, said);
        }
        if truth != said {
            let text = |key: &str| row[key].as_str().unwrap_or_default();
            measured.wrong.push(format!(
                "{} {}->{} {} {} {}{} {} [{}]",
                text("id"),
                CLASSES[truth],
                CLASSES[said],
                text("family"),
                text("method"),
                text("host"),
                text("path"),
                text("operation"),
                answer["operation"].as_str().unwrap_or_default(),
            ));
        }
    }
    measured
}

fn report(name: &str, measured: &Measured) -> String {
    let mut lines = vec![measured.all.line(name), measured.adversarial.line("  adversarial")];
    lines.extend(measured.families.iter().map(|(family, score)| score.line(&format!("  {family}"))));
    lines.extend(measured.wrong.iter().cloned());
    lines.join("\n")
}

#[test]
fn calls_to_services_in_the_catalog_are_recognised() {
    let Some(rows) = corpus() else { return };
    let measured = measure(&Catalog::shipped().unwrap(), &rows);
    let said = report("in the catalog", &measured);
    println!("{said}");
    assert!(measured.all.accuracy() >= 0.97, "{said}");
    assert!(measured.all.macro_f1() >= 0.96, "{said}");
    assert!(measured.all.over() <= 0.03, "{said}");
    assert!(measured.all.under() <= 0.005, "{said}");
    assert!(measured.adversarial.total() > 0 && measured.adversarial.under() == 0.0, "{said}");
}

#[test]
fn calls_to_services_that_nobody_described_are_judged_by_how_they_are_named() {
    let Some(mut rows) = corpus() else { return };
    rows.retain(|row| !PROTOCOLS.iter().any(|family| row["family"] == *family));
    let nothing = Catalog::shipped_where(&|_| false).unwrap();
    let measured = measure(&nothing, &rows);
    let said = report("left out", &measured);
    println!("{said}");
    assert!(measured.all.accuracy() >= 0.90, "{said}");
    assert!(measured.all.under() <= 0.03, "{said}");
}
