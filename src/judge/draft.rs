//! A policy file, read: each policy under the name that its `@id` gives it, with its place for later complaints.
//!
//! Files are cut into policies before they are parsed: each is parsed once, and again only when its text has changed.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use cedar_policy::{Effect, EntityUid, Policy, PolicySet, Template};
use miette::Diagnostic;

use crate::call::{PolicyId, Quorum, Reason};

use super::error::{Cause, Place, Problem};
use super::footprint::Footprint;
use super::source::SourceFile;
use super::twin;
use super::weigh::Weight;

/// Annotations with a meaning. Any other is an error, because Cedar ignores what it does not know and the author of
/// `@holds` would be none the wiser.
pub(super) const ANNOTATIONS: [&str; 7] = ["id", "reason", "advice", "hold", "severity", "owner", "doc"];

/// A policy as its text says it, wherever that stands.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Under its own name. Of a template: with nothing in the place of its slots.
    pub policy: Policy,
    /// Under its own name, if it is a template.
    pub template: Option<Template>,
    /// The same, ready to be asked.
    pub weight: Arc<Weight>,
    /// What of the context it looks at.
    pub read: Footprint,
    /// What it has to say to the caller.
    pub reason: Reason,
    /// The entities that it names, each once.
    pub literals: Vec<EntityUid>,
    /// Bytes of the text before it: blank lines, comments.
    lead: usize,
    /// Bytes.
    length: usize,
}

/// A policy on its way into the rules.
#[derive(Clone, Debug)]
pub(super) struct Draft<'a> {
    /// What it is.
    pub parsed: Arc<Parsed>,
    /// Where it stands.
    pub file: &'a SourceFile,
    /// Its text there, from the end of the policy before on.
    pub text: &'a str,
    /// The text's first byte there.
    base: usize,
}

/// What was parsed before, by its text.
pub(super) type Earlier = HashMap<Box<str>, Arc<Parsed>>;

impl Draft<'_> {
    /// Its name.
    pub(super) fn id(&self) -> &str {
        &self.parsed.reason.policy.0
    }

    /// A complaint about `needle` within it, or about all of it.
    pub(super) fn problem(&self, needle: &str, cause: Cause) -> Problem {
        let start = self.base + self.parsed.lead;
        let text = self.file.text.get(start..start + self.parsed.length).unwrap_or_default();
        match text.find(needle) {
            Some(at) => Problem::at(self.file, start + at, needle.len(), cause),
            None => Problem::at(self.file, start, self.parsed.length, cause),
        }
    }

    /// What Cedar says of it, and where.
    pub(super) fn point(&self, error: &dyn Diagnostic, cause: Cause) -> Problem {
        point(self.file, self.base..self.base + self.text.len(), error, cause)
    }

    fn line(&self) -> usize {
        Place::within(&self.file.text, self.base + self.parsed.lead, 0).line
    }
}

/// Reads one file. What is wrong goes to `problems`, what is not comes back. What was parsed `earlier` is not parsed again.
pub(super) fn read<'a>(
    file: &'a SourceFile,
    earlier: &Earlier,
    problems: &mut Vec<Problem>,
) -> Vec<Draft<'a>> {
    let mut drafts = Vec::new();
    for span in statements(&file.text) {
        let text = file.text.get(span.clone()).unwrap_or_default();
        let parsed = match earlier.get(text) {
            Some(known) => Some(known.clone()),
            None => parse(file, span.clone(), text, problems),
        };
        drafts.extend(parsed.map(|parsed| Draft { parsed, file, text, base: span.start }));
    }
    drafts
}

