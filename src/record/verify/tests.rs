use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::call::{Class, Closing, Entropy, Outcome};
use crate::record::checkpoint::{self, LogKey};
use crate::record::merkle::tests::{LEAVES, ROOTS, hex};
use crate::record::tests::fixture::{Ticking, decided, settings};
use crate::record::{Journal, Settings};

fn segments(dir: &Path) -> Result<Vec<std::path::PathBuf>, JournalError> {
    walk::files(&dir.join("journal"), "jsonl")
}

struct Ones;

impl Entropy for Ones {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(1);
    }
}

fn signing(dir: &Path) -> Settings {
    let log_key = Some(Arc::new(LogKey::load_or_make(dir, &Ones).unwrap()));
    Settings { log_key, segment_bytes: 3_000.try_into().unwrap(), ..settings(dir) }
}

fn held(dir: &Path) -> Checkpoint {
    let key = std::fs::read_to_string(dir.join("journal/log.vkey")).unwrap();
    let note = std::fs::read(checkpoint::path(dir)).unwrap();
    VerifierKey::parse(&key).unwrap().open(&note).unwrap()
}

/// A signed journal with this many calls in several segments.
async fn journal(calls: usize) -> (tempfile::TempDir, Vec<CallId>) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(signing(dir.path()), Ticking::new()).unwrap();
    let mut ids = Vec::new();
    for _ in 0..calls {
        let call = decided(Class::Act);
        ids.push(call.head().id);
        journal.open(&call).await.unwrap().close(Closing::bare(Outcome::Answered));
    }
    journal.stop().await;
    (dir, ids)
}

#[test]
fn roots_are_those_of_the_reference() {
    let mut tree = Tree::default();
    for (size, leaf) in LEAVES.iter().enumerate() {
        assert_eq!(hex(&tree.root().unwrap()), ROOTS[size]);
        tree.push(tlog_tiles::record_hash(leaf)).unwrap();
    }
    assert_eq!(hex(&tree.root().unwrap()), ROOTS[8]);
}

#[test]
fn proofs_are_those_of_the_reference() {
    // google/certificate-transparency, `merkle_tree_test`: leaf 1 of 8, leaf 6 of 8, leaf 3 of 3 (counted from 1).
    let cases: [(u64, usize, &[&str]); 3] = [
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    ];
    for (leaf, size, path) in cases {
        let wanted = Wanted::default();
        tlog_tiles::prove_record(size as u64, leaf, &wanted).unwrap();
        let mut tree = Tree { keep: wanted.0.into_inner(), ..Tree::default() };
        LEAVES[..size].iter().for_each(|leaf| tree.push(tlog_tiles::record_hash(leaf)).unwrap());
        let proof = tlog_tiles::prove_record(size as u64, leaf, &tree).unwrap();
        assert_eq!(proof.iter().map(|hash| hex(&hash.0)).collect::<Vec<_>>(), path);
    }
}

#[test]
fn notes_are_those_of_the_reference() {
    // golang.org/x/mod/sumdb/note, the package's own example.
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let key = VerifierKey::parse(key).unwrap();
    assert!(key.signed(note.as_bytes()).unwrap().ends_with("your problem is.\n"));
    assert!(key.signed(note.replace("answer", "Answer").as_bytes()).is_err());
}

#[tokio::test]
async fn an_untouched_journal_holds() {
    let (dir, _) = journal(9).await;
    let checkpoint = held(dir.path());
    assert_eq!(checkpoint.size, 18);
    let verified = verify(dir.path(), std::slice::from_ref(&checkpoint)).unwrap();
    let wanted = Verified { entries: 18, root: checkpoint.root, covered: 18, kept_from: 0, torn_bytes: 0 };
    assert_eq!(verified, wanted);
    assert!(segments(dir.path()).unwrap().len() > 3);
}

#[tokio::test]
async fn an_older_checkpoint_holds_against_a_longer_journal() {
    let (dir, _) = journal(2).await;
    let old = held(dir.path());
    let journal = Journal::start(signing(dir.path()), Ticking::new()).unwrap();
    drop(journal.open(&decided(Class::Read)).await.unwrap());
    journal.stop().await;
    let new = held(dir.path());
    assert_eq!((old.size, new.size), (4, 6));
    assert_eq!(verify(dir.path(), &[old, new]).unwrap().covered, 6);
}

