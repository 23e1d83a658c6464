use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::call::{Call, Class, Closing, Decided, Decision, Outcome};
use crate::record::tests::fixture::{Ticking, decided, decided_from, intercepted, settings, task, text};
use crate::record::{Event, Journal, Settings, search};

/// What a search finds, entry by entry.
fn found(dir: &Path, filter: &Filter) -> Vec<u64> {
    let mut found = Vec::new();
    search(dir, filter, |one| {
        found.push(one.entry.seq.0);
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn calls() -> Vec<Call<Decided>> {
    let class = |at: usize| [Class::Read, Class::Act, Class::Delegate][at % 3];
    (0..30).map(|at| decided_from(intercepted(&format!("/things/{at}"), &[]), class(at))).collect()
}

/// Some calls end long after their beginning.
async fn journal(calls: &[Call<Decided>], segment_bytes: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { segment_bytes: segment_bytes.try_into().unwrap(), ..settings(dir.path()) };
    let journal = Journal::start(settings, Ticking::new()).unwrap();
    let mut late = Vec::new();
    let task = task();
    for (at, call) in calls.iter().enumerate() {
        let opened = journal.open(call).await.unwrap();
        if at % 4 == 0 {
            late.push(opened);
        } else {
            opened.close(Closing::bare(Outcome::Answered));
        }
        journal.note(Event::TaskOpened { task: &task, by: None }).await.unwrap();
    }
    for opened in late {
        opened.close(Closing::bare(Outcome::AgentGone));
    }
    journal.stop().await;
    dir
}

fn filters(calls: &[Call<Decided>]) -> Vec<Filter> {
    let none = Filter::default;
    let text = |word: &str| Some(word.to_owned());
    let mut all = vec![
        none(),
        Filter { class: Some(Class::Act), ..none() },
        Filter { operation: text("example:things/read"), ..none() },
        Filter { operation: text("example:*"), class: Some(Class::Delegate), ..none() },
        Filter { agent: text("coder"), ..none() },
        Filter { agent: text("nobody"), ..none() },
        Filter { host: text("api.example.test"), ..none() },
        Filter { host: text("example.test"), ..none() },
        Filter { decision: Some(Decision::Allow), ..none() },
        Filter { decision: Some(Decision::Deny), ..none() },
        Filter { call: Some(calls[5].head().id), ..none() },
        Filter { call: Some(calls[4].head().id), class: Some(Class::Read), ..none() },
        Filter { task: Some(calls[8].stage().task.id), ..none() },
    ];
    let kinds = ["opened", "closed", "task_opened", "refused"];
    for kind in kinds.map(text) {
        all.push(Filter { kind: kind.clone(), ..none() });
        all.push(Filter { kind, class: Some(Class::Act), ..none() });
    }
    let from =
        |ms: u64| Some(crate::call::Timestamp::from_unix_ns(1_795_500_000_000_000_001 + ms * 1_000_000));
    let timed = all.clone().into_iter().map(|filter| Filter { since: from(20), until: from(60), ..filter });
    all.extend(timed.collect::<Vec<_>>());
    all
}

/// The truth: every entry of one file without an index.
#[tokio::test]
async fn an_index_finds_what_reading_everything_finds() {
    let calls = calls();
    let (many, one) = (journal(&calls, 4_000).await, tempfile::tempdir().unwrap());
    assert!(segment::list(&many.path().join("journal")).unwrap().len() > 10);
    std::fs::create_dir(one.path().join("journal")).unwrap();
    std::fs::write(one.path().join("journal/00000000000000000000.jsonl"), text(many.path())).unwrap();
    let mut some = 0;
    for filter in filters(&calls) {
        let wanted = found(one.path(), &filter);
        some += usize::from(!wanted.is_empty() && wanted.len() < 80);
        assert_eq!(found(many.path(), &filter), wanted, "{filter:?}");
    }
    assert!(some > 20, "{some} filters tell entries apart");
}

#[tokio::test]
async fn an_index_that_is_missing_stale_or_damaged_is_made_anew() {
    let calls = calls();
    let dir = journal(&calls, 8_000).await;
    let folder = dir.path().join("journal");
    let act = Filter { class: Some(Class::Act), ..Filter::default() };
    let wanted = found(dir.path(), &act);
    let file = path(&folder, 0);
    let right = std::fs::read(&file).unwrap();
    let other = std::fs::read(path(&folder, segment::list(&folder).unwrap()[1])).unwrap();
    let flipped = |at: usize| {
        let mut bytes = right.clone();
        bytes[at] ^= 1;
        bytes
    };
    let last = right.len() - 1;
    let cases = [Vec::new(), right[..last].to_vec(), other, flipped(3), flipped(70), flipped(last)];
    for (at, wrong) in cases.into_iter().enumerate() {
        std::fs::write(&file, wrong).unwrap();
        assert_eq!(found(dir.path(), &act), wanted, "case {at}");
        assert_eq!(std::fs::read(&file).unwrap(), right, "case {at}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(found(dir.path(), &act), wanted);
    assert!(Index::is_kept(&folder, 0));
}

#[tokio::test]
async fn the_node_indexes_what_is_over_and_not_what_grows() {
    let dir = journal(&calls(), 8_000).await;
    let folder = dir.path().join("journal");
    let firsts = segment::list(&folder).unwrap();
    let settings = Settings { segment_bytes: 8_000.try_into().unwrap(), ..settings(dir.path()) };
    let journal = Journal::start(settings, Ticking::new()).unwrap();
    let missing = || firsts.iter().rev().skip(1).any(|first| !Index::is_kept(&folder, *first));
    let mut rounds = 0;
    while missing() && rounds < 10_000 {
        drop(journal.open(&decided(Class::Act)).await.unwrap());
        rounds += 1;
    }
    assert!(!missing());
    journal.stop().await;
    assert!(!path(&folder, *segment::list(&folder).unwrap().last().unwrap()).exists());
}

#[tokio::test]
async fn the_latest_are_found_without_the_oldest() {
    let calls = calls();
    let dir = journal(&calls, 4_000).await;
    let act = Filter { class: Some(Class::Act), ..Filter::default() };
    let all = found(dir.path(), &Filter { kind: Some("opened".into()), ..act.clone() });
    let from = search::latest(dir.path(), &act, 3).unwrap();
    assert!(from.0 > 0 && from.0 <= all[all.len() - 3], "{from} {all:?}");
    assert_eq!(search::latest(dir.path(), &act, 1_000).unwrap().0, 0);
}
