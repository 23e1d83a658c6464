//! How often somebody may do something: a burst, then a steady pace (the generic cell rate algorithm, ITU-T I.371).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Keys that are remembered; beyond it, those that have been quiet for long enough are forgotten, then all.
const MAX_KEYS: usize = 4_096;

/// One pace for each key.
pub(super) struct Throttle<K> {
    every: Duration,
    burst: u32,
    began: Instant,
    /// For each key until when its share is spoken for, since `began`.
    spent: Mutex<HashMap<K, Duration>>,
}

impl<K: Eq + Hash + Clone> Throttle<K> {
    /// `burst` at once, then one `every` so long.
    pub(super) fn new(burst: u32, every: Duration) -> Self {
        Self { every, burst, began: Instant::now(), spent: Mutex::default() }
    }

    /// Takes one; otherwise says how long to wait.
    pub(super) fn take(&self, key: &K) -> Result<(), Duration> {
        self.take_at(key, self.began.elapsed())
    }

    /// How long to wait before one can be taken; none: no time.
    pub(super) fn wait(&self, key: &K) -> Option<Duration> {
        let now = self.began.elapsed();
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        self.beyond(spent.get(key).copied().unwrap_or_default(), now)
    }

    fn take_at(&self, key: &K, now: Duration) -> Result<(), Duration> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let until = spent.get(key).copied().unwrap_or_default();
        if let Some(wait) = self.beyond(until, now) {
            return Err(wait);
        }
        if spent.len() >= MAX_KEYS && !spent.contains_key(key) {
            spent.retain(|_, until| *until > now);
            if spent.len() >= MAX_KEYS {
                spent.clear();
            }
        }
        spent.insert(key.clone(), until.max(now) + self.every);
        Ok(())
    }

    fn beyond(&self, until: Duration, now: Duration) -> Option<Duration> {
        let after = until.max(now) + self.every;
        after.checked_sub(now + self.every * self.burst).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests;
