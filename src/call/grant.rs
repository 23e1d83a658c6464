//! What a task may touch, and how much of it: the grant and the budget that a task carries.
//!
//! Both only ever narrow: an empty part of a [`Grant`] restricts nothing, an absent line of a [`Budget`] limits nothing,
//! and what lies inside a parent's stays inside it (INVARIANT I6). Links of policy templates are the other way round: they let
//! policies permit more, so none is none, and none is taken over. Pure: nothing is counted here.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::link::TemplateLink;
use super::money::{Currency, Money};
use super::operation::{Class, Operation};

/// Most names in one part of a grant.
pub const MAX_NAMES: usize = 64;
/// Longest name in a grant, bytes.
pub const MAX_NAME_BYTES: usize = 512;

/// A name, or the beginning of names: `github:issues/*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    /// A name of 1 to [`MAX_NAME_BYTES`] printable bytes without spaces; a `*` stands at its end or nowhere.
    pub fn parse(text: &str) -> Result<Self, BadGrant> {
        let sound =
            (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c == ' ');
        let star = text.find('*').is_none_or(|at| at + 1 == text.len());
        if sound && star {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadGrant::Name(text.chars().take(80).collect()))
        }
    }

    /// Whether `name` is meant.
    pub fn covers(&self, name: &str) -> bool {
        self.0.strip_suffix('*').map_or(self.0 == name, |start| name.starts_with(start))
    }

    /// Whether everything that `narrower` means is meant.
    pub fn contains(&self, narrower: &Self) -> bool {
        match (self.0.strip_suffix('*'), narrower.0.strip_suffix('*')) {
            (Some(start), Some(other)) => other.starts_with(start),
            (Some(start), None) => narrower.0.starts_with(start),
            (None, _) => self.0 == narrower.0,
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = BadGrant;
    fn try_from(text: String) -> Result<Self, BadGrant> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a task may touch. An operation lies inside if each part that is not empty covers it; policies are asked all the
/// same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grant {
    /// Classes of operations.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub classes: BTreeSet<Class>,
    /// Names of services, or hosts that the catalog does not know.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<Pattern>,
    /// Ids of operations: `github:issues/create`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub operations: BTreeSet<Pattern>,
    /// Objects as `service/kind/id`: `github/repo/octo/hello`. An operation whose object the catalog cannot tell is outside.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub resources: BTreeSet<Pattern>,
    /// Policy templates that permit for this task, each for one service or object.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub links: BTreeSet<TemplateLink>,
}

/// Which part of a grant something is outside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Its class.
    Class,
    /// Its service.
    Service,
    /// Its name.
    Operation,
    /// The object that it touches.
    Resource,
    /// A policy template, and what it is linked for.
    Links,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Class => "classes",
            Self::Service => "services",
            Self::Operation => "operations",
            Self::Resource => "resources",
            Self::Links => "links",
        })
    }
}

impl Grant {
    /// Whether nothing is said.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether no part is longer than [`MAX_NAMES`].
    pub fn check(&self) -> Result<(), BadGrant> {
        let longest = self.services.len().max(self.operations.len()).max(self.resources.len());
        let longest = longest.max(self.links.len());
        if longest > MAX_NAMES { Err(BadGrant::Names(longest)) } else { Ok(()) }
    }

    /// Whether `operation` lies inside; if not, the first part that says no.
    pub fn covers(&self, operation: &Operation) -> Result<(), Part> {
        let among =
            |names: &BTreeSet<Pattern>, name: &str| names.is_empty() || names.iter().any(|p| p.covers(name));
        if !self.classes.is_empty() && !self.classes.contains(&operation.class) {
            return Err(Part::Class);
        }
        if !among(&self.services, &operation.service.0) {
            return Err(Part::Service);
        }
        if !among(&self.operations, &operation.id.0) {
            return Err(Part::Operation);
        }
        if self.resources.is_empty() {
            return Ok(());
        }
        let resource = operation.resource.as_ref().ok_or(Part::Resource)?;
        let name = format!("{}/{}/{}", operation.service, resource.kind, resource.id);
        if among(&self.resources, &name) { Ok(()) } else { Err(Part::Resource) }
    }

    /// This grant inside `outer`: what this one leaves open is taken over from there, and what it names has to lie inside.
    /// Links are not taken over: who is to have one is named.
    pub fn within(&self, outer: &Self) -> Result<Self, Part> {
        let classes = match (self.classes.is_empty(), outer.classes.is_empty()) {
            (true, _) => outer.classes.clone(),
            (false, true) => self.classes.clone(),
            (false, false) if self.classes.is_subset(&outer.classes) => self.classes.clone(),
            (false, false) => return Err(Part::Class),
        };
        let linked = |link: &TemplateLink| outer.links.iter().any(|wide| wide.contains(link));
        if !self.links.iter().all(linked) {
            return Err(Part::Links);
        }
        Ok(Self {
            classes,
            services: narrower(&self.services, &outer.services).ok_or(Part::Service)?,
            operations: narrower(&self.operations, &outer.operations).ok_or(Part::Operation)?,
            resources: narrower(&self.resources, &outer.resources).ok_or(Part::Resource)?,
            links: self.links.clone(),
        })
    }
}

fn narrower(inner: &BTreeSet<Pattern>, outer: &BTreeSet<Pattern>) -> Option<BTreeSet<Pattern>> {
    if inner.is_empty() {
        return Some(outer.clone());
    }
    let inside = |name: &Pattern| outer.is_empty() || outer.iter().any(|wide| wide.contains(name));
    inner.iter().all(inside).then(|| inner.clone())
}

