//! Keeps the policies in force as they stand on disk.
//!
//! The policy directory is looked at every [`LOOK_EVERY`]; a signal (SIGHUP) or an operator (`POST /v1/policies/reload`) has
//! it read at once. Another set comes into force whole or not at all: it has to load without a complaint, pass its own test
//! cases, and be written to the journal. If it does not, the old one stays, and that is said in the log, in the journal, by
//! `/readyz`, and to the operator who asked.
//!
//! The directory is looked at and not subscribed to: it may be a mounted volume or a link that is switched over, which
//! change notices do not see through. A change is read when it has been still for a turn, so that half a copy is not
//! taken for a set.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::call::RulesDigest;
use crate::judge::{Loader, PolicySource, Rules, Vocabulary};
use crate::pep::rulebook::Rulebook;
use crate::record::{Event, Journal};

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where policies come from.
pub(super) struct Source {
    /// The set in the binary if there is none.
    pub(super) dir: Option<PathBuf>,
    pub(super) vocabulary: Box<dyn Vocabulary>,
    pub(super) loader: Mutex<Loader>,
}

impl Source {
    /// Reads, loads and tries the set. Takes processor time: not to be called where calls are served.
    pub(super) fn load(&self) -> Result<Rules, crate::judge::LoadErrors> {
        let source = self.dir.as_deref().map_or_else(|| Ok(PolicySource::embedded()), PolicySource::dir)?;
        let mut loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        loader.load_tried(&source, &*self.vocabulary)
    }
}

/// What became of a reload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reloaded {
    pub(super) from: RulesDigest,
    pub(super) to: RulesDigest,
    pub(super) policies: usize,
}

/// Loads policies when they have changed.
pub(super) struct Policies {
    source: Arc<Source>,
    book: Arc<Rulebook>,
    journal: Arc<Journal>,
    /// One reload at a time, so that the later one is the one that stays.
    turn: tokio::sync::Mutex<()>,
    /// Why those on disk are not those in force.
    refused: Mutex<Option<String>>,
}

impl Policies {
    pub(super) fn new(source: Arc<Source>, book: Arc<Rulebook>, journal: Arc<Journal>) -> Self {
        Self { source, book, journal, turn: tokio::sync::Mutex::default(), refused: Mutex::default() }
    }

    /// Reads the set and puts it in force, or says why not. `by` goes to the journal.
    pub(super) async fn reload(&self, by: &str) -> Result<Reloaded, String> {
        let _turn = self.turn.lock().await;
        let outcome = self.try_reload(by).await;
        match &outcome {
            Ok(done) if done.from == done.to => {
                tracing::info!(rules = %done.to, by, "the policies are unchanged");
            }
            Ok(done) => {
                tracing::info!(from = %done.from, to = %done.to, by, "other policies are in force");
            }
            Err(why) => {
                let digest = self.book.now().digest();
                tracing::error!(by, in_force = %digest, "the policies are refused, those before stay in force:\n{why}");
                if let Err(error) = self.journal.note(Event::RulesRefused { by, why }).await {
                    tracing::error!(%error, "that policies were refused cannot be recorded");
                }
            }
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = outcome.as_ref().err().cloned();
        outcome
    }

    /// Whether the policies on disk were refused.
    pub(super) fn are_refused(&self) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    async fn try_reload(&self, by: &str) -> Result<Reloaded, String> {
        let source = self.source.clone();
        let loaded = tokio::task::spawn_blocking(move || source.load()).await;
        let rules = loaded.map_err(|error| format!("loading them broke off: {error}"))?;
        let rules = rules.map_err(|errors| errors.to_string())?;
        let done =
            Reloaded { from: self.book.now().digest(), to: rules.digest(), policies: rules.policies().len() };
        if done.from != done.to {
            let event =
                Event::RulesLoaded { digest: done.to, policies: done.policies, from: Some(done.from), by };
            let noted = self.journal.note(event).await;
            noted.map_err(|error| format!("that they come into force cannot be recorded: {error}"))?;
            self.book.put(rules);
        }
        Ok(done)
    }

    /// Looks at the directory for as long as the node runs.
    pub(super) async fn watch(self: Arc<Self>) {
        let Some(dir) = self.source.dir.clone() else { return };
        let look = || {
            let dir = dir.clone();
            async move { tokio::task::spawn_blocking(move || PolicySource::state(&dir)).await.ok() }
        };
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The set may have changed since it was loaded, and before anybody looked: the first look counts as a change.
        let (mut read, mut last) = (None, None);
        loop {
            tick.tick().await;
            let now = look().await;
            if now.is_some() && now == last && now != read {
                // What is wrong with it is told once, until it changes again.
                let _told = self.reload("file change").await;
                read = now;
            }
            last = now;
        }
    }
}
