//! Task tokens: short-lived JWTs (RFC 7519) that this node signs and that nobody else is meant to understand.
//!
//! Bound to one agent, one intent, one task and one audience, signed with Ed25519 (RFC 8037 §3.1). The rules of RFC 8725
//! are followed where its numbers stand. Time comes from [`Clock`] alone: the JWT crate's own clock is turned off.
//!
//! A verification costs 50 to 100 µs, and an agent sends the same token with every connection, so the claims of tokens
//! that held are remembered under the SHA-256 of the whole token, at most [`VERIFIED_TOKENS`] of them. Only the
//! signature and the fixed claims are remembered: `nbf` and `exp` are compared with the clock every time. Tokens that do
//! not hold are not remembered.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Claim;
use super::error::{KeyError, TokenError};
use super::node_key;
use crate::call::{
    Binding, Clock, Entropy, IntentName, Secret, SpiffeId, Task, TaskId, Thumbprint, Timestamp,
};

/// Who the tokens are for (`aud`).
pub const AUDIENCE: &str = "remit-proxy";
/// Longest token that is looked at, bytes. The longest that this node makes has about 3,300 (a SPIFFE ID of 2,048).
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// Life of a token where the operator says nothing.
pub const DEFAULT_LIFE: Duration = Duration::from_secs(15 * 60);
/// Longest life of a token, and of one renewal. OWASP NHI7:2025, long-lived secrets.
pub const MAX_LIFE: Duration = Duration::from_secs(60 * 60);
/// How many renewed tokens are known at one time; the one that was used least is forgotten first, and ends then.
const RENEWED_TOKENS: u64 = 100_000;
/// How many tokens that held are remembered; the least used goes first, and costs one more verification.
pub const VERIFIED_TOKENS: u64 = 4_096;
/// The only leeway, seconds: `nbf` may lie this far ahead, because a clock may be set back between minting and use.
/// `exp` has none: the clock that compares is the one that wrote it.
pub const CLOCK_STEP_S: u64 = 5;

/// Who makes the tokens (`iss`).
const ISSUER: &str = "remit";
/// Explicit typing (RFC 8725 §3.11): a JWT of another kind is not a task token, even if this key signed it.
const TYPE: &str = "remit-task+jwt";
const KEY_FILE: &str = "task-token.key";

/// Mints and verifies task tokens with one key.
pub struct TaskTokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    rules: Validation,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    verified: Cache<[u8; 32], Arc<Claims>>,
    /// Until when tokens hold that were renewed, by `jti`.
    renewed: Cache<String, Timestamp>,
    life: Duration,
}

/// A token, and until when it holds.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: Secret<String>,
    /// Its end, unless it is renewed.
    pub expires: Timestamp,
}

/// The header (RFC 7515 §4). Closed: `crit`, `jku`, `jwk`, `x5u` and their like are refused unread (RFC 8725 §3.10).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidHeader {
    alg: String,
    typ: Option<String>,
}

/// The claims (RFC 7519 §4.1). Closed: a claim that this version does not know may narrow what the token grants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    /// For whom the work is done: a person or a system, or else the agent at the root of the delegation.
    sub: String,
    aud: String,
    /// Tells two tokens of one task apart.
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    task: TaskId,
    intent: IntentName,
    /// Who acts (RFC 8693 §4.1); absent where that is the subject itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Box<Actor>>,
    /// What the token has to come with (RFC 7800 §3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

/// An actor. The outermost one is who acts now; those inside are prior ones, and give no right.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Actor {
    pub(super) sub: SpiffeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Box<Actor>>,
}

/// A method of confirmation that this version does not know is refused with the whole token.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum Confirmation {
    /// The channel has to show an X.509-SVID with this name.
    #[serde(rename = "spiffe_id")]
    Name(SpiffeId),
    /// The channel has to show this certificate (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    Certificate(Thumbprint),
}

