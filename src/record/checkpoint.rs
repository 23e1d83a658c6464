//! Checkpoints: what the journal was at a moment, signed (C2SP `tlog-checkpoint` in a C2SP `signed-note`, Ed25519).
//!
//! Whoever keeps one outside of this machine can tell later whether anything before it was changed. The key belongs to
//! one journal; it proves that the entries are those that this node wrote, not that the node told the truth.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};
use signed_note::{Note, Signer, StandardVerifier, Verifier as _, VerifierList};
use tlog_tiles::Checkpoint;
use zeroize::Zeroize as _;

use super::disk::{self, Disk, FileSystem};
use super::error::JournalError;
use super::merkle::Hash;
use super::segment;
use crate::call::Entropy;

/// The key that signs one journal's checkpoints, with the journal's name. It has no printable form.
pub struct LogKey {
    name: String,
    id: u32,
    key: SigningKey,
}

impl std::fmt::Debug for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogKey({})", self.name)
    }
}

/// `<state>/journal/log.key`: PKCS #8 in PEM, mode 0600.
const KEY_FILE: &str = "log.key";
/// `<state>/journal/log.vkey`: the public half as `signed-note` writes it, for whoever verifies.
const PUBLIC_FILE: &str = "log.vkey";
/// `<state>/journal/checkpoint`: the latest one.
const CHECKPOINT_FILE: &str = "checkpoint";

impl LogKey {
    /// The journal's key; made at the first start.
    pub fn load_or_make(state_dir: &Path, entropy: &dyn Entropy) -> Result<Self, JournalError> {
        let folder = segment::folder(state_dir);
        disk::make_dir(&folder).map_err(|e| JournalError::disk("create", &folder, e))?;
        let path = folder.join(KEY_FILE);
        match std::fs::read_to_string(&path) {
            Ok(mut pem) => {
                let key = SigningKey::from_pkcs8_pem(&pem);
                pem.zeroize();
                let key = key.map_err(|e| JournalError::Key { path, why: e.to_string() })?;
                Ok(Self::named(key))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::make(&folder, &path, entropy),
            Err(e) => Err(JournalError::disk("read", &path, e)),
        }
    }

    fn make(folder: &Path, path: &Path, entropy: &dyn Entropy) -> Result<Self, JournalError> {
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        let this = Self::named(SigningKey::from_bytes(&seed));
        seed.zeroize();
        let pem = this.key.to_pkcs8_pem(LineEnding::LF);
        let pem = pem.map_err(|e| JournalError::Key { path: path.to_owned(), why: e.to_string() })?;
        // The public half first: a key that is found later has one.
        let public = folder.join(PUBLIC_FILE);
        FileSystem
            .replace(&public, format!("{}\n", this.verifier_key()).as_bytes())
            .and_then(|()| FileSystem.replace(path, pem.as_bytes()))
            .map_err(|e| JournalError::disk("write", path, e))?;
        Ok(this)
    }

    fn named(key: SigningKey) -> Self {
        let public = key.verifying_key();
        let digest = Sha256::digest(public.as_bytes());
        let short = digest.iter().take(8).fold(String::new(), |out, byte| format!("{out}{byte:02x}"));
        let name = format!("remit/journal/{short}");
        // signed-note: the algorithm's byte, 1 for Ed25519, before the key.
        let id = signed_note::key_id(&name, &[&[1], public.as_bytes().as_slice()].concat());
        Self { name, id, key }
    }

    /// The public half in the form of `signed-note`: `<name>+<id>+<base64>`.
    pub fn verifier_key(&self) -> String {
        signed_note::new_ed25519_verifier_key(&self.name, &self.key.verifying_key())
    }

    /// Signs that the first `size` entries have this root.
    pub fn sign(&self, size: u64, root: Hash) -> Result<Vec<u8>, JournalError> {
        let bad = |why: String| JournalError::Checkpoint { why };
        let text = Checkpoint::new(&self.name, size, tlog_tiles::Hash(root), "")
            .map_err(|e| bad(e.to_string()))?
            .to_bytes();
        let mut note = Note::new(&text, &[]).map_err(|e| bad(e.to_string()))?;
        note.add_sigs(&[self]).map_err(|e| bad(e.to_string()))?;
        Ok(note.to_bytes())
    }

    /// Reads back one of our own.
    fn open(&self, note: &[u8]) -> Result<(u64, Hash), JournalError> {
        let bad = |why: String| JournalError::Checkpoint { why };
        let note = Note::from_bytes(note).map_err(|e| bad(e.to_string()))?;
        let verifier = StandardVerifier::new(&self.verifier_key()).map_err(|e| bad(e.to_string()))?;
        debug_assert_eq!(verifier.name(), self.name);
        let known = VerifierList::new(vec![Box::new(verifier)]);
        note.verify(&known).map_err(|e| bad(e.to_string()))?;
        let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|e| bad(e.to_string()))?;
        Ok((checkpoint.size(), checkpoint.hash().0))
    }
}

impl Signer for LogKey {
    fn name(&self) -> &str {
        &self.name
    }

    fn key_id(&self) -> u32 {
        self.id
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, ed25519_dalek::SignatureError> {
        Ok(self.key.try_sign(text)?.to_vec())
    }
}

/// The file of the latest checkpoint.
pub fn path(state_dir: &Path) -> PathBuf {
    segment::folder(state_dir).join(CHECKPOINT_FILE)
}

/// What the latest checkpoint says: size and root. None in a new journal.
pub(super) fn latest(folder: &Path, key: &LogKey) -> Result<Option<(u64, Hash)>, JournalError> {
    let path = folder.join(CHECKPOINT_FILE);
    match std::fs::read(&path) {
        Ok(note) => key.open(&note).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(JournalError::disk("read", &path, e)),
    }
}

/// Signs the durable part of the journal and keeps the note in the place of the last one.
pub(super) fn write(
    folder: &Path,
    key: &LogKey,
    size: u64,
    root: Hash,
    disk: &dyn Disk,
) -> Result<(), JournalError> {
    let path = folder.join(CHECKPOINT_FILE);
    disk.replace(&path, &key.sign(size, root)?).map_err(|e| JournalError::disk("write", &path, e))
}
