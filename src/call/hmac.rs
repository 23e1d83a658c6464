//! How a service wants its requests signed with a shared secret (HMAC, RFC 2104): a scheme, which its catalog entry holds as data.
//!
//! ```toml
//! [[credential.hmac]]
//! name = "exchange"
//! hash = "sha256"                                  # or sha512, sha1
//! key = "base64"                                   # how the secret is written: text, base64, hex
//! output = "base64"                                # how the signature is written: hex, base64
//! time = "unix"                                    # or unix_ms, rfc3339
//! message = "{time}{method}{target}{body}"
//! headers = { x-key = "{user}", x-time = "{time}", x-signature = "{signature}" }
//! ```
//!
//! `message` and `headers` know `{time}`, `{method}`, `{host}`, `{target}`, `{path}`, `{query}`, `{body}`, `{body_sha256}` (hex) and
//! `{user}`, which is the key's name; `headers` know `{signature}` too. Nothing is signed here.

use std::collections::BTreeMap;

use http::HeaderName;
use serde::{Deserialize, Serialize};

/// What may stand in a template.
const KNOWN: [&str; 9] = ["body", "body_sha256", "host", "method", "path", "query", "target", "time", "user"];

/// How a service wants its requests signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HmacScheme {
    /// By which entries of `[[leases]]` name it.
    pub name: String,
    /// The hash function.
    #[serde(default)]
    pub hash: HmacHash,
    /// How the secret is written.
    #[serde(default)]
    pub key: HmacKey,
    /// How the signature is written.
    #[serde(default)]
    pub output: HmacOutput,
    /// How the time is written.
    #[serde(default)]
    pub time: HmacTime,
    /// What is signed.
    pub message: String,
    /// What is sent.
    pub headers: BTreeMap<String, String>,
}

/// A hash function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are their names")]
pub enum HmacHash {
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

/// How a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HmacKey {
    /// Its characters are the key.
    #[default]
    Text,
    /// RFC 4648 §4.
    Base64,
    /// RFC 4648 §8.
    Hex,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HmacOutput {
    /// In lower case.
    #[default]
    Hex,
    /// RFC 4648 §4, padded.
    Base64,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HmacTime {
    /// Seconds.
    #[default]
    Unix,
    /// Milliseconds.
    UnixMs,
    /// `2026-01-02T03:04:05.678Z`.
    Rfc3339,
}

/// A scheme that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scheme `{scheme}`: {why}")]
pub struct BadScheme {
    scheme: String,
    why: String,
}

impl HmacScheme {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), BadScheme> {
        let wrong = |why: String| Err(BadScheme { scheme: self.name.clone(), why });
        let known = |name: &str| KNOWN.contains(&name);
        if let Some(name) = names(&self.message).find(|name| !known(name)) {
            return wrong(format!("`message` knows no `{{{name}}}`; it knows {}", KNOWN.join(", ")));
        }
        for (header, value) in &self.headers {
            if HeaderName::try_from(header.as_str()).is_err() {
                return wrong(format!("`{header}` names no header field"));
            }
            if let Some(name) = names(value).find(|name| !known(name) && *name != "signature") {
                return wrong(format!("`{header}` knows no `{{{name}}}`"));
            }
        }
        if self.headers.values().any(|value| value.contains("{signature}")) {
            Ok(())
        } else {
            wrong("no field of `headers` has `{signature}`".to_owned())
        }
    }

    /// Whether the whole body has to be there.
    pub fn wants_body(&self) -> bool {
        let templates = std::iter::once(&self.message).chain(self.headers.values());
        templates.flat_map(|template| names(template)).any(|name| name == "body" || name == "body_sha256")
    }
}

/// The names in a template, in their order. A brace that is no name's is a brace.
fn names(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0))
}
