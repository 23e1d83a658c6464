//! The other nodes: whose chains are believed, and the key that signs this node's own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::config;
use super::error::StartError;
use crate::call::{Clock, Entropy, PeerName};
use crate::identity::{Chains, Peer};

/// Signs and believes chains as the configuration says. Peers' keys are read once, at start.
pub(super) fn chains(
    identity: &config::Identity,
    state_dir: &Path,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Arc<Chains>, StartError> {
    let peers = identity.peers.iter().map(read).collect::<Result<BTreeMap<PeerName, Peer>, _>>()?;
    let name = identity.node.clone();
    let chains = Chains::load_or_make(state_dir, name, peers, clock.clone(), entropy.clone())?;
    Ok(Arc::new(chains.living(identity.handover)))
}

fn read(peer: &config::Peer) -> Result<(PeerName, Peer), StartError> {
    let config::Peer { name, key: path, speaks_for } = peer;
    let text = std::fs::read(path).map_err(|source| StartError::File { path: path.clone(), source })?;
    let parsed = Peer::parse(&text, speaks_for.clone());
    Ok((name.clone(), parsed.map_err(|why| StartError::Peer { path: path.clone(), why })?))
}
