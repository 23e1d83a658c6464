//! What has to outlive the process and is no entry of the journal: tasks and their ends, agents in quarantine, leases, holds.
//!
//! It implements the book traits that rooms own, and has no interface of its own: a storage interface wider than the
//! question would freeze both sides. SQL stands here and nowhere else. It must not know what a task means.
//!
//! Nothing on the way of a call comes here. Opening and ending a task wait for the disk.

mod holds;
mod leases;
mod migrate;
mod sqlite;
mod tasks;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use sqlite::{FILE, Sqlite};

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("the store `{path}` fails: {source}; see to the disk, or put a copy back")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The operating system said no.
    #[error("the store `{path}` cannot be made: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// A later remit wrote it.
    #[error(
        "the store `{path}` has version {found}, and this remit knows {known}; start the remit that wrote it"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version that it has.
        found: i64,
        /// The last version that is known here.
        known: i64,
    },
}
