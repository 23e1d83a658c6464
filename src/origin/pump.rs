//! What an upgraded connection carried, and why it is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What an upgraded connection carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PumpFacts {
    /// Bytes that the agent sent and that went out, frames and all.
    pub to_origin: u64,
    /// Bytes that the origin sent.
    pub to_agent: u64,
    /// Why it is over.
    pub end: PumpEnd,
}

/// Why an upgraded connection is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PumpEnd {
    /// The agent's side broke.
    AgentBroke(String),
    /// Both sides said that they are done.
    Closed,
    /// The caller's `cut` came to pass.
    Cut,
    /// Nothing moved for this long, seconds.
    Idle(u64),
    /// The origin's side broke.
    OriginBroke(String),
    /// The agent sent what may not pass, and was told so.
    Refused(String),
}

/// Counts what passes.
#[derive(Default)]
pub(super) struct Carried {
    to_origin: AtomicU64,
    to_agent: AtomicU64,
    pub(super) activity: Activity,
}

impl Carried {
    pub(super) fn to_origin(&self, bytes: usize) {
        self.to_origin.fetch_add(bytes as u64, Ordering::Relaxed);
        self.activity.moved();
    }

    pub(super) fn to_agent(&self, bytes: usize) {
        self.to_agent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn facts(&self, end: PumpEnd) -> PumpFacts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PumpFacts { to_origin: count(&self.to_origin), to_agent: count(&self.to_agent), end }
    }
}

/// When a byte last moved, in either direction.
pub(super) struct Activity {
    began: Instant,
    moved_ms: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self { began: Instant::now(), moved_ms: AtomicU64::new(0) }
    }
}

impl Activity {
    pub(super) fn moved(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(ms, Ordering::Relaxed);
    }

    pub(super) async fn stands_still(&self, limit: Duration) {
        loop {
            let due = self.began + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)) + limit;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}
