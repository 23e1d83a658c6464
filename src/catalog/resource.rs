//! The resource column of `operations.tsv`: `repo={owner}/{repo}`, `channel={?channel}`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::call::Resource;

use super::request::{Query, Said};
use super::template::{Segment, Template};

/// How to tell which thing an operation touches.
#[derive(Debug)]
pub(super) struct ResourceTemplate {
    kind: Arc<str>,
    pieces: Vec<Piece>,
    case: Case,
}

/// Whether the service tells ids of one kind apart by letter case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Keeps,
    /// `Octo/Hello` and `octo/hello` are one thing: ids are given in lower case, so that no policy is walked round.
    Ignores,
}

#[derive(Debug)]
enum Piece {
    Text(Box<str>),
    /// A segment, less its literal ends.
    Path {
        at: usize,
        prefix: usize,
        suffix: usize,
    },
    /// All segments from here on.
    Rest {
        at: usize,
    },
    Query(Box<str>),
}

impl ResourceTemplate {
    /// Parses `kind=template`; each `{name}` MUST be a parameter of `place`, `{?name}` is a field of the query.
    pub(super) fn parse(text: &str, place: &Template, ignore_case: &[String]) -> Result<Self, String> {
        let (kind, mut rest) =
            text.split_once('=').ok_or("the resource is not of the form `kind={parameter}`")?;
        let mut pieces = Vec::new();
        while let Some((before, from)) = rest.split_once('{') {
            let (name, after) = from.split_once('}').ok_or("a `}` is missing")?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(Piece::parse(name, place)?);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err(format!("`{kind}` is not a kind of resource: letters, digits, `_` and `-` are"));
        }
        if pieces.is_empty() {
            return Err("the resource has no id".to_owned());
        }
        let case = if ignore_case.iter().any(|k| k == kind) { Case::Ignores } else { Case::Keeps };
        Ok(Self { kind: kind.into(), pieces, case })
    }

    /// The resource of a request that matched the template. `None` where the request does not say, or not clearly.
    pub(super) fn of(&self, segments: &[Cow<'_, str>], query: Query<'_>, verb: &str) -> Option<Resource> {
        let mut id = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => id.push_str(text),
                Piece::Path { at, prefix, suffix } => {
                    let segment = segments.get(*at)?;
                    self.push(&mut id, segment.get(*prefix..segment.len().checked_sub(*suffix)?)?);
                }
                Piece::Rest { at } => id.push_str(&segments.get(*at..)?.join("/")),
                Piece::Query(name) => match query.get(name) {
                    // A body could name another thing, and servers differ in which of the two they believe.
                    Said::Once(value) if matches!(verb, "GET" | "HEAD") => self.push(&mut id, &value),
                    _ => return None,
                },
            }
        }
        if self.case == Case::Ignores {
            id.make_ascii_lowercase();
        }
        Some(Resource { kind: self.kind.clone(), id })
    }

    /// Where an id is put together from several parts, a `/` inside of one stays encoded: `a%2Fb` + `c` is not `a` + `b/c`.
    fn push(&self, id: &mut String, part: &str) {
        if self.pieces.len() > 1 && part.contains('/') {
            id.push_str(&part.replace('/', "%2F"));
        } else {
            id.push_str(part);
        }
    }
}

impl Piece {
    fn parse(name: &str, place: &Template) -> Result<Self, String> {
        if let Some(field) = name.strip_prefix('?') {
            return Ok(Self::Query(field.into()));
        }
        match place.position(name) {
            Some((at, Segment::Param { prefix, suffix, .. })) => {
                Ok(Self::Path { at, prefix: prefix.len(), suffix: suffix.len() })
            }
            Some((at, _)) => Ok(Self::Rest { at }),
            None => Err(format!("the template has no parameter `{{{name}}}`")),
        }
    }
}
