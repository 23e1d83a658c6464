//! How far a follower has come, kept across restarts.
//!
//! The file is replaced whole (write beside it, `fsync`, rename), and only after the collector has acknowledged: a span
//! may be sent twice after a crash, with the same id, and never not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::TelemetryError;
use crate::call::EntryId;

/// A follower's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    v: u8,
    /// Everything before this is told, but for what is still open.
    pub(super) next: EntryId,
    /// Openings before `next` whose closing stands at `next` or later.
    pub(super) open: Vec<EntryId>,
}

impl Place {
    pub(super) fn new(next: EntryId, open: Vec<EntryId>) -> Self {
        Self { v: 1, next, open }
    }
}

/// The file in which a place is kept.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    path: PathBuf,
}

impl Cursor {
    /// `<state>/journal/<follower>.cursor`.
    pub(super) fn new(state_dir: &Path, follower: &str) -> Self {
        Self { path: state_dir.join("journal").join(format!("{follower}.cursor")) }
    }

    /// The place that was kept; none at the first start. One that cannot be understood counts as the very beginning:
    /// everything is told again rather than something not at all.
    pub(super) fn load(&self) -> Result<Option<Place>, TelemetryError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.failed("read", e)),
        };
        match serde_json::from_slice::<Place>(&bytes) {
            Ok(place) if place.v == 1 => Ok(Some(place)),
            _ => {
                tracing::warn!(path = %self.path.display(), "the cursor is unreadable; all spans are sent again");
                Ok(Some(Place::new(EntryId(0), Vec::new())))
            }
        }
    }

    /// Keeps a place. It blocks on the disk.
    pub(super) fn save(&self, place: &Place) -> Result<(), TelemetryError> {
        let bytes = serde_json::to_vec(place).map_err(|e| self.failed("write", e.into()))?;
        self.replace(&bytes).map_err(|e| self.failed("write", e))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let beside = self.path.with_extension("cursor.new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        self.path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }

    fn failed(&self, doing: &'static str, cause: io::Error) -> TelemetryError {
        TelemetryError::Cursor { doing, path: self.path.clone(), cause }
    }
}
