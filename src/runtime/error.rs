//! Why a node does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::accept::ca::CaError;
use crate::call::ServiceName;
use crate::catalog::CatalogError;
use crate::identity::KeyError;
use crate::intent::BookError;
use crate::judge::LoadErrors;
use crate::origin::SetupError;
use crate::record::JournalError;
use crate::store::StoreError;
use crate::telemetry::TelemetryError;

/// Why a node does not start. All of them are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listening address.
    #[error("cannot listen on {address} ({what}): {source}; stop what listens there, or change the address")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// The key in the configuration.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A trust bundle.
    #[error("identity.bundles: `{}` is no trust bundle: {why}", path.display())]
    Bundle {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The CA.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// The catalog, or the operator's part of it.
    #[error("the catalog cannot be loaded: {0}")]
    Catalog(#[from] CatalogError),
    /// A file or folder.
    #[error("cannot use `{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The holds.
    #[error("the holds cannot be used: {why}")]
    Holds {
        /// What is wrong.
        why: String,
    },
    /// It was interrupted while it read what was kept.
    #[error("the start was interrupted while tasks were read")]
    Interrupted,
    /// What lets operators in.
    #[error("operators cannot be let in: {why}")]
    Operators {
        /// What is wrong.
        why: String,
    },
    /// The leases.
    #[error("the leases cannot be used: {why}")]
    Leases {
        /// What is wrong.
        why: String,
    },
    /// Somebody who is to be told.
    #[error("[[notify]] `{name}` cannot be used: {why}")]
    Notify {
        /// Which.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The declared intents.
    #[error("`{}` cannot be used: {why}", path.display())]
    Intents {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
    /// The journal.
    #[error("the journal cannot be opened: {0}")]
    Journal(#[from] JournalError),
    /// A key of the node.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A peer's key.
    #[error("identity.peers: `{}` is no public key of a node (chain.pub, or a JWK set): {why}", path.display())]
    Peer {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A service that has a mode of its own.
    #[error(
        "services.{0}: the catalog has no such service; `remit catalog list` shows those that it has, and a host stands for itself"
    )]
    Service(ServiceName),
    /// The policies.
    #[error("the policies cannot be loaded:\n{0}")]
    Policies(#[from] LoadErrors),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tasks in the store.
    #[error(transparent)]
    Tasks(#[from] BookError),
    /// A file of trust anchors.
    #[error("upstream.trust: `{}` holds no certificate: {why}", path.display())]
    Trust {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The way to the collector.
    #[error("telemetry cannot be set up: {0}")]
    Telemetry(#[from] TelemetryError),
    /// The way to the origins.
    #[error(transparent)]
    Upstream(#[from] SetupError),
}

impl StartError {
    /// The process's exit code (CONTRACT: 2 is a bad configuration).
    pub fn exit_code(&self) -> u8 {
        2
    }
}
