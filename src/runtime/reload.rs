//! Policies and the operator's own services, read again while the node runs.
//!
//! `policies.dir` and `catalog.dirs` are looked at every second; SIGHUP and an operator (`POST /v1/policies/reload`) have them
//! read at once. What is there is loaded whole and tried, the policies by their own cases too, before anything changes; then
//! catalog and rules are swapped together, and a call keeps those that it began with. Anything wrong: the old ones stay, and
//! that is said in the log, in the journal, by `/readyz`, and to the operator who asked. The swap is in the journal before
//! it counts (INVARIANT I1: every ruling names rules that the journal knows).

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::StartError;
use super::candidate::{self, Candidate};
use super::config::Config;
use super::wire::{policy_source, vocabulary};
use crate::call::{Host, RulesDigest, ServiceName};
use crate::catalog::Catalog;
use crate::judge::{Loader, PolicySource, Vocabulary};
use crate::pep::Law;
use crate::record::{Event, Journal};

/// How often the folders are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Folders of more files than this are looked at in part: a change is then found by SIGHUP alone.
const MOST_FILES: usize = 100_000;

/// Reads catalog and policies again when they have changed.
pub(super) struct Reload {
    config: Config,
    loaders: Arc<Mutex<Loaders>>,
    law: watch::Sender<Law>,
    journal: Arc<Journal>,
    /// What was last read; one reload at a time, so that the later one is the one that stays.
    read: tokio::sync::Mutex<Look>,
    /// Why what is on disk is not what is in force.
    refused: Mutex<Option<String>>,
}

/// What loads, and remembers what it loaded.
#[derive(Debug, Default)]
pub(super) struct Loaders {
    rules: Loader,
    pub(super) candidate: Candidate,
}

/// What a reload came to.
#[derive(Debug)]
pub(super) enum Reloaded {
    /// What was read counts.
    Swapped {
        /// The rules before.
        from: RulesDigest,
        /// The rules now.
        to: RulesDigest,
    },
    /// The old ones stay.
    Kept(String),
}

/// What there was to see of the folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    catalog: Vec<Seen>,
    policies: Option<[u8; 32]>,
    candidate: Option<[u8; 32]>,
}

impl Look {
    /// Looks at the folders of a configuration.
    pub(super) fn at(config: &Config) -> Self {
        let policies = config.policies_dir.as_deref().map(PolicySource::state);
        let candidate = config.policies_candidate.as_deref().map(PolicySource::state);
        Self { catalog: look(&config.catalog_dirs), policies, candidate }
    }
}

impl Reload {
    /// `read` is what was seen just before `law` was loaded: what changed since is new.
    pub(super) fn new(
        config: Config,
        loaders: Loaders,
        law: watch::Sender<Law>,
        journal: Arc<Journal>,
        read: Look,
    ) -> Self {
        let loaders = Arc::new(Mutex::new(loaders));
        Self { config, loaders, law, journal, read: read.into(), refused: Mutex::default() }
    }

