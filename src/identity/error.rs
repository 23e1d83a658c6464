//! Why an identity is refused, and why the key behind the tokens is.

use std::io;
use std::path::PathBuf;

use super::chain::MAX_CHAIN_BYTES;
use crate::call::{PeerName, SpiffeId, TaskId, Timestamp};

/// Why a caller is not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A chain that does not hold.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The evidence names another agent, intent or task than the registry.
    #[error("the evidence does not agree with what task `{task}` was opened for; open a new task")]
    Disagrees {
        /// The registry's task.
        task: TaskId,
    },
    /// No evidence, and no agent is assumed.
    #[error("the caller has not said who it is; send the task token in Proxy-Authorization")]
    Missing,
    /// A chain that was handed to somebody else.
    #[error(
        "the chain hands a task to `{to}`, and the caller is `{caller}`; a chain is worth nothing to anybody else"
    )]
    NotHanded {
        /// To whom it was handed.
        to: SpiffeId,
        /// Who presents it.
        caller: SpiffeId,
    },
    /// A token that came with another certificate than it is bound to, or with none.
    #[error(
        "the task token is bound to one client certificate (RFC 8705), which this connection does not show; use the TLS proxy listener with that certificate"
    )]
    OtherKey,
    /// Two pieces of evidence name two agents.
    #[error("the certificate says that the caller is `{certificate}`, its token that it is `{token}`")]
    Several {
        /// By the X.509-SVID.
        certificate: SpiffeId,
        /// By the token.
        token: SpiffeId,
    },
    /// An SVID that does not hold.
    #[error(transparent)]
    Svid(#[from] SvidError),
    /// A task token that does not hold.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A token that came without what it is bound to.
    #[error(
        "the task token is bound to its agent's X.509-SVID, and this connection shows none; use the TLS proxy listener with the SVID"
    )]
    Unbound,
}

/// Why a chain does not hold, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Meant for another node.
    #[error("the chain is for another node than `{wanted}`")]
    Audience {
        /// What this node is called.
        wanted: PeerName,
    },
    /// There is nothing to hand over.
    #[error("a chain without a task cannot be made")]
    Empty,
    /// Its time is over.
    #[error("the chain expired at {at}; another call of whoever invoked this agent brings another one")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Not of the shape.
    #[error("the chain is malformed: {why}")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// No chains are known here.
    #[error("this node takes no chains")]
    None,
    /// The peer may not speak for an agent that stands above.
    #[error("the node `{peer}` may not speak for `{agent}`; the operator can say so in its `speaks_for`")]
    NotTheirs {
        /// The peer.
        peer: PeerName,
        /// The agent.
        agent: SpiffeId,
    },
    /// Its time has not come.
    #[error("the chain is not valid before {from}; compare the clocks")]
    NotYetValid {
        /// When it begins.
        from: Timestamp,
    },
    /// It was changed, or signed by another key.
    #[error("the chain's signature does not hold: the node that it names did not sign it, or it was changed")]
    Signature,
    /// A signature could not be made.
    #[error("the chain cannot be signed with the node's key; remove the key file and start again")]
    Signing,
    /// Too long for a header field.
    #[error("the chain has {bytes} bytes, and {MAX_CHAIN_BYTES} are carried; shorten grants and labels")]
    TooLong {
        /// Its length, bytes.
        bytes: usize,
    },
    /// It is a JWT for something else (RFC 8725 §3.11).
    #[error("`remit-chain` holds no chain: its `alg` is not EdDSA or its `typ` not `remit-chain+jwt`")]
    Type,
    /// Signed by nobody whom we know.
    #[error("the chain is signed by `{peer}`, which is none of this node's [[identity.peers]]")]
    UnknownPeer {
        /// Who says that it signed.
        peer: PeerName,
    },
}

