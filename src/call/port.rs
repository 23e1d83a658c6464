//! The only things of the world that a room may ask for; `runtime` hands out the real ones, tests hand out their own.

use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;

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

/// remit's own requests, to servers that the operator named: identity providers, vaults. Never to what an agent names.
pub trait Fetch: Send + Sync {
    /// Sends one request with an absolute URI and reads the whole answer, whatever its status. Follows nothing, verifies TLS.
    fn fetch(&self, request: http::Request<Bytes>) -> Fetched<'_>;
}

/// The answer, in time.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, FetchError>> + Send + 'a>>;

/// There was no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct FetchError {
    /// What the network said. Names no secret.
    pub why: String,
    /// Whether the request may have had its effect all the same.
    pub reached: bool,
}
