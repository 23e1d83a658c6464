//! The only things of the world that a room may ask for; `runtime` hands out the real ones, tests hand out their own.

use super::time::Timestamp;

/// Wall-clock time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fills the buffer from the operating system's generator (in tests: from a seed).
    fn fill(&self, buffer: &mut [u8]);
}
