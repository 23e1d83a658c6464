use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;
use crate::call::{
    Binding, Host, IntentName, PeerName, SpiffeId, Task, TaskId, Terms, Thumbprint, Timestamp,
};
use crate::intent::{Kept, Registration, TaskBook, TaskEnd};

fn task(n: u64, parent: Option<TaskId>) -> Task {
    let id = format!("01ARZ3NDEKTSV4RRFFQ69G5F{n:02}").parse().unwrap();
    Task {
        id,
        agent: SpiffeId::parse("spiffe://example.org/agent/coder").unwrap(),
        intent: IntentName::parse("triage").unwrap(),
        labels: BTreeMap::from([("ticket".into(), "4'2".into())]),
        opened: Timestamp::from_unix_s(1_800_000_000 + n),
        deadline: Timestamp::from_unix_s(1_800_000_900),
        terms: Terms { parent, ..Terms::default() },
    }
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn ends(kept: &Kept) -> Vec<Option<TaskEnd>> {
    kept.tasks.iter().map(|one| one.ended.map(|(why, _)| why)).collect()
}

#[test]
fn what_was_kept_is_there_after_a_restart_and_parents_come_first() {
    let dir = TempDir::new().unwrap();
    let (parent, at) = (task(1, None), Timestamp::from_unix_s(1_800_000_100));
    let child = task(2, Some(parent.id));
    {
        let store = Sqlite::open(dir.path()).unwrap();
        wait(store.open(&parent)).unwrap();
        wait(store.open(&child)).unwrap();
        wait(store.end(&[(child.id, TaskEnd::Budget)], at)).unwrap();
        wait(store.end(&[(child.id, TaskEnd::Command)], Timestamp::from_unix_s(1_900_000_000))).unwrap();
        wait(store.quarantine(&parent.agent, Some(at))).unwrap();
    }
    let store = Sqlite::open(dir.path()).unwrap();
    let kept = store.load(10).unwrap();
    assert_eq!(kept.tasks.iter().map(|one| one.task.clone()).collect::<Vec<_>>(), [parent.clone(), child]);
    assert_eq!(kept.tasks[1].ended, Some((TaskEnd::Budget, at)), "the first end stays");
    assert_eq!(kept.quarantined, [(parent.agent.clone(), at)]);
    wait(store.quarantine(&parent.agent, None)).unwrap();
    assert!(store.load(10).unwrap().quarantined.is_empty());
    let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn registered_agents_are_kept_as_they_were_put_down() {
    let dir = TempDir::new().unwrap();
    let agent = task(1, None).agent;
    let put_down = Registration {
        hosts: vec![Host::parse("coder.test").unwrap(), Host::parse("[::1]").unwrap()],
        binding: Binding::Certificate(Thumbprint::of(b"x")),
        learning: Some(std::time::Duration::from_secs(5)),
        behind: Some(PeerName::parse("node-2").unwrap()),
        lends_percent: Some(7),
        ..Registration::default()
    };
    {
        let store = Sqlite::open(dir.path()).unwrap();
        wait(store.register(&agent, Some(&Registration::default()))).unwrap();
        wait(store.register(&agent, Some(&put_down))).unwrap();
    }
    let store = Sqlite::open(dir.path()).unwrap();
    assert_eq!(store.load(10).unwrap().agents, BTreeMap::from([(agent.clone(), put_down)]));
    wait(store.register(&agent, None)).unwrap();
    assert!(store.load(10).unwrap().agents.is_empty());
}

#[test]
fn a_task_is_kept_once() {
    let dir = TempDir::new().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    wait(store.open(&task(1, None))).unwrap();
    assert!(wait(store.open(&task(1, None))).is_err());
    assert_eq!(store.load(10).unwrap().tasks.len(), 1);
}

#[test]
fn the_oldest_ends_are_forgotten_and_no_open_task_is() {
    let dir = TempDir::new().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    for n in 1..=5 {
        wait(store.open(&task(n, None))).unwrap();
    }
    for n in 2..=5 {
        let at = Timestamp::from_unix_s(1_800_000_000 + n);
        wait(store.end(&[(task(n, None).id, TaskEnd::Command)], at)).unwrap();
    }
    let kept = store.load(2).unwrap();
    assert_eq!(ends(&kept), [None, Some(TaskEnd::Command), Some(TaskEnd::Command)]);
    assert_eq!(kept.tasks[1].task.id, task(4, None).id);
}

#[test]
fn what_an_open_task_rests_on_is_not_forgotten() {
    let dir = TempDir::new().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let (parent, at) = (task(1, None), Timestamp::from_unix_s(1_800_000_100));
    let child = task(2, Some(parent.id));
    let below = task(3, Some(child.id));
    let unrelated = task(4, None);
    for task in [&parent, &child, &below, &unrelated] {
        wait(store.open(task)).unwrap();
    }
    wait(store.end(&[&below, &child, &unrelated].map(|task| (task.id, TaskEnd::Command)), at)).unwrap();
    let ids = |kept: &Kept| kept.tasks.iter().map(|one| one.task.id).collect::<Vec<_>>();
    for _ in 0..2 {
        assert_eq!(ids(&store.load(0).unwrap()), [parent.id, child.id, below.id]);
    }
    wait(store.end(&[(parent.id, TaskEnd::Command)], at)).unwrap();
    assert!(store.load(0).unwrap().tasks.is_empty());
}

#[test]
fn leases_are_kept_as_they_were_told_last_and_old_ends_go() {
    use crate::call::{Lease, LeaseId, LeaseState, OperatorId, Seen, ServiceName};
    use crate::lease::{LeaseBook, Row};
    let dir = TempDir::new().unwrap();
    let since = Timestamp::from_unix_s(1_800_000_100);
    let row = |n: u64, state, at: u64| {
        let id: LeaseId = format!("01ARZ3NDEKTSV4RRFFQ69G5F{n:02}").parse().unwrap();
        let at = Timestamp::from_unix_s(1_800_000_000 + at);
        let lease = Lease {
            id,
            task: task(1, None).id,
            service: ServiceName("github".into()),
            provider: "oauth".into(),
            scope: "it's \"read\"".into(),
            state,
            since: at,
            minted: at,
            until: Some(at),
            short_lived: true,
            why: None,
            task_ended: None,
            seen: None,
        };
        Row { lease, entry: "github/oauth".into(), sealed: Some(vec![0, 255, 7]) }
    };
    let (old, lost, active) =
        (row(1, LeaseState::Revoked, 1), row(2, LeaseState::Lost, 1), row(3, LeaseState::Active, 1));
    let mut looked_at = row(5, LeaseState::Lost, 1);
    looked_at.lease.seen = Some(Seen { by: OperatorId::local(), at: since, note: None });
    {
        let store = Sqlite::open(dir.path()).unwrap();
        for row in [
            row(3, LeaseState::Minting, 0),
            old,
            looked_at,
            lost.clone(),
            row(4, LeaseState::Minting, 0),
            active.clone(),
        ] {
            wait(store.keep(row)).unwrap();
        }
        wait(LeaseBook::forget(&store, row(4, LeaseState::Minting, 0).lease.id)).unwrap();
        wait(store.keep_own("github/oauth".into(), vec![1])).unwrap();
        wait(store.keep_own("github/oauth".into(), vec![2])).unwrap();
    }
    let store = Sqlite::open(dir.path()).unwrap();
    let kept = LeaseBook::load(&store, since).unwrap();
    assert_eq!(kept.leases, [lost, active], "what is lost stays until somebody has looked");
    assert_eq!(kept.own, [("github/oauth".into(), vec![2])]);
}

#[test]
fn a_store_of_a_later_remit_is_left_alone() {
    let dir = TempDir::new().unwrap();
    drop(Sqlite::open(dir.path()).unwrap());
    let later = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    later.pragma_update(None, "user_version", 999).unwrap();
    drop(later);
    let refused = Sqlite::open(dir.path()).err().unwrap();
    assert!(matches!(refused, StoreError::Newer { found: 999, .. }), "{refused}");
}

#[test]
fn damage_is_told_and_not_taken_for_emptiness() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join(FILE), "this is no database, and long enough to show it").unwrap();
    assert!(matches!(Sqlite::open(dir.path()), Err(StoreError::Database { .. })));
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    wait(store.open(&task(1, None))).unwrap();
    drop(store);
    let by_hand = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    by_hand.execute("UPDATE tasks SET task = '{}'", []).unwrap();
    drop(by_hand);
    let store = Sqlite::open(dir.path()).unwrap();
    assert!(store.load(10).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn a_closed_store_refuses() {
    let dir = TempDir::new().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    store.close();
    assert!(wait(store.open(&task(1, None))).is_err());
    assert!(store.load(10).is_err());
}