impl Claims {
    /// Who acts: the outermost actor, else the subject.
    fn agent(&self) -> Result<SpiffeId, TokenError> {
        match &self.act {
            Some(actor) => Ok(actor.sub.clone()),
            None => SpiffeId::parse(&self.sub)
                .map_err(|_| TokenError::Malformed { why: "nobody acts, and its subject is no agent" }),
        }
    }
}

/// The subject and the nested actors of a task.
pub(super) fn parties(task: &Task) -> (String, Option<Box<Actor>>) {
    // From the root to the one who acts now.
    let agents = task.terms.actors.iter().rev().chain(std::iter::once(&task.agent));
    let nest = |act: Option<Box<Actor>>, agent: &SpiffeId| Some(Box::new(Actor { sub: agent.clone(), act }));
    match (&task.terms.on_behalf_of, task.terms.actors.last()) {
        (Some(subject), _) => (subject.as_str().to_owned(), agents.fold(None, nest)),
        (None, Some(root)) => (root.as_str().to_owned(), agents.skip(1).fold(None, nest)),
        (None, None) => (task.agent.as_str().to_owned(), None),
    }
}

impl TaskTokens {
    /// Loads the key from `<dir>/task-token.key` (Ed25519, PKCS#8, PEM), or makes it there with mode 0600.
    pub fn load_or_make(
        dir: &Path,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeyError> {
        let path = dir.join(KEY_FILE);
        let (signing, verifying) = node_key::halves(&path, &node_key::load_or_make(&path, &*entropy)?)?;
        Ok(Self {
            signing,
            verifying,
            rules: rules(),
            clock,
            entropy,
            verified: Cache::new(VERIFIED_TOKENS),
            renewed: Cache::new(RENEWED_TOKENS),
            life: DEFAULT_LIFE,
        })
    }

    /// These, with another life of their tokens; at most [`MAX_LIFE`].
    #[must_use]
    pub fn living(self, life: Duration) -> Self {
        Self { life: life.min(MAX_LIFE), ..self }
    }

    /// A token for `task` that holds for as long as tokens live, and no longer than the task.
    pub fn issue(&self, task: &Task) -> Result<Issued, TokenError> {
        let expires = self.until(task);
        Ok(Issued { token: self.mint(task, expires)?, expires })
    }

    /// Lets a token of `task` hold for another life from now on, whether or not it has expired. The caller MUST know that
    /// the task is open. Another start of the node does not know of it.
    pub fn renew(&self, task: &Task, token: &str) -> Result<Timestamp, TokenError> {
        let claims = self.claims(token)?;
        if claims.task != task.id {
            return Err(TokenError::Malformed { why: "it belongs to another task" });
        }
        let until = self.until(task);
        self.renewed.insert(claims.jti.clone(), until);
        Ok(until)
    }

    fn until(&self, task: &Task) -> Timestamp {
        self.clock.now().plus(self.life).min(task.deadline)
    }

    /// A token for `task` that holds until `expires`, rounded up to the whole second that JWTs count in (the registry
    /// ends the task to the nanosecond).
    pub fn mint(&self, task: &Task, expires: Timestamp) -> Result<Secret<String>, TokenError> {
        let now = self.clock.now();
        if expires <= now || expires.since(now) > MAX_LIFE {
            return Err(TokenError::Life { expires, limit_s: MAX_LIFE.as_secs() });
        }
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        let (sub, act) = parties(task);
        let claims = Claims {
            iss: ISSUER.into(),
            sub,
            aud: AUDIENCE.into(),
            jti: URL_SAFE_NO_PAD.encode(id),
            iat: now.unix_s(),
            nbf: now.unix_s(),
            exp: expires.unix_ns().div_ceil(1_000_000_000),
            task: task.id,
            intent: task.intent.clone(),
            act,
            cnf: match task.terms.binding {
                Binding::None => None,
                Binding::X509Svid => Some(Confirmation::Name(task.agent.clone())),
                Binding::Certificate(thumbprint) => Some(Confirmation::Certificate(thumbprint)),
            },
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        let token = jsonwebtoken::encode(&header, &claims, &self.signing).map_err(|_| TokenError::Signing)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong { bytes: token.len(), limit_bytes: MAX_TOKEN_BYTES });
        }
        Ok(Secret::new(token))
    }

