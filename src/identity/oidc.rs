//! Operators who sign in at an identity provider (OpenID Connect Core 1.0 §3.1, Discovery 1.0, RFC 7636, RFC 9207): the
//! authorisation code flow with PKCE, from the address to which a browser is sent to the claims that came back.
//!
//! What is believed is the ID token alone, by the keys that the provider publishes, with algorithms of a fixed list. Nothing is
//! remembered of an attempt here: whoever begins one keeps it.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::call::{Clock, Fetch, Secret, Timestamp};

/// How long what the provider publishes is taken for what it is.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// How soon keys are asked for again because a token names one that is not among them.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Seconds by which the provider's clock and ours may differ.
const LEEWAY_S: u64 = 30;
/// Longest ID token that is looked at, bytes.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// What the operator decided about the provider.
#[derive(Debug)]
pub struct OidcSettings {
    /// As the provider names itself, and where its metadata are.
    pub issuer: String,
    /// What remit is called there.
    pub client_id: String,
    /// What shows that it is remit that asks; none: a public client, which has PKCE alone.
    pub client_secret: Option<Secret<String>>,
    /// Beside `openid`.
    pub scopes: Vec<String>,
}

/// One attempt to sign in; each part but the last is unguessable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Goes to the provider and comes back with the code: that the answer belongs to the browser that asked.
    pub state: String,
    /// Goes to the provider and comes back in the ID token: that the token belongs to the attempt.
    pub nonce: String,
    /// Stays here until the code is redeemed: that the code belongs to the attempt (RFC 7636).
    pub verifier: String,
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
}

/// Why nobody was signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The provider is away, or what it says is not understood.
    #[error("the identity provider cannot be used: {why}")]
    Unavailable {
        /// What is wrong.
        why: String,
    },
    /// The provider says no.
    #[error("the identity provider refused: {why}")]
    Refused {
        /// In its words.
        why: String,
    },
    /// The ID token does not hold.
    #[error("the ID token does not hold: {why}")]
    Token {
        /// What is wrong.
        why: &'static str,
    },
}

/// An identity provider.
pub struct Oidc {
    settings: OidcSettings,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<Known>>,
}

/// What the provider publishes, and when it was asked.
#[derive(Clone)]
struct Known {
    at: Timestamp,
    metadata: Arc<Metadata>,
    keys: Arc<JwkSet>,
}

/// As much of OpenID Provider Metadata (Discovery §3) as is used.
#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    issuer: String,
    #[serde(deserialize_with = "url")]
    authorization_endpoint: Url,
    #[serde(deserialize_with = "url")]
    token_endpoint: Url,
    #[serde(deserialize_with = "url")]
    jwks_uri: Url,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

fn url<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    let text = String::deserialize(from)?;
    Url::parse(&text).map_err(serde::de::Error::custom)
}

/// RFC 6749 §5.1 and §5.2.
#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// The claims that are looked at here; who it is about is asked of the rest.
#[derive(Deserialize)]
struct Checked {
    exp: u64,
    iat: u64,
    nonce: Option<String>,
    azp: Option<String>,
    aud: Value,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Oidc {
    /// Asks nobody yet.
    pub fn new(settings: OidcSettings, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, fetch, clock, known: Mutex::default() }
    }

