use std::sync::atomic::Ordering;

use super::fixture::{Faults, decided, entries, kinds, start, start_faulty, text};
use crate::call::{Class, Closing, EntryId, Outcome};
use crate::record::{Journal, JournalError, What};

/// Every line is whole and in its place.
fn assert_sound(dir: &std::path::Path) {
    let text = text(dir);
    assert!(text.ends_with('\n'), "{text}");
    for (seq, line) in text.lines().enumerate() {
        let entry: crate::record::Entry =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(entry.seq, EntryId(seq as u64));
        assert_eq!(serde_json::to_string(&entry).unwrap(), line);
    }
}

/// The journal probes by itself; what it writes then tells that it is well again.
async fn recovered(journal: &Journal, from: EntryId) {
    let mut follow = journal.follow(from);
    assert!(follow.ready().await);
    assert_eq!(journal.failing(), None);
}

fn end_of(journal: &Journal) -> EntryId {
    journal.follow(EntryId(0)).end()
}

async fn survives(fail: impl Fn(&Faults, bool), word: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults) = start_faulty(dir.path());
    let early = journal.open(&decided(Class::Read)).await.unwrap();
    fail(&faults, true);
    for class in [Class::Act, Class::Read, Class::Act] {
        let error = journal.open(&decided(class)).await.unwrap_err();
        assert!(matches!(error, JournalError::Disk { .. }), "{error}");
        assert!(error.to_string().contains(word) && error.to_string().contains("jsonl"), "{error}");
    }
    assert!(journal.failing().is_some_and(|why| why.contains(word)));
    early.close(Closing::bare(Outcome::Answered));
    let end = end_of(&journal);
    fail(&faults, false);
    recovered(&journal, end).await;
    journal.open(&decided(Class::Act)).await.unwrap().close(Closing::bare(Outcome::Answered));
    journal.stop().await;
    assert_sound(dir.path());
    let found = kinds(dir.path());
    assert_eq!(found.iter().filter(|kind| *kind == "writing_failed").count(), 1, "{found:?}");
    assert_eq!(found.iter().filter(|kind| *kind == "closed Answered").count(), 2, "{found:?}");
    let opened = found.iter().filter(|kind| *kind == "opened").count();
    let closed = found.iter().filter(|kind| kind.starts_with("closed")).count();
    assert_eq!(opened, closed, "{found:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_without_a_restart() {
    survives(|faults, on| faults.full_after(on.then_some(0)), "write").await;
}

#[tokio::test]
async fn a_file_system_turned_read_only_refuses_and_recovers_without_a_restart() {
    let fail =
        |faults: &Faults, on: bool| faults.refuse(on.then_some(std::io::ErrorKind::ReadOnlyFilesystem));
    survives(fail, "mount the file system writable").await;
}

#[tokio::test]
async fn half_written_lines_are_taken_back() {
    survives(|faults, on| faults.full_after(on.then_some(100)), "write").await;
}

#[tokio::test]
async fn half_written_lines_are_taken_back_later_where_they_cannot_be_at_once() {
    let fail = |faults: &Faults, on: bool| {
        faults.truncate_fails.store(on, Ordering::SeqCst);
        faults.full_after(on.then_some(2_000));
    };
    survives(fail, "jsonl").await;
}

#[tokio::test]
async fn a_failing_sync_refuses_and_recovers_without_a_restart() {
    survives(|faults, on| faults.sync_fails.store(on, Ordering::SeqCst), "sync").await;
}

#[tokio::test]
async fn what_a_failed_sync_may_have_lost_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults) = start_faulty(dir.path());
    faults.sync_fails.store(true, Ordering::SeqCst);
    journal.open(&decided(Class::Act)).await.unwrap_err();
    let writes = faults.writes.load(Ordering::SeqCst);
    // The kernel dropped the pages: the file has a hole where the line was.
    let path = dir.path().join("journal/00000000000000000000.jsonl");
    let len = std::fs::metadata(&path).unwrap().len();
    std::fs::write(&path, vec![0; usize::try_from(len).unwrap()]).unwrap();
    let end = end_of(&journal);
    faults.sync_fails.store(false, Ordering::SeqCst);
    recovered(&journal, end).await;
    journal.stop().await;
    assert!(faults.writes.load(Ordering::SeqCst) > writes);
    assert_sound(dir.path());
    let all = entries(dir.path());
    let refused = all.iter().find_map(|entry| match &entry.what {
        What::Closed(closed) => Some((closed.closing.outcome, closed.closing.refusal.clone())),
        _ => None,
    });
    assert_eq!(refused, Some((Outcome::Abandoned, Some("journal_unavailable".to_owned()))));
}

#[tokio::test]
async fn a_node_that_stops_in_trouble_ends_and_the_next_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults) = start_faulty(dir.path());
    let opened = journal.open(&decided(Class::Act)).await.unwrap();
    faults.full_after(Some(10));
    journal.open(&decided(Class::Read)).await.unwrap_err();
    opened.close(Closing::bare(Outcome::Answered));
    journal.stop().await;
    start(dir.path()).stop().await;
    assert_sound(dir.path());
    assert_eq!(kinds(dir.path()), ["opened", "closed Unknown"]);
}
