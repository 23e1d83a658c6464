use std::sync::Arc;

use super::{Past, Reader, read};
use crate::call::{
    AgentProfile, Attributed, Call, Claims, Class, Decision, Evidence, Grant, History, Link, Operations,
    PolicyId, Principal, Reason, Ruled, RulesDigest, Ruling, Task, Terms,
};
use crate::record::tests::fixture::{Ticking, decided, intercepted, settings, task};
use crate::record::{CallFacts, Event, Journal};

/// Keeps what it is given.
#[derive(Default)]
struct Keep(Kept);

type Kept = Vec<(CallFacts, Option<Call<Attributed>>)>;

impl Reader for Keep {
    fn take(&mut self, facts: &CallFacts, call: Option<Call<Attributed>>) {
        self.0.push((facts.clone(), call));
    }

    fn taken(&self) -> u64 {
        self.0.len() as u64
    }
}

fn all(dir: &std::path::Path) -> (Kept, Past) {
    let (readers, past) = read(dir, Keep::default, |_, _| {}).unwrap_or_else(|failure| panic!("{failure:?}"));
    (readers.into_iter().flat_map(|keep| keep.0).collect(), past)
}

fn told(call: &Call<Attributed>) -> String {
    let (head, stage) = (call.head(), call.stage());
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        stage.principal,
        stage.task,
        stage.history,
        stage.profile,
        stage.links,
        stage.operations,
        head.origin,
        head.method,
        head.target.path()
    )
}

#[tokio::test]
async fn a_call_of_the_past_is_the_call_that_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(settings(dir.path()), Ticking::new()).unwrap();
    let own = Task {
        terms: Terms {
            grant: Grant { classes: [Class::Read].into(), ..Grant::default() },
            ..Terms::default()
        },
        ..task()
    };
    let above = Arc::new(task());
    journal.note(Event::TaskOpened { task: &above, by: None }).await.unwrap();
    journal.note(Event::TaskOpened { task: &own, by: None }).await.unwrap();
    let profile = |owner: &str| {
        Arc::new(AgentProfile { registered: true, owner: owner.into(), ..AgentProfile::default() })
    };
    let link =
        Link { task: above, profile: profile("b"), history: History { acts: 9, ..History::default() } };
    let operation = decided(Class::Read).stage().operations.strongest().clone();
    let principal = Principal {
        agent: own.agent.clone(),
        evidence: Evidence::JwtSvid,
        claims: Claims::of([("team".to_owned(), "a".to_owned())]),
    };
    let history = History { reads: 5, labels: Arc::new(["pii".into()].into()), ..History::default() };
    let call = intercepted("/things/1", &[])
        .recognise(Operations::one(operation))
        .attribute(principal, Arc::new(own), history)
        .standing_in(profile("a"), vec![link]);
    let was = told(&call);
    let permit = Reason { policy: PolicyId("p".into()), reason: None, advice: None, hold: None };
    let ruling = Ruling::assertion(Decision::Allow, vec![permit], None, RulesDigest([7; 32]));
    let Ruled::Allowed(call) = call.decide(ruling) else { panic!("it is allowed") };
    journal.open(&call).await.unwrap();
    journal.stop().await;

    let (found, past) = all(dir.path());
    let [(facts, Some(again))] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(told(again), was);
    assert_eq!((facts.links.len(), past.without_task()), (1, 0));
}

#[tokio::test]
async fn a_call_whose_tasks_opening_is_gone_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(settings(dir.path()), Ticking::new()).unwrap();
    journal.open(&decided(Class::Read)).await.unwrap();
    journal.stop().await;
    let (found, past) = all(dir.path());
    assert_eq!((found.len(), past.without_task()), (1, 1));
    assert!(found[0].1.is_some());
}

#[test]
fn damage_ends_the_reading_and_nobody_waits_for_anybody() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("journal")).unwrap();
    // Many pieces, in each of which something is no entry.
    let line = format!("{}\n", "x".repeat(1 << 16)).repeat(600);
    std::fs::write(dir.path().join("journal/00000000000000000000.jsonl"), line).unwrap();
    let told = format!("{:?}", read(dir.path(), Keep::default, |_, _| {}).err().unwrap());
    assert!(told.contains("the line is no entry"), "{told}");
}