/// Why an SVID does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SvidError {
    /// An algorithm that nobody agreed on, `none` among them (RFC 8725 §3.1).
    #[error("the JWT-SVID's `alg` is `{alg}`, which its trust domain's key is not for")]
    Algorithm {
        /// The first characters of what it said, escaped.
        alg: String,
    },
    /// Meant for somebody else.
    #[error("the JWT-SVID is for another audience than `{wanted}`")]
    Audience {
        /// Whom it has to be for.
        wanted: String,
    },
    /// The certificate of an authority, shown as that of a workload.
    #[error("the X.509-SVID is a CA's certificate, and no CA is a workload")]
    CaLeaf,
    /// Its time is over.
    #[error("the SVID expired at {at}; fetch a new one")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Not for signing.
    #[error("the X.509-SVID's key usage does not say digitalSignature")]
    KeyUsage,
    /// Not of the shape.
    #[error("the SVID is malformed: {why}")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// Its name is no SPIFFE ID.
    #[error("the SVID's name is refused: {why}")]
    Name {
        /// What is wrong.
        why: String,
    },
    /// A certificate without a name.
    #[error("the certificate has no URI SAN, so it is no X.509-SVID")]
    NoUri,
    /// Its time has not come.
    #[error("the SVID is not valid before {from}; compare the clocks")]
    NotYetValid {
        /// When it begins.
        from: Timestamp,
    },
    /// Two names.
    #[error("the certificate has several URI SANs, and an X.509-SVID has exactly one")]
    SeveralUris,
    /// It was changed, or signed by another key.
    #[error("the JWT-SVID's signature does not hold")]
    Signature,
    /// A key that the bundle does not have.
    #[error("the JWT-SVID is signed by a key that its trust domain's bundle does not have")]
    UnknownKey,
    /// Nobody whom we know.
    #[error("no bundle of the trust domain `{domain}` is known here; name one under [identity.bundles]")]
    UnknownTrustDomain {
        /// Which one.
        domain: String,
    },
    /// No path to an authority.
    #[error("the X.509-SVID does not lead to an authority of its trust domain: {why}")]
    Untrusted {
        /// What is wrong.
        why: String,
    },
}

/// Why a task token does not hold, or cannot be made. No variant carries any part of the token but its `alg`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// `alg` is not the one that this node signs with (RFC 8725 §3.1).
    #[error("the task token's `alg` is `{alg}`; this node takes EdDSA and nothing else")]
    Algorithm {
        /// The first characters of what it said, escaped.
        alg: String,
    },
    /// It was made for somebody else to read (RFC 8725 §3.9).
    #[error("the task token is for another audience than this proxy")]
    Audience,
    /// Its time is over.
    #[error("the task token expired at {at}; open a new task")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Somebody else issued it (RFC 8725 §3.8).
    #[error("the task token has another issuer than remit")]
    Issuer,
    /// A token is wanted for a time that is over, or too long.
    #[error(
        "a task token cannot be made to end at {expires}: its life is to be between now and {limit_s} s from now"
    )]
    Life {
        /// What was asked for.
        expires: Timestamp,
        /// The limit, seconds.
        limit_s: u64,
    },
    /// It is not a JWT of the shape that this node makes.
    #[error("the task token is malformed: {why}; copy the whole proxy URL")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// Its time has not come.
    #[error("the task token is not valid before {from}; compare the clocks")]
    NotYetValid {
        /// When it begins.
        from: Timestamp,
    },
    /// This node's key did not make it, or it was changed on the way.
    #[error("the task token's signature does not hold: this node did not sign it, or it was changed")]
    Signature,
    /// A signature could not be made.
    #[error("the task token cannot be signed with the node's key; remove the key file and start again")]
    Signing,
    /// Too long to be one of ours.
    #[error("the task token is {bytes} bytes long; no token of this node is longer than {limit_bytes}")]
    TooLong {
        /// Its length, bytes.
        bytes: usize,
        /// The limit, bytes.
        limit_bytes: usize,
    },
    /// It is a JWT for something else (RFC 8725 §3.11).
    #[error("the token is no task token: its `typ` is not `remit-task+jwt`")]
    Type,
}

/// Why a file that only this user may read cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its content is not what belongs there.
    #[error("`{path}` holds no {what}; remove it, and the next start makes a new one")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What belongs there.
        what: &'static str,
    },
    /// The operating system said no.
    #[error("`{path}` cannot be {doing}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// `opened`, `read`, `written`.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// Others may read it, so it is no secret any more.
    #[error(
        "`{path}` may be read by others (mode {mode:04o}); run `chmod 600 {path}`, or remove it to get a new one"
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}
