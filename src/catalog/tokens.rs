//! Which operations answer with tokens, and where in the answer they stand: data, so that whoever keeps tokens from agents need
//! not guess.
//!
//! ```toml
//! [tokens]
//! also = ["github-graphql"]       # other services of the catalog that take these tokens; `google-*`: all that are called so
//!
//! [tokens.operations]             # JSON pointers (RFC 6901)
//! "apps/create-installation-access-token" = ["/token"]
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::call::{Given, Operations, Secret, ServiceName, Timestamp};

use super::Catalog;
use super::error::Fault;
use super::json::Json;

/// A shorter text cannot be told from others, so it could not be kept from the agent.
const SHORTEST: usize = 8;
/// An `expires_at` beyond this counts milliseconds: as seconds it would be in the year 5138.
const MILLISECONDS: u64 = 100_000_000_000;

/// `[tokens]` of `overrides.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    #[serde(default)]
    pub(super) also: Vec<Arc<str>>,
    operations: BTreeMap<String, Vec<String>>,
}

/// Where the tokens of an answer stand, and who takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenPlaces {
    /// The services that take them.
    pub services: Vec<ServiceName>,
    pointers: Vec<Vec<String>>,
}

/// Why the tokens of an answer cannot be told. Says nothing of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Untold(&'static str);

impl Tokens {
    /// Each name is an operation's, and each place can be one.
    pub(super) fn check(&self, known: impl Fn(&str) -> bool) -> Result<(), Fault> {
        if let Some(name) = self.operations.keys().find(|name| !known(name)) {
            let why = format!("`[tokens]`: there is no operation `{name}`");
            return Err(Fault::new(1, why, "take the name from `operations.tsv`"));
        }
        let is_place = |text: &String| text.len() > 1 && text.starts_with('/');
        match self.operations.iter().find(|(_, places)| places.is_empty() || !places.iter().all(is_place)) {
            None => Ok(()),
            Some((name, _)) => {
                let why = format!("`[tokens]`: `{name}` names no place in its answer");
                Err(Fault::new(1, why, "write JSON pointers: `[\"/access_token\"]`"))
            }
        }
    }
}

impl Catalog {
    /// Where an answer to a call has tokens, if any of its operations is known to answer with some.
    pub fn tokens(&self, operations: &Operations) -> Option<TokenPlaces> {
        let mut found = TokenPlaces::default();
        for operation in operations.iter() {
            let Some((service, name)) = operation.id.0.split_once(':') else { continue };
            let table = self.named(service).and_then(super::service::Service::table);
            let Some(tokens) = table.and_then(|table| table.tokens.as_ref()) else { continue };
            let Some(places) = tokens.operations.get(name) else { continue };
            found.services.push(operation.service.clone());
            found.services.extend(tokens.also.iter().flat_map(|name| self.called(name)));
            found.pointers.extend(places.iter().map(|place| steps(place)));
        }
        (!found.pointers.is_empty()).then_some(found)
    }
}

impl Catalog {
    /// The services that a name means: itself, or all that begin as it does before a `*`.
    fn called(&self, name: &str) -> Vec<ServiceName> {
        match name.strip_suffix('*') {
            Some(begins) => self.services().filter(|service| service.0.starts_with(begins)).collect(),
            None => vec![ServiceName(name.into())],
        }
    }
}

impl TokenPlaces {
    /// The tokens of an answer. Of two fields with one name both count: clients differ in which they take.
    pub fn find(&self, answer: &[u8], now: Timestamp) -> Result<Vec<Given>, Untold> {
        let no_json = Untold("is not JSON, as far as remit can read it");
        let text = std::str::from_utf8(answer).map_err(|_| no_json)?;
        let values = Json::all(text).map_err(|_| no_json)?;
        let mut found = Vec::new();
        for steps in &self.pointers {
            let Some((name, above)) = steps.split_last() else { continue };
            let mut holders: Vec<&Json> = values.iter().collect();
            for step in above {
                holders = holders.into_iter().flat_map(|value| below(value, step)).collect();
            }
            for holder in holders {
                for value in below(holder, name) {
                    found.extend(given(value, holder, name, now)?);
                }
            }
        }
        Ok(found)
    }
}

fn given(value: &Json, holder: &Json, name: &str, now: Timestamp) -> Result<Option<Given>, Untold> {
    match value {
        Json::Text(text) if text.len() >= SHORTEST => {
            Ok(Some(Given { token: Secret::new(text.clone()), expires: end(holder, name, now) }))
        }
        Json::Null => Ok(None),
        Json::Text(text) if text.is_empty() => Ok(None),
        _ => Err(Untold("has something else where the catalog says that a token stands")),
    }
}

/// RFC 6901 §4.
fn steps(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

fn below<'a>(value: &'a Json, step: &str) -> Vec<&'a Json> {
    match value {
        Json::List(list) => step.parse().ok().and_then(|at: usize| list.get(at)).into_iter().collect(),
        other => other.named(step),
    }
}

/// When the token ends, where its neighbours say so (RFC 6749 §5.1). What `expires_in` says is not of a refresh token.
fn end(holder: &Json, name: &str, now: Timestamp) -> Option<Timestamp> {
    let of = if name.contains("refresh") { "refresh_token_" } else { "" };
    let within = holder.named(&format!("{of}expires_in")).into_iter().filter_map(number);
    let within = within.map(|seconds| now.plus(std::time::Duration::from_secs(seconds)));
    let at = [format!("{of}expires_at"), "expireTime".to_owned()];
    let at = at.iter().flat_map(|name| holder.named(name)).filter_map(moment);
    within.chain(at).min()
}

fn number(value: &Json) -> Option<u64> {
    match value {
        Json::Number(number) => number.as_u64(),
        Json::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn moment(value: &Json) -> Option<Timestamp> {
    if let Some(number) = number(value) {
        let seconds = if number > MILLISECONDS { number / 1_000 } else { number };
        return Some(Timestamp::from_unix_s(seconds));
    }
    let parsed = value.text()?.parse::<jiff::Timestamp>().ok()?;
    u64::try_from(parsed.as_second()).ok().map(Timestamp::from_unix_s)
}
