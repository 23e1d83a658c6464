//! What is kept of a token to take it back, and what is kept of a refresh token that the server replaced.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::call::{Secret, Timestamp};
use crate::lease::provider::MintError;

/// What a lease's end needs.
pub(super) struct Handle {
    pub(super) access: Secret<String>,
    /// Where the server gave one beside the access token.
    pub(super) refresh: Option<Secret<String>>,
    pub(super) expires: Option<Timestamp>,
}

#[derive(Serialize)]
struct Written<'a> {
    access: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    access: String,
    refresh: Option<String>,
    expires: Option<Timestamp>,
}

impl Handle {
    pub(super) fn write(&self) -> Secret<String> {
        let written = Written {
            access: self.access.reveal(),
            refresh: self.refresh.as_ref().map(|token| token.reveal().as_str()),
            expires: self.expires,
        };
        // Texts and a number: serialising them cannot fail.
        Secret::new(serde_json::to_string(&written).unwrap_or_default())
    }

    pub(super) fn read(text: &Secret<String>) -> Result<Self, MintError> {
        let read: Read = serde_json::from_str(text.reveal()).map_err(|_| {
            MintError::Refused(
                "the handle of a lease cannot be read; whoever runs the server has to end the token there"
                    .to_owned(),
            )
        })?;
        Ok(Self {
            access: Secret::new(read.access),
            refresh: read.refresh.map(Secret::new),
            expires: read.expires,
        })
    }
}

/// A refresh token as it is kept: with the digest of the configured one that it descends from, so that a new login, which
/// replaces that one, is not overruled by an old descendant.
pub(super) fn successor(configured: &Secret<String>, token: &Secret<String>) -> Secret<String> {
    Secret::new(format!("{} {}", ancestry(configured), token.reveal()))
}

/// The kept token, if it descends from the configured one.
pub(super) fn successor_of(configured: &Secret<String>, kept: &Secret<String>) -> Option<Secret<String>> {
    let (ancestor, token) = kept.reveal().split_once(' ')?;
    (ancestor == ancestry(configured)).then(|| Secret::new(token.to_owned()))
}

fn ancestry(configured: &Secret<String>) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(configured.reveal().as_bytes()))
}