#[tokio::test]
async fn every_changed_byte_is_found() {
    let (dir, _) = journal(3).await;
    let checkpoint = held(dir.path());
    for path in segments(dir.path()).unwrap() {
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(31).chain([whole.len() - 1]) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            let found = verify(dir.path(), std::slice::from_ref(&checkpoint));
            assert!(matches!(found, Err(JournalError::Untrue { .. })), "byte {at} of {path:?}: {found:?}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    verify(dir.path(), &[checkpoint]).unwrap();
}

/// Changes entry 4 so that it is still an entry, in canonical form and in its place.
fn change_entry_4(dir: &Path) {
    for path in segments(dir).unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        let changed: String = text
            .split_inclusive('\n')
            .map(|line| {
                if line.contains("\"seq\":4,") { line.replace("/things/1", "/things/2") } else { line.into() }
            })
            .collect();
        std::fs::write(&path, changed).unwrap();
    }
}

#[tokio::test]
async fn an_entry_that_only_the_root_knows_to_be_wrong_is_named_by_its_leaf() {
    let (dir, _) = journal(5).await;
    let checkpoint = held(dir.path());
    change_entry_4(dir.path());
    let named = |dir: &Path| match verify(dir, std::slice::from_ref(&checkpoint)) {
        Err(JournalError::Untrue { entry, why, .. }) => (entry, why),
        other => panic!("{other:?}"),
    };
    assert_eq!(named(dir.path()), (4, "its hash is not the one that was signed".to_owned()));
    // Leaves that were changed as well are believed nothing.
    let leaves = dir.path().join("journal/00000000000000000000.leaves");
    let mut bytes = std::fs::read(&leaves).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&leaves, bytes).unwrap();
    let (entry, why) = named(dir.path());
    assert!(entry == 0 && why.contains("entries 0 to 9 are in doubt"), "{entry} {why}");
}

#[tokio::test]
async fn leaves_that_a_crash_left_short_are_mended() {
    let (dir, _) = journal(5).await;
    let mut all = Vec::new();
    for path in segments(dir.path()).unwrap() {
        let leaves = path.with_extension("leaves");
        all.push((leaves.clone(), std::fs::read(&leaves).unwrap()));
        assert_eq!(all.last().unwrap().1.len() % 32, 0);
    }
    assert_eq!(all.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), 10 * 32);
    std::fs::remove_file(&all[0].0).unwrap();
    std::fs::write(&all[1].0, &all[1].1[..7]).unwrap();
    Journal::start(signing(dir.path()), Ticking::new()).unwrap().stop().await;
    for (path, bytes) in all {
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{path:?}");
    }
}