    /// Runs as long as the node does. Nothing is lost where it is dropped: a reload either counts or does not.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seen = self.read.lock().await.clone();
        loop {
            tick.tick().await;
            let now = self.look().await;
            // Somebody may still be writing: what changed must have come to rest for one look.
            let at_rest = now == seen;
            seen = now;
            if at_rest && seen != *self.read.lock().await {
                // What is wrong with it is told once, until it changes again.
                let _told = self.reload("file change").await;
            }
        }
    }

    /// Loads, tries, writes down, swaps: all or nothing. `by` goes to the journal.
    pub(super) async fn reload(&self, by: &str) -> Reloaded {
        let mut read = self.read.lock().await;
        let now = self.look().await;
        // What was learnt while the node ran (the tools of MCP servers) lives in the catalog that it was learnt in.
        let keep = (now.catalog == read.catalog).then(|| self.law.borrow().catalog.clone());
        *read = now;
        let outcome = self.swap(by, keep).await;
        match &outcome {
            Reloaded::Swapped { from, to } => {
                tracing::info!(%from, %to, by, "catalog and policies were read again");
            }
            Reloaded::Kept(why) => {
                tracing::error!(
                    by,
                    "what was read again is not fit, and what was before stays in force:\n{why}"
                );
                if let Err(error) = self.journal.note(Event::RulesRefused { by, why }).await {
                    tracing::error!(%error, "and that cannot be recorded");
                }
            }
        }
        let why = if let Reloaded::Kept(why) = &outcome { Some(why.clone()) } else { None };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
        outcome
    }

    /// Whether what is on disk was refused.
    pub(super) fn has_refused(&self) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why what is on disk is not what is in force.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often rules were loaded, beginning with 1.
    pub(super) fn generation(&self) -> u64 {
        self.law.borrow().generation
    }

    async fn swap(&self, by: &str, keep: Option<Arc<Catalog>>) -> Reloaded {
        let (config, loaders) = (self.config.clone(), self.loaders.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let mut loaders = loaders.lock().unwrap_or_else(PoisonError::into_inner);
            load(&config, &mut loaders, keep).map(|law| (law, loaders.candidate.problem()))
        });
        let (law, problem) = match reading.await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => return Reloaded::Kept(error.to_string()),
            Err(error) => return Reloaded::Kept(format!("loading broke: {error}")),
        };
        let (from, to) = (self.law.borrow().rules.digest(), law.rules.digest());
        let is_new = from != to || !Arc::ptr_eq(&law.catalog, &self.law.borrow().catalog);
        if is_new {
            let policies = law.rules.policies().len();
            let event = Event::RulesLoaded { digest: to, policies, from: Some(from), by };
            if let Err(error) = self.journal.note(event).await {
                return Reloaded::Kept(format!("it cannot be written down: {error}"));
            }
        }
        let other_candidate = candidate::digest(&law) != candidate::digest(&self.law.borrow());
        if other_candidate || problem.is_some() {
            candidate::tell(&self.journal, &law, problem.as_deref(), by).await;
        }
        if is_new || other_candidate {
            let rules_too = u64::from(is_new);
            self.law.send_modify(|now| *now = Law { generation: now.generation + rules_too, ..law });
        }
        Reloaded::Swapped { from, to }
    }

    async fn look(&self) -> Look {
        let config = self.config.clone();
        // A look that breaks has seen nothing, which is a change that the next reload explains.
        tokio::task::spawn_blocking(move || Look::at(&config)).await.unwrap_or_default()
    }
}

/// The first law of a node, with what was seen just before it was loaded.
pub(super) fn first(config: &Config) -> Result<(Look, Loaders, Law), StartError> {
    let (read, mut loaders) = (Look::at(config), Loaders::default());
    let law = load(config, &mut loaders, None)?;
    Ok((read, loaders, law))
}

/// Catalog and rules that fit each other. Takes processor time: not to be called where calls are served.
pub(super) fn load(
    config: &Config,
    loaders: &mut Loaders,
    keep: Option<Arc<Catalog>>,
) -> Result<Law, StartError> {
    let catalog = match keep {
        Some(catalog) => catalog,
        None => Arc::new(Catalog::load_at(&config.catalog_dirs, &config.catalog_hosts)?),
    };
    let words = vocabulary(catalog.clone());
    config.services.keys().try_for_each(|service| is_service(service, &words))?;
    let rules = Arc::new(loaders.rules.load_tried(&policy_source(config)?, &words)?);
    let candidate = loaders.candidate.load(config, &words);
    Ok(Law { catalog, rules, candidate, generation: 1 })
}

/// A mode under a misspelt name would be in force nowhere.
fn is_service(name: &ServiceName, words: &dyn Vocabulary) -> Result<(), StartError> {
    let is_host =
        || name.0.contains(['.', ':']) && Host::parse(&name.0).is_ok_and(|host| host.to_string() == *name.0);
    if words.services().contains(name) || is_host() {
        return Ok(());
    }
    Err(StartError::Service(name.clone()))
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