/// Where a file is cut: behind each `;`, which Cedar has nowhere but at the end of a policy, in strings and in comments.
fn statements(text: &str) -> Vec<Range<usize>> {
    let (mut spans, mut start) = (Vec::new(), 0);
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b';' => {
                spans.push(start..at + 1);
                start = at + 1;
            }
            b'"' => {
                while let Some((_, byte)) = bytes.next().filter(|(_, byte)| *byte != b'"') {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            b'/' if bytes.peek().is_some_and(|(_, next)| *next == b'/') => {
                while bytes.next().is_some_and(|(_, byte)| !matches!(byte, b'\n' | b'\r')) {}
            }
            _ => {}
        }
    }
    if text.get(start..).is_some_and(|rest| !rest.trim().is_empty()) {
        spans.push(start..text.len());
    }
    spans
}

fn parse(
    file: &SourceFile,
    span: Range<usize>,
    text: &str,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Parsed>> {
    let set: PolicySet = match text.parse() {
        Ok(set) => set,
        Err(errors) => {
            let errors = cedar_policy::ParseErrors::iter(&errors);
            problems.extend(errors.map(|error| syntax(file, span.clone(), error)));
            return None;
        }
    };
    if set.policies().count() + set.templates().count() > 1 {
        // Cedar sees an end where `statements` saw none: rather refused than one of them lost.
        let cause = Cause::Syntax("two policies, and no `;` between them that remit understands".into());
        problems.push(
            Problem::at(file, span.start, span.len(), cause).remedy("begin each policy on a line of its own"),
        );
        return None;
    }
    let mut problem = |written: &str, cause, remedy: &'static str| {
        let at = text.find(written).unwrap_or(0);
        problems.push(Problem::at(file, span.start + at, written.len(), cause).remedy(remedy));
    };
    let written = match (set.templates().next(), set.policies().next()) {
        (Some(template), _) => match twin::general(template) {
            Ok(policy) => Written { policy, template: Some(template), text: template.to_cedar() },
            Err((why, remedy)) => {
                problem(&template.to_cedar(), Cause::Template(why), remedy);
                return None;
            }
        },
        (None, Some(policy)) => {
            Written { policy: policy.clone(), template: None, text: policy.to_cedar().unwrap_or_default() }
        }
        // What follows the last policy is comments.
        (None, None) => return None,
    };
    name(&written, file, span.start, text, problems)
}

/// A policy as Cedar read it.
struct Written<'s> {
    policy: Policy,
    template: Option<&'s Template>,
    text: String,
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

/// What Cedar says of an error in the part `span` of a file, and where.
pub(super) fn point(file: &SourceFile, span: Range<usize>, error: &dyn Diagnostic, cause: Cause) -> Problem {
    let label = error.labels().and_then(|mut labels| labels.next());
    let problem = match &label {
        // Cedar gives no place for what is missing at the end.
        None => {
            let end = file.text.get(span.clone()).map_or(0, |text| text.trim_end().len());
            Problem::at(file, span.start + end, 1, cause)
        }
        Some(label) => Problem::at(file, span.start + label.offset(), label.len(), cause),
    };
    match (error.help(), label.as_ref().and_then(|label| label.label())) {
        (Some(help), _) => problem.remedy(help.to_string()),
        (None, Some(label)) => problem.remedy(label.to_owned()),
        (None, None) => problem,
    }
}

fn syntax(file: &SourceFile, span: Range<usize>, error: &dyn Diagnostic) -> Problem {
    let problem = point(file, span, error, Cause::Syntax(error.to_string()));
    if problem.remedy.is_some() {
        return problem;
    }
    problem.remedy(
        "a policy is `@id(\"name\") permit (principal, action, resource) when { … };`, ending with `;`",
    )
}

