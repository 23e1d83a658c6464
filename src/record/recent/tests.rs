use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::call::{Class, Closing, Outcome, TaskId};
use crate::record::search::search;
use crate::record::tests::fixture::{Ticking, decided, decided_from, intercepted, settings, start};
use crate::record::{Event, Journal, Settings};

fn within(limit: usize, before: Option<EntryId>) -> Extent {
    Extent { before, limit, patience: Duration::from_secs(60) }
}

/// What the search from front to back says, turned round.
fn expected(dir: &Path, filter: &Filter) -> Vec<(u64, Option<u64>)> {
    let mut found: Vec<(CallId, u64, Option<u64>)> = Vec::new();
    search(dir, filter, |one| {
        match &one.entry.what {
            What::Opened(facts) | What::Refused(facts) => found.push((facts.call, one.entry.seq.0, None)),
            What::Closed(closed) => {
                let open = found.iter_mut().find(|(call, ..)| *call == closed.call);
                open.unwrap().2 = Some(one.entry.seq.0);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    found.into_iter().rev().map(|(_, opened, closed)| (opened, closed)).collect()
}

fn told(calls: &[Told]) -> Vec<(u64, Option<u64>)> {
    let one = |told: &Told| (told.opening.seq.0, told.end.as_ref().map(|end| end.0.seq.0));
    calls.iter().map(one).collect()
}

/// Forty calls over many small segments; every fifth stays open for a long time, the last is not over.
async fn journal(segment_bytes: u64) -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let small = Settings { segment_bytes: segment_bytes.try_into().unwrap(), ..settings(dir.path()) };
    let journal = Journal::start(small, Ticking::new()).unwrap();
    let mut late = Vec::new();
    for at in 0..40 {
        let class = if at % 3 == 0 { Class::Act } else { Class::Read };
        let call = decided_from(intercepted(&format!("/things/{at}"), &[]), class);
        let opened = journal.open(&call).await.unwrap();
        if at % 5 == 0 {
            late.push(opened);
        } else {
            opened.close(Closing::bare(Outcome::Answered));
        }
        if at % 7 == 0 {
            journal.note(Event::NodeStarted { version: "1" }).await.unwrap();
        }
    }
    for opened in late {
        opened.close(Closing::bare(Outcome::AgentGone));
    }
    // Closings are written in order: once this stands there, they do.
    let last = journal.open(&decided(Class::Read)).await.unwrap();
    std::mem::forget(last);
    journal.note(Event::NodeStarted { version: "1" }).await.unwrap();
    (dir, journal)
}

#[tokio::test]
async fn the_same_calls_are_found_from_the_back_as_from_the_front() {
    for segment_bytes in [1_200, 7_000, 1 << 20] {
        let (dir, _journal) = journal(segment_bytes).await;
        let none = Filter::default;
        let filters = [
            none(),
            Filter { class: Some(Class::Act), ..none() },
            Filter { operation: Some("example:things/r*".into()), ..none() },
            Filter { host: Some("nowhere.test".into()), ..none() },
            Filter { agent: Some("coder".into()), ..none() },
        ];
        for filter in filters {
            let page = calls(dir.path(), &filter, within(1_000, None)).unwrap();
            assert_eq!(told(&page.calls), expected(dir.path(), &filter), "{segment_bytes} {filter:?}");
            assert_eq!(page.next, None, "{segment_bytes} {filter:?}");
        }
    }
}

#[tokio::test]
async fn pages_put_together_are_the_whole() {
    for segment_bytes in [1_200, 1 << 20] {
        let (dir, _journal) = journal(segment_bytes).await;
        let filter = Filter { class: Some(Class::Read), ..Filter::default() };
        let (mut all, mut before, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = calls(dir.path(), &filter, within(4, before)).unwrap();
            assert!(page.calls.len() <= 4);
            all.extend(told(&page.calls));
            pages += 1;
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert!(pages > 5, "{pages}");
        assert_eq!(all, expected(dir.path(), &filter), "{segment_bytes}");
    }
}

#[tokio::test]
async fn the_lines_are_those_of_the_journal() {
    let (dir, _journal) = journal(7_000).await;
    let page = calls(dir.path(), &Filter::default(), within(1_000, None)).unwrap();
    let text = crate::record::tests::fixture::text(dir.path());
    for told in page.calls {
        let end = told.end.map(|end| end.1);
        for line in std::iter::once(told.line).chain(end) {
            assert!(text.lines().any(|there| there == line), "{line}");
        }
    }
}

#[tokio::test]
async fn one_call_is_found_by_its_id_and_no_other() {
    let (dir, _journal) = journal(1_200).await;
    let page = calls(dir.path(), &Filter::default(), within(1_000, None)).unwrap();
    let wanted = &page.calls[17];
    let What::Opened(facts) = &wanted.opening.what else { panic!("{wanted:?}") };
    let found = one(dir.path(), facts.call).unwrap().unwrap();
    assert_eq!((found.opening.seq, found.end.is_some()), (wanted.opening.seq, wanted.end.is_some()));
    let other = crate::record::tests::fixture::call_id();
    assert!(one(dir.path(), other).unwrap().is_none());
}

#[tokio::test]
async fn what_was_before_the_time_asked_for_is_not_looked_at() {
    let (dir, _journal) = journal(1_200).await;
    let page = calls(dir.path(), &Filter::default(), within(1_000, None)).unwrap();
    let since = Filter { since: Some(page.calls[9].opening.at), ..Filter::default() };
    let recent = calls(dir.path(), &since, within(1_000, None)).unwrap();
    assert_eq!(told(&recent.calls), told(&page.calls[..10]));
    assert_eq!(recent.next, None);
}

#[tokio::test]
async fn half_a_line_at_the_end_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    journal.open(&decided(Class::Read)).await.unwrap().close(Closing::bare(Outcome::Answered));
    journal.stop().await;
    let segment = segment::path(&dir.path().join("journal"), 0);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.extend_from_slice(br#"{"v":1,"seq":2,"at":"2026-11-2"#);
    std::fs::write(&segment, bytes).unwrap();
    let page = calls(dir.path(), &Filter::default(), within(10, None)).unwrap();
    assert_eq!(told(&page.calls), [(0, Some(1))]);
}

#[tokio::test]
async fn an_empty_journal_has_no_calls() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let filter = Filter { task: Some(TaskId::fresh(&*Ticking::new(), &Nought)), ..Filter::default() };
    assert!(calls(dir.path(), &filter, within(10, None)).unwrap().calls.is_empty());
    journal.stop().await;
}

struct Nought;

impl crate::call::Entropy for Nought {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}
