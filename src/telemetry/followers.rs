//! Starts the followers, tells how far behind they are, and stops them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::error::TelemetryError;
use super::export::{Export, Progress};
use super::otlp::{Otlp, Post, Wire};
use super::pair::Pairs;
use super::push::{Push, Scrape};
use super::tree::Tree;
use crate::call::{Clock, Entropy, EntryId, Timestamp};
use crate::record::{Follow, Journal};

/// Who is told.
#[derive(Default)]
pub struct Settings {
    /// A collector.
    pub otlp: Option<Otlp>,
    /// A terminal.
    pub tree: Option<Tree>,
}

/// What the followers ask of the world.
#[derive(Clone)]
pub struct Ports {
    /// For OTLP/HTTP.
    pub post: Arc<dyn Post>,
    /// For pauses that differ from node to node.
    pub entropy: Arc<dyn Entropy>,
}

/// The followers of one journal.
pub struct Followers {
    stop: watch::Sender<bool>,
    /// Guards the tasks until [`Followers::stop`] takes them.
    tasks: Mutex<JoinSet<()>>,
    otlp: Option<Arc<Progress>>,
    end: Follow,
}

/// How far a follower is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Which: `otlp`.
    pub follower: &'static str,
    /// Entries that are written and not yet told.
    pub entries_behind: u64,
    /// Spans that the collector has acknowledged since the start.
    pub spans_exported: u64,
    /// Spans that it will never take.
    pub spans_rejected: u64,
    /// Requests that it did not take; they are sent again.
    pub requests_failed: u64,
    /// When the oldest entry was written that is not yet told.
    pub waiting_since: Option<Timestamp>,
    /// What went wrong last, until something goes right.
    pub last_error: Option<String>,
}

impl Followers {
    /// Starts what is wanted. It MUST be called inside a Tokio runtime, before the first call is taken.
    pub fn start(journal: &Journal, settings: Settings, ports: Ports) -> Result<Self, TelemetryError> {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let mut otlp = None;
        if let Some(wanted) = settings.otlp {
            let wire = Wire::new(&wanted, ports.post)?;
            let export = Export::new(journal, wanted, wire, ports.entropy)?;
            otlp = Some(Arc::clone(&export.progress));
            tasks.spawn(export.run(stopped.clone()));
        }
        if let Some(tree) = settings.tree {
            tasks.spawn(draw(tree, journal.follow(journal.began_at()), stopped));
        }
        Ok(Self { stop, tasks: Mutex::new(tasks), otlp, end: journal.follow(EntryId(0)) })
    }

    /// Pushes metrics to a collector from now on, every so often.
    pub fn push(
        &self,
        otlp: Otlp,
        every: Duration,
        scrape: Scrape,
        ports: &Ports,
        clock: Arc<dyn Clock>,
    ) -> Result<(), TelemetryError> {
        let wire = Wire::new(&otlp, Arc::clone(&ports.post))?;
        let push = Push { wire, otlp, every, scrape, clock };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(push.run(self.stop.subscribe()));
        Ok(())
    }

    /// How far each is behind.
    pub fn lag(&self) -> Vec<Lag> {
        let lag = |progress: &Arc<Progress>| Lag {
            follower: "otlp",
            entries_behind: self.end.end().0.saturating_sub(progress.told.load(Ordering::Relaxed)),
            spans_exported: progress.exported.load(Ordering::Relaxed),
            spans_rejected: progress.rejected.load(Ordering::Relaxed),
            requests_failed: progress.failed.load(Ordering::Relaxed),
            waiting_since: Some(progress.waiting_since.load(Ordering::Relaxed))
                .filter(|&ns| ns != 0)
                .map(Timestamp::from_unix_ns),
            last_error: progress.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        self.otlp.iter().map(lag).collect()
    }

    /// Tells what is in the journal by now, for `deadline` at most, and ends. What is left is told after the next
    /// start. It MUST come after [`Journal::stop`], which writes the last closings.
    pub async fn stop(&self, deadline: Duration) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!("spans are left to be sent after the next start");
            tasks.shutdown().await;
        }
    }
}

/// Draws each call that ends, until the journal does or nobody looks any more.
async fn draw(mut tree: Tree, mut follow: Follow, mut stop: watch::Receiver<bool>) {
    let mut pairs = Pairs::default();
    loop {
        if *stop.borrow_and_update() && follow.behind() == 0 {
            return;
        }
        tokio::select! {
            more = follow.ready() => if !more { return },
            changed = stop.changed() => {
                if changed.is_err() { return }
                continue;
            }
        }
        let entries = match follow.read(64).await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(error = %error, "the tree ends: the journal cannot be read");
                return;
            }
        };
        for finished in entries.into_iter().filter_map(|entry| pairs.take(entry)) {
            if tree.show(&finished).is_err() {
                return;
            }
        }
    }
}
