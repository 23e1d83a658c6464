//! The follower that sends spans.
//!
//! It reads no further ahead than one batch: while the collector is away the journal is the queue. Its place moves on
//! only after an acknowledgement.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cursor::Place;
use super::error::TelemetryError;
use super::otlp::{self, Otlp, Verdict, Wire};
use super::pair::Pairs;
use super::span;
use crate::call::Entropy;
use crate::record::{Cursor, Follow, Journal};

/// Entries that are read at once.
const READ_LIMIT: usize = 256;

/// A collector that asks to be left alone is, but for no longer than this many of our own longest pauses.
const RETRY_AFTER_FACTOR: u32 = 10;

/// How a follower is doing; shared with whoever asks.
#[derive(Default)]
pub(super) struct Progress {
    /// Every entry before this is told.
    pub(super) told: AtomicU64,
    pub(super) exported: AtomicU64,
    pub(super) rejected: AtomicU64,
    /// Requests that the collector did not take.
    pub(super) failed: AtomicU64,
    /// When the first entry was written that is read and not yet told, Unix nanoseconds; 0: there is none.
    pub(super) waiting_since: AtomicU64,
    /// Guards the words only.
    pub(super) trouble: Mutex<Option<String>>,
}

impl Progress {
    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

pub(super) struct Export {
    follow: Follow,
    pairs: Pairs,
    /// Spans that are to be sent next.
    ready: Vec<Span>,
    /// Openings from before this start, to be read again.
    reopen: Place,
    cursor: Cursor,
    wire: Wire,
    otlp: Otlp,
    entropy: Arc<dyn Entropy>,
    pub(super) progress: Arc<Progress>,
}

/// Whether there will be more.
#[derive(PartialEq)]
enum Ahead {
    More,
    End,
}

impl Export {
    /// Finds its place. At the very first start that is where this node began to write: what happened before nobody
    /// wanted to see.
    pub(super) fn new(
        journal: &Journal,
        otlp: Otlp,
        wire: Wire,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, TelemetryError> {
        let cursor = Cursor::new(journal.dir(), "otlp");
        let place = Place::load(&cursor)?;
        let end = journal.began_at();
        // A power cut may have taken the last entries, told already, from the journal: their numbers are given again.
        let mut place = place.unwrap_or_else(|| Place::new(end, Vec::new()));
        place.next = place.next.min(end);
        place.open.retain(|entry| *entry < place.next);
        cursor.save(&place)?;
        let progress = Arc::new(Progress::default());
        progress.told.store(place.next.0, Ordering::Relaxed);
        let from = place.open.first().copied().unwrap_or(place.next);
        let follow = journal.follow(from);
        // What the collector has not got is not retired.
        follow.need(from);
        Ok(Self {
            follow,
            pairs: Pairs::default(),
            ready: Vec::new(),
            reopen: place,
            cursor,
            wire,
            otlp,
            entropy,
            progress,
        })
    }

    /// Runs until the journal ends, or until `stop` is set and everything is told. It may be dropped at any point:
    /// what was not acknowledged is sent again after the next start.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let ahead = self.gather(&mut stop).await;
            while !self.ready.is_empty() {
                let rest = self.ready.split_off(self.ready.len().min(self.otlp.batch_spans.max(1)));
                let batch = std::mem::replace(&mut self.ready, rest);
                self.deliver(batch).await;
            }
            self.keep_place().await;
            if ahead == Ahead::End {
                return;
            }
        }
    }

    /// Reads until a batch is full, its time is over, or nothing more will come.
    async fn gather(&mut self, stop: &mut watch::Receiver<bool>) -> Ahead {
        let mut until = None;
        while self.ready.len() < self.otlp.batch_spans {
            if *stop.borrow_and_update() && self.follow.behind() == 0 {
                return Ahead::End;
            }
            tokio::select! {
                more = self.follow.ready() => if !more { return Ahead::End },
                () = wait_until(until) => return Ahead::More,
                changed = stop.changed() => {
                    // Whoever could have told us to stop is gone: that is a stop.
                    if changed.is_err() && self.follow.behind() == 0 {
                        return Ahead::End;
                    }
                    if changed.is_ok() {
                        continue;
                    }
                }
            }
            self.read().await;
            if !self.ready.is_empty() && until.is_none() {
                until = Some(Instant::now() + self.otlp.batch_delay);
            }
        }
        Ahead::More
    }

