//! Which operations answer with tokens, and where in the answer they stand: data, so that whoever keeps tokens from agents need
//! not guess.
//!
//! ```toml
//! [tokens]
//! also = ["github-graphql"]       # other services of the catalog that take these tokens; `google-*`: all that are called so
//!
//! [tokens.operations]             # JSON pointers (RFC 6901)
//! "apps/create-installation-access-token" = ["/token"]
//!
//! [tokens.keys]                   # the same, of objects that are a key of AWS's; `*`: all of a list
//! "AssumeRole" = ["/AssumeRoleResponse/AssumeRoleResult/Credentials"]
//! ```
//!
//! Answers in XML are read as if they were JSON, each element a field.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::call::{Given, Handout, Operations, Secret, ServiceName, Timestamp};

use super::Catalog;
use super::error::Fault;
use super::json::Json;
use super::xml;

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
    #[serde(default)]
    operations: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    keys: BTreeMap<String, Vec<String>>,
}

/// Where the tokens of an answer stand, and who takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenPlaces {
    /// The services that take them.
    pub services: Vec<ServiceName>,
    tokens: Vec<Vec<String>>,
    keys: Vec<Vec<String>>,
}

/// Why the tokens of an answer cannot be told. Says nothing of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Untold(&'static str);

impl Tokens {
    /// Each name is an operation's, and each place can be one.
    pub(super) fn check(&self, known: impl Fn(&str) -> bool) -> Result<(), Fault> {
        let mut all = self.operations.iter().chain(&self.keys);
        if let Some((name, _)) = all.find(|(name, _)| !known(name)) {
            let why = format!("`[tokens]`: there is no operation `{name}`");
            return Err(Fault::new(1, why, "take the name from `operations.tsv`"));
        }
        let is_place = |text: &String| text.len() > 1 && text.starts_with('/');
        let is_whole = |text: &String| text.is_empty() || is_place(text);
        let of_tokens = self.operations.iter().find(|(_, at)| at.is_empty() || !at.iter().all(is_place));
        let of_keys = || self.keys.iter().find(|(_, at)| at.is_empty() || !at.iter().all(is_whole));
        match of_tokens.or_else(of_keys) {
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
            let (of_tokens, of_keys) = (tokens.operations.get(name), tokens.keys.get(name));
            if of_tokens.is_none() && of_keys.is_none() {
                continue;
            }
            found.services.push(operation.service.clone());
            found.services.extend(tokens.also.iter().flat_map(|name| self.called(name)));
            found.tokens.extend(of_tokens.into_iter().flatten().map(|place| steps(place)));
            found.keys.extend(of_keys.into_iter().flatten().map(|place| steps(place)));
        }
        (!found.services.is_empty()).then_some(found)
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
    /// The credentials in an answer. Of two fields with one name both count: clients differ in which they take.
    pub fn find(&self, answer: &[u8], now: Timestamp) -> Result<Vec<Given>, Untold> {
        let unread = Untold("is neither JSON nor XML, as far as remit can read it");
        let text = std::str::from_utf8(answer).map_err(|_| unread)?;
        let values = if text.trim_start().starts_with(['<', '\u{feff}']) {
            vec![xml::read(text).ok_or(unread)?]
        } else {
            Json::all(text).map_err(|_| unread)?
        };
        let mut found = Vec::new();
        for steps in &self.tokens {
            let Some((name, above)) = steps.split_last() else { continue };
            for holder in at(&values, above) {
                for value in below(holder, name) {
                    found.extend(token(value, holder, name, now)?);
                }
            }
        }
        let mut keys = 0;
        for holder in self.keys.iter().flat_map(|steps| at(&values, steps)) {
            if secrets(holder).next().is_some() {
                found.push(key(holder)?);
                keys += 1;
            }
        }
        // Some answers have none. All that there are stand where the catalog says, or it says too little.
        if !self.keys.is_empty() && values.iter().map(all_secrets).sum::<usize>() != keys {
            return Err(Untold("has a key elsewhere than the catalog says"));
        }
        Ok(found)
    }
}

/// All that a pointer leads to.
fn at<'a>(values: &'a [Json], steps: &[String]) -> Vec<&'a Json> {
    let mut holders: Vec<&Json> = values.iter().collect();
    for step in steps {
        holders = holders.into_iter().flat_map(|value| below(value, step)).collect();
    }
    holders
}

const SOMETHING_ELSE: Untold = Untold("has something else where the catalog says that a token stands");

fn token(value: &Json, holder: &Json, name: &str, now: Timestamp) -> Result<Option<Given>, Untold> {
    match value {
        Json::Text(text) if text.len() >= SHORTEST => Ok(Some(Given {
            what: Handout::Token(Secret::new(text.clone())),
            expires: end(holder, name, now),
        })),
        Json::Null => Ok(None),
        Json::Text(text) if text.is_empty() => Ok(None),
        _ => Err(SOMETHING_ELSE),
    }
}

/// What keys are called; `SecretKey` is Cognito's word.
const SECRETS: [&str; 2] = ["SecretAccessKey", "SecretKey"];

fn secrets(holder: &Json) -> impl Iterator<Item = &Json> {
    SECRETS.iter().flat_map(|name| holder.fields(name)).filter(|value| **value != Json::Null)
}

/// How many there are in a value and in all that it has.
fn all_secrets(value: &Json) -> usize {
    let (mut open, mut count) = (vec![value], 0);
    while let Some(value) = open.pop() {
        count += secrets(value).count();
        match value {
            Json::List(list) => open.extend(list),
            Json::Fields(fields) => open.extend(fields.iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    count
}

/// `Credentials` of AWS STS, API Reference 2011-06-15, and what other services of AWS give in its form.
fn key(holder: &Json) -> Result<Given, Untold> {
    let one = |name: &str| match holder.named(name).as_slice() {
        [] | [Json::Null] => Ok(None),
        [Json::Text(text)] if text.len() >= SHORTEST => Ok(Some(text.clone())),
        _ => Err(SOMETHING_ELSE),
    };
    let [access, plain] = SECRETS;
    let secret = match (one(access)?, one(plain)?) {
        (Some(secret), None) | (None, Some(secret)) => Secret::new(secret),
        _ => return Err(SOMETHING_ELSE),
    };
    let id = one("AccessKeyId")?.ok_or(SOMETHING_ELSE)?;
    let session = one("SessionToken")?.map(Secret::new);
    let ends = ["Expiration", "ExpirationTime", "expiresAt"];
    let expires = ends.iter().flat_map(|name| holder.fields(name)).filter_map(moment).min();
    Ok(Given { what: Handout::AwsKey { id, secret, session }, expires })
}

/// RFC 6901 §4.
fn steps(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

fn below<'a>(value: &'a Json, step: &str) -> Vec<&'a Json> {
    match value {
        Json::List(list) if step == "*" => list.iter().collect(),
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
        // AWS's services have fractions of seconds: `1.7857152E9`.
        Json::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Json::Text(text) => text.parse().ok(),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was looked at before")]
fn whole(number: f64) -> Option<u64> {
    // 2^53: up to there every whole number is one of these.
    (0.0..9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
}

fn moment(value: &Json) -> Option<Timestamp> {
    if let Some(number) = number(value) {
        let seconds = if number > MILLISECONDS { number / 1_000 } else { number };
        return Some(Timestamp::from_unix_s(seconds));
    }
    let parsed = value.text()?.parse::<jiff::Timestamp>().ok()?;
    u64::try_from(parsed.as_second()).ok().map(Timestamp::from_unix_s)
}