fn name(
    written: &Written<'_>,
    file: &SourceFile,
    base: usize,
    text: &str,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Parsed>> {
    let Written { policy, template, text: written } = written;
    let said = |key: &str| policy.annotation(key).filter(|text| !text.is_empty()).map(Arc::from);
    let id: Arc<str> = said("id").unwrap_or_else(|| "".into());
    let reason = Reason {
        policy: PolicyId(id.clone()),
        reason: said("reason"),
        advice: said("advice"),
        hold: policy.annotation("hold").map(Arc::from),
    };
    let (lead, length) = (text.find(written.as_str()).unwrap_or(0), written.len());
    let mut literals = policy.entity_literals();
    literals.sort();
    literals.dedup();
    let policy = policy.new_id(cedar_policy::PolicyId::new(&id));
    let template = template.map(|template| template.new_id(cedar_policy::PolicyId::new(&id)));
    let weight = if template.is_some() { Weight::whole } else { Weight::of };
    let (weight, read) = (Arc::new(weight(policy.clone(), reason.clone())), Footprint::of([&policy]));
    let parsed = Arc::new(Parsed { policy, template, weight, read, reason, literals, lead, length });
    let draft = Draft { parsed, file, text, base };
    let unknown: Vec<_> =
        draft.parsed.policy.annotations().filter(|(key, _)| !ANNOTATIONS.contains(key)).collect();
    for (annotation, _) in &unknown {
        let cause = Cause::UnknownAnnotation((*annotation).to_owned());
        problems.push(draft.problem(&format!("@{annotation}"), cause).remedy(instead_of(annotation)));
    }
    if let Err((why, remedy)) = holds(&draft.parsed) {
        problems.push(draft.problem("@hold", Cause::Hold(why)).remedy(remedy));
    }
    if id.is_empty() {
        let remedy = "put `@id(\"a-short-name\")` before it: refusals and spans name the policy by it";
        problems.push(draft.problem("\0", Cause::MissingId).remedy(remedy));
        return None;
    }
    if id.len() > NAME_BYTES || !id.chars().all(usable) {
        let remedy = "1 to 128 letters, digits, `.`, `-`, `_`, `:` or `/` are wanted";
        problems.push(draft.problem("@id", Cause::BadId(id.to_string())).remedy(remedy));
        return None;
    }
    Some(draft.parsed)
}

/// As long as a name may be.
const NAME_BYTES: usize = 128;

fn usable(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/')
}

/// Whether `@hold`, where it stands, can do what its author means; else why not, and what to do.
fn holds(parsed: &Parsed) -> Result<(), (String, &'static str)> {
    let (policy, Some(group)) = (&parsed.policy, &parsed.reason.hold) else { return Ok(()) };
    if policy.effect() == Effect::Permit {
        let why = "`@hold` stands at a permit, and only a forbid holds a call".to_owned();
        return Err((why, "permit without it, and put `@hold` at a forbid of the same calls"));
    }
    let names_one = |group: &str| !group.is_empty() && group.len() <= NAME_BYTES && group.chars().all(usable);
    if !Quorum::parse(group).is_some_and(|quorum| names_one(quorum.group)) {
        let why = format!("`@hold` names no group of people: `{group}`");
        return Err((
            why,
            "write `@hold(\"approvers\")` or `@hold(\"2 of approvers\")`: letters, digits, `.`, `-`, `_`, `:` and `/` are wanted",
        ));
    }
    if !policy.to_json().is_ok_and(|json| asks_for_approval(&json)) {
        let why = "`@hold` stands at a forbid that no approval would lift".to_owned();
        return Err((why, "add `unless { context.approved }`, or take `@hold` out"));
    }
    Ok(())
}

/// Whether `context.approved` is anywhere in a policy (Cedar's JSON policy format).
fn asks_for_approval(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(fields) => {
            let access = fields.get(".").is_some_and(|access| {
                let of = access.pointer("/left/Var").and_then(serde_json::Value::as_str);
                let what = access.get("attr").and_then(serde_json::Value::as_str);
                (of, what) == (Some("context"), Some("approved"))
            });
            access || fields.values().any(asks_for_approval)
        }
        serde_json::Value::Array(items) => items.iter().any(asks_for_approval),
        _ => false,
    }
}

fn instead_of(annotation: &str) -> String {
    match ANNOTATIONS.iter().find(|known| strsim::damerau_levenshtein(known, annotation) <= 2) {
        Some(known) => format!("did you mean `@{known}`?"),
        None => format!("known are @{}", ANNOTATIONS.join(", @")),
    }
}