    async fn read(&mut self) {
        match self.follow.read(READ_LIMIT).await {
            Ok(entries) => {
                if let Some(first) = entries.first() {
                    let none = self.progress.waiting_since.load(Ordering::Relaxed) == 0;
                    if none {
                        self.progress.waiting_since.store(first.at.unix_ns(), Ordering::Relaxed);
                    }
                }
                for entry in entries {
                    // Between the oldest open call and our place only the openings of calls still open are news.
                    if entry.seq < self.reopen.next && self.reopen.open.binary_search(&entry.seq).is_err() {
                        continue;
                    }
                    self.ready.extend(self.pairs.take(entry).as_ref().map(span::span));
                }
                // Entries of which there is nothing to tell are no backlog.
                if self.ready.is_empty() && self.follow.position() >= self.reopen.next {
                    self.progress.told.store(self.follow.position().0, Ordering::Relaxed);
                    self.progress.waiting_since.store(0, Ordering::Relaxed);
                }
            }
            Err(error) => {
                tracing::error!(error = %error, "the follower cannot read the journal; it tries again");
                self.progress.set_trouble(Some(error.to_string()));
                tokio::time::sleep(self.otlp.retry_longest).await;
            }
        }
    }

    /// Sends spans until the collector has them, or has said of each single one that it will never do.
    async fn deliver(&mut self, spans: Vec<Span>) {
        let mut stack = vec![spans];
        let mut pause = self.otlp.retry_first.min(self.otlp.retry_longest);
        while let Some(mut spans) = stack.pop() {
            let count = spans.len();
            match self.wire.send(otlp::request(&self.otlp.resource, spans.clone())).await {
                Verdict::Taken { rejected, why } => {
                    self.taken(count, rejected, &why);
                    pause = self.otlp.retry_first;
                }
                Verdict::Unfit { why } if count == 1 => self.taken(1, 1, &why),
                Verdict::Unfit { .. } | Verdict::TooMuch { .. } if count > 1 => {
                    let second = spans.split_off(count / 2);
                    stack.extend([second, spans]);
                }
                Verdict::Later { after, why } => {
                    let longest = self.otlp.retry_longest * RETRY_AFTER_FACTOR;
                    self.wait(after.unwrap_or(pause).clamp(pause, longest), &why).await;
                    pause = (pause * 2).min(self.otlp.retry_longest);
                    stack.push(spans);
                }
                Verdict::TooMuch { why } | Verdict::Unfit { why } => {
                    self.wait(pause, &why).await;
                    pause = (pause * 2).min(self.otlp.retry_longest);
                    stack.push(spans);
                }
            }
        }
    }

    fn taken(&self, count: usize, rejected: u64, why: &str) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let rejected = rejected.min(count);
        self.progress.exported.fetch_add(count - rejected, Ordering::Relaxed);
        self.progress.rejected.fetch_add(rejected, Ordering::Relaxed);
        if rejected == 0 {
            self.progress.set_trouble(None);
        } else {
            let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
            tracing::error!(rejected, why, "the collector will never take some spans; the journal has them");
            self.progress.set_trouble(Some(format!("{rejected} spans rejected: {why}")));
        }
    }

    /// Between half of `pause` and all of it, so that many nodes do not come back as one.
    async fn wait(&self, pause: Duration, why: &str) {
        tracing::warn!(why, "spans cannot be sent; they wait in the journal");
        self.progress.failed.fetch_add(1, Ordering::Relaxed);
        self.progress.set_trouble(Some(why.to_owned()));
        let mut chance = [0];
        self.entropy.fill(&mut chance);
        tokio::time::sleep(pause / 2 + pause / 2 * u32::from(chance[0]) / 255).await;
    }

    async fn keep_place(&mut self) {
        let next = self.follow.position().max(self.reopen.next);
        // Still reading up to the old place: what is open there is not all known yet.
        if self.follow.position() < self.reopen.next {
            return;
        }
        let place = Place::new(next, self.pairs.open_entries());
        let needed = place.open.first().copied().unwrap_or(next);
        let cursor = self.cursor.clone();
        let saved = tokio::task::spawn_blocking(move || cursor.save(&place)).await;
        self.progress.told.store(next.0, Ordering::Relaxed);
        self.progress.waiting_since.store(0, Ordering::Relaxed);
        if let Ok(Ok(())) = saved {
            self.follow.need(needed);
        }
        if let Ok(Err(error)) = saved {
            // The spans are told; after a restart some would be told again.
            tracing::warn!(error = %error, "the place of the follower is not kept");
            self.progress.set_trouble(Some(error.to_string()));
        }
    }
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