/// How much a task may do. Wall time is not here: it is the task's deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Calls of any class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Calls of class read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<u64>,
    /// Calls of class act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acts: Option<u64>,
    /// Calls of class delegate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegates: Option<u64>,
    /// Bytes of request bodies that go out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Money that requests name, by currency, in its smallest unit. Empty: no limit. Else a currency that is not named here
    /// may not be spent, and neither may what cannot be told.
    #[serde(skip_serializing_if = "Money::is_empty")]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub money: Money,
}

impl Budget {
    /// Whether nothing is limited.
    pub fn is_endless(&self) -> bool {
        *self == Self::default()
    }

    /// The lines that are limited.
    pub fn lines(&self) -> impl Iterator<Item = (Line, u64)> {
        let counts = Line::COUNTS.into_iter().filter_map(|line| Some((line, self.line(line)?)));
        counts.chain(self.money.iter().map(|(currency, amount)| (Line::Money(*currency), *amount)))
    }

    /// One line.
    pub fn line(&self, line: Line) -> Option<u64> {
        match line {
            Line::Calls => self.calls,
            Line::Reads => self.reads,
            Line::Acts => self.acts,
            Line::Delegates => self.delegates,
            Line::Bytes => self.bytes,
            Line::Money(_) if self.money.is_empty() => None,
            Line::Money(currency) => Some(self.money.get(&currency).copied().unwrap_or_default()),
        }
    }

    /// A budget line by line, with money of these currencies.
    #[must_use]
    pub fn by_line(currencies: impl IntoIterator<Item = Currency>, of: impl Fn(Line) -> Option<u64>) -> Self {
        let money =
            currencies.into_iter().filter_map(|currency| Some((currency, of(Line::Money(currency))?)));
        Self {
            calls: of(Line::Calls),
            reads: of(Line::Reads),
            acts: of(Line::Acts),
            delegates: of(Line::Delegates),
            bytes: of(Line::Bytes),
            money: money.collect(),
        }
    }

    /// This, as a sum of what was spent, with `more` added to it.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        let sum = |line| match (self.spent(line), more.spent(line)) {
            (0, 0) => None,
            (some, more) => Some(some.saturating_add(more)),
        };
        Self::by_line(self.money.keys().chain(more.money.keys()).copied(), sum)
    }

    /// This, as a sum of what was spent, without `part`.
    #[must_use]
    pub fn less(&self, part: &Self) -> Self {
        Self::by_line(self.money.keys().copied(), |line| {
            Some(self.spent(line).saturating_sub(part.spent(line))).filter(|rest| *rest > 0)
        })
    }

    /// One line of a sum of what was spent.
    pub fn spent(&self, line: Line) -> u64 {
        self.line(line).unwrap_or_default()
    }

    /// All lines but that of bytes.
    #[must_use]
    pub fn without_bytes(&self) -> Self {
        Self { bytes: None, ..self.clone() }
    }

    /// This budget inside `outer`: what this one leaves open is taken over from there, what it names may not be more.
    pub fn within(&self, outer: &Self) -> Result<Self, Line> {
        let line = |line, inner: Option<u64>, outer: Option<u64>| match (inner, outer) {
            (Some(inner), Some(outer)) if inner > outer => Err(line),
            (inner, outer) => Ok(inner.or(outer)),
        };
        let beyond = self.money.iter().find(|(currency, amount)| {
            outer.line(Line::Money(**currency)).is_some_and(|allowed| **amount > allowed)
        });
        if let Some((currency, _)) = beyond {
            return Err(Line::Money(*currency));
        }
        Ok(Self {
            calls: line(Line::Calls, self.calls, outer.calls)?,
            reads: line(Line::Reads, self.reads, outer.reads)?,
            acts: line(Line::Acts, self.acts, outer.acts)?,
            delegates: line(Line::Delegates, self.delegates, outer.delegates)?,
            bytes: line(Line::Bytes, self.bytes, outer.bytes)?,
            money: if self.money.is_empty() { outer.money.clone() } else { self.money.clone() },
        })
    }
}

/// A line of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// Calls of any class.
    Calls,
    /// Calls of class read.
    Reads,
    /// Calls of class act.
    Acts,
    /// Calls of class delegate.
    Delegates,
    /// Bytes that go out.
    Bytes,
    /// Money of one currency.
    Money(Currency),
}

impl Line {
    /// All but money.
    pub const COUNTS: [Self; 5] = [Self::Calls, Self::Reads, Self::Acts, Self::Delegates, Self::Bytes];

    /// The line of a class.
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Read => Self::Reads,
            Class::Act => Self::Acts,
            Class::Delegate => Self::Delegates,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls => f.write_str("calls"),
            Self::Reads => f.write_str("reads"),
            Self::Acts => f.write_str("acts"),
            Self::Delegates => f.write_str("delegates"),
            Self::Bytes => f.write_str("bytes"),
            Self::Money(currency) => write!(f, "{currency} (in its smallest unit)"),
        }
    }
}

/// What is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadGrant {
    /// A name that could mean more than it says.
    #[error(
        "`{0}` is no name for a grant: 1 to {MAX_NAME_BYTES} printable bytes, with `*` at the end or nowhere"
    )]
    Name(String),
    /// A link of a template that could mean more than it says.
    #[error(
        "`{0}` is no link of a policy template: `TEMPLATE=SERVICE` or `TEMPLATE=SERVICE/KIND/ID`, without `*`"
    )]
    Link(String),
    /// Too many.
    #[error("a grant holds at most {MAX_NAMES} names of each kind, not {0}")]
    Names(usize),
}
