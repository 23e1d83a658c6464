//! A policy file, read: each policy under the name that its `@id` gives it, with its place for later complaints.
//!
//! Files are parsed one by one, because Cedar's errors point into the text that they were parsed from.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{Policy, PolicySet};
use miette::Diagnostic;

use crate::call::{PolicyId, Reason};

use super::error::{Cause, Place, Problem};
use super::source::SourceFile;

/// Annotations with a meaning. Any other is an error, because Cedar ignores what it does not know and the author of
/// `@hold` would be none the wiser.
pub(super) const ANNOTATIONS: [&str; 6] = ["id", "reason", "advice", "severity", "owner", "doc"];

/// A policy on its way into the rules.
#[derive(Clone, Debug)]
pub(super) struct Draft<'a> {
    /// Under its own name.
    pub policy: Policy,
    /// What it has to say to the caller.
    pub reason: Reason,
    /// Where it stands.
    pub file: &'a SourceFile,
    /// Its first byte there.
    pub start: usize,
    /// Bytes.
    pub length: usize,
}

impl Draft<'_> {
    /// Its name.
    pub(super) fn id(&self) -> &str {
        &self.reason.policy.0
    }

    /// A complaint about `needle` within it, or about all of it.
    pub(super) fn problem(&self, needle: &str, cause: Cause) -> Problem {
        let text = self.file.text.get(self.start..self.start + self.length).unwrap_or_default();
        match text.find(needle) {
            Some(at) => Problem::at(self.file, self.start + at, needle.len(), cause),
            None => Problem::at(self.file, self.start, self.length, cause),
        }
    }

    fn line(&self) -> usize {
        Place::within(&self.file.text, self.start, 0).line
    }
}

/// Reads one file. What is wrong goes to `problems`, what is not comes back.
pub(super) fn read<'a>(file: &'a SourceFile, problems: &mut Vec<Problem>) -> Vec<Draft<'a>> {
    let set: PolicySet = match file.text.parse() {
        Ok(set) => set,
        Err(errors) => {
            problems.extend(cedar_policy::ParseErrors::iter(&errors).map(|error| syntax(file, error)));
            return Vec::new();
        }
    };
    if let Some(template) = set.templates().next() {
        let text = template.to_cedar();
        let at = file.text.find(&text).unwrap_or(0);
        let remedy = "write the principal and the resource out in place of ?principal and ?resource";
        problems.push(Problem::at(file, at, text.len(), Cause::Template).remedy(remedy));
    }
    in_order(&set, file)
        .into_iter()
        .filter_map(|(policy, start, length)| name(&policy, file, start, length, problems))
        .collect()
}

/// Names that two policies have, in one file or in two. Cedar would let the later one shadow nothing and fail on its
/// own terms; we say where both stand.
pub(super) fn duplicates(drafts: &[Draft<'_>]) -> Vec<Problem> {
    let mut first: HashMap<&str, &Draft<'_>> = HashMap::new();
    let mut problems = Vec::new();
    for draft in drafts {
        if let Some(earlier) = first.get(draft.id()) {
            let at = format!("{}:{}", earlier.file.name, earlier.line());
            let cause = Cause::DuplicateId { id: draft.id().to_owned(), first: at };
            problems.push(draft.problem("@id", cause).remedy("give one of the two another @id"));
        } else {
            first.insert(draft.id(), draft);
        }
    }
    problems
}

/// What Cedar says of an error, and where.
pub(super) fn point(file: &SourceFile, error: &dyn Diagnostic, cause: Cause) -> Problem {
    let label = error.labels().and_then(|mut labels| labels.next());
    let problem = match &label {
        // Cedar gives no place for what is missing at the end.
        None => Problem::at(file, file.text.trim_end().len(), 1, cause),
        Some(label) => Problem::at(file, label.offset(), label.len(), cause),
    };
    match (error.help(), label.as_ref().and_then(|label| label.label())) {
        (Some(help), _) => problem.remedy(help.to_string()),
        (None, Some(label)) => problem.remedy(label.to_owned()),
        (None, None) => problem,
    }
}

fn syntax(file: &SourceFile, error: &dyn Diagnostic) -> Problem {
    let problem = point(file, error, Cause::Syntax(error.to_string()));
    if problem.remedy.is_some() {
        return problem;
    }
    problem.remedy(
        "a policy is `@id(\"name\") permit (principal, action, resource) when { … };`, ending with `;`",
    )
}

/// The policies with their places, as they stand in the file. Cedar numbers them so, and keeps the text of each.
fn in_order(set: &PolicySet, file: &SourceFile) -> Vec<(Policy, usize, usize)> {
    let number = |policy: &Policy| {
        let id: &str = policy.id().as_ref();
        id.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(usize::MAX)
    };
    let mut policies: Vec<_> = set.policies().cloned().collect();
    policies.sort_by_key(number);
    let mut from = 0;
    let mut place = |policy: Policy| {
        let text = policy.to_cedar().unwrap_or_default();
        let start = file.text.get(from..).and_then(|rest| rest.find(&text)).map_or(from, |at| from + at);
        from = start + text.len();
        (policy, start, text.len())
    };
    policies.into_iter().map(&mut place).collect()
}

fn name<'a>(
    policy: &Policy,
    file: &'a SourceFile,
    start: usize,
    length: usize,
    problems: &mut Vec<Problem>,
) -> Option<Draft<'a>> {
    let said = |key: &str| policy.annotation(key).filter(|text| !text.is_empty()).map(Arc::from);
    let id: Arc<str> = said("id").unwrap_or_else(|| "".into());
    let reason = Reason { policy: PolicyId(id.clone()), reason: said("reason"), advice: said("advice") };
    let known = policy.new_id(cedar_policy::PolicyId::new(&id));
    let draft = Draft { policy: known, reason, file, start, length };
    for (annotation, _) in policy.annotations().filter(|(key, _)| !ANNOTATIONS.contains(key)) {
        let cause = Cause::UnknownAnnotation(annotation.to_owned());
        problems.push(draft.problem(&format!("@{annotation}"), cause).remedy(instead_of(annotation)));
    }
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/');
    if id.is_empty() {
        let remedy = "put `@id(\"a-short-name\")` before it: refusals and spans name the policy by it";
        problems.push(draft.problem("\0", Cause::MissingId).remedy(remedy));
        return None;
    }
    if id.len() > 128 || !id.chars().all(usable) {
        let remedy = "1 to 128 letters, digits, `.`, `-`, `_`, `:` or `/` are wanted";
        problems.push(draft.problem("@id", Cause::BadId(id.to_string())).remedy(remedy));
        return None;
    }
    Some(draft)
}

fn instead_of(annotation: &str) -> String {
    if annotation == "hold" {
        return "this version cannot hold a call for a person; take @hold out, and the forbid refuses"
            .to_owned();
    }
    match ANNOTATIONS.iter().find(|known| strsim::damerau_levenshtein(known, annotation) <= 2) {
        Some(known) => format!("did you mean `@{known}`?"),
        None => format!("known are @{}", ANNOTATIONS.join(", @")),
    }
}
