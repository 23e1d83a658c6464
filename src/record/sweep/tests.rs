use std::io::Write as _;

use super::{Lines, PIECE, Said, Sweep};
use crate::call::{Class, Closing, Outcome};
use crate::record::tests::fixture::{Ticking, decided, decided_from, intercepted, settings, task};
use crate::record::{Event, Journal, Settings};

async fn journal(calls: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let small = Settings { segment_bytes: 3_000.try_into().unwrap(), ..settings(dir.path()) };
    let journal = Journal::start(small, Ticking::new()).unwrap();
    journal.note(Event::NodeStarted { version: "1" }).await.unwrap();
    journal.note(Event::TaskOpened { task: &task(), by: None }).await.unwrap();
    for number in 0..calls {
        let call = if number % 2 == 0 {
            decided(Class::Read)
        } else {
            decided_from(intercepted("/things/2", &[]), Class::Act)
        };
        journal.open(&call).await.unwrap().close(Closing::bare(Outcome::Answered));
    }
    journal.stop().await;
    dir
}

fn swept(dir: &std::path::Path) -> Result<(usize, Vec<String>), String> {
    let mut sweep = Sweep::of(dir).map_err(|error| error.to_string())?;
    let (mut tasks, mut calls, mut bytes) = (0, Vec::new(), 0);
    while let Some(piece) = sweep.piece().map_err(|error| error.to_string())? {
        bytes += piece.bytes();
        for said in piece.read(Lines::Tasks) {
            tasks += usize::from(matches!(said.map_err(|error| error.to_string())?, Said::Task(_)));
        }
        for said in piece.read(Lines::Calls) {
            if let Said::Call(facts) = said.map_err(|error| error.to_string())? {
                calls.push(facts.operations[0].id.to_string());
            }
        }
    }
    assert!(bytes <= sweep.bytes());
    Ok((tasks, calls))
}

#[tokio::test]
async fn every_call_is_told_once_and_in_order() {
    let dir = journal(7).await;
    let (tasks, calls) = swept(dir.path()).unwrap();
    let (read, act) = ("example:things/read", "example:things/act");
    assert_eq!(
        (tasks, calls.as_slice()),
        (1, [read, act, read, act, read, act, read].map(String::from).as_slice())
    );
}

#[tokio::test]
async fn half_a_line_at_the_end_is_left_out_and_damage_is_told() {
    let dir = journal(3).await;
    let folder = dir.path().join("journal");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    files.sort();
    let mut last = std::fs::OpenOptions::new().append(true).open(files.last().unwrap()).unwrap();
    last.write_all(br#"{"v":1,"seq":99,"at":"2026-"#).unwrap();
    assert_eq!(swept(dir.path()).unwrap().1.len(), 3);
    last.write_all(b"\n").unwrap();
    let told = swept(dir.path()).unwrap_err();
    assert!(told.contains("the line is no entry"), "{told}");
}

#[test]
fn a_line_longer_than_a_piece_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("journal")).unwrap();
    let filler = "x".repeat(3 * PIECE);
    let line = format!(
        r#"{{"v":1,"seq":0,"at":"2026-11-26T00:00:00.000000000Z","kind":"node_started","data":{{"version":"{filler}"}}}}"#
    );
    std::fs::write(dir.path().join("journal/00000000000000000000.jsonl"), format!("{line}\n{line}\n"))
        .unwrap();
    let mut sweep = Sweep::of(dir.path()).unwrap();
    let mut bytes = 0;
    while let Some(piece) = sweep.piece().unwrap() {
        assert!(piece.bytes() > line.len() as u64, "a piece has whole lines");
        assert_eq!(piece.read(Lines::Calls).count(), 0);
        bytes += piece.bytes();
    }
    assert_eq!(bytes, sweep.bytes());
}
