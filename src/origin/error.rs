//! Why a call could not be carried, and whether the origin may have seen it.

use std::net::IpAddr;
use std::time::Duration;

/// What was being waited for when a limit passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The name's addresses.
    Dns,
    /// A TCP connection.
    Connect,
    /// The TLS handshake, or that of HTTP/2 after it.
    Handshake,
    /// The head of the answer.
    Head,
}

/// Whether the origin may have acted on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// No byte of the request left remit, or the origin said that it looked at none (RFC 9113 §8.7).
    Never,
    /// Some of it may have arrived: sending it again could do it twice.
    Perhaps,
}

/// Why a call could not be carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The egress guard (THREATS: rebinding, metadata, loopback). Nothing was dialled.
    #[error(
        "`{host}` leads to {address}, {range}; map the name under upstream.resolve if agents may go there"
    )]
    AddressForbidden {
        /// The name, or the literal.
        host: String,
        /// Where it leads.
        address: IpAddr,
        /// What that is: `a private address`.
        range: &'static str,
    },
    /// The agent broke off while its body was on the way.
    #[error("the agent broke off while its body was on the way: {why}")]
    AgentBody {
        /// What its connection said.
        why: String,
    },
    /// gRPC needs HTTP/2, and the origin did not choose it. Nothing was sent.
    #[error("the origin does not speak HTTP/2, and gRPC needs it")]
    LacksHttp2,
    /// The call cannot be put on the wire as it stands. Nothing was sent.
    #[error("the request cannot be sent: {why}")]
    Malformed {
        /// Which rule of the protocol it breaks.
        why: String,
    },
    /// The origin broke off, or a rule, after the request or part of it had been sent.
    #[error("the origin gave no proper answer: {why}")]
    Protocol {
        /// What it did.
        why: String,
    },
    /// A limit passed.
    #[error("nothing within {limit_s} s while waiting for {}", .waiting.what())]
    Timeout {
        /// What was being waited for.
        waiting: Waiting,
        /// The limit, seconds, rounded up.
        limit_s: u64,
    },
    /// No connection.
    #[error("no connection: {why}")]
    Unreachable {
        /// What the network said.
        why: String,
    },
    /// The name has no address.
    #[error("`{host}` has no address: {why}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// Its certificate does not hold. Nothing was sent.
    #[error("the certificate does not hold: {why}")]
    Untrusted {
        /// What is wrong with it.
        why: String,
    },
}

impl OriginError {
    /// Whether the origin may have acted on the request.
    pub const fn reached(&self) -> Reached {
        match self {
            Self::AddressForbidden { .. }
            | Self::LacksHttp2
            | Self::Malformed { .. }
            | Self::Unreachable { .. }
            | Self::Unresolved { .. }
            | Self::Untrusted { .. }
            | Self::Timeout { waiting: Waiting::Dns | Waiting::Connect | Waiting::Handshake, .. } => {
                Reached::Never
            }
            Self::AgentBody { .. } | Self::Protocol { .. } | Self::Timeout { waiting: Waiting::Head, .. } => {
                Reached::Perhaps
            }
        }
    }

    pub(super) fn timeout(waiting: Waiting, limit: Duration) -> Self {
        let limit_s = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
        Self::Timeout { waiting, limit_s }
    }

    pub(super) fn protocol(why: impl Into<String>) -> Self {
        Self::Protocol { why: why.into() }
    }

    pub(super) fn unreachable(why: impl Into<String>) -> Self {
        Self::Unreachable { why: why.into() }
    }
}

impl Waiting {
    const fn what(self) -> &'static str {
        match self {
            Self::Dns => "the name's addresses",
            Self::Connect => "a connection",
            Self::Handshake => "the TLS handshake",
            Self::Head => "the answer's head",
        }
    }
}

/// Why the room cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A key or a value of `upstream.resolve`.
    #[error("upstream.resolve: `{entry}`: {why}")]
    BadRoute {
        /// Key and value as they were given.
        entry: String,
        /// What is wrong.
        why: String,
    },
    /// A certificate of `upstream.trust`.
    #[error("upstream.trust: certificate {nth} cannot be a trust anchor: {why}")]
    BadAnchor {
        /// Which one, counted from 1.
        nth: usize,
        /// What is wrong.
        why: String,
    },
    /// No certificate could ever hold.
    #[error(
        "no trust anchor: the system has none ({why}) and upstream.trust is empty; install `ca-certificates` or name a PEM file"
    )]
    NoAnchors {
        /// What the system said.
        why: String,
    },
    /// The TLS library refuses what it was given.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}
