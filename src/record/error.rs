//! What can go wrong with the journal, each with its remedy.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why an entry is not written, or not read. Cloneable, because one failed write answers many waiting calls.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Somebody else holds the lock.
    #[error("another node writes the journal in `{dir}`; stop it, or give this one its own state.dir")]
    Busy {
        /// The journal's folder.
        dir: PathBuf,
    },
    /// A checkpoint that does not hold.
    #[error("the checkpoint does not hold: {why}; compare it with one that was kept elsewhere")]
    Checkpoint {
        /// What is wrong with it.
        why: String,
    },
    /// What stands there is not what a journal looks like, and not what a crash leaves behind.
    #[error(
        "`{path}` is damaged at byte {offset}: {why}; run `remit audit verify`, keep the folder as evidence and move it away to begin a new journal"
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the line begins that is wrong.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The disk said no.
    #[error("cannot {doing} `{path}`: {cause}; {}", remedy(.cause))]
    Disk {
        /// What was tried: `write`, `sync`.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: Arc<io::Error>,
    },
    /// The journal's own key cannot be used.
    #[error(
        "`{path}` holds no Ed25519 key: {why}; restore it, or move the journal's folder away to begin a new one"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An entry longer than any reader accepts.
    #[error("the entry has {bytes} bytes, more than the {limit_bytes} that a journal line may have")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// The disk is too slow, or hangs.
    #[error("the journal in `{dir}` did not take the entry within {waited_ms} ms; see to the disk")]
    Stalled {
        /// The journal's folder.
        dir: PathBuf,
        /// How long the caller waited, milliseconds.
        waited_ms: u128,
    },
    /// The node is going down.
    #[error("the journal is closed; the node is stopping")]
    Stopped,
    /// The journal is not what was signed, or contradicts itself.
    #[error(
        "entry {entry} in `{path}` is not as it was written: {why}; keep the folder as evidence and move it away to begin a new journal"
    )]
    Untrue {
        /// The first entry that cannot be right.
        entry: u64,
        /// Where it stands, or should.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
    /// A value that JSON cannot hold.
    #[error("the entry cannot be put into words: {0}")]
    Unwritable(String),
}

impl JournalError {
    pub(super) fn disk(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Disk { doing, path: path.to_owned(), cause: Arc::new(cause) }
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, writing goes on by itself"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount the file system writable, writing goes on by itself",
        io::ErrorKind::PermissionDenied => "let the node's user read and write it",
        io::ErrorKind::NotFound => "see whether somebody moved the folder away",
        _ => "see to the disk, writing goes on by itself once it answers",
    }
}
