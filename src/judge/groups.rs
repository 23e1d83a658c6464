//! Who is in which group: `groups.toml`, a group's name and its members.
//!
//! A member is an agent by its SPIFFE ID, all agents below a path (`spiffe://example.org/ns/*`), or a person or system on whose behalf
//! tasks are worked on, as tasks name them (`user:ada@example.org`). A policy can name no other group, because
//! one that nobody can be in would make a `forbid` that never bites.

use std::collections::BTreeMap;

use crate::call::{SpiffeId, Subject, TrustDomain};

use super::error::{Cause, Problem};
use super::source::SourceFile;

/// The groups of a policy set.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(BTreeMap<String, Vec<Member>>);

#[derive(Clone, Debug)]
enum Member {
    One(SpiffeId),
    /// All ids that begin so; ends with `/`.
    Below(String),
    /// Somebody on whose behalf tasks are worked on.
    User(Subject),
}

impl Groups {
    /// Parses `groups.toml`.
    pub(super) fn parse(file: &SourceFile) -> Result<Self, Problem> {
        let bad = |at: std::ops::Range<usize>, why: String| {
            Problem::at(file, at.start, at.len(), Cause::Groups(why))
                .remedy("write `name = [\"spiffe://trust-domain/path\", \"spiffe://trust-domain/path/*\", \"user:ada@example.org\"]`")
        };
        let raw: BTreeMap<String, Vec<toml::Spanned<String>>> = toml::from_str(&file.text)
            .map_err(|error| bad(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let mut groups = BTreeMap::new();
        for (name, members) in raw {
            let parse = |text: toml::Spanned<String>| {
                Member::parse(text.get_ref()).map_err(|why| bad(text.span(), why))
            };
            groups.insert(name, members.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self(groups))
    }

    /// The groups that `agent` is in.
    pub(super) fn of<'a>(&'a self, agent: &'a SpiffeId) -> impl Iterator<Item = &'a str> {
        let has = |members: &[Member]| members.iter().any(|member| member.is(agent));
        self.0.iter().filter(move |(_, members)| has(members)).map(|(name, _)| name.as_str())
    }

    /// The groups that `user` is in.
    pub(super) fn of_user<'a>(&'a self, user: &'a Subject) -> impl Iterator<Item = &'a str> {
        let is = move |member: &Member| matches!(member, Member::User(known) if known == user);
        self.0.iter().filter(move |(_, members)| members.iter().any(is)).map(|(name, _)| name.as_str())
    }

    /// Whether there is such a group.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Member {
    fn parse(text: &str) -> Result<Self, String> {
        // A slip in a SPIFFE ID is not to become somebody that nobody ever is.
        if text.starts_with("user:") {
            return Subject::parse(text).map(Self::User).map_err(|error| error.to_string());
        }
        let Some(start) = text.strip_suffix("/*") else {
            return SpiffeId::parse(text).map(Self::One).map_err(|error| error.to_string());
        };
        let domain = start.strip_prefix("spiffe://").filter(|rest| !rest.contains('/'));
        let parsed = match domain {
            Some(domain) => TrustDomain::parse(domain).map(drop),
            None => SpiffeId::parse(start).map(drop),
        };
        parsed.map(|()| Self::Below(format!("{start}/"))).map_err(|error| error.to_string())
    }

    fn is(&self, agent: &SpiffeId) -> bool {
        match self {
            Self::One(id) => id == agent,
            Self::Below(start) => agent.as_str().starts_with(start),
            Self::User(_) => false,
        }
    }
}
