use super::*;
use crate::call::{Class, Closing, Outcome};
use crate::record::recent::{Extent, calls};
use crate::record::tests::fixture::{Ticking, decided, settings, signed};
use crate::record::{Filter, Journal, Settings};

const ALL: Extent = Extent { before: None, limit: 1_000, patience: std::time::Duration::MAX };

async fn journal(settings: Settings, count: usize) {
    let journal = Journal::start(settings, Ticking::new()).unwrap();
    for _ in 0..count {
        journal.open(&decided(Class::Act)).await.unwrap().close(Closing::bare(Outcome::Answered));
    }
    journal.stop().await;
}

#[tokio::test]
async fn a_quick_proof_is_the_one_that_the_auditor_makes() {
    // Sizes on both sides of powers of two, over one segment and many.
    for (count, bytes) in [(1, 1 << 20), (2, 3_000), (13, 3_000), (16, 1 << 20), (21, 3_000)] {
        let dir = tempfile::tempdir().unwrap();
        journal(Settings { segment_bytes: bytes.try_into().unwrap(), ..signed(dir.path()) }, count).await;
        let page = calls(dir.path(), &Filter::default(), ALL).unwrap();
        assert_eq!(page.calls.len(), count);
        for told in &page.calls {
            let proof = of(dir.path(), told).unwrap().unwrap();
            let crate::record::What::Opened(facts) = &told.opening.what else { panic!() };
            let full = verify::prove(dir.path(), facts.call, &proof.checkpoint).unwrap();
            assert_eq!(proof.inclusions, full, "{count} calls");
            assert_eq!((proof.inclusions.len(), proof.unsigned), (2, 0));
        }
    }
}

#[tokio::test]
async fn a_changed_line_or_leaf_gives_no_proof() {
    let dir = tempfile::tempdir().unwrap();
    journal(signed(dir.path()), 5).await;
    let page = calls(dir.path(), &Filter::default(), ALL).unwrap();
    let mut changed = page.calls[2].clone();
    changed.line = changed.line.replace("example", "exampel");
    assert!(of(dir.path(), &changed).is_err());
    let leaves = dir.path().join("journal/00000000000000000000.leaves");
    let mut bytes = std::fs::read(&leaves).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&leaves, &bytes).unwrap();
    assert!(of(dir.path(), &page.calls[2]).is_err());
    bytes.truncate(64);
    std::fs::write(&leaves, &bytes).unwrap();
    let error = of(dir.path(), &page.calls[2]).unwrap_err();
    assert!(error.to_string().contains("leaf hashes"), "{error}");
}

#[tokio::test]
async fn without_a_checkpoint_nothing_is_proved() {
    let dir = tempfile::tempdir().unwrap();
    journal(settings(dir.path()), 1).await;
    let page = calls(dir.path(), &Filter::default(), ALL).unwrap();
    assert!(of(dir.path(), &page.calls[0]).unwrap().is_none());
}
