//! Followers of the journal that tell others: spans by OTLP, a readable tree on a terminal.
//!
//! Each reads at its own pace and keeps its own place, so a collector that is away holds no call up and loses no span.
//! Nothing else makes a span for a call: what is not in the journal is not told, and what is told is in the journal. It
//! must not read configuration, nor touch a call that is still on its way.

mod cursor;
mod error;
mod export;
mod followers;
mod lines;
pub mod metrics;
pub mod otlp;
mod pair;
mod push;
mod semconv;
mod span;
mod tree;

#[cfg(test)]
mod tests;

pub use error::TelemetryError;
pub use followers::{Followers, Lag, Ports, Settings};
pub use lines::SpanLines;
pub use metrics::{Family, Labels, Series};
pub use otlp::{Compression, Endpoint, Otlp, Post, Posted};
pub use push::Scrape;
pub use tree::{Colour, Tree};
