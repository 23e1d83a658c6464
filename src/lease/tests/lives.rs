//! From the first need to the end of the task, through outages and kills.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ground::{Does, House};
use crate::call::{Class, Gone, LeaseState, OperatorId, Seen, SeenError};
use crate::lease::*;

#[tokio::test(start_paused = true)]
async fn calls_of_one_task_and_scope_share_a_lease_and_no_others_do() {
    let house = House::new();
    let (one, two) = (house.task(1), house.task(2));
    let first = house.token(&one, Class::Read).await.unwrap();
    assert_eq!(house.token(&one, Class::Read).await.unwrap(), first);
    assert_ne!(house.token(&one, Class::Act).await.unwrap(), first, "another scope");
    assert_ne!(house.token(&two, Class::Read).await.unwrap(), first, "another task");
    assert_eq!(house.giver.asked.load(Ordering::SeqCst), 3);
    assert_eq!(house.states(), [LeaseState::Active; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_calls_asks_once_even_if_the_first_is_gone() {
    let house = House::new();
    let task = house.task(1);
    let closed = house.giver.gate.acquire().await.unwrap();
    let first = tokio::time::timeout(Duration::from_millis(1), house.token(&task, Class::Read));
    assert!(first.await.is_err(), "its call was cut while the provider was asked");
    drop(closed);
    let tokens = futures_util::future::join_all((0..20).map(|_| house.token(&task, Class::Read))).await;
    assert!(tokens.iter().all(|token| token.as_deref() == Ok("real-0")), "{tokens:?}");
    assert_eq!(
        house.giver.asked.load(Ordering::SeqCst),
        1,
        "what was given to a call that is gone is not forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_task_takes_its_leases_back_and_no_others() {
    let house = House::new();
    let (one, two) = (house.task(1), house.task(2));
    for class in [Class::Read, Class::Act] {
        house.token(&one, class).await.unwrap();
    }
    let other = house.token(&two, Class::Read).await.unwrap();
    house.tasks.end(one.id);
    house.settle().await;
    assert_eq!(house.states(), [LeaseState::Revoked, LeaseState::Revoked, LeaseState::Active]);
    assert_eq!(house.giver.working.lock().unwrap().iter().collect::<Vec<_>>(), [&other]);
    assert_eq!(house.token(&one, Class::Read).await, Err(LeaseError::Ended));
    let theirs = house.broker.leases(Some(one.id));
    assert_eq!(Gone::of(&theirs, house.now()), Gone::Yes);
    assert!(
        house.book.rows.lock().unwrap().values().take(2).all(|row| row.sealed.is_none()),
        "nothing is kept of them"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_after_the_end_of_its_task_is_taken_back_unused() {
    let house = House::new();
    let task = house.task(1);
    let closed = house.giver.gate.acquire().await.unwrap();
    let (broker, asked) = (house.broker.clone(), task.clone());
    let taking = tokio::spawn(async move {
        broker.take(0, &asked, &super::ground::operations("things", Class::Read)).await.map(drop)
    });
    house.settle().await;
    house.tasks.end(task.id);
    house.settle().await;
    drop(closed);
    assert_eq!(taking.await.unwrap(), Err(LeaseError::Ended));
    house.settle().await;
    assert_eq!((house.giver.asked.load(Ordering::SeqCst), house.giver.working()), (1, 0));
    assert_eq!(house.states(), [LeaseState::Revoked]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_away_is_told_until_it_hears_and_that_is_late() {
    let house = House::new();
    let task = house.task(1);
    house.token(&task, Class::Read).await.unwrap();
    house.giver.set(Does::BeAway);
    house.tasks.end(task.id);
    house.settle().await;
    assert_eq!(house.states(), [LeaseState::Revoking]);
    house.world.pass(Duration::from_secs(6));
    house.broker.look(house.now()).await;
    house.broker.look(house.now()).await;
    let told: Vec<_> = house.diary.0.lock().unwrap().iter().map(|(_, state, what)| (*state, *what)).collect();
    assert_eq!(
        told,
        [
            (LeaseState::Active, Told::State),
            (LeaseState::Revoking, Told::State),
            (LeaseState::Revoking, Told::Overdue)
        ],
        "that it is late is told once"
    );
    assert!(house.broker.leases(None)[0].is_overdue(house.now()));
    house.giver.set(Does::Give);
    tokio::time::sleep(Duration::from_secs(31)).await;
    house.settle().await;
    assert_eq!((house.states(), house.giver.working()), (vec![LeaseState::Revoked], 0));
    assert_eq!(house.broker.meters.revocations_failed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_asked_again_in_time() {
    let house = House::new();
    let task = house.task(1);
    house.token(&task, Class::Read).await.unwrap();
    house.giver.set(Does::Hang);
    house.tasks.end(task.id);
    house.settle().await;
    house.giver.set(Does::Give);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((house.states(), house.giver.working()), (vec![LeaseState::Revoked], 0));
}

#[tokio::test(start_paused = true)]
async fn what_dies_between_the_end_and_the_answer_goes_on_in_the_next_process() {
    let house = House::new();
    let task = house.task(1);
    house.token(&task, Class::Read).await.unwrap();
    house.giver.set(Does::BeAway);
    house.tasks.end(task.id);
    house.settle().await;
    assert_eq!(house.book.states(), [LeaseState::Revoking], "on disk before anybody is told");
    house.giver.set(Does::Give);
    let next = house.die_and_start().await;
    next.settle().await;
    assert_eq!((next.states(), next.giver.working()), (vec![LeaseState::Revoked], 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_an_open_task_goes_on_in_the_next_process() {
    let house = House::new();
    let task = house.task(1);
    let token = house.token(&task, Class::Read).await.unwrap();
    let next = house.die_and_start().await;
    assert_eq!(next.token(&task, Class::Read).await.unwrap(), token);
    next.tasks.end(task.id);
    next.settle().await;
    assert_eq!((next.states(), next.giver.working()), (vec![LeaseState::Revoked], 0));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_lost_and_said_to_be() {
    let house = House::new();
    let task = house.task(1);
    house.giver.set(Does::LoseTheAnswer);
    assert!(matches!(house.token(&task, Class::Read).await, Err(LeaseError::Unavailable(_))));
    assert_eq!(house.states(), [LeaseState::Lost]);
    assert_eq!(Gone::of(&house.broker.leases(None), house.now()), Gone::Unknown);
    // Killed while the provider is asked: the row says so, and the next process cannot know.
    house.giver.set(Does::Give);
    let _closed = house.giver.gate.acquire().await.unwrap();
    let (broker, asked) = (house.broker.clone(), house.task(2));
    let taking = tokio::spawn(async move {
        broker.take(0, &asked, &super::ground::operations("things", Class::Read)).await.map(drop)
    });
    house.settle().await;
    taking.abort();
    let next = house.die_and_start().await;
    assert_eq!(next.states(), [LeaseState::Lost, LeaseState::Lost]);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_gone_by_the_word_of_whoever_looked() {
    let house = House::new();
    let (task, lost) = (house.task(1), |house: &House| house.broker.leases(None)[0].clone());
    house.giver.set(Does::LoseTheAnswer);
    assert!(house.token(&task, Class::Read).await.is_err());
    let word = |by: &str, at| Seen { by: OperatorId(by.into()), at, note: Some("not there".to_owned()) };
    let id = lost(&house).id;
    // What cannot be written down does not count.
    house.book.fails.store(true, Ordering::SeqCst);
    let told = house.broker.seen(id, word("ada", house.now())).await;
    assert!(matches!(told, Err(SeenError::Unwritten(_))), "{told:?}");
    house.book.fails.store(false, Ordering::SeqCst);
    let at = house.now();
    house.broker.seen(id, word("ada", at)).await.unwrap();
    let by = OperatorId("ada".into());
    assert_eq!(Gone::of(&house.broker.leases(None), house.now()), Gone::Attested { by, at });
    house.world.pass(Duration::from_secs(1));
    let again = house.broker.seen(id, word("bob", house.now())).await.unwrap();
    assert_eq!(&*again.seen.unwrap().by.0, "ada", "the first word stands");
    let next = house.die_and_start().await;
    assert_eq!(lost(&next), lost(&house), "and outlives the process");
    assert!(house.diary.0.lock().unwrap().contains(&(id, LeaseState::Lost, Told::Seen)));
    let other = crate::call::LeaseId::fresh(&*house.world, &*house.world);
    assert_eq!(house.broker.seen(other, word("ada", at)).await, Err(SeenError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn nobody_has_to_look_at_what_remit_looks_after() {
    let house = House::new();
    let task = house.task(1);
    house.token(&task, Class::Read).await.unwrap();
    let id = house.broker.leases(None)[0].id;
    let word = Seen { by: OperatorId::local(), at: house.now(), note: None };
    assert_eq!(house.broker.seen(id, word).await, Err(SeenError::NotLost(LeaseState::Active)));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_a_task_that_is_over_is_late_too() {
    let house = House::new();
    let task = house.task(1);
    let closed = house.giver.gate.acquire().await.unwrap();
    let (broker, asked) = (house.broker.clone(), task.clone());
    let taking = tokio::spawn(async move {
        broker.take(0, &asked, &super::ground::operations("things", Class::Read)).await.map(drop)
    });
    house.settle().await;
    house.world.pass(Duration::from_secs(60));
    house.broker.look(house.now()).await;
    assert!(!house.broker.leases(None)[0].is_overdue(house.now()), "its task is open");
    house.tasks.end(task.id);
    house.settle().await;
    house.world.pass(Duration::from_secs(6));
    house.broker.look(house.now()).await;
    let lease = house.broker.leases(None).remove(0);
    assert_eq!((lease.state, lease.is_overdue(house.now())), (LeaseState::Minting, true));
    let overdue = |told: &&(_, LeaseState, Told)| (told.1, told.2) == (LeaseState::Minting, Told::Overdue);
    assert_eq!(house.diary.0.lock().unwrap().iter().filter(overdue).count(), 1);
    drop(closed);
    assert_eq!(taking.await.unwrap(), Err(LeaseError::Ended));
    house.settle().await;
    assert!(!house.broker.leases(None)[0].is_overdue(house.now()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_waits_for_what_is_told_of_leases_that_ended_before() {
    for can_revoke in [true, false] {
        let house = House::new();
        let task = house.task(1);
        house.giver.can_revoke.store(can_revoke, Ordering::SeqCst);
        house.token(&task, Class::Read).await.unwrap();
        house.diary.1.store(true, Ordering::SeqCst);
        house.tasks.end(task.id);
        house.settle().await;
        assert_eq!(house.diary.0.lock().unwrap().len(), 1, "what became of it is being written");
        house.broker.close(Duration::from_secs(5)).await;
        let last = house.diary.0.lock().unwrap().last().copied().unwrap();
        assert_eq!(last.1, if can_revoke { LeaseState::Revoked } else { LeaseState::Expired });
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_leaves_nothing_behind_and_answers_for_a_second() {
    let house = House::new();
    let task = house.task(1);
    house.giver.set(Does::Refuse);
    for _ in 0..5 {
        assert_eq!(house.token(&task, Class::Read).await, Err(LeaseError::Refused("no".into())));
    }
    assert_eq!(house.giver.asked.load(Ordering::SeqCst), 1);
    assert!(house.book.rows.lock().unwrap().is_empty());
    house.giver.set(Does::Give);
    house.world.pass(Duration::from_secs(1));
    house.token(&task, Class::Read).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_lease_is_used_or_asked_for_that_cannot_be_kept() {
    let house = House::new();
    let task = house.task(1);
    house.book.fails.store(true, Ordering::SeqCst);
    assert!(matches!(house.token(&task, Class::Read).await, Err(LeaseError::Unavailable(_))));
    assert_eq!(house.giver.asked.load(Ordering::SeqCst), 0);
    assert!(house.states().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_before_its_end_and_calls_do_not_wait_for_it() {
    let house = House::new();
    let task = house.task(1);
    assert_eq!(house.token(&task, Class::Read).await.unwrap(), "real-0");
    house.world.pass(Duration::from_secs(545));
    assert_eq!(
        house.token(&task, Class::Read).await.unwrap(),
        "real-0",
        "it works still; the next is asked for"
    );
    house.settle().await;
    assert_eq!(house.token(&task, Class::Read).await.unwrap(), "real-1");
    house.world.pass(Duration::from_secs(60));
    house.broker.look(house.now()).await;
    house.settle().await;
    // Its time was up; what it was obtained with may go on all the same, and is ended.
    assert_eq!(house.states(), [LeaseState::Revoked, LeaseState::Active]);
    house.world.pass(Duration::from_secs(600));
    assert_eq!(house.token(&task, Class::Read).await.unwrap(), "real-2", "one that has ended is not used");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_there_before_stays_and_is_not_copied() {
    let house = House::new();
    let task = house.task(1);
    *house.giver.life.lock().unwrap() = None;
    house.giver.can_revoke.store(false, Ordering::SeqCst);
    house.token(&task, Class::Read).await.unwrap();
    let lease = house.broker.leases(None).remove(0);
    assert!(!lease.short_lived);
    assert_eq!(house.book.rows.lock().unwrap()[&lease.id].sealed, None);
    // Replaced where it comes from: the next call has the new one.
    house.giver.generation.store(1, Ordering::SeqCst);
    assert_eq!(house.token(&task, Class::Read).await.unwrap(), "real-1");
    house.tasks.end(task.id);
    house.settle().await;
    assert_eq!(house.states(), [LeaseState::Expired, LeaseState::Expired]);
    assert_eq!(Gone::of(&house.broker.leases(None), house.now()), Gone::Stays);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_take_back_is_said_to_work_until_its_end() {
    let house = House::new();
    let task = house.task(1);
    house.giver.can_revoke.store(false, Ordering::SeqCst);
    house.token(&task, Class::Read).await.unwrap();
    let at = house.now().plus(Duration::from_secs(600));
    house.tasks.end(task.id);
    house.settle().await;
    let leases = house.broker.leases(Some(task.id));
    assert_eq!(leases[0].state, LeaseState::Expired);
    assert_eq!(Gone::of(&leases, house.now()), Gone::Until { at });
    house.world.pass(Duration::from_secs(601));
    assert_eq!(Gone::of(&leases, house.now()), Gone::Yes);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_service_does_not_take_is_asked_for_anew_but_not_at_will() {
    let house = House::new();
    let task = house.task(1);
    let held = house.broker.take(0, &task, &super::ground::operations("things", Class::Read)).await.unwrap();
    house.broker.rejected(held.id, "it answered 401").await;
    assert_eq!(house.token(&task, Class::Read).await.unwrap(), "real-0", "it is too young");
    house.world.pass(Duration::from_secs(10));
    house.broker.rejected(held.id, "it answered 401").await;
    assert_eq!(house.token(&task, Class::Read).await.unwrap(), "real-1");
    house.settle().await;
    assert_eq!(house.states(), [LeaseState::Revoked, LeaseState::Active]);
    assert_eq!(house.broker.meters.rejected(), 2);
    let told = |what| house.diary.0.lock().unwrap().iter().filter(|(_, _, told)| *told == what).count();
    assert_eq!(told(Told::Rejected), 1, "an agent cannot fill the journal with it");
}

#[tokio::test(start_paused = true)]
async fn another_key_file_is_told_and_not_guessed_around() {
    let house = House::new();
    let task = house.task(1);
    house.token(&task, Class::Read).await.unwrap();
    let mut kept = house.book.load(crate::call::Timestamp::default()).unwrap();
    kept.leases[0].sealed.as_mut().unwrap()[30] ^= 1;
    let next = House::new();
    next.broker.resume(kept).await;
    assert_eq!(next.states(), [LeaseState::Lost]);
    assert!(next.broker.leases(None)[0].why.as_deref().unwrap().contains("lease.key"));
}
