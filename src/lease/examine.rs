//! Finds placeholders in a request, and tells whether they stand where they may.

use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;

use super::broker::Broker;
use super::captured::refresh_token;
use super::place::{Spot, decoded};
use super::placeholder::{Candidate, basic};
use crate::call::{Head, Operations, TaskId};

/// What a call is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Tokens.
    WithTokens,
    /// Something else.
    Otherwise,
}

/// A placeholder that stands where it does not belong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} stands in {spot}, and {may}")]
pub struct Misplaced {
    what: String,
    spot: String,
    may: String,
}

impl Misplaced {
    pub(super) fn new(what: &str, spot: Spot<'_>, may: String) -> Self {
        Self { what: what.to_owned(), spot: spot.to_string(), may }
    }
}

impl Broker {
    /// The first entry that serves a call.
    pub(super) fn entry_for(&self, head: &Head, operations: &Operations) -> Option<usize> {
        self.entries.iter().position(|entry| entry.serves(head, operations))
    }

    /// Looks at the head of a call and at what was seen of its body. Whether it is answered with tokens, the catalog says.
    pub fn examine(
        &self,
        head: &Head,
        body: &[u8],
        task: TaskId,
        (operations, answer): (&Operations, Answers),
    ) -> Result<(), Misplaced> {
        let mut at = None;
        let mut look = |hay: &[u8], spot: Spot<'_>| {
            for candidate in self.placeholders.find(hay) {
                if candidate.is_captured() {
                    self.check_captured(candidate, spot, task, Some((head, operations)))?;
                    continue;
                }
                // Asked once something was found: hardly any request has a placeholder where none belongs.
                let serving = *at.get_or_insert_with(|| self.entry_for(head, operations));
                self.check(candidate, spot, task, serving)?;
            }
            Ok(())
        };
        fields(&head.headers, &mut look)?;
        let raw = head.target.raw();
        let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
        look(path.as_bytes(), Spot::Path)?;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            look(name.as_bytes(), Spot::Path)?;
            if value.contains('%') {
                look(decoded(value).as_bytes(), Spot::Query(name))?;
            } else {
                look(value.as_bytes(), Spot::Query(name))?;
            }
        }
        let refreshes = answer == Answers::WithTokens && refresh_token(&head.headers, body).is_some();
        look(body, if refreshes { Spot::Refresh } else { Spot::Body })
    }

    fn check(
        &self,
        candidate: Candidate<'_>,
        spot: Spot<'_>,
        task: TaskId,
        serving: Option<usize>,
    ) -> Result<(), Misplaced> {
        if self.entries.is_empty() {
            // A node that gives no leases: what looks so is not its affair.
            return Ok(());
        }
        let serving = serving.and_then(|at| self.entries.get(at));
        if let Some(entry) = serving
            && self.placeholders.is(candidate, task, &entry.service)
        {
            if entry.place.covers(spot) {
                return Ok(());
            }
            let may = format!("`{}` takes it in {}", entry.service, entry.place);
            return Err(Misplaced::new("the placeholder of this task", spot, may));
        }
        let own = self.entries.iter().find(|entry| self.placeholders.is(candidate, task, &entry.service));
        let (what, may) = match (own, candidate.task()) {
            (Some(entry), _) => (
                format!("the placeholder for `{}`", entry.service),
                "this call is none that it is for".to_owned(),
            ),
            (None, Some(other)) if other != task => {
                (format!("a placeholder of task {other}"), "this call is of another task".to_owned())
            }
            (None, _) => (
                "a placeholder".to_owned(),
                "no [[leases]] entry of this node knows it for this task".to_owned(),
            ),
        };
        Err(Misplaced { what, spot: spot.to_string(), may })
    }

    /// The same for a message over a WebSocket, where no placeholder belongs.
    pub fn examine_message(&self, message: &[u8], task: TaskId) -> Result<(), Misplaced> {
        self.placeholders.find(message).try_for_each(|candidate| {
            if candidate.is_captured() {
                self.check_captured(candidate, Spot::Body, task, None)
            } else {
                self.check(candidate, Spot::Body, task, None)
            }
        })
    }

    /// What an agent is configured with for a task.
    pub fn dummies(&self, task: TaskId) -> Vec<crate::call::Dummy> {
        let of = |entry: &super::entry::Entry| {
            let placeholder = self.placeholders.of(task, &entry.service, &entry.look);
            let plain = || self.placeholders.of(task, &entry.service, &super::placeholder::Look::default());
            let mut names = entry.env.iter().cloned();
            let first = names.next().map(|name| (name, placeholder.clone()));
            let env = first.into_iter().chain(names.map(|name| (name, plain()))).collect();
            crate::call::Dummy {
                service: crate::call::ServiceName(Arc::clone(&entry.service)),
                env,
                placeholder,
            }
        };
        self.entries.iter().map(of).collect()
    }
}

fn fields(
    headers: &HeaderMap,
    look: &mut impl FnMut(&[u8], Spot<'_>) -> Result<(), Misplaced>,
) -> Result<(), Misplaced> {
    for (name, value) in headers {
        let value = value.as_bytes();
        if *name == COOKIE {
            for pair in value.split(|b| *b == b';') {
                let named = pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii();
                look(pair, Spot::Cookie(std::str::from_utf8(named).unwrap_or_default()))?;
            }
            continue;
        }
        look(value, Spot::Header(name))?;
        if let Some(pair) = basic(value) {
            look(&pair, Spot::Header(name))?;
        }
    }
    Ok(())
}
