//! How far a follower has come, kept across restarts.
//!
//! The file is replaced whole (write beside it, `fsync`, rename), and only after whoever is told has acknowledged: something may be
//! told twice after a crash, and never not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JournalError;

/// The file in which a place is kept.
#[derive(Clone, Debug)]
pub struct Cursor {
    path: PathBuf,
}

impl Cursor {
    /// `<state>/journal/<follower>.cursor`.
    pub fn new(state_dir: &Path, follower: &str) -> Self {
        Self { path: state_dir.join("journal").join(format!("{follower}.cursor")) }
    }

    /// The place that was kept; none at the first start. One that cannot be understood is [`JournalError::Damaged`].
    pub fn load<P: DeserializeOwned>(&self) -> Result<Option<P>, JournalError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(JournalError::disk("read", &self.path, e)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| JournalError::Damaged {
            path: self.path.clone(),
            offset: 0,
            why: format!("it is no place ({error})"),
        })
    }

    /// Keeps a place. It blocks on the disk.
    pub fn save(&self, place: &impl Serialize) -> Result<(), JournalError> {
        let failed = |e| JournalError::disk("write", &self.path, e);
        let bytes = serde_json::to_vec(place).map_err(|e| failed(e.into()))?;
        self.replace(&bytes).map_err(failed)
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
}
