//! What keeps a follower from starting, or from going on.

use crate::record::JournalError;

/// A follower cannot work.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// No collector can be there.
    #[error("`{url}` is no OTLP endpoint: {why}; write http(s)://host:4318 or grpc://host:4317")]
    Endpoint {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A header for the collector that HTTP does not allow. Its value is not shown.
    #[error("`{name}` cannot be sent to the collector as a header: {why}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
