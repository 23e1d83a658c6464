use std::time::Duration;

use futures_util::FutureExt as _;

use super::fixture::{Ticking, decided, entries, settings, start, start_faulty};
use crate::call::{Class, Closing, EntryId, Outcome};
use crate::record::{Journal, Tail};

#[tokio::test]
async fn a_follower_sees_every_entry_once_across_segments() {
    let dir = tempfile::tempdir().unwrap();
    let small = crate::record::Settings { segment_bytes: 3000.try_into().unwrap(), ..settings(dir.path()) };
    let journal = Journal::start(small, Ticking::new()).unwrap();
    let mut follow = journal.follow(EntryId(0));
    let writing = async {
        for class in [Class::Read, Class::Act].into_iter().cycle().take(40) {
            journal.open(&decided(class)).await.unwrap().close(Closing::bare(Outcome::Answered));
        }
        journal.stop().await;
    };
    let following = async {
        let mut seen = Vec::new();
        while follow.ready().await {
            seen.extend(follow.read(3).await.unwrap().iter().map(|entry| entry.seq.0));
        }
        seen
    };
    let ((), seen) = tokio::join!(writing, following);
    assert_eq!(seen, (0..80).collect::<Vec<_>>());
    assert!(crate::record::segment::list(&dir.path().join("journal")).unwrap().len() > 5);
    assert_eq!(entries(dir.path()).len(), 80);
    assert_eq!(follow.behind(), 0);
}

#[tokio::test]
async fn a_tail_begins_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let small = crate::record::Settings { segment_bytes: 3000.try_into().unwrap(), ..settings(dir.path()) };
    let journal = Journal::start(small, Ticking::new()).unwrap();
    for _ in 0..10 {
        drop(journal.open(&decided(Class::Act)).await.unwrap());
    }
    journal.stop().await;
    for from in 0..=20 {
        let mut tail = Tail::open(dir.path(), EntryId(from));
        let seen: Vec<_> = tail.read(100).unwrap().iter().map(|entry| entry.seq.0).collect();
        assert_eq!(seen, (from..20).collect::<Vec<_>>());
        assert_eq!(tail.position().0, 20);
    }
    // Retention has taken the oldest away.
    std::fs::remove_file(dir.path().join("journal/00000000000000000000.jsonl")).unwrap();
    let first = Tail::open(dir.path(), EntryId(0)).read(1).unwrap()[0].seq.0;
    assert!(first > 0);
}

#[tokio::test]
async fn half_a_line_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    drop(journal.open(&decided(Class::Act)).await.unwrap());
    journal.stop().await;
    let path = dir.path().join("journal/00000000000000000000.jsonl");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let mut tail = Tail::open(dir.path(), EntryId(0));
    assert_eq!(tail.read(10).unwrap().len(), 1);
    assert_eq!(tail.read(10).unwrap().len(), 0);
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(tail.read(10).unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_failed_write_left_is_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults) = start_faulty(dir.path());
    let mut follow = journal.follow(EntryId(0));
    drop(journal.open(&decided(Class::Act)).await.unwrap());
    faults.truncate_fails.store(true, std::sync::atomic::Ordering::SeqCst);
    faults.full_after(Some(1_000_000));
    journal.open(&decided(Class::Act)).await.unwrap_err();
    let mut seen = Vec::new();
    while follow.ready().now_or_never() == Some(true) {
        seen.extend(follow.read(100).await.unwrap());
    }
    faults.truncate_fails.store(false, std::sync::atomic::Ordering::SeqCst);
    faults.full_after(None);
    journal.stop().await;
    while follow.ready().await {
        seen.extend(follow.read(100).await.unwrap());
    }
    assert_eq!(seen, entries(dir.path()));
}

#[tokio::test]
async fn a_follower_waits_until_something_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let mut follow = journal.follow(journal.began_at());
    assert!(follow.ready().now_or_never().is_none());
    let call = decided(Class::Read);
    let (woken, opened) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(10), follow.ready()), journal.open(&call));
    assert!(woken.unwrap() && opened.is_ok());
    journal.stop().await;
}
