//! JWT-SVIDs in `Proxy-Authorization` (SPIFFE JWT-SVID §2 to §5, RFC 8725).
//!
//! A bearer token of somebody else's making: the trust domain's bundle says which keys and algorithms are believed, the
//! token itself only which of them it claims. Without a cache: they live for minutes, and one is shown once a connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde_json::Value;

use super::bundle::Bundles;
use super::error::SvidError;
use super::task_token::MAX_TOKEN_BYTES;
use crate::call::{self, Clock, SpiffeId, Timestamp};

/// Seconds by which the clocks of a trust domain and ours may differ.
const LEEWAY_S: u64 = 5;

/// Believes JWT-SVIDs.
#[derive(Clone)]
pub(super) struct JwtSvids {
    bundles: Arc<Bundles>,
    audience: String,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Unverified {
    sub: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    exp: u64,
    nbf: Option<u64>,
    iat: Option<u64>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Claims that every token has (RFC 7519 §4.1): they say nothing of the workload that its name does not.
const REGISTERED: [&str; 4] = ["iss", "sub", "aud", "jti"];

impl JwtSvids {
    pub(super) fn new(bundles: Arc<Bundles>, audience: String, clock: Arc<dyn Clock>) -> Self {
        Self { bundles, audience, clock }
    }

    /// Whose token it is, and what else it says of that workload, if it holds.
    pub(super) fn verify(&self, token: &str) -> Result<(SpiffeId, call::Claims), SvidError> {
        let malformed = |why| SvidError::Malformed { why };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed("it is longer than 4,096 bytes"));
        }
        let parts: Vec<_> = token.splitn(4, '.').collect();
        let &[header, claims, _] = parts.as_slice() else {
            return Err(malformed("it does not have three parts"));
        };
        let header: Header = part(header)?;
        // §3: `typ` is absent, `JWT` or `JOSE`.
        if !matches!(header.typ.as_deref(), None | Some("JWT" | "JOSE")) {
            return Err(malformed("its `typ` is not that of a JWT-SVID"));
        }
        let shown = header.alg.chars().take(16).flat_map(char::escape_default).collect();
        let algorithm = header.alg.parse().map_err(|_| SvidError::Algorithm { alg: shown })?;
        let named: Unverified = part(claims)?;
        let id = named.sub.as_deref().ok_or(malformed("it has no `sub`"))?;
        let id = SpiffeId::parse(id).map_err(|error| SvidError::Name { why: error.to_string() })?;
        let domain = id.trust_domain();
        let bundle = self.bundles.of(domain);
        let bundle = bundle.ok_or_else(|| SvidError::UnknownTrustDomain { domain: domain.to_owned() })?;
        // §4.1: the key by `kid`, and a token without one is not tried against every key.
        let kid = header.kid.ok_or(malformed("it has no `kid`"))?;
        let authority = bundle.jwt.get(&kid).ok_or(SvidError::UnknownKey)?;
        if !authority.algorithms.contains(&algorithm) {
            let alg = header.alg.chars().take(16).flat_map(char::escape_default).collect();
            return Err(SvidError::Algorithm { alg });
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &authority.key, &self.rules(algorithm));
        let claims = claims.map_err(|error| match error.kind() {
            ErrorKind::InvalidAudience => SvidError::Audience { wanted: self.audience.clone() },
            ErrorKind::InvalidSignature => SvidError::Signature,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => {
                SvidError::Audience { wanted: self.audience.clone() }
            }
            _ => malformed("its claims are not those of a JWT-SVID"),
        })?;
        self.check_times(&claims.claims)?;
        let others =
            claims.claims.others.into_iter().filter(|(name, _)| !REGISTERED.contains(&name.as_str()));
        let texts = others.filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        });
        Ok((id, call::Claims::of(texts)))
    }

    fn rules(&self, algorithm: jsonwebtoken::Algorithm) -> Validation {
        let mut rules = Validation::new(algorithm);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["sub", "aud", "exp"]);
        // Time comes from our clock alone.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules
    }

    fn check_times(&self, claims: &Claims) -> Result<(), SvidError> {
        let now = self.clock.now();
        let at = Timestamp::from_unix_s(claims.exp);
        if now.unix_s() >= claims.exp.saturating_add(LEEWAY_S) {
            return Err(SvidError::Expired { at });
        }
        let from = claims.nbf.max(claims.iat).unwrap_or_default();
        if from > now.unix_s().saturating_add(LEEWAY_S) {
            return Err(SvidError::NotYetValid { from: Timestamp::from_unix_s(from) });
        }
        Ok(())
    }
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, SvidError> {
    let bytes =
        URL_SAFE_NO_PAD.decode(text).map_err(|_| SvidError::Malformed { why: "a part is not base64url" })?;
    serde_json::from_slice(&bytes)
        .map_err(|_| SvidError::Malformed { why: "a part is not what belongs there" })
}
