//! Chains: what a node signs when a call hands a task to an agent behind another node, and what that node believes of it.
//!
//! A chain is a JWT (RFC 7519, the rules of RFC 8725) for one audience, the node that the invoked agent works behind, and
//! for minutes. It says on whose behalf, for which intent and within which bounds that agent works (the nested `act` of
//! RFC 8693 §4.1, and every task of the chain with its grant, deadline and what it had touched). It is no identity: who
//! presents it has to show, by evidence of its own, that it is the outermost actor, so a chain that was overheard is worth
//! nothing to anybody else. A peer vouches for whatever lies behind it, within the names that it may speak for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::error::{ChainError, KeyError, TokenError};
use super::node_key;
use super::task_token::{Actor, check_header, parties};
use crate::call::grant::Pattern;
use crate::call::{CallId, Clock, Entropy, Handed, HandedLink, PeerName, SpiffeId, TaskId, Timestamp};

/// Longest chain that is made or looked at, bytes. Servers commonly take 8 KiB for a field.
pub const MAX_CHAIN_BYTES: usize = 7 * 1024;
/// Life of a chain where the operator says nothing: that long the end of a task can go unnoticed behind another node.
pub const DEFAULT_CHAIN_LIFE: Duration = Duration::from_secs(300);
/// Longest life of a chain, made or believed.
pub const MAX_CHAIN_LIFE: Duration = Duration::from_secs(60 * 60);
/// Seconds by which the clocks of two nodes may differ.
const LEEWAY_S: u64 = 5;
/// Explicit typing (RFC 8725 §3.11).
const TYPE: &str = "remit-chain+jwt";
/// What these claims mean. A peer that means something else is refused.
const VERSION: u32 = 1;
/// Tasks of one chain that are looked at.
const MAX_LINKS: usize = 33;
const KEY_FILE: &str = "chain.key";
const PUBLIC_FILE: &str = "chain.pub";

/// A node whose chains are believed.
#[derive(Clone)]
pub struct Peer {
    keys: Vec<DecodingKey>,
    /// The agents that may stand above in its chains.
    speaks_for: Vec<Pattern>,
}

/// Signs and believes chains.
pub struct Chains {
    name: PeerName,
    signing: EncodingKey,
    own: DecodingKey,
    peers: BTreeMap<PeerName, Peer>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    life: Duration,
}

/// The call that carries a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// Its id at the node that signed.
    pub id: CallId,
    /// Its method.
    pub method: String,
    /// The host that it went to, which is where the invoked agent answers.
    pub host: String,
    /// SHA-256 of path and query, hex.
    pub target: String,
}

/// A chain that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What is handed over.
    pub handed: Handed,
    /// To whom: the outermost actor.
    pub agent: SpiffeId,
    /// With which call.
    pub carrier: Carrier,
}

/// The claims. Closed: one that this version does not know may narrow what the chain grants.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: PeerName,
    sub: String,
    aud: PeerName,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Box<Actor>>,
    v: u32,
    task: TaskId,
    call: Carrier,
    /// Empty where issuer and audience are one node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    links: Vec<HandedLink>,
}

impl Peer {
    /// A peer by its public key (Ed25519; SPKI in PEM, or a JWK set), which may speak for these agents.
    pub fn parse(key: &[u8], speaks_for: Vec<Pattern>) -> Result<Self, String> {
        let keys = if key.trim_ascii_start().first() == Some(&b'{') {
            let set: jsonwebtoken::jwk::JwkSet =
                serde_json::from_slice(key).map_err(|error| error.to_string())?;
            let keys: Result<Vec<_>, _> = set.keys.iter().map(DecodingKey::from_jwk).collect();
            keys.map_err(|error| error.to_string())?
        } else {
            vec![DecodingKey::from_ed_pem(key).map_err(|error| error.to_string())?]
        };
        if keys.is_empty() {
            return Err("it holds no key".to_owned());
        }
        Ok(Self { keys, speaks_for })
    }
}

