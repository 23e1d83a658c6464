//! What a token endpoint says: a token (RFC 6749 §5.1, RFC 8693 §2.2.1) or an error (RFC 6749 §5.2).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::settings::{Flow, Kind, Proven, Settings};
use crate::call::{Secret, Timestamp};
use crate::lease::provider::MintError;
use crate::lease::provider::ask::{self, Answer};
use crate::lease::provider::narrow::Width;

/// A success, as it is said. Members that this does not know are the server's own business (RFC 6749 §5.1).
#[derive(Deserialize)]
pub(super) struct Said {
    access_token: String,
    token_type: String,
    expires_in: Option<Value>,
    refresh_token: Option<String>,
    scope: Option<String>,
    issued_token_type: Option<String>,
}

/// A success that can be looked at.
pub(super) struct Given {
    pub(super) access_token: Secret<String>,
    pub(super) refresh_token: Option<Secret<String>>,
    /// What it was to be bound to.
    pub(super) key: Option<Secret<String>>,
    token_type: String,
    expires_in: Option<Value>,
    scope: Option<String>,
    issued_token_type: Option<String>,
}

impl Said {
    pub(super) fn given(self, place: &str, key: Option<Secret<String>>) -> Result<Given, MintError> {
        Ok(Given {
            access_token: ask::token(self.access_token, place)?,
            refresh_token: self.refresh_token.map(|token| ask::token(token, place)).transpose()?,
            key,
            token_type: self.token_type,
            expires_in: self.expires_in,
            scope: self.scope,
            issued_token_type: self.issued_token_type,
        })
    }
}

impl Given {
    /// When it ends: as the server says, else as the operator does, else nobody knows.
    pub(super) fn expires(
        &self,
        now: Timestamp,
        lifetime: Option<Duration>,
    ) -> Result<Option<Timestamp>, MintError> {
        let seconds = match &self.expires_in {
            None | Some(Value::Null) => match lifetime {
                Some(life) => life.as_secs(),
                None => return Ok(None),
            },
            Some(Value::Number(number)) => number.as_u64().ok_or_else(no_number)?,
            // Some servers write numbers as texts.
            Some(Value::String(text)) => text.parse().map_err(|_| no_number())?,
            Some(_) => return Err(no_number()),
        };
        ask::ends(now, seconds).map(Some)
    }

    /// Why it must not be used, if so.
    pub(super) fn unfit<S>(&self, settings: &Settings<S>, scopes: Option<&[String]>) -> Option<MintError> {
        let refused = |why: &str| Some(MintError::Refused(format!("the token endpoint gave {why}")));
        let wanted = match settings.proven {
            Proven::Bearer => "Bearer",
            Proven::Dpop => "DPoP",
        };
        // RFC 6749 §5.1: letter case does not matter. RFC 9449 §5: what is not bound is not what was asked for.
        if !self.token_type.eq_ignore_ascii_case(wanted) {
            let kind: String = self.token_type.chars().take(20).flat_map(char::escape_default).collect();
            return refused(&format!("a token of type `{kind}` where {wanted} was wanted; see `dpop`"));
        }
        if matches!(settings.flow, Flow::Exchange { .. }) {
            // RFC 8693 §2.2.1: it is required.
            let fits = [Kind::AccessToken.urn(), Kind::Jwt.urn()];
            if !self.issued_token_type.as_deref().is_some_and(|kind| fits.contains(&kind)) {
                return refused("something else than an access token in exchange (`issued_token_type`)");
            }
        }
        self.too_wide(settings.width, scopes)
    }

    /// RFC 6749 §3.3 and §5.1: the server says what it gave where that differs from what was asked for.
    fn too_wide(&self, width: Width, scopes: Option<&[String]>) -> Option<MintError> {
        let (Width::Narrow, Some(said), Some(asked)) = (width, &self.scope, scopes) else { return None };
        let asked: BTreeSet<&str> = asked.iter().map(String::as_str).collect();
        let more: Vec<_> = said.split_ascii_whitespace().filter(|scope| !asked.contains(scope)).collect();
        if more.is_empty() {
            return None;
        }
        let more: String = more.join(" ").chars().take(120).flat_map(char::escape_default).collect();
        Some(MintError::TooWide(format!(
            "the token endpoint gave more than was asked for (`{more}`); have it honour `scope` for this client, or accept it with `wide = true`"
        )))
    }
}

fn no_number() -> MintError {
    MintError::Refused("the token endpoint gave an `expires_in` that is no number of seconds".to_owned())
}

/// A failure, as it is said.
#[derive(Default, Deserialize)]
pub(super) struct Error {
    #[serde(rename = "error", default)]
    pub(super) code: String,
    #[serde(rename = "error_description", default)]
    description: String,
}

impl Error {
    pub(super) fn of(answer: &Answer) -> Self {
        answer.json_if_any().unwrap_or_default()
    }

    /// With what can be done about it.
    pub(super) fn told<S>(&self, answer: &Answer, settings: &Settings<S>) -> MintError {
        let remedy = match self.code.as_str() {
            "invalid_client" => "check `client_id`, `client_auth` and the secret",
            "invalid_grant" => match settings.flow {
                Flow::Refresh { .. } => {
                    "log in again and put the new refresh token where `refresh_token` points to; if this came after the end of a task, the server ends refresh tokens with access tokens, and `revocation_url` has to go"
                }
                Flow::ClientCredentials => "see the server's log",
                Flow::Exchange { .. } | Flow::JwtBearer { .. } => {
                    "check that the server trusts the issuer and the key of `subject` and `actor`, and see `assertion_audience`"
                }
            },
            "invalid_scope" => "check `scopes` against what the server lets this client ask for",
            "invalid_target" => "check `resource` and `audience` (RFC 8707 §2)",
            "unauthorized_client" | "unsupported_grant_type" => "allow the client this `grant` at the server",
            "invalid_dpop_proof" => "check that the clocks of this machine and of the server agree",
            _ => "see the server's log",
        };
        let said = if self.description.is_empty() {
            self.code.clone()
        } else {
            format!("{}: {}", self.code, self.description)
        };
        // RFC 6749 §4.1.2.1 has it for another endpoint; servers use it here too.
        match answer.refused(&said, remedy) {
            MintError::Refused(text)
                if matches!(self.code.as_str(), "temporarily_unavailable" | "slow_down") =>
            {
                MintError::Unavailable(text)
            }
            error => error,
        }
    }
}
