//! The laboratory: test cases for policies. A case is a call in a few keys and what is expected of it, or one in Cedar's
//! own form (`cases`).

use std::fmt;

use serde::Deserialize;

use crate::call::{Attributed, Call, Decision, PolicyId};

use super::cases;
use super::engine::Rules;
use super::error::{Cause, LoadErrors, Problem};
use super::load::Loader;
use super::scenario::Scenario;
use super::schema;
use super::source::{PolicySource, SourceFile};
use super::vocabulary::{Named, Vocabulary};

/// What became of the cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many went as expected.
    pub passed: usize,
    /// Those that did not.
    pub failures: Vec<Failure>,
}

/// A case that went otherwise than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file that it stands in.
    pub file: String,
    /// Its name.
    pub case: String,
    /// What should have been.
    pub expected: (Decision, Vec<PolicyId>),
    /// What was.
    pub got: (Decision, Vec<PolicyId>),
    /// What no policy says.
    pub note: Option<String>,
}

impl Failure {
    fn told(&self) -> String {
        let Self { file: _, case, expected, got, note } = self;
        let by = |ids: &[PolicyId]| {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            if ids.is_empty() { String::new() } else { format!(" by {}", ids.join(", ")) }
        };
        let (wanted, was) = (by(&expected.1), by(&got.1));
        let note = note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        format!("{case}: expected {}{wanted}, got {}{was}{note}", expected.0.as_str(), got.0.as_str())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.told())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default)]
    case: Vec<toml::Spanned<toml::Table>>,
}

/// What is expected; the other keys are the scenario's.
#[derive(Deserialize)]
struct Expectation {
    name: String,
    expect: Decision,
    #[serde(default)]
    policy: Policies,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Policies {
    #[default]
    Unsaid,
    One(PolicyId),
    Several(Vec<PolicyId>),
}

impl Policies {
    fn ids(self) -> Vec<PolicyId> {
        match self {
            Self::Unsaid => Vec::new(),
            Self::One(id) => vec![id],
            Self::Several(ids) => ids,
        }
    }
}

impl Loader {
    /// Loads a policy set and runs its own cases: one that goes otherwise than expected is an error of the set.
    pub fn load_tried(
        &mut self,
        source: &PolicySource,
        vocabulary: &dyn Vocabulary,
    ) -> Result<Rules, LoadErrors> {
        let rules = self.load(source, vocabulary)?;
        let report = run_cases(&rules, vocabulary, source.cases())?;
        let wrong = report.failures.into_iter().map(|failure| {
            let file = failure.file.clone();
            let remedy = "correct the policies, or what the case expects of them";
            Problem::in_file(&file, Cause::Cases(failure.told())).remedy(remedy)
        });
        LoadErrors::none_of(wrong.collect()).map(|()| rules)
    }
}

/// Which actions a schema text lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Every operation of the catalog: what an editor offers while a policy is written.
    Full,
    /// What the policies name, and what stands for the rest: what they are validated against.
    Working,
}

/// The schema as text, types and actions: for editors, and for Cedar's own tools.
pub fn schema(
    source: &PolicySource,
    vocabulary: &dyn Vocabulary,
    extent: Extent,
) -> Result<String, LoadErrors> {
    let named = match extent {
        Extent::Working => Rules::load(source, vocabulary)?.named().clone(),
        Extent::Full => {
            let known = |id: String| vocabulary.operation(&id).map(|of| (id, of));
            let operations = vocabulary.operation_ids().into_iter().filter_map(known).collect();
            Named::of(operations, vocabulary.services().into_iter().collect())
        }
    };
    Ok(format!("{}\n{}", source.schema.text, schema::declare(&named)))
}

/// A call from the keys of a case, as TOML.
pub fn call(text: &str, vocabulary: &dyn Vocabulary) -> Result<Call<Attributed>, String> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    scenario.call(Some(vocabulary)).map_err(|error| error.to_string())
}

/// Runs all cases. An error is a case that is no case; one that went otherwise than expected is in the report.
pub fn run_cases(
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
    files: &[SourceFile],
) -> Result<Report, LoadErrors> {
    let (mut report, mut problems) = (Report::default(), Vec::new());
    cases::run(rules, vocabulary, files, &mut report, &mut problems);
    for file in files.iter().filter(|file| !cases::is_json(file)) {
        match toml::from_str::<Cases>(&file.text) {
            Err(error) => problems.push(not_toml(file, error.span().unwrap_or(0..0), error.message())),
            Ok(cases) => {
                for case in cases.case {
                    let span = case.span();
                    match run(rules, vocabulary, file, case.into_inner()) {
                        Ok(None) => report.passed += 1,
                        Ok(Some(failure)) => report.failures.push(failure),
                        Err(why) => problems.push(not_toml(file, span, &why)),
                    }
                }
            }
        }
    }
    LoadErrors::none_of(problems).map(|()| report)
}

fn not_toml(file: &SourceFile, span: std::ops::Range<usize>, why: &str) -> Problem {
    Problem::at(file, span.start, span.len(), Cause::Cases(why.to_owned()))
        .remedy("policies/README.md lists the keys of a case")
}

fn run(
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
    file: &SourceFile,
    mut table: toml::Table,
) -> Result<Option<Failure>, String> {
    let mut expectation = toml::Table::new();
    for key in ["name", "expect", "policy"] {
        expectation.extend(table.remove_entry(key));
    }
    let Expectation { name, expect, policy } =
        expectation.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let named = |why: &dyn fmt::Display| format!("case `{name}`: {why}");
    let scenario: Scenario = table.try_into().map_err(|error: toml::de::Error| named(&error.message()))?;
    let call = scenario.call(Some(vocabulary)).map_err(|error| named(&error))?;
    let ruling = rules.rule(&call);
    let got: Vec<_> = ruling.reasons().iter().map(|reason| reason.policy.clone()).collect();
    let wanted = policy.ids();
    if ruling.decision() == expect && wanted.iter().all(|id| got.contains(id)) {
        return Ok(None);
    }
    let note = ruling.note().map(str::to_owned);
    let (expected, got) = ((expect, wanted), (ruling.decision(), got));
    Ok(Some(Failure { file: file.name.clone(), case: name, expected, got, note }))
}
