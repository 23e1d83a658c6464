//! What keeps a follower from starting, or from going on.

use std::io;
use std::path::PathBuf;

use crate::record::JournalError;

/// A follower cannot work.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The place of the follower cannot be kept.
    #[error("cannot {doing} `{path}`: {cause}; let the node's user write there")]
    Cursor {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
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
