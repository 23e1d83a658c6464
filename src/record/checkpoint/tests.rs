use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::record::verify::VerifierKey;

struct Bytes(u8);

impl Entropy for Bytes {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

#[test]
fn the_key_is_made_once_and_kept_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let first = LogKey::load_or_make(dir.path(), &Bytes(1)).unwrap();
    let again = LogKey::load_or_make(dir.path(), &Bytes(2)).unwrap();
    assert_eq!(first.verifier_key(), again.verifier_key());
    let folder = dir.path().join("journal");
    assert_eq!(std::fs::read_to_string(folder.join("log.vkey")).unwrap().trim_end(), first.verifier_key());
    let mode = std::fs::metadata(folder.join("log.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!format!("{first:?}").contains("KEY"));
}

#[test]
fn a_broken_key_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    LogKey::load_or_make(dir.path(), &Bytes(1)).unwrap();
    let path = dir.path().join("journal/log.key");
    std::fs::write(&path, "rubbish").unwrap();
    let error = LogKey::load_or_make(dir.path(), &Bytes(1)).unwrap_err();
    assert!(matches!(error, JournalError::Key { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "rubbish");
}

#[test]
fn what_is_signed_can_be_opened_by_whoever_has_the_public_half() {
    let dir = tempfile::tempdir().unwrap();
    let key = LogKey::load_or_make(dir.path(), &Bytes(1)).unwrap();
    let note = LogKey::sign(&key, 42, [7; 32]).unwrap();
    assert_eq!(key.open(&note).unwrap(), (42, [7; 32]));
    let public = VerifierKey::parse(&key.verifier_key()).unwrap();
    let opened = public.open(&note).unwrap();
    assert_eq!((opened.size, opened.root), (42, [7; 32]));
    let text = String::from_utf8(note).unwrap();
    assert!(text.starts_with("remit/journal/"), "{text}");
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn every_changed_byte_of_a_checkpoint_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let key = LogKey::load_or_make(dir.path(), &Bytes(1)).unwrap();
    let note = LogKey::sign(&key, 42, [7; 32]).unwrap();
    let public = VerifierKey::parse(&key.verifier_key()).unwrap();
    // A signature is checked in milliseconds here; a prime step still meets every part.
    for at in (0..note.len()).step_by(7) {
        let mut changed = note.clone();
        changed[at] ^= 1;
        assert!(public.open(&changed).is_err(), "byte {at}: {}", String::from_utf8_lossy(&changed));
        assert!(key.open(&changed).is_err(), "byte {at}: {}", String::from_utf8_lossy(&changed));
    }
}

#[test]
fn a_checkpoint_of_another_key_is_refused() {
    let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mine = LogKey::load_or_make(mine.path(), &Bytes(1)).unwrap();
    let other = LogKey::load_or_make(other.path(), &Bytes(2)).unwrap();
    let note = LogKey::sign(&other, 42, [7; 32]).unwrap();
    assert!(VerifierKey::parse(&mine.verifier_key()).unwrap().open(&note).is_err());
    assert!(mine.open(&note).is_err());
}
