use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::fixture::{
    Ticking, decided, decided_from, entries, intercepted, kinds, settings, start, start_faulty, task, text,
};
use crate::call::{Class, Closing, Outcome, Refusal, RulesDigest};
use crate::record::{Durable, Event, Journal, JournalError, What};

#[tokio::test]
async fn a_call_is_an_opening_and_a_closing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let call = decided(Class::Act);
    let opened = journal.open(&call).await.unwrap();
    assert_eq!((opened.call(), opened.entry().0), (call.head().id, 0));
    opened.close(Closing { status: Some(201), ..Closing::bare(Outcome::Answered) });
    journal.stop().await;
    let all = entries(dir.path());
    let What::Opened(facts) = &all[0].what else { panic!("{all:?}") };
    assert_eq!(facts.call, call.head().id);
    assert_eq!(facts.policies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["things"]);
    assert_eq!(facts.history.as_ref().unwrap().reads, 3);
    let What::Closed(closed) = &all[1].what else { panic!("{all:?}") };
    assert_eq!((closed.call, closed.opened.0, closed.closing.status), (call.head().id, 0, Some(201)));
}

#[tokio::test]
async fn a_proof_that_is_dropped_is_closed_as_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    drop(journal.open(&decided(Class::Read)).await.unwrap());
    journal.stop().await;
    assert_eq!(kinds(dir.path()), ["opened", "closed Abandoned"]);
}

#[tokio::test]
async fn a_caller_who_goes_while_waiting_leaves_no_open_call() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults) = start_faulty(dir.path());
    faults.hold_syncs(true);
    let call = decided(Class::Act);
    let mut waiting = Box::pin(journal.open(&call));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(waiting);
    faults.hold_syncs(false);
    // An act that comes later is durable only after the one before it.
    journal.open(&decided(Class::Act)).await.unwrap().close(Closing::bare(Outcome::Answered));
    journal.stop().await;
    let mut found = kinds(dir.path());
    found.sort();
    assert_eq!(found, ["closed Abandoned", "closed Answered", "opened", "opened"]);
}

#[tokio::test]
async fn a_refusal_is_one_entry_with_code_and_message() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let call = intercepted("/x", &[]);
    journal.refuse(call.account(), &Refusal::IdentityRequired).await.unwrap();
    journal.stop().await;
    let all = entries(dir.path());
    let What::Refused(facts) = &all[0].what else { panic!("{all:?}") };
    let refusal = facts.refusal.as_ref().unwrap();
    assert_eq!((refusal.code.as_str(), refusal.status), ("identity_required", 407));
    assert_eq!(refusal.message.as_str(), "the caller has not said who it is");
    assert!(facts.agent.is_none() && facts.operations.is_empty());
}

#[tokio::test]
async fn events_are_entries() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let task = task();
    let refusal = Refusal::PortRefused { port: 25 };
    let long = "x".repeat(9000) + "\n\u{1b}[31m";
    for event in [
        Event::NodeStarted { version: "1" },
        Event::ConfigurationLoaded { source: "config.toml", digest: Some([1; 32]) },
        Event::CaMade { fingerprint: [2; 32] },
        Event::RulesLoaded { digest: RulesDigest([3; 32]), policies: 4, from: None, by: "start" },
        Event::TaskOpened { task: &task, by: None },
        Event::TurnedAway { peer: "127.0.0.1:1".parse().unwrap(), authority: Some(&long), refusal: &refusal },
        Event::TaskEnded { task: task.id, why: "operator", by: None },
        Event::NodeStopped { version: "1" },
    ] {
        journal.note(event).await.unwrap();
    }
    journal.stop().await;
    assert_eq!(
        kinds(dir.path()),
        [
            "node_started",
            "configuration_loaded",
            "ca_made",
            "rules_loaded",
            "task_opened",
            "turned_away",
            "task_ended",
            "node_stopped"
        ]
    );
    let text = text(dir.path());
    assert!(text.len() < 4_000, "a stranger's text is not bounded");
    assert!(!text.contains("\\u001b"), "a stranger's control characters are kept");
}

#[tokio::test]
async fn a_read_does_not_wait_for_the_disk_and_an_act_does() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults) = start_faulty(dir.path());
    faults.hold_syncs(true);
    let read = journal.open(&decided(Class::Read)).await.unwrap();
    assert_eq!(faults.syncs.load(Ordering::SeqCst), 0);
    for class in [Class::Act, Class::Delegate] {
        let call = decided(class);
        let mut act = Box::pin(journal.open(&call));
        assert!(act.as_mut().now_or_never().is_none());
        // The read behind it is written, and so is the act by then; it still waits.
        journal.open(&decided(Class::Read)).await.unwrap();
        assert!(act.as_mut().now_or_never().is_none(), "{class} did not wait for the disk");
        faults.hold_syncs(false);
        act.await.unwrap();
        faults.hold_syncs(true);
    }
    faults.hold_syncs(false);
    drop(read);
    journal.stop().await;
}

