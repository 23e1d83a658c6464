use std::path::Path;
use std::time::Duration;

use super::fixture::{Ticking, decided, entries, signed};
use crate::call::{Class, Closing, EntryId, Outcome};
use crate::record::checkpoint;
use crate::record::verify::{Checkpoint, VerifierKey, check, prove, verify};
use crate::record::{Journal, JournalError, Retention, Settings, Tail, What, leaves, segment};

fn keeping(dir: &Path, retention: Retention) -> Settings {
    Settings { segment_bytes: 3_000.try_into().unwrap(), retention, ..signed(dir) }
}

fn by_size() -> Retention {
    Retention { bytes: Some(7_000.try_into().unwrap()), age: None }
}

fn held(dir: &Path) -> Checkpoint {
    let key = std::fs::read_to_string(dir.join("journal/log.vkey")).unwrap();
    let note = std::fs::read(checkpoint::path(dir)).unwrap();
    VerifierKey::parse(&key).unwrap().open(&note).unwrap()
}

async fn call(journal: &Journal) -> crate::call::CallId {
    let call = decided(Class::Act);
    journal.open(&call).await.unwrap().close(Closing::bare(Outcome::Answered));
    call.head().id
}

#[tokio::test]
async fn heads_are_signed_while_entries_arrive_and_not_only_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(signed(dir.path()), Ticking::new()).unwrap();
    let mut sizes = std::collections::BTreeSet::new();
    // Three within a second each, and room for a machine that is busy.
    for _ in 0..300 {
        call(&journal).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        if checkpoint::path(dir.path()).exists() {
            sizes.insert(held(dir.path()).size);
        }
        if sizes.len() == 3 {
            break;
        }
    }
    assert_eq!(sizes.len(), 3, "{sizes:?}");
    journal.stop().await;
}

/// Calls until the segment that held entry 0 is gone, which another thread sees to.
async fn until_retired(journal: &Journal, dir: &Path) {
    let gone = segment::path(&dir.join("journal"), 0);
    for _ in 0..10_000 {
        if !gone.exists() {
            return;
        }
        call(journal).await;
    }
    panic!("nothing is retired");
}

/// A journal that began with entry 0 and lost it, stopped, with a checkpoint from before.
async fn retired(retention: Retention) -> (tempfile::TempDir, Checkpoint) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(keeping(dir.path(), Retention::default()), Ticking::new()).unwrap();
    for _ in 0..3 {
        call(&journal).await;
    }
    journal.stop().await;
    let old = held(dir.path());
    let journal = Journal::start(keeping(dir.path(), retention), Ticking::new()).unwrap();
    until_retired(&journal, dir.path()).await;
    journal.stop().await;
    (dir, old)
}

fn first_kept(dir: &Path) -> u64 {
    *segment::list(&dir.join("journal")).unwrap().first().unwrap()
}

#[tokio::test]
async fn what_is_too_much_goes_and_every_checkpoint_still_holds() {
    let (dir, old) = retired(by_size()).await;
    let new = held(dir.path());
    let kept_from = first_kept(dir.path());
    assert!(kept_from > 0);
    let verified = verify(dir.path(), &[old.clone(), new.clone()]).unwrap();
    assert_eq!((verified.covered, verified.kept_from), (new.size, kept_from));
    let told = entries(dir.path()).into_iter().rev().find_map(|entry| match entry.what {
        What::Retired { before, why, bytes } => Some((before, why.to_string(), bytes)),
        _ => None,
    });
    let (before, why, bytes) = told.unwrap();
    assert!(before.0 >= kept_from && bytes > 1_000, "{before} {kept_from} {bytes}");
    assert_eq!(why, "size");
    // A root that is not the old one's is found, though the entries are gone.
    let forged = Checkpoint { root: [0; 32], ..old };
    assert!(matches!(verify(dir.path(), &[forged, new]), Err(JournalError::Untrue { .. })));
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let (dir, old) = retired(Retention { age: Some(Duration::from_millis(3)), bytes: None }).await;
    verify(dir.path(), &[old, held(dir.path())]).unwrap();
}

