//! The only things of the world that a room may ask for; `runtime` hands out the real ones, tests hand out their own.

use std::net::SocketAddr;

use super::principal::Process;
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

/// Who is at the other end of a connection within this machine.
pub trait Neighbours: Send + Sync {
    /// The process that connected from `peer` to `local`, if it can be told. Blocks.
    fn at(&self, peer: SocketAddr, local: SocketAddr) -> Option<Process>;
}
