use super::*;
use crate::call::{Closing, EntryId};
use crate::record::tests::fixture::{Ticking, decided, settings};
use crate::record::{Journal, Tail};

/// As many calls of each class, and two that are under way.
async fn entries(of_each: usize) -> Vec<Entry> {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::start(settings(dir.path()), Ticking::new()).unwrap();
    for class in Class::ALL {
        for _ in 0..of_each {
            let closing = Closing { status: Some(201), ..Closing::bare(Outcome::Answered) };
            journal.open(&decided(class)).await.unwrap().close(closing);
        }
    }
    for _ in 0..2 {
        std::mem::forget(journal.open(&decided(Class::Read)).await.unwrap());
    }
    journal.stop().await;
    Tail::open(dir.path(), EntryId(0)).read(usize::MAX).unwrap()
}

#[tokio::test]
async fn what_was_written_is_counted_once_and_shown_the_latest_first() {
    let entries = entries(3).await;
    let pulse = Pulse::default();
    pulse.take(&entries);
    let last = entries.last().unwrap().at;
    let picture = pulse.picture(last, 5);
    assert_eq!(picture.bars.len(), BARS);
    let sum = |count: &dyn Fn(&Tally) -> u32| picture.bars.iter().map(count).sum::<u32>();
    assert_eq!(sum(&Tally::all), 11);
    assert_eq!(sum(&|bar| bar.of(Class::Read, Decision::Allow)), 5);
    assert_eq!(sum(&|bar| bar.classed(Class::Delegate)), 3);
    assert_eq!(sum(&|bar| bar.decided(Decision::Deny)), 0);
    assert_eq!((picture.open, picture.calls.len()), (2, 5));
    assert_eq!(picture.calls[0].stands, Stands::Open);
    let ended = Stands::Ended { outcome: Outcome::Answered, status: Some(201), duration_ns: 0 };
    assert_eq!(picture.calls[2].stands, ended);
    let [(agent, tally)] = picture.agents.as_slice() else { panic!("{:?}", picture.agents) };
    assert_eq!((agent.as_ref(), tally.all()), ("spiffe://example.org/agent/coder", 11));
}

#[tokio::test]
async fn what_is_long_past_is_not_counted_and_memory_is_bounded() {
    let entries = entries(100).await;
    let pulse = Pulse::default();
    pulse.take(&entries);
    let last = entries.last().unwrap().at;
    let later = last.plus(Duration::from_secs(BAR_S * BARS as u64 + BAR_S));
    let picture = pulse.picture(later, usize::MAX);
    assert_eq!(picture.bars.iter().map(Tally::all).sum::<u32>(), 0);
    assert!(picture.agents.is_empty());
    assert_eq!(picture.calls.len(), LATEST);
    // An end whose beginning is not kept any more is no matter.
    pulse.take(&entries);
    assert_eq!(pulse.picture(last, usize::MAX).calls.len(), LATEST);
}

#[tokio::test]
async fn a_clock_that_steps_back_does_no_harm() {
    let mut entries = entries(1).await;
    let pulse = Pulse::default();
    let at = entries[0].at;
    entries[2].at = Timestamp::from_unix_ns(at.unix_ns() - 3_600_000_000_000);
    pulse.take(&entries);
    let picture = pulse.picture(entries.last().unwrap().at, 10);
    assert_eq!(picture.bars.iter().map(Tally::all).sum::<u32>(), 5);
}

#[tokio::test]
async fn agents_beyond_the_bound_are_counted_together() {
    let entries = entries(1).await;
    let pulse = Pulse::default();
    let mut many = Vec::new();
    for number in 0..AGENTS + 20 {
        let mut entry = entries[0].clone();
        if let What::Opened(facts) = &mut entry.what {
            facts.agent = Some(SpiffeId::parse(&format!("spiffe://example.org/agent/a{number}")).unwrap());
        }
        many.push(entry);
    }
    pulse.take(&many);
    let picture = pulse.picture(entries[0].at, 1);
    assert_eq!(picture.agents.len(), AGENTS + 1);
    assert_eq!((picture.agents[0].0.as_ref(), picture.agents[0].1.all()), ("others", 20));
}

#[tokio::test]
async fn what_the_catalog_did_not_know_is_a_gap() {
    let mut entries = entries(1).await;
    for entry in &mut entries {
        if let What::Opened(facts) = &mut entry.what {
            facts.operations[0].how = Recognition::Unknown;
        }
    }
    let pulse = Pulse::default();
    pulse.take(&entries);
    let gaps = pulse.gaps();
    assert_eq!(gaps.len(), 3);
    assert_eq!(
        (gaps[0].calls, gaps[0].host.as_str(), gaps[0].how),
        (3, "api.example.test", Recognition::Unknown)
    );
}

#[tokio::test]
async fn what_does_otherwise_than_it_was_learnt_to_drifts() {
    let mut entries = entries(1).await;
    for entry in &mut entries {
        if let What::Opened(facts) = &mut entry.what
            && let Some(history) = &mut facts.history
        {
            history.agent.drift = true;
        }
    }
    let pulse = Pulse::default();
    pulse.take(&entries);
    assert_eq!(pulse.drifts()["spiffe://example.org/agent/coder"].calls, 5);
}

#[tokio::test]
async fn those_who_look_hear_of_it() {
    let entries = entries(1).await;
    let pulse = Pulse::default();
    let mut beats = pulse.beats();
    assert!(!beats.has_changed().unwrap());
    pulse.take(&entries);
    assert!(beats.has_changed().unwrap());
    beats.mark_unchanged();
    assert!(!beats.has_changed().unwrap());
}