#[tokio::test]
async fn what_stays_can_be_proved_and_the_node_goes_on() {
    let (dir, _) = retired(by_size()).await;
    let journal = Journal::start(keeping(dir.path(), by_size()), Ticking::new()).unwrap();
    let id = call(&journal).await;
    journal.stop().await;
    let checkpoint = held(dir.path());
    let proofs = prove(dir.path(), id, &checkpoint).unwrap();
    assert_eq!(proofs.len(), 2);
    for proof in proofs {
        check(&proof, &checkpoint).unwrap();
    }
}

#[tokio::test]
async fn what_is_gone_without_a_word_is_missed() {
    let (dir, _) = retired(by_size()).await;
    let checkpoint = held(dir.path());
    let folder = dir.path().join("journal");
    let told = entries(dir.path()).into_iter().filter_map(|entry| match entry.what {
        What::Retired { before, .. } => Some(before.0),
        _ => None,
    });
    let told = told.max().unwrap();
    // One segment more than was told.
    let firsts = segment::list(&folder).unwrap();
    let (more, _) =
        firsts.split_last().unwrap().1.split_at(firsts.iter().filter(|first| **first < told).count() + 1);
    for first in more {
        std::fs::remove_file(segment::path(&folder, *first)).unwrap();
    }
    let found = verify(dir.path(), std::slice::from_ref(&checkpoint));
    let why = found.unwrap_err().to_string();
    assert!(why.contains("no entry says that they were retired"), "{why}");
    let error = Journal::start(keeping(dir.path(), by_size()), Ticking::new()).err().unwrap();
    assert!(error.to_string().contains("no entry says"), "{error}");
}

#[tokio::test]
async fn changed_hashes_of_retired_entries_are_found() {
    let (dir, old) = retired(by_size()).await;
    let new = held(dir.path());
    let path = leaves::path(&dir.path().join("journal"), 0);
    let whole = std::fs::read(&path).unwrap();
    for at in [0, 31, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, changed).unwrap();
        for held in [&old, &new] {
            let found = verify(dir.path(), std::slice::from_ref(held));
            // The old one says nothing of what came after it.
            let after = at as u64 / 32 >= held.size;
            assert!(after || matches!(found, Err(JournalError::Untrue { .. })), "byte {at}: {found:?}");
        }
        assert!(Journal::start(keeping(dir.path(), by_size()), Ticking::new()).is_err());
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(verify(dir.path(), &[new]), Err(JournalError::Untrue { .. })));
}

#[tokio::test]
async fn what_an_open_call_or_a_follower_needs_stays() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(keeping(dir.path(), by_size()), Ticking::new()).unwrap();
    let open = journal.open(&decided(Class::Act)).await.unwrap();
    let follow = journal.follow(EntryId(0));
    follow.need(EntryId(0));
    for _ in 0..30 {
        call(&journal).await;
    }
    assert_eq!(first_kept(dir.path()), 0);
    open.close(Closing::bare(Outcome::Answered));
    for _ in 0..30 {
        call(&journal).await;
    }
    assert_eq!(first_kept(dir.path()), 0, "the follower has not told of it yet");
    follow.need(EntryId(u64::MAX));
    until_retired(&journal, dir.path()).await;
    journal.stop().await;
    let gone = leaves::list(&dir.path().join("journal")).unwrap();
    assert_eq!(gone.first(), Some(&0), "the leaves stay");
    verify(dir.path(), &[held(dir.path())]).unwrap();
}

#[tokio::test]
async fn a_reader_whose_segment_is_retired_goes_on_with_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(keeping(dir.path(), by_size()), Ticking::new()).unwrap();
    call(&journal).await;
    let mut reader = Tail::open(dir.path(), EntryId(0));
    assert_eq!(reader.read(1).unwrap().len(), 1);
    until_retired(&journal, dir.path()).await;
    journal.stop().await;
    let last = entries(dir.path()).last().unwrap().seq;
    let read = reader.read(usize::MAX).unwrap();
    assert_eq!(read.last().unwrap().seq, last);
    assert!(read.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}
