use std::ops::ControlFlow;
use std::path::Path;

use super::*;
use crate::call::{Class, Closing, Decision, OperatorId, Outcome};
use crate::record::tests::fixture::{Ticking, decided, decided_from, entries, intercepted, settings, task};
use crate::record::{Event, Journal, Settings};

fn found(dir: &Path, filter: &Filter) -> Vec<(u64, &'static str)> {
    let mut found = Vec::new();
    search(dir, filter, |one| {
        assert_eq!(serde_json::to_string(one.entry).unwrap(), one.line);
        found.push((one.entry.seq.0, one.entry.what.kind()));
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

/// Entries 0 to 6: started, opened and closed (read), task opened, opened and closed (act), task ended.
async fn journal() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let small = Settings { segment_bytes: 1_500.try_into().unwrap(), ..settings(dir.path()) };
    let journal = Journal::start(small, Ticking::new()).unwrap();
    journal.note(Event::NodeStarted { version: "1" }).await.unwrap();
    let read = journal.open(&decided(Class::Read)).await.unwrap();
    read.close(Closing::bare(Outcome::Answered));
    let task = task();
    let ada = OperatorId("oidc:ada@example.org".into());
    journal.note(Event::TaskOpened { task: &task, by: Some(&ada) }).await.unwrap();
    let act = decided_from(intercepted("/things/2", &[]), Class::Act);
    journal.open(&act).await.unwrap().close(Closing::bare(Outcome::Answered));
    journal.note(Event::TaskEnded { task: task.id, why: "operator", by: None }).await.unwrap();
    journal.stop().await;
    dir
}

#[tokio::test]
async fn each_filter_lets_through_what_it_names() {
    let dir = journal().await;
    let all = entries(dir.path());
    let (What::Opened(act), What::TaskOpened(opened)) = (&all[4].what, &all[3].what) else { panic!() };
    let act_only = vec![(4, "opened"), (5, "closed")];
    let calls = vec![(1, "opened"), (2, "closed"), (4, "opened"), (5, "closed")];
    let none = Filter::default;
    let cases = [
        (Filter { class: Some(Class::Act), ..none() }, act_only.clone()),
        (Filter { call: Some(act.call), ..none() }, act_only.clone()),
        (Filter { task: act.task, ..none() }, act_only.clone()),
        (Filter { operation: Some("example:things/act".into()), ..none() }, act_only.clone()),
        (Filter { operation: Some("example:*".into()), ..none() }, calls.clone()),
        (Filter { operation: Some("example".into()), ..none() }, vec![]),
        (Filter { decision: Some(Decision::Allow), ..none() }, calls.clone()),
        (Filter { decision: Some(Decision::Deny), ..none() }, vec![]),
        (Filter { host: Some("api.example.test".into()), ..none() }, calls.clone()),
        (Filter { host: Some("example.test".into()), ..none() }, vec![]),
        (Filter { task: Some(opened.task), ..none() }, vec![(3, "task_opened"), (6, "task_ended")]),
        (Filter { kind: Some("closed".into()), class: Some(Class::Act), ..none() }, vec![(5, "closed")]),
        (Filter { by: Some("oidc:ada@example.org".into()), ..none() }, vec![(3, "task_opened")]),
        (Filter { by: Some("ada@example.org".into()), ..none() }, vec![(3, "task_opened")]),
        (Filter { by: Some("ada".into()), ..none() }, vec![]),
        (Filter { kind: Some("node_started".into()), ..none() }, vec![(0, "node_started")]),
        (Filter { agent: Some("oder".into()), ..none() }, vec![]),
        (Filter { since: Some(all[5].at), ..none() }, vec![(5, "closed"), (6, "task_ended")]),
        (Filter { until: Some(all[1].at), ..none() }, vec![(0, "node_started")]),
    ];
    for (filter, wanted) in cases {
        assert_eq!(found(dir.path(), &filter), wanted, "{filter:?}");
    }
    let agents = [(1, "opened"), (2, "closed"), (3, "task_opened"), (4, "opened"), (5, "closed")];
    for name in ["coder", "spiffe://example.org/agent/coder"] {
        let filter = Filter { agent: Some(name.into()), ..none() };
        assert_eq!(found(dir.path(), &filter), agents, "{name}");
    }
    assert_eq!(found(dir.path(), &none()).len(), 7);
}

#[tokio::test]
async fn enough_is_enough_and_the_end_is_found() {
    let dir = journal().await;
    let mut count = 0;
    search(dir.path(), &Filter::default(), |_| {
        count += 1;
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(count, 1);
    assert_eq!(last(dir.path(), 2).unwrap(), EntryId(5));
    assert_eq!(last(dir.path(), 99).unwrap(), EntryId(0));
}
