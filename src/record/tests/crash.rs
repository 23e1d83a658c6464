use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use super::fixture::{Ticking, decided, entries, kinds, settings, start, text};
use crate::call::{Class, Closing, Outcome};
use crate::record::{Journal, JournalError, What};

fn segment(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("journal/00000000000000000000.jsonl")
}

fn append(dir: &tempfile::TempDir, bytes: &[u8]) {
    OpenOptions::new().append(true).open(segment(dir)).unwrap().write_all(bytes).unwrap();
}

async fn one_call() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    journal.open(&decided(Class::Act)).await.unwrap().close(Closing::bare(Outcome::Answered));
    journal.stop().await;
    dir
}

#[tokio::test]
async fn a_call_that_was_open_at_the_crash_is_closed_as_unknown_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    std::mem::forget(journal.open(&decided(Class::Act)).await.unwrap());
    let second = journal.open(&decided(Class::Read)).await.unwrap();
    second.close(Closing::bare(Outcome::Answered));
    journal.stop().await;
    start(dir.path()).stop().await;
    start(dir.path()).stop().await;
    assert_eq!(kinds(dir.path()), ["opened", "opened", "closed Answered", "closed Unknown"]);
    let What::Closed(closed) = &entries(dir.path())[3].what else { panic!() };
    assert_eq!(closed.opened.0, 0);
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_told() {
    for tail in
        [&b"{\"v\":1,\"seq\":2,\"at\":\"2026"[..], b"\0\0\0\0\0\0", b"{}\n", b"\0\0\n{\"v\":1,", b"\n"]
    {
        let dir = one_call().await;
        let before = text(dir.path());
        append(&dir, tail);
        start(dir.path()).stop().await;
        let after = text(dir.path());
        assert!(after.starts_with(&before), "{after}");
        assert_eq!(kinds(dir.path()), ["opened", "closed Answered", "tail_cut"], "{tail:?}");
        let What::TailCut { segment, bytes } = &entries(dir.path())[2].what else { panic!() };
        assert_eq!((segment.as_str(), *bytes), ("00000000000000000000.jsonl", tail.len() as u64));
    }
}

#[tokio::test]
async fn every_torn_length_of_the_last_line_is_mended() {
    let dir = one_call().await;
    let whole = std::fs::read(segment(&dir)).unwrap();
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for cut in (first..whole.len()).step_by(37).chain([first + 1, whole.len() - 1]) {
        std::fs::write(segment(&dir), &whole[..cut]).unwrap();
        start(dir.path()).stop().await;
        let found = kinds(dir.path());
        let wanted: &[&str] = if cut == first {
            &["opened", "closed Unknown"]
        } else {
            &["opened", "tail_cut", "closed Unknown"]
        };
        assert_eq!(found, wanted, "cut at {cut}");
    }
}

#[tokio::test]
async fn what_no_crash_explains_stops_the_start() {
    type Change = fn(&str) -> String;
    let cases: [(&str, Change); 4] = [
        ("a line is gone", |text| text.split_inclusive('\n').skip(1).collect()),
        ("a line stands twice", |text| format!("{text}{text}")),
        ("lines are swapped", |text| text.split_inclusive('\n').rev().collect()),
        ("a line in the middle is broken", |text| text.replacen("\"v\":1", "\"v\":", 1)),
    ];
    for (what, change) in cases {
        let dir = one_call().await;
        std::fs::write(segment(&dir), change(&text(dir.path()))).unwrap();
        let error = Journal::start(settings(dir.path()), Ticking::new()).err();
        assert!(matches!(error, Some(JournalError::Damaged { .. })), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn a_missing_segment_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let small =
        || crate::record::Settings { segment_bytes: 1000.try_into().unwrap(), ..settings(dir.path()) };
    let journal = Journal::start(small(), Ticking::new()).unwrap();
    for _ in 0..3 {
        drop(journal.open(&decided(Class::Act)).await.unwrap());
    }
    journal.stop().await;
    let names = crate::record::segment::list(&dir.path().join("journal")).unwrap();
    assert!(names.len() >= 3, "{names:?}");
    let gone = crate::record::segment::path(&dir.path().join("journal"), names[1]);
    std::fs::remove_file(gone).unwrap();
    let error = Journal::start(small(), Ticking::new()).err();
    assert!(matches!(error, Some(JournalError::Damaged { .. })), "{error:?}");
}

#[tokio::test]
async fn numbers_go_on_where_they_stopped() {
    let dir = one_call().await;
    let journal = start(dir.path());
    assert_eq!(journal.began_at().0, 2);
    let opened = journal.open(&decided(Class::Read)).await.unwrap();
    assert_eq!(opened.entry().0, 2);
    drop(opened);
    journal.stop().await;
    assert_eq!(entries(dir.path()).iter().map(|e| e.seq.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
}
