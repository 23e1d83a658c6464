//! The operator's own services, read again while the node runs.
//!
//! `catalog.dirs` is looked at every second, and at once when the operator asks (SIGHUP). What is there is loaded whole and
//! tried against the policies before anything changes; then catalog and rules are swapped together, and a call keeps those
//! that it began with. Anything wrong: the old ones stay, and the log says what and where. The swap is in the journal
//! before it counts (INVARIANT I1: every ruling names rules that the journal knows).

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};

use super::StartError;
use super::config::Config;
use super::wire::load_rules;
use crate::catalog::Catalog;
use crate::pep::Law;
use crate::record::{Event, Journal};

/// How often the folders are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Folders of more files than this are looked at in part: a change is then found by SIGHUP alone.
const MOST_FILES: usize = 100_000;

/// Reads the catalog again when it has changed.
pub(super) struct Reload {
    pub(super) config: Config,
    pub(super) law: watch::Sender<Law>,
    pub(super) journal: Arc<Journal>,
    /// The folders as they were just before the catalog that counts was loaded: what changed since is new.
    pub(super) read: Vec<Seen>,
    /// The operator asks.
    pub(super) asked: Arc<Notify>,
}

/// What a reload came to.
#[derive(Debug)]
pub(super) enum Reloaded {
    /// The new catalog counts.
    Swapped,
    /// The old one stays.
    Kept(String),
}

impl Reload {
    /// Runs as long as the node does. Nothing is lost where it is dropped: a reload either counts or does not.
    pub(super) async fn watch(self) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut read = self.read.clone();
        let mut seen = read.clone();
        loop {
            let asked = tokio::select! {
                _ = tick.tick() => false,
                () = self.asked.notified() => true,
            };
            let now = self.look().await;
            // Somebody may still be writing: what changed must have come to rest for one look.
            let at_rest = now == seen;
            seen = now;
            if !asked && (!at_rest || seen == read) {
                continue;
            }
            read.clone_from(&seen);
            match self.reload(if asked { "operator" } else { "change of catalog.dirs" }).await {
                Reloaded::Swapped => tracing::info!("the catalog was loaded again"),
                Reloaded::Kept(why) => {
                    tracing::error!(%why, "the catalog was not loaded again: the old one stays");
                }
            }
        }
    }

    /// Loads, tries, writes down, swaps: all or nothing.
    pub(super) async fn reload(&self, by: &str) -> Reloaded {
        let config = self.config.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&config)).await;
        let law = match loaded {
            Ok(Ok(law)) => law,
            Ok(Err(error)) => return Reloaded::Kept(error.to_string()),
            Err(error) => return Reloaded::Kept(format!("loading broke: {error}")),
        };
        let policies = law.rules.policies().len();
        let event = Event::RulesLoaded { digest: law.rules.digest(), policies, by };
        if let Err(error) = self.journal.note(event).await {
            return Reloaded::Kept(format!("it cannot be written down: {error}"));
        }
        self.law.send_replace(law);
        Reloaded::Swapped
    }

    async fn look(&self) -> Vec<Seen> {
        let dirs = self.config.catalog_dirs.clone();
        // A look that breaks has seen nothing, which is a change that the next reload explains.
        tokio::task::spawn_blocking(move || look(&dirs)).await.unwrap_or_default()
    }
}

/// Catalog and rules that fit each other.
pub(super) fn load(config: &Config) -> Result<Law, StartError> {
    let catalog = Arc::new(Catalog::load(&config.catalog_dirs)?);
    let rules = Arc::new(load_rules(config, &catalog)?);
    Ok(Law { catalog, rules })
}

/// A file as it was: enough to notice that it is another one now.
pub(super) type Seen = (PathBuf, Option<SystemTime>, u64);

pub(super) fn look(dirs: &[PathBuf]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for dir in dirs {
        for folder in entries(dir).into_iter().filter(|path| path.is_dir()) {
            for file in entries(&folder) {
                let Ok(about) = file.metadata() else { continue };
                seen.push((file, about.modified().ok(), about.len()));
                if seen.len() == MOST_FILES {
                    return seen;
                }
            }
        }
    }
    seen.sort();
    seen
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}