#[tokio::test]
async fn durable_all_makes_reads_wait_too() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = crate::record::Settings { durable: Durable::All, ..settings(dir.path()) };
    let faults = Arc::new(super::fixture::Faults::default());
    let disk = Arc::new(super::fixture::Faulty(Arc::clone(&faults)));
    let journal = Journal::start_on(wanted, Ticking::new(), disk).unwrap();
    journal.open(&decided(Class::Read)).await.unwrap();
    assert!(faults.syncs.load(Ordering::SeqCst) >= 1);
    journal.stop().await;
}

#[tokio::test]
async fn many_acts_share_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, faults) = start_faulty(dir.path());
    faults.hold_syncs(true);
    let calls: Vec<_> = (0..200).map(|_| decided(Class::Act)).collect();
    let opening = async {
        for opened in join_all(calls.iter().map(|call| journal.open(call))).await {
            opened.unwrap().close(Closing::bare(Outcome::Answered));
        }
    };
    let release = async {
        // A read is answered once everything before it is written.
        journal.open(&decided(Class::Read)).await.unwrap();
        faults.hold_syncs(false);
    };
    // Unconstrained: tokio would make some acts wait for a second turn, behind the read.
    tokio::task::unconstrained(async { tokio::join!(opening, release) }).await;
    let syncs = faults.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 5, "{syncs} syncs for 200 acts");
    journal.stop().await;
    assert_eq!(kinds(dir.path()).iter().filter(|kind| *kind == "opened").count(), 201);
}

#[tokio::test]
async fn a_disk_that_hangs_refuses_in_time_and_the_entry_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = crate::record::Settings { patience: Duration::from_millis(20), ..settings(dir.path()) };
    let faults = Arc::new(super::fixture::Faults::default());
    let disk = Arc::new(super::fixture::Faulty(Arc::clone(&faults)));
    let journal = Journal::start_on(wanted, Ticking::new(), disk).unwrap();
    faults.hold_syncs(true);
    let error = journal.open(&decided(Class::Act)).await.unwrap_err();
    assert!(matches!(error, JournalError::Stalled { .. }), "{error}");
    faults.hold_syncs(false);
    journal.stop().await;
    // The closing of what nobody waits for any more may come too late for this life of the node; then the next one
    // writes it.
    start(dir.path()).stop().await;
    let found = kinds(dir.path());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(["closed Abandoned", "closed Unknown"].contains(&found[1].as_str()), "{found:?}");
}

#[tokio::test]
async fn a_second_node_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let error = Journal::start(settings(dir.path()), Ticking::new()).err().unwrap();
    assert!(matches!(error, JournalError::Busy { .. }), "{error}");
    journal.stop().await;
    start(dir.path()).stop().await;
}

#[tokio::test]
async fn a_stopped_journal_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    journal.stop().await;
    let error = journal.open(&decided(Class::Read)).await.unwrap_err();
    assert!(matches!(error, JournalError::Stopped), "{error}");
}

#[tokio::test]
async fn files_are_for_the_node_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    journal.note(Event::NodeStarted { version: "1" }).await.unwrap();
    journal.stop().await;
    let mode = |path: &str| std::fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("journal"), 0o700);
    assert_eq!(mode("journal/00000000000000000000.jsonl"), 0o600);
    assert_eq!(mode("journal/lock"), 0o600);
}

#[tokio::test]
async fn nothing_secret_is_written() {
    const CANARY: &str = "k4n4ry";
    let dir = tempfile::tempdir().unwrap();
    let journal = start(dir.path());
    let target = format!("/things?token={CANARY}&page={CANARY}&{CANARY}&&=");
    let many = format!("/things?{}last={CANARY}&{CANARY}=x", "a=b&".repeat(70));
    let headers = [
        ("authorization", "Bearer k4n4ry"),
        ("cookie", "session=k4n4ry"),
        ("x-api-key", "k4n4ry"),
        ("grpc-metadata-x", "k4n4ry"),
        ("user-agent", "curl/8"),
        ("content-type", "application/json"),
    ];
    for target in [&target, &many] {
        let call = intercepted(target, &headers);
        journal.refuse(call.account(), &Refusal::Internal).await.unwrap();
        drop(journal.open(&decided_from(call, Class::Read)).await.unwrap());
    }
    journal.stop().await;
    let text = text(dir.path());
    assert!(!text.contains(CANARY), "{text}");
    let What::Opened(facts) = &entries(dir.path())[1].what else { panic!("{text}") };
    let names: Vec<_> = facts.http.query.iter().map(|fact| fact.name.as_str()).collect();
    assert_eq!(names, ["token", "page", "", "", ""]);
    // SHA-256 of the canary begins so (`printf k4n4ry | sha256sum`).
    assert_eq!(facts.http.query[0].sha256, facts.http.query[1].sha256);
    assert_eq!(facts.http.query[0].sha256.len(), 16);
    assert_eq!(facts.http.user_agent.as_ref().unwrap().as_str(), "curl/8");
}
