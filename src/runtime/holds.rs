//! The desk of held calls, with what the store kept of them taken up.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::Config;
use super::error::StartError;
use super::leases::Around;
use crate::call::Timestamp;
use crate::identity::private_file;
use crate::judge::hold::HoldBook as _;
use crate::lease::Vault;
use crate::pep::Law;
use crate::pep::desk::{Desk, KEPT_FOR, Ports};

/// Opens it, and starts its clerk. `leases` MUST be there: the key that cards are sealed with is made from theirs.
pub(super) async fn open(
    config: &Config,
    around: &Around<'_>,
    law: watch::Receiver<Law>,
) -> Result<(Arc<Desk>, JoinHandle<()>), StartError> {
    let failed = |why: String| StartError::Holds { why };
    let key = private_file::load(&config.state_dir.join("lease.key"))?;
    let vault = Vault::new(&key, around.entropy.clone());
    let vault = vault.ok_or_else(|| failed("`lease.key` is too short to be a key".into()))?;
    let since = around.clock.now().unix_s().saturating_sub(KEPT_FOR.as_secs());
    let book = around.store.clone();
    let kept = tokio::task::spawn_blocking(move || book.load_holds(Timestamp::from_unix_s(since))).await;
    let kept = kept.map_err(|_| StartError::Interrupted)?.map_err(|error| failed(error.to_string()))?;
    let ports = Ports {
        clock: around.clock.clone(),
        book: around.store.clone(),
        journal: around.journal.clone(),
        vault,
        tasks: around.tasks.clone(),
        law,
    };
    let (desk, clerk) = Desk::open(config.holds.settings, config.holds.patience, kept, ports);
    Ok((desk, tokio::spawn(clerk)))
}