impl Chains {
    /// Loads the key from `<dir>/chain.key`, or makes it there with mode 0600; its public half, for the peers, lies beside
    /// it as `chain.pub`.
    pub fn load_or_make(
        dir: &Path,
        name: PeerName,
        peers: BTreeMap<PeerName, Peer>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeyError> {
        let path = dir.join(KEY_FILE);
        let key = node_key::load_or_make(&path, &*entropy)?;
        let (signing, own) = node_key::halves(&path, &key)?;
        let public = key.verifying_key().to_public_key_pem(LineEnding::LF);
        let public = public.map_err(|_| KeyError::Content { path: path.clone(), what: "public half" })?;
        let public_file = dir.join(PUBLIC_FILE);
        std::fs::write(&public_file, public).map_err(|source| KeyError::Io {
            path: public_file.clone(),
            doing: "written",
            source,
        })?;
        Ok(Self { name, signing, own, peers, clock, entropy, life: DEFAULT_CHAIN_LIFE })
    }

    /// These, with another life of their chains; at most [`MAX_CHAIN_LIFE`].
    #[must_use]
    pub fn living(self, life: Duration) -> Self {
        Self { life: life.min(MAX_CHAIN_LIFE), ..self }
    }

    /// How long a chain holds, and with it what another node makes of it.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// What this node is called.
    pub fn name(&self) -> &PeerName {
        &self.name
    }

    /// A chain for the node `to`: `links` are the task that is handed over, last, and all above it, the root first.
    pub fn mint(
        &self,
        links: Vec<HandedLink>,
        to: &PeerName,
        carrier: Carrier,
    ) -> Result<String, ChainError> {
        let Some(HandedLink { task, .. }) = links.last() else { return Err(ChainError::Empty) };
        let (now, task_id) = (self.clock.now(), task.id);
        let expires = now.plus(self.life).min(task.deadline);
        let (sub, act) = parties(task);
        let mut id = [0; 16];
        self.entropy.fill(&mut id);
        let claims = Claims {
            iss: self.name.clone(),
            sub,
            aud: to.clone(),
            jti: URL_SAFE_NO_PAD.encode(id),
            iat: now.unix_s(),
            nbf: now.unix_s(),
            exp: expires.unix_ns().div_ceil(1_000_000_000),
            act,
            v: VERSION,
            task: task_id,
            call: carrier,
            links: if *to == self.name { Vec::new() } else { links },
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.into());
        let chain = jsonwebtoken::encode(&header, &claims, &self.signing).map_err(|_| ChainError::Signing)?;
        if chain.len() > MAX_CHAIN_BYTES {
            return Err(ChainError::TooLong { bytes: chain.len() });
        }
        Ok(chain)
    }

    /// What a chain hands over, if it holds.
    pub fn verify(&self, chain: &str) -> Result<Chain, ChainError> {
        if chain.len() > MAX_CHAIN_BYTES {
            return Err(ChainError::TooLong { bytes: chain.len() });
        }
        check_header(chain, TYPE).map_err(|error| match error {
            TokenError::Malformed { why } => ChainError::Malformed { why },
            _ => ChainError::Type,
        })?;
        let issuer = issuer(chain)?;
        let claims = if issuer == self.name {
            self.decode(chain, std::slice::from_ref(&self.own))?
        } else {
            let peer = self.peers.get(&issuer).ok_or(ChainError::UnknownPeer { peer: issuer })?;
            let claims = self.decode(chain, &peer.keys)?;
            check_links(&claims, peer)?;
            claims
        };
        self.check_times(&claims)?;
        let agent = match &claims.act {
            Some(actor) => actor.sub.clone(),
            None => return Err(ChainError::Malformed { why: "nobody acts in it" }),
        };
        let handed = Handed { by: claims.iss, task: claims.task, links: claims.links };
        Ok(Chain { handed, agent, carrier: claims.call })
    }

    fn decode(&self, chain: &str, keys: &[DecodingKey]) -> Result<Claims, ChainError> {
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[self.name.as_str()]);
        rules.set_required_spec_claims(&["iss", "aud", "exp", "nbf"]);
        // Time comes from our clock alone.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let mut refused = ChainError::Signature;
        for key in keys {
            match jsonwebtoken::decode::<Claims>(chain, key, &rules) {
                Ok(decoded) => return Ok(decoded.claims),
                Err(error) => match error.kind() {
                    // Perhaps another of the peer's keys, while they rotate.
                    ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => {}
                    ErrorKind::InvalidAudience => {
                        refused = ChainError::Audience { wanted: self.name.clone() };
                    }
                    _ => refused = ChainError::Malformed { why: "its claims are not those of a chain" },
                },
            }
        }
        Err(refused)
    }

    fn check_times(&self, claims: &Claims) -> Result<(), ChainError> {
        let now = self.clock.now().unix_s();
        if now >= claims.exp.saturating_add(LEEWAY_S) {
            return Err(ChainError::Expired { at: Timestamp::from_unix_s(claims.exp) });
        }
        if claims.nbf > now.saturating_add(LEEWAY_S) {
            return Err(ChainError::NotYetValid { from: Timestamp::from_unix_s(claims.nbf) });
        }
        if claims.exp > claims.nbf.saturating_add(MAX_CHAIN_LIFE.as_secs() + 1) || claims.iat > claims.nbf {
            return Err(ChainError::Malformed { why: "it holds for longer than a chain may" });
        }
        Ok(())
    }
}

/// Who says that it signed. Believed only once a key of that name fits.
fn issuer(chain: &str) -> Result<PeerName, ChainError> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: PeerName,
    }
    let malformed = |why| ChainError::Malformed { why };
    let claims = chain.split('.').nth(1).ok_or(malformed("it does not have three parts"))?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| malformed("a part is not base64url"))?;
    let claims: Issuer = serde_json::from_slice(&claims).map_err(|_| malformed("it names no issuer"))?;
    Ok(claims.iss)
}

/// Whether the tasks hang together, end in time, and belong to agents that the peer may speak for.
fn check_links(claims: &Claims, peer: &Peer) -> Result<(), ChainError> {
    let malformed = |why| ChainError::Malformed { why };
    if claims.v != VERSION {
        return Err(malformed("it is of another version"));
    }
    let Some((last, above)) = claims.links.split_last() else {
        return Err(malformed("it hands nothing over"));
    };
    let task = &last.task;
    let acts = claims.act.as_ref().is_some_and(|actor| actor.sub == task.agent);
    if !acts || task.id != claims.task || above.is_empty() || claims.links.len() > MAX_LINKS {
        return Err(malformed("its tasks and its actors do not agree"));
    }
    if claims.links.iter().any(|link| link.task.terms.handed.is_some()) {
        return Err(malformed("a chain lies in it"));
    }
    if task.deadline.unix_s() > claims.nbf.saturating_add(MAX_CHAIN_LIFE.as_secs() + 1) {
        return Err(malformed("its task holds for longer than a chain may"));
    }
    let is_above = |agent: &SpiffeId| above.iter().any(|link| link.task.agent == *agent);
    if task.terms.actors.is_empty() || !task.terms.actors.iter().all(is_above) {
        return Err(malformed("an actor in it has no task in it"));
    }
    for HandedLink { task, .. } in above {
        if !peer.speaks_for.iter().any(|names| names.covers(task.agent.as_str())) {
            return Err(ChainError::NotTheirs { peer: claims.iss.clone(), agent: task.agent.clone() });
        }
    }
    Ok(())
}

impl std::fmt::Debug for Chains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chains(of {})", self.name)
    }
}
