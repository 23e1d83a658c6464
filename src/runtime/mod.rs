//! The composition root.
// STUB for compiling the terminal; the real one replaces this file.

pub mod config;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use config::Config;

/// Where span trees go.
pub enum TraceTo {
    /// Nowhere.
    Nothing,
    /// Drawn as a tree, if no OTLP endpoint is set.
    Tree {
        /// Where to.
        to: Box<dyn Write + Send>,
        /// With colour.
        colour: bool,
    },
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[error("a node cannot start: this is a stub")]
pub struct StartError;

impl StartError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        2
    }
}

/// Facts of a running node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Forward proxy.
    pub proxy: SocketAddr,
    /// Admin API.
    pub admin: SocketAddr,
    /// State.
    pub state_dir: PathBuf,
    /// CA certificate.
    pub ca: PathBuf,
    /// System roots and CA.
    pub ca_bundle: PathBuf,
    /// Admin token's file.
    pub admin_token: PathBuf,
}

/// A running node.
pub struct Node {
    facts: NodeFacts,
}

impl Node {
    /// Starts.
    #[expect(clippy::unused_async, reason = "stub")]
    pub async fn start(_config: Config, _trace: TraceTo) -> Result<Self, StartError> {
        Err(StartError)
    }
    /// Facts.
    pub fn facts(&self) -> NodeFacts {
        self.facts.clone()
    }
    /// Resolves when it has stopped by itself.
    pub async fn stopped(&self) {
        std::future::pending().await
    }
    /// Stops.
    #[expect(clippy::unused_async, reason = "stub")]
    pub async fn stop(self, _deadline: Duration) {}
}
