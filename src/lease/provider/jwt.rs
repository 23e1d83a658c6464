//! What is signed for a server: client assertions, assertions of a task, an app's own token (RFC 7515, 7519, 7523 §3).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::MintError;
use crate::call::{Entropy, Secret, SpiffeId, Task, Timestamp};

/// Life of what is signed for one request. RFC 7523 §3: servers may refuse what lives unreasonably long.
pub const ASSERTION_LIFE: Duration = Duration::from_secs(120);

/// A private key with its algorithm.
pub struct Key {
    private: EncodingKey,
    algorithm: Algorithm,
    kid: Option<String>,
}

impl Key {
    /// A key in PEM: RSA (PKCS #1 or #8) signs RS256, P-256 (PKCS #8) ES256, Ed25519 (PKCS #8) `EdDSA`.
    pub fn parse(pem: &Secret<String>, kid: Option<&str>) -> Result<Self, MintError> {
        let bytes = pem.reveal().as_bytes();
        let known = EncodingKey::from_rsa_pem(bytes)
            .map(|key| (key, Algorithm::RS256))
            .or_else(|_| EncodingKey::from_ec_pem(bytes).map(|key| (key, Algorithm::ES256)))
            .or_else(|_| EncodingKey::from_ed_pem(bytes).map(|key| (key, Algorithm::EdDSA)));
        let (key, algorithm) = known.map_err(|_| {
            MintError::Refused(
                "the private key cannot be read: PEM is wanted, an RSA key (PKCS #1 or #8), or a P-256 or Ed25519 key (PKCS #8), without a passphrase".to_owned(),
            )
        })?;
        Ok(Self { private: key, algorithm, kid: kid.map(str::to_owned) })
    }

    /// Signs claims.
    pub fn sign(&self, claims: &impl Serialize) -> Result<Secret<String>, MintError> {
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.kid);
        let token = jsonwebtoken::encode(&header, claims, &self.private).map_err(|_| {
            MintError::Refused(
                "the private key cannot sign; of elliptic curves it has to be P-256".to_owned(),
            )
        })?;
        Ok(Secret::new(token))
    }
}

/// The claims of an assertion (RFC 7523 §3).
#[derive(Serialize)]
pub struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Actor<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<&'a str>,
}

/// Who acts (RFC 8693 §4.1); those inside are prior ones.
#[derive(Serialize)]
struct Actor<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Actor<'a>>>,
}

/// Whom an assertion of a task speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// For whom the work is done. Names the actors as well.
    SubjectWithActors,
    /// For whom the work is done. An actor token goes beside it and names the actors.
    Subject,
    /// Who works now, and who handed it over.
    Actor,
}

impl<'a> Assertion<'a> {
    /// About the client itself (RFC 7523 §3, `private_key_jwt`).
    pub fn of_client(client: &'a str, aud: &'a str, now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self {
            iss: client,
            sub: client,
            aud,
            jti: random(entropy),
            iat: now.unix_s(),
            nbf: now.unix_s(),
            exp: now.plus(ASSERTION_LIFE).unix_s(),
            act: None,
            task: None,
            intent: None,
        }
    }

    /// About a party of a task; it never holds for longer than the task. The nesting is that of remit's own task tokens.
    pub fn of_task(
        task: &'a Task,
        party: Party,
        iss: &'a str,
        aud: &'a str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Self {
        let subject = task.terms.on_behalf_of.as_ref().map(crate::call::Subject::as_str);
        let root = task.terms.actors.last().unwrap_or(&task.agent).as_str();
        // From the root to the one who acts now. Where nobody is named as the subject, the root is, and does not act for itself.
        let agents = task.terms.actors.iter().rev().chain(std::iter::once(&task.agent));
        let agents = agents.skip(usize::from(subject.is_none() && party != Party::Actor));
        let nest = |act: Option<Box<Actor<'a>>>, agent: &'a SpiffeId| {
            Some(Box::new(Actor { sub: agent.as_str(), act }))
        };
        let chain = agents.fold(None, nest);
        let (sub, act) = match party {
            Party::SubjectWithActors => (subject.unwrap_or(root), chain),
            Party::Subject => (subject.unwrap_or(root), None),
            Party::Actor => (task.agent.as_str(), chain.and_then(|actor| actor.act)),
        };
        let exp = now.plus(ASSERTION_LIFE).min(task.deadline).unix_ns().div_ceil(1_000_000_000);
        Self {
            iss,
            sub,
            aud,
            jti: random(entropy),
            iat: now.unix_s(),
            nbf: now.unix_s(),
            exp,
            act,
            task: Some(task.id.to_string()),
            intent: Some(task.intent.as_str()),
        }
    }
}

/// 128 random bits, as text.
pub fn random(entropy: &dyn Entropy) -> String {
    let mut id = [0; 16];
    entropy.fill(&mut id);
    URL_SAFE_NO_PAD.encode(id)
}
