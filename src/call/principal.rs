//! Who asks.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::TaskId;
use super::secret::Secret;

/// A SPIFFE trust domain (SPIFFE-ID §2.1): lower-case letters, digits, `.`, `-`, `_`, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Parses a trust domain's name.
    pub fn parse(text: &str) -> Result<Self, BadSpiffeId> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > 255 || !text.bytes().all(letter) {
            return Err(BadSpiffeId::new(
                text,
                "a trust domain has 1 to 255 lower-case letters, digits, `.`, `-` or `_`",
            ));
        }
        Ok(Self(text.into()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = BadSpiffeId;
    fn try_from(text: String) -> Result<Self, BadSpiffeId> {
        Self::parse(&text)
    }
}

impl From<TrustDomain> for String {
    fn from(domain: TrustDomain) -> Self {
        domain.0.as_ref().to_owned()
    }
}

/// A SPIFFE ID (SPIFFE-ID §2): `spiffe://trust-domain/path`, at most 2048 bytes, no query, no fragment, no dot segments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId(Arc<str>);

impl SpiffeId {
    /// Parses a whole SPIFFE ID. An id without a path names the trust domain itself, which is nobody's workload.
    pub fn parse(text: &str) -> Result<Self, BadSpiffeId> {
        let bad = |why| Err(BadSpiffeId::new(text, why));
        if text.len() > 2048 {
            return bad("it is longer than 2048 bytes");
        }
        let Some(rest) = text.strip_prefix("spiffe://") else {
            return bad("it does not begin with `spiffe://`");
        };
        let Some((domain, path)) = rest.split_once('/') else { return bad("the path is missing") };
        TrustDomain::parse(domain)?;
        let segment = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        if !path.split('/').all(segment) {
            return bad(
                "a path segment is empty, a dot segment, or has a character other than letters, digits, `.`, `-`, `_`",
            );
        }
        Ok(Self(text.into()))
    }

    /// A whole id as it is, or a short name (`coder`) as `spiffe://<trust domain>/agent/coder`.
    pub fn parse_or_name(text: &str, domain: &TrustDomain) -> Result<Self, BadSpiffeId> {
        if text.starts_with("spiffe://") {
            return Self::parse(text);
        }
        Self::parse(&format!("spiffe://{}/agent/{text}", domain.as_str()))
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trust domain's name.
    pub fn trust_domain(&self) -> &str {
        self.0.get(9..).and_then(|rest| rest.split('/').next()).unwrap_or_default()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = BadSpiffeId;
    fn try_from(text: String) -> Result<Self, BadSpiffeId> {
        Self::parse(&text)
    }
}

impl From<SpiffeId> for String {
    fn from(id: SpiffeId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// A text that is not a SPIFFE ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a SPIFFE ID: {why}")]
pub struct BadSpiffeId {
    text: String,
    why: &'static str,
}

impl BadSpiffeId {
    fn new(text: &str, why: &'static str) -> Self {
        Self { text: text.chars().take(200).collect(), why }
    }
}

/// What a connection brought to show who it is; `identity` turns it into a [`Principal`] or refuses it.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The other end of the agent's connection.
    pub peer: SocketAddr,
    /// The listener that it came in by.
    pub by: Entrance,
    /// The token in `Proxy-Authorization`: the password of Basic, or the token of Bearer.
    pub token: Option<Secret<String>>,
    /// The certificates that it showed in the TLS handshake with the proxy, leaf first; that it has the leaf's key was
    /// shown there too, and nothing else was looked at.
    pub certificates: Option<Certificates>,
    /// The chain in `remit-chain`: a task that a node handed over with a call. It never goes any further.
    pub chain: Option<Secret<String>>,
    /// The process that connected, where it was asked for and can be told.
    pub process: Option<Arc<Process>>,
}

/// A process of this machine, as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its user.
    pub uid: u32,
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The file of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// SHA-256 of its program, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
}

/// A chain of certificates in DER, leaf first.
pub type Certificates = Arc<[Vec<u8>]>;

/// Which listener took the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// The forward proxy's own port.
    Proxy,
    /// The forward proxy's port for TLS, where clients can show certificates.
    TlsProxy,
    /// A loopback port that stands for one task, for clients that cannot send proxy credentials.
    TaskPort(TaskId),
}

/// What an identity rests on, strongest first. Policies can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// An X.509-SVID, and possession of its key.
    #[serde(rename = "x509-svid")]
    X509Svid,
    /// A JWT-SVID: whoever has it is taken for its subject.
    JwtSvid,
    /// A task token that this node signed.
    TaskToken,
    /// The connection came in by a port that stands for one task: whoever can reach the port has it.
    TaskPort,
    /// The process that connected is one that the operator named: whoever can run the program has it.
    SocketPeer,
    /// Nothing: the operator named a default agent.
    Assumed,
}

impl Evidence {
    /// `x509-svid`, `jwt-svid`, `task-token`, `task-port`, `socket-peer` or `assumed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X509Svid => "x509-svid",
            Self::JwtSvid => "jwt-svid",
            Self::TaskToken => "task-token",
            Self::TaskPort => "task-port",
            Self::SocketPeer => "socket-peer",
            Self::Assumed => "assumed",
        }
    }
}

/// Whose call it is, and how we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The workload.
    pub agent: SpiffeId,
    /// What that rests on.
    pub evidence: Evidence,
    /// What its evidence says of it beside its name.
    pub claims: Claims,
}

/// What a JWT-SVID says of its workload beside what every token says: the claims that are texts, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims(Arc<BTreeMap<String, String>>);

impl Claims {
    /// Claims that are kept of one token.
    const MOST: usize = 16;
    /// The longest name and value, bytes.
    const LONGEST: usize = 256;

    /// Of these; what is too long, or beyond what is kept, is left out, so that nobody is known by half of a claim.
    pub fn of(all: impl IntoIterator<Item = (String, String)>) -> Self {
        let fits =
            |text: &String| (1..=Self::LONGEST).contains(&text.len()) && !text.chars().any(char::is_control);
        let sorted: BTreeMap<_, _> =
            all.into_iter().filter(|(name, value)| fits(name) && fits(value)).collect();
        Self(Arc::new(sorted.into_iter().take(Self::MOST).collect()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
