//! Sessions of browsers: a random name in a cookie, everything else in memory here. They end with the node.
//!
//! A cookie goes along with whatever a browser sends, whoever had it send that. So a change that comes with one must also
//! show the session's own token, which only this node's pages can read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::call::{Entropy, Operator, Secret, Timestamp};

/// Sessions at one time; a further one takes the place of the one that was quiet for longest.
const MAX_SESSIONS: usize = 1_000;

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Without a request.
    pub idle: Duration,
    /// At all.
    pub whole: Duration,
}

/// What a change that comes with a session's cookie has to show: the form field `csrf`, or the header `remit-csrf`. In the
/// extensions of every request that came with such a cookie, for the pages that are made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csrf(pub Arc<str>);

impl Csrf {
    /// Whether this is it.
    pub(super) fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

struct Session {
    operator: Operator,
    csrf: Csrf,
    began: Timestamp,
    seen: Timestamp,
}

impl Session {
    fn lives(&self, life: Life, now: Timestamp) -> bool {
        now.since(self.seen) < life.idle && now.since(self.began) < life.whole
    }
}

/// All sessions of a node, by the digest of their names: what could be read out of memory opens nothing.
pub(super) struct Sessions {
    life: Life,
    all: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    pub(super) fn new(life: Life) -> Self {
        Self { life, all: Mutex::default() }
    }

    /// Begins one; what comes back goes into the cookie.
    pub(super) fn begin(&self, operator: Operator, now: Timestamp, entropy: &dyn Entropy) -> Secret<String> {
        let name = random(entropy);
        let csrf = Csrf(random(entropy).as_str().into());
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_SESSIONS {
            all.retain(|_, session| session.lives(self.life, now));
        }
        if all.len() >= MAX_SESSIONS
            && let Some(quietest) = all.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| *key)
        {
            all.remove(&quietest);
        }
        all.insert(digest(&name), Session { operator, csrf, began: now, seen: now });
        Secret::new(name)
    }

    /// Whose it is, if it lives; it lives on.
    pub(super) fn find(&self, name: &str, now: Timestamp) -> Option<(Operator, Csrf)> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = digest(name);
        let session = all.get_mut(&key)?;
        if !session.lives(self.life, now) {
            all.remove(&key);
            return None;
        }
        session.seen = session.seen.max(now);
        Some((session.operator.clone(), session.csrf.clone()))
    }

    /// Ends it.
    pub(super) fn end(&self, name: &str) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(name));
    }
}

/// 256 bits, as text.
pub(super) fn random(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn digest(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

/// Where this node is, as the browser sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// As `Host` has it.
    pub(super) authority: String,
    /// The port in it, or that of the scheme.
    pub(super) port: u16,
}

impl Place {
    /// RFC 6454 §6.2.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// Browsers keep cookies by host and not by port, so the port stands in the name: nodes of one machine do not sign each
    /// other's operators out. `__Host-` (RFC 6265bis §4.1.3.2) keeps out what a neighbouring name or an unencrypted page sets.
    fn cookie(&self, what: &str) -> String {
        format!("{}{what}-{}", if self.is_secure() { "__Host-" } else { "" }, self.port)
    }

    /// `Set-Cookie` for `what`. Lax and not Strict: whoever comes back from the identity provider comes from another site.
    pub(super) fn set(&self, what: &str, value: &str, life: Duration) -> String {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        let (name, age) = (self.cookie(what), life.as_secs());
        format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
    }

    /// The value of the cookie for `what`, if the browser sent it, and sent it once.
    pub(super) fn sent<'a>(&self, what: &str, headers: &'a HeaderMap) -> Option<&'a str> {
        let name = self.cookie(what);
        let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(one, _)| *one == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
