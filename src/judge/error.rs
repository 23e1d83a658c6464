//! What can be wrong with a policy set, each with its place and what to do about it.
//!
//! Loading collects everything that it finds: an operator mends a set in one round, not in ten.

use std::fmt;

use super::source::SourceFile;

/// Why a policy set is not loaded. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", listing(.0))]
pub struct LoadErrors(Vec<Problem>);

impl LoadErrors {
    /// One thing is wrong.
    pub(super) fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }

    /// These are wrong, at least one of them.
    pub(super) fn all(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.key().cmp(&b.key()));
        Self(problems)
    }

    /// `Ok` if nothing is wrong.
    pub(super) fn none_of(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::all(problems)) }
    }

    /// All that is wrong, by file and line.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

fn listing(problems: &[Problem]) -> String {
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    all.join("\n")
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the source names it.
    pub file: String,
    /// Where in it, if it is one place.
    pub place: Option<Box<Place>>,
    /// What.
    pub cause: Cause,
    /// What to do.
    pub remedy: Option<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// `@id` is there and cannot be used.
    #[error("`{0}` cannot be the `@id` of a policy")]
    BadId(String),
    /// A file of test cases.
    #[error("{0}")]
    Cases(String),
    /// Two policies with one name.
    #[error("the `@id` `{id}` is taken by the policy at {first}")]
    DuplicateId {
        /// The name.
        id: String,
        /// Where the first stands: `file:line`.
        first: String,
    },
    /// Not one policy.
    #[error("there is no policy here; remit does not run on an empty set")]
    Empty,
    /// `groups.toml`.
    #[error("{0}")]
    Groups(String),
    /// Something in `invariants/` that is no claim about requests.
    #[error("the invariant `{id}` {why}")]
    Invariant {
        /// Its name.
        id: String,
        /// What is wrong.
        why: String,
    },
    /// The validator: a wrong type, an attribute that may be missing.
    #[error("policy `{policy}`: {why}")]
    Invalid {
        /// The policy.
        policy: String,
        /// What the validator says.
        why: String,
    },
    /// Every policy has a name of its own.
    #[error("the policy has no `@id`")]
    MissingId,
    /// `@hold` where it can do nothing.
    #[error("{0}")]
    Hold(String),
    /// A policy that no request can match, or that reads differently from what it is.
    #[error("policy `{policy}`: {why}")]
    NeverApplies {
        /// The policy.
        policy: String,
        /// What the validator says.
        why: String,
    },
    /// The schema.
    #[error("the schema: {0}")]
    Schema(String),
    /// Not Cedar.
    #[error("{0}")]
    Syntax(String),
    /// A policy with `?principal` or `?resource` that no task could be linked to.
    #[error("the template {0}")]
    Template(String),
    /// `Action::"…"` that is nothing.
    #[error("there is no operation, class or service `{0}`")]
    UnknownAction(String),
    /// An annotation that nobody reads.
    #[error("unknown annotation `@{0}`")]
    UnknownAnnotation(String),
    /// An entity that no call can bring.
    #[error("`{literal}` can never match: {why}")]
    UnknownEntity {
        /// As a policy writes it.
        literal: String,
        /// Why.
        why: String,
    },
    /// The file system.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    excerpt: String,
    width: usize,
}

impl Place {
    /// The place of `length` bytes from `offset` on; what spans several lines is shown by its first.
    pub(super) fn within(text: &str, offset: usize, length: usize) -> Self {
        let offset = (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        let (before, after) = text.split_at(offset);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest_of_line = after.lines().next().unwrap_or_default();
        let lead = before.get(start..).unwrap_or_default();
        let marked = rest_of_line.get(..length).unwrap_or(rest_of_line);
        Self {
            line: before.matches('\n').count() + 1,
            column: lead.chars().count() + 1,
            excerpt: format!("{lead}{rest_of_line}").replace('\t', " "),
            width: marked.chars().count().max(1),
        }
    }
}

impl Problem {
    /// Something about a file as a whole.
    pub(super) fn in_file(file: &str, cause: Cause) -> Self {
        Self { file: file.to_owned(), place: None, cause, remedy: None }
    }

    /// Something at one place of a file.
    pub(super) fn at(file: &SourceFile, offset: usize, length: usize, cause: Cause) -> Self {
        let place = Some(Box::new(Place::within(&file.text, offset, length)));
        Self { file: file.name.clone(), place, cause, remedy: None }
    }

    /// With what to do about it.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn key(&self) -> (&str, usize, usize) {
        let (line, column) = self.place.as_ref().map_or((0, 0), |place| (place.line, place.column));
        (&self.file, line, column)
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: what`, the line with a caret below, then the remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, cause, remedy } = self;
        match place.as_deref() {
            None => write!(f, "{file}: {cause}")?,
            Some(Place { line, column, excerpt, width }) => {
                let gutter = " ".repeat(line.to_string().len());
                let lead = " ".repeat(column.saturating_sub(1));
                write!(f, "{file}:{line}:{column}: {cause}\n  {line} | {excerpt}")?;
                write!(f, "\n  {gutter} | {lead}{}", "^".repeat(*width))?;
            }
        }
        remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "\n  help: {remedy}"))
    }
}