#[tokio::test]
async fn removed_inserted_reordered_and_cut_entries_are_found_and_named() {
    type Change = fn(&mut Vec<String>);
    let cases: [(&str, Change, u64); 6] = [
        ("removed", |lines| drop(lines.remove(2)), 2),
        ("removed at the end", |lines| drop(lines.pop()), 5),
        ("inserted", |lines| lines.insert(2, lines[1].clone()), 2),
        ("reordered", |lines| lines.swap(1, 3), 1),
        ("cut", |lines| lines.truncate(3), 3),
        ("spaced", |lines| lines[4] = lines[4].replacen(':', ": ", 1), 4),
    ];
    for (what, change, wanted) in cases {
        let dir = tempfile::tempdir().unwrap();
        let one = Settings { segment_bytes: 1_000_000.try_into().unwrap(), ..signing(dir.path()) };
        let journal = Journal::start(one.clone(), Ticking::new()).unwrap();
        for _ in 0..3 {
            drop(journal.open(&decided(Class::Act)).await.unwrap());
        }
        journal.stop().await;
        let path = dir.path().join("journal/00000000000000000000.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(&path, lines.concat()).unwrap();
        match verify(dir.path(), &[held(dir.path())]) {
            Err(JournalError::Untrue { entry, .. }) => assert_eq!(entry, wanted, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
        // Nor does a node go on with such a journal as if nothing were.
        assert!(what == "spaced" || Journal::start(one, Ticking::new()).is_err(), "{what}");
    }
}

#[tokio::test]
async fn a_node_does_not_start_on_a_journal_that_is_not_what_it_signed() {
    let (dir, _) = journal(2).await;
    let path = segments(dir.path()).unwrap().remove(0);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"allow\"", "\"deny\"", 1)).unwrap();
    let error = Journal::start(signing(dir.path()), Ticking::new()).err();
    assert!(matches!(error, Some(JournalError::Untrue { .. })), "{error:?}");
}

#[tokio::test]
async fn what_a_crash_leaves_behind_is_no_forgery() {
    let (dir, _) = journal(2).await;
    let last = segments(dir.path()).unwrap().pop().unwrap();
    let mut bytes = std::fs::read(&last).unwrap();
    bytes.extend_from_slice(b"{\"v\":1,\"se");
    std::fs::write(&last, bytes).unwrap();
    assert_eq!(verify(dir.path(), &[held(dir.path())]).unwrap().torn_bytes, 10);
    Journal::start(signing(dir.path()), Ticking::new()).unwrap().stop().await;
    assert_eq!(verify(dir.path(), &[held(dir.path())]).unwrap().entries, 5);
}

#[tokio::test]
async fn each_call_can_be_proved_and_no_other() {
    let (dir, ids) = journal(5).await;
    let checkpoint = held(dir.path());
    for id in ids {
        let proofs = prove(dir.path(), id, &checkpoint).unwrap();
        assert_eq!(proofs.len(), 2);
        for proof in proofs {
            check(&proof, &checkpoint).unwrap();
            let wrong = [
                Inclusion { entry: EntryId(proof.entry.0 ^ 1), ..proof.clone() },
                Inclusion { line: proof.line.replace("example", "exemple") + " ", ..proof.clone() },
                Inclusion { path: proof.path.iter().skip(1).copied().collect(), ..proof.clone() },
                Inclusion { entry: EntryId(99), ..proof.clone() },
            ];
            for proof in wrong {
                assert!(check(&proof, &checkpoint).is_err(), "{proof:?}");
            }
        }
    }
    assert_eq!(prove(dir.path(), crate::record::tests::fixture::call_id(), &checkpoint).unwrap(), []);
}

/// One way to change a file.
#[derive(Clone, Debug)]
enum Change {
    Flip(u8),
    Cut(usize),
    Insert(Vec<u8>),
    Truncate,
    DuplicateLine,
    RemoveLine,
    SwapLines,
}

impl Change {
    /// `at` says where, in thousandths of the file.
    fn apply(&self, bytes: &mut Vec<u8>, at: usize) {
        let place = at * (bytes.len() - 1) / 1_000;
        let mut lines: Vec<Vec<u8>> =
            bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        let line = at * (lines.len() - 1) / 1_000;
        match self {
            Self::Flip(mask) => bytes[place] ^= mask,
            Self::Cut(count) => drop(bytes.drain(place..(place + count).min(bytes.len()))),
            Self::Insert(more) => drop(bytes.splice(place..place, more.clone())),
            Self::Truncate => bytes.truncate(place),
            Self::DuplicateLine => lines.insert(line, lines[line].clone()),
            Self::RemoveLine => drop(lines.remove(line)),
            Self::SwapLines => lines.swap(0, line),
        }
        if matches!(self, Self::DuplicateLine | Self::RemoveLine | Self::SwapLines) {
            *bytes = lines.concat();
        }
    }
}

fn changes() -> impl proptest::strategy::Strategy<Value = Change> {
    use proptest::prelude::*;
    prop_oneof![
        4 => (1_u8..=255).prop_map(Change::Flip),
        1 => (1_usize..600).prop_map(Change::Cut),
        1 => proptest::collection::vec(any::<u8>(), 1..40).prop_map(Change::Insert),
        1 => Just(Change::Truncate),
        1 => Just(Change::DuplicateLine),
        1 => Just(Change::RemoveLine),
        1 => Just(Change::SwapLines),
    ]
}

/// The lines of all segments, one behind the other.
fn lines_of(files: &[(std::path::PathBuf, Vec<u8>)]) -> Vec<Vec<u8>> {
    let all: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    all.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn any_change_of_what_was_signed_is_found_and_named() {
    use proptest::prelude::*;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (dir, _) = runtime.block_on(journal(8));
    let checkpoint = held(dir.path());
    let read = |path: std::path::PathBuf| (path.clone(), std::fs::read(path).unwrap());
    let whole: Vec<_> = segments(dir.path()).unwrap().into_iter().map(read).collect();
    let before = lines_of(&whole);
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(256);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(change in changes(), file in 0..whole.len(), at in 0_usize..=1_000)| {
        let mut files = whole.clone();
        change.apply(&mut files[file].1, at);
        let after = lines_of(&files);
        std::fs::write(&files[file].0, &files[file].1).unwrap();
        let found = verify(dir.path(), std::slice::from_ref(&checkpoint));
        std::fs::write(&whole[file].0, &whole[file].1).unwrap();
        if files == whole {
            prop_assert!(found.is_ok(), "{:?}", found);
        } else {
            let wanted = before.iter().zip(&after).position(|(was, is)| was != is);
            let wanted = wanted.unwrap_or_else(|| before.len().min(after.len()));
            match found {
                Err(JournalError::Untrue { entry, .. }) => prop_assert_eq!(entry, wanted as u64),
                // Whole lines as they were, and something behind them that no newline ends.
                Ok(Verified { torn_bytes, covered, .. }) => {
                    prop_assert!(torn_bytes > 0 && covered == before.len() as u64 && wanted == before.len());
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    });
}
