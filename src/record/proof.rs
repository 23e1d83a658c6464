//! Inclusion proofs from the leaf hashes beside the segments: quick enough to be asked for while somebody waits.
//!
//! [`super::verify`] reads every line of the journal, as an auditor must. Here the leaf hashes are taken as they are
//! found, and what comes out is held against the signed checkpoint and the line itself: hashes that are not the signed ones
//! give no proof at all.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::checkpoint;
use super::error::JournalError;
use super::leaves;
use super::merkle::{self, Hash};
use super::recent::Told;
use super::segment;
use super::verify::{self, Checkpoint, Inclusion, VerifierKey};

/// That a call is in a signed journal.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Who signed: the public key as `signed-note` writes it.
    pub key: String,
    /// The signed checkpoint, as it stands.
    pub note: String,
    /// What it says.
    pub checkpoint: Checkpoint,
    /// One for each entry of the call; each was checked.
    pub inclusions: Vec<Inclusion>,
    /// How many of its entries are younger than the checkpoint.
    pub unsigned: usize,
}

/// Proves the entries of a call under the latest checkpoint. None: nothing is signed yet.
pub fn of(state_dir: &Path, told: &Told) -> Result<Option<Proof>, JournalError> {
    let folder = segment::folder(state_dir);
    let at = checkpoint::path(state_dir);
    let Some(note) = read(&at)? else { return Ok(None) };
    let Some(key) = read(&folder.join("log.vkey"))? else { return Ok(None) };
    let checkpoint = VerifierKey::parse(&key)?.open(note.as_bytes())?;
    let end = told.end.as_deref().map(|(entry, line)| (entry.seq, line));
    let entries: Vec<_> = std::iter::once((told.opening.seq, &told.line)).chain(end).collect();
    let signed: Vec<_> = entries.iter().filter(|(seq, _)| seq.0 < checkpoint.size).collect();
    let unsigned = entries.len() - signed.len();
    let mut inclusions = Vec::new();
    if !signed.is_empty() {
        let leaves = all(&folder, checkpoint.size)?;
        for (entry, line) in signed {
            let index = usize::try_from(entry.0).unwrap_or(usize::MAX);
            let inclusion =
                Inclusion { entry: *entry, line: (*line).clone(), path: merkle::path(&leaves, index) };
            verify::check(&inclusion, &checkpoint)?;
            inclusions.push(inclusion);
        }
    }
    Ok(Some(Proof { key: key.trim().to_owned(), note, checkpoint, inclusions, unsigned }))
}

fn read(path: &Path) -> Result<Option<String>, JournalError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::disk("read", path, error)),
    }
}

/// The first `size` leaves of the journal.
fn all(folder: &Path, size: u64) -> Result<Vec<Hash>, JournalError> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut all: Vec<Hash> = Vec::new();
    for first in leaves::list(folder)? {
        if first != all.len() as u64 {
            break;
        }
        all.extend(leaves::read(folder, first)?);
    }
    if all.len() < size {
        let why =
            "the leaf hashes beside the journal do not reach up to it; `remit audit prove` makes its own"
                .to_owned();
        return Err(JournalError::Checkpoint { why });
    }
    all.truncate(size);
    Ok(all)
}