    /// As the provider names itself.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Where the browser is sent.
    pub async fn authorize(&self, attempt: &Attempt) -> Result<Url, OidcError> {
        let mut url = self.known(None).await?.metadata.authorization_endpoint.clone();
        let scopes = ["openid"].into_iter().chain(self.settings.scopes.iter().map(String::as_str));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &attempt.redirect_uri)
            .append_pair("scope", &scopes.collect::<Vec<_>>().join(" "))
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(&attempt.verifier)))
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Redeems the code that the browser came back with, and brings the claims of the ID token. `iss` is what the provider
    /// called itself on the way back (RFC 9207).
    pub async fn redeem(
        &self,
        attempt: &Attempt,
        code: &str,
        iss: Option<&str>,
    ) -> Result<Map<String, Value>, OidcError> {
        let known = self.known(None).await?;
        let other = iss.is_some_and(|iss| iss != self.settings.issuer);
        if other || (iss.is_none() && known.metadata.authorization_response_iss_parameter_supported) {
            return Err(OidcError::Refused { why: "the answer is of another issuer (RFC 9207)".into() });
        }
        let token = self.exchange(&known.metadata.token_endpoint, attempt, code).await?;
        self.verify(&token, &attempt.nonce).await
    }

    async fn exchange(&self, endpoint: &Url, attempt: &Attempt, code: &str) -> Result<String, OidcError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(endpoint.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(secret) = &self.settings.client_secret {
            // RFC 6749 §2.3.1: each half is form-encoded before they are joined.
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(&self.settings.client_id), encoded(secret.reveal()));
            request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
        }
        let (status, answer): (_, TokenAnswer) = self.ask(request, self.redeeming(attempt, code)).await?;
        match answer {
            TokenAnswer { id_token: Some(token), error: None, .. } if status == StatusCode::OK => Ok(token),
            TokenAnswer { error: Some(error), error_description, .. } => {
                let text = error_description.map_or(error.clone(), |more| format!("{error} ({more})"));
                Err(OidcError::Refused { why: plain(&text) })
            }
            _ => Err(unavailable("its token endpoint gave no ID token")),
        }
    }

    /// RFC 6749 §4.1.3, RFC 7636 §4.5. A client with a secret names itself with it.
    fn redeeming(&self, Attempt { verifier, redirect_uri, .. }: &Attempt, code: &str) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier);
        if self.settings.client_secret.is_none() {
            form.append_pair("client_id", &self.settings.client_id);
        }
        form.finish()
    }

    /// OpenID Connect Core §3.1.3.7.
    async fn verify(&self, token: &str, nonce: &str) -> Result<Map<String, Value>, OidcError> {
        let bad = |why| OidcError::Token { why };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(bad("it is too long"));
        }
        let header =
            jsonwebtoken::decode_header(token).map_err(|_| bad("it is no JWT of a known algorithm"))?;
        let known = self.known(None).await?;
        let mut found = key_for(&known.keys, header.kid.as_deref(), header.alg);
        if found.is_none() {
            // Keys rotate: the provider may have published others since.
            found = key_for(&self.known(Some(known.at)).await?.keys, header.kid.as_deref(), header.alg);
        }
        let key = found
            .ok_or(bad("no key of the provider's fits it: wrong `kid`, or an algorithm that is not taken"))?;
        let mut rules = Validation::new(header.alg);
        rules.set_issuer(&[&self.settings.issuer]);
        rules.set_audience(&[&self.settings.client_id]);
        rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        // Time comes from our clock alone.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Checked>(token, &key, &rules)
            .map_err(|error| bad(why(error.kind())))?
            .claims;
        let now = self.clock.now().unix_s();
        if now >= claims.exp.saturating_add(LEEWAY_S) {
            return Err(bad("it has expired; if it is fresh, the clocks differ"));
        }
        if claims.iat > now.saturating_add(LEEWAY_S) {
            return Err(bad("it is from the future; the clocks differ"));
        }
        if claims.nonce.as_deref() != Some(nonce) {
            return Err(bad("it belongs to another attempt (`nonce`)"));
        }
        let several = claims.aud.as_array().is_some_and(|all| all.len() > 1);
        let is_ours = |azp: &str| azp == self.settings.client_id;
        if !claims.azp.as_deref().map_or(!several, is_ours) {
            return Err(bad("it was given to another client (`azp`)"));
        }
        Ok(claims.others)
    }

    /// What the provider publishes; asked again if it is what was known at `stale`, or old.
    async fn known(&self, stale: Option<Timestamp>) -> Result<Known, OidcError> {
        let now = self.clock.now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            let age = now.since(known.at);
            let enough = if stale == Some(known.at) { age < ASK_AGAIN } else { age < KNOWN_FOR };
            if enough {
                return Ok(known);
            }
        }
        let at = format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'));
        let metadata: Metadata = self.get(&at).await?;
        // Discovery §4.3: exactly.
        if metadata.issuer != self.settings.issuer {
            let is = plain(&metadata.issuer);
            return Err(unavailable(&format!("it calls itself `{is}`; write the issuer exactly like that")));
        }
        for url in [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri] {
            self.check_endpoint(url)?;
        }
        let keys = self.get(metadata.jwks_uri.as_str()).await?;
        let known = Known { at: now, metadata: Arc::new(metadata), keys: Arc::new(keys) };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        Ok(known)
    }

    /// Over TLS, or as near as the issuer itself, which may be on this machine.
    fn check_endpoint(&self, url: &Url) -> Result<(), OidcError> {
        let issuer = Url::parse(&self.settings.issuer).map_err(|error| unavailable(&error.to_string()))?;
        let near = issuer.scheme() == "http" && url.scheme() == "http" && url.host() == issuer.host();
        if url.scheme() == "https" || near {
            return Ok(());
        }
        Err(unavailable(&format!("it names `{}`, which is not https", plain(url.as_str()))))
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, OidcError> {
        let (status, answer) = self.ask(Request::builder().uri(url), String::new()).await?;
        if status == StatusCode::OK {
            Ok(answer)
        } else {
            Err(unavailable(&format!("`{url}` answered {status}")))
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: http::request::Builder,
        body: String,
    ) -> Result<(StatusCode, T), OidcError> {
        let request = request.header(ACCEPT, "application/json").body(Bytes::from(body));
        let request = request.map_err(|error| unavailable(&error.to_string()))?;
        let url = request.uri().to_string();
        let answer = self.fetch.fetch(request).await.map_err(|error| unavailable(&error.why))?;
        let said = serde_json::from_slice(answer.body());
        let said = said.map_err(|_| {
            unavailable(&format!("`{url}` answered {} and not what belongs there", answer.status()))
        })?;
        Ok((answer.status(), said))
    }
}

/// The key that is named, if it is one for signatures by this algorithm; where none is named, the only one.
fn key_for(keys: &JwkSet, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let fits = |key: &&Jwk| {
        let named = kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid));
        let signs = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        named && signs && takes(key, algorithm)
    };
    let mut found = keys.keys.iter().filter(fits);
    match (found.next(), found.next()) {
        (Some(key), None) => DecodingKey::from_jwk(key).ok(),
        _ => None,
    }
}

/// What is not here is not taken: nothing symmetric, since the client secret would sign, and no `none`.
fn takes(key: &Jwk, algorithm: Algorithm) -> bool {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => algorithm == ES256,
            EllipticCurve::P384 => algorithm == ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519 && algorithm == EdDSA,
        _ => false,
    }
}

fn why(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for another client (`aud`)",
        _ => "its claims are not those of an ID token",
    }
}

fn unavailable(why: &str) -> OidcError {
    OidcError::Unavailable { why: why.to_owned() }
}

/// Somebody else's words: bounded, and none of them moves a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