    /// Whose token it is, if it holds.
    pub(super) fn verify(&self, token: &str) -> Result<Claim, TokenError> {
        let claims = self.claims(token)?;
        self.check_times(&claims)?;
        let binding = match &claims.cnf {
            None => Binding::None,
            Some(Confirmation::Name(_)) => Binding::X509Svid,
            Some(Confirmation::Certificate(thumbprint)) => Binding::Certificate(*thumbprint),
        };
        Ok(Claim::Token {
            task: claims.task,
            agent: claims.agent()?,
            intent: claims.intent.clone(),
            binding,
            proven: false,
        })
    }

    /// The claims of a token that this node signed.
    fn claims(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        let limit_bytes = MAX_TOKEN_BYTES;
        if token.len() > limit_bytes {
            return Err(TokenError::TooLong { bytes: token.len(), limit_bytes });
        }
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let claims = if let Some(claims) = self.verified.get(&digest) {
            claims
        } else {
            let claims = Arc::new(self.verify_signed(token)?);
            self.verified.insert(digest, Arc::clone(&claims));
            claims
        };
        Ok(claims)
    }

    /// Everything but the times, in the order: shape, algorithm, type, signature, issuer, audience.
    fn verify_signed(&self, token: &str) -> Result<Claims, TokenError> {
        check_header(token, TYPE)?;
        match jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.rules) {
            Ok(decoded) => Ok(decoded.claims),
            Err(error) => Err(match error.kind() {
                ErrorKind::InvalidAudience => TokenError::Audience,
                ErrorKind::InvalidIssuer => TokenError::Issuer,
                ErrorKind::InvalidSignature => TokenError::Signature,
                ErrorKind::Base64(_) => TokenError::Malformed { why: "a part is not base64url" },
                _ => TokenError::Malformed { why: "its claims are not those of a task token" },
            }),
        }
    }

    fn check_times(&self, claims: &Claims) -> Result<(), TokenError> {
        let now = self.clock.now();
        let (from, at) = (Timestamp::from_unix_s(claims.nbf), Timestamp::from_unix_s(claims.exp));
        // RFC 7519 §4.1.4: "on or after which the JWT MUST NOT be accepted".
        let at = self.renewed.get(&claims.jti).map_or(at, |until| until.max(at));
        if now >= at {
            return Err(TokenError::Expired { at });
        }
        if from > now.plus(Duration::from_secs(CLOCK_STEP_S)) {
            return Err(TokenError::NotYetValid { from });
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> u64 {
        self.verified.run_pending_tasks();
        self.verified.entry_count()
    }
}

impl std::fmt::Debug for TaskTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TaskTokens(..)")
    }
}

/// What the crate is to check. RFC 8725 §3.1: the algorithm is ours to say, not the token's.
fn rules() -> Validation {
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&[ISSUER]);
    rules.set_required_spec_claims(&["iss", "sub", "aud", "exp", "nbf"]);
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.leeway = 0;
    rules
}

/// Reads the header before the crate does, so that `none` and `crit` are refused by name.
pub(super) fn check_header(token: &str, wanted: &str) -> Result<(), TokenError> {
    let malformed = |why| TokenError::Malformed { why };
    let parts: Vec<_> = token.splitn(4, '.').collect();
    let &[header, _, _] = parts.as_slice() else {
        return Err(malformed("it does not have three parts"));
    };
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed("a part is not base64url"))?;
    let header: SaidHeader = serde_json::from_slice(&header)
        .map_err(|_| malformed("its header is not `alg` and `typ`, once each"))?;
    if header.alg != "EdDSA" {
        let alg = header.alg.chars().take(16).flat_map(char::escape_default).collect();
        return Err(TokenError::Algorithm { alg });
    }
    if header.typ.as_deref() != Some(wanted) {
        return Err(TokenError::Type);
    }
    Ok(())
}
