//! The leaf hashes beside the entries: `<state>/journal/<first>.leaves`, 32 bytes for each entry of the segment.
//!
//! They are made from the entries and prove nothing by themselves. But while their root is the signed one, they tell
//! which entry is not as it was written, where the root alone would put all since the last checkpoint in doubt.
//! So they are written on the side: not waited for, and mended at the next start where a crash left them short. When the
//! segment is retired they stay, durable by then, and stand for its entries.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, Disk, Storage};
use super::error::JournalError;
use super::merkle::Hash;
use super::segment;

/// The leaves of the segment whose first entry has the number `first`.
pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.leaves"))
}

/// The file that belongs to the segment that is written to.
#[derive(Default)]
pub(super) struct Leaves {
    /// Number of the segment's first entry, and the file; none before the first entry, or after a failure.
    file: Option<(u64, Box<dyn Storage>)>,
    failed: bool,
}

impl Leaves {
    /// Writes the leaves of the entries from `seq` on, which stand in the segment `first`.
    pub(super) fn write(&mut self, disk: &dyn Disk, folder: &Path, first: u64, seq: u64, leaves: &[Hash]) {
        let written = self.try_write(disk, folder, first, seq, leaves);
        if let Err(error) = &written
            && !self.failed
        {
            tracing::warn!(error = %error, "the leaf hashes are late; the journal is whole all the same");
        }
        self.failed = written.is_err();
    }

    fn try_write(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        first: u64,
        seq: u64,
        leaves: &[Hash],
    ) -> io::Result<()> {
        if self.file.as_ref().is_none_or(|(open, _)| *open != first) {
            self.file = Some((first, disk.aside(&path(folder, first))?));
        }
        let Some((_, file)) = &self.file else { return Ok(()) };
        let at = seq.saturating_sub(first).saturating_mul(32);
        file.write_at(leaves.as_flattened(), at)
    }
}

/// The number of the first entry of each segment of which leaves are there, ascending.
pub(super) fn list(folder: &Path) -> Result<Vec<u64>, JournalError> {
    segment::list_of(folder, ".leaves")
}

/// The leaves of a segment that is over.
pub(super) fn read(folder: &Path, first: u64) -> Result<Vec<Hash>, JournalError> {
    let path = path(folder, first);
    let bytes = std::fs::read(&path).map_err(|e| JournalError::disk("read", &path, e))?;
    match bytes.as_chunks::<32>() {
        (leaves, []) => Ok(leaves.to_vec()),
        (leaves, _) => {
            let offset = leaves.len() as u64 * 32;
            Err(JournalError::Damaged { path, offset, why: "the leaf hash is cut short".to_owned() })
        }
    }
}

/// Whether as many leaves are there as the segment has entries.
pub(super) fn complete(folder: &Path, first: u64, count: usize) -> bool {
    std::fs::metadata(path(folder, first)).is_ok_and(|meta| meta.len() == count as u64 * 32)
}

/// Writes all leaves of a segment anew, and makes them durable.
pub(super) fn mend(folder: &Path, first: u64, leaves: &[Hash]) -> io::Result<()> {
    let file = disk::lock_file(&path(folder, first))?;
    // In place: where they are right already, there is no moment at which they are not.
    std::os::unix::fs::FileExt::write_all_at(&file, leaves.as_flattened(), 0)?;
    file.set_len(leaves.len() as u64 * 32)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}
