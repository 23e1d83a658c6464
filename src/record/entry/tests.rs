use super::*;
use crate::call::{BodyFacts, Outcome};

/// Lines as version 1 wrote them. They MUST read for ever, and come out as they went in.
const LINES: &[&str] = &[
    r#"{"v":1,"seq":0,"at":"2026-11-24T06:00:00.000000001Z","kind":"node_started","data":{"version":"0.1.0"}}"#,
    r#"{"v":1,"seq":18446744073709551615,"at":"2554-07-21T23:34:33.709551615Z","kind":"tail_cut","data":{"segment":"x","bytes":3}}"#,
    r#"{"v":1,"seq":3,"at":"2026-11-24T06:00:00.000000000Z","kind":"opened","data":{"call":"01ARZ3NDEKTSV4RRFFQ69G5FAV","began":"2026-11-24T06:00:00.000000000Z","trace":"4bf92f3577b34da6a3ce929d0e0e4736","span":"2fb3e5d1c5a1f5a2","parent":null,"flags":1,"peer":"127.0.0.1:5","agent":"spiffe://e.org/agent/a","evidence":"task-token","task":"01ARZ3NDEKTSV4RRFFQ69G5FAV","intent":"triage","operations":[{"id":"s:o","service":"s","class":"read","resource":{"kind":"repo","id":"a/b"},"how":"exact","because":"catalog"}],"http":{"method":"GET","scheme":"https","host":"h","port":443,"path":"/ä\"","query":[{"name":"q","sha256":"0123456789abcdef"}],"version":"1.1","user_agent":"x","content_type":null,"websocket":false},"history":{"reads":1,"acts":0,"delegates":0,"denials":0,"service_seen":true,"operation_seen":false},"decision":"allow","policies":["p"],"note":null,"rules":"sha256:00","refusal":null}}"#,
    r#"{"v":1,"seq":4,"at":"2026-11-24T06:00:00.000000000Z","kind":"closed","data":{"call":"01ARZ3NDEKTSV4RRFFQ69G5FAV","opened":3,"closing":{"outcome":"answered","status":200,"grpc_status":0,"refusal":null,"error":null,"request":{"bytes":0,"sha256":null,"complete":true},"response":{"bytes":12,"sha256":"ab","complete":true},"duration_ns":34000000,"decided_ns":200000,"first_byte_ns":30000000}}}"#,
    r#"{"v":1,"seq":5,"at":"2026-11-24T06:00:00.000000000Z","kind":"opened","data":{"call":"01ARZ3NDEKTSV4RRFFQ69G5FAV","began":"2026-11-24T06:00:00.000000000Z","trace":"4bf92f3577b34da6a3ce929d0e0e4736","span":"2fb3e5d1c5a1f5a2","parent":null,"flags":1,"peer":"127.0.0.1:5","agent":null,"evidence":null,"task":null,"intent":null,"operations":[],"http":{"method":"GET","scheme":"https","host":"h","port":443,"path":"/","query":[],"version":"1.1","user_agent":null,"content_type":null,"websocket":false},"history":null,"decision":"allow","policies":[],"note":null,"rules":"sha256:00","refusal":null,"observed":{"decision":"hold","policies":["p"],"note":"n"},"candidate":{"decision":"deny","rules":"sha256:01"}}}"#,
    r#"{"v":1,"seq":6,"at":"2026-11-24T06:00:00.000000000Z","kind":"candidate_loaded","data":{"digest":"sha256:01","policies":3,"by":"start"}}"#,
    r#"{"v":1,"seq":7,"at":"2026-11-24T06:00:00.000000000Z","kind":"lease_minted","data":{"lease":"01ARZ3NDEKTSV4RRFFQ69G5FAV","task":"01ARZ3NDEKTSV4RRFFQ69G5FAV","service":"github","provider":"oauth","scope":"repo","until":"2026-11-24T07:00:00.000000000Z","short_lived":true}}"#,
    r#"{"v":1,"seq":8,"at":"2026-11-24T06:00:00.000000000Z","kind":"lease_revoking","data":{"lease":"01ARZ3NDEKTSV4RRFFQ69G5FAV","task":"01ARZ3NDEKTSV4RRFFQ69G5FAV","service":"github","provider":"oauth","scope":"repo","short_lived":true,"overdue":true,"why":"away"}}"#,
    r#"{"v":1,"seq":9,"at":"2026-11-24T06:00:00.000000000Z","kind":"closed","data":{"call":"01ARZ3NDEKTSV4RRFFQ69G5FAV","opened":3,"closing":{"outcome":"unequipped","status":null,"grpc_status":null,"refusal":"lease_refused","error":null,"request":{"bytes":0,"sha256":null,"complete":false},"response":{"bytes":0,"sha256":null,"complete":false},"duration_ns":1,"decided_ns":1,"first_byte_ns":null,"lease":{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","provider":"oauth","short_lived":true}}}}"#,
];

#[test]
fn lines_come_out_as_they_went_in() {
    for line in LINES {
        let entry: Entry = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(serde_json::to_string(&entry).unwrap(), *line);
        let mut glued = Vec::new();
        push_line(&mut glued, entry.seq.0, entry.at, &entry.what.to_json().unwrap());
        assert_eq!(String::from_utf8(glued).unwrap(), format!("{line}\n"));
    }
}

#[test]
fn fields_of_a_later_version_are_let_pass() {
    let line = r#"{"v":1,"seq":0,"at":"2026-11-24T06:00:00Z","leaf":"x","kind":"node_started","data":{"version":"9","more":1}}"#;
    assert_eq!(serde_json::from_str::<Entry>(line).unwrap().seq, EntryId(0));
}

#[test]
fn text_of_a_stranger_stays_on_its_line() {
    let why = Text::new("a\r\n{\"v\":1}\u{7f}\u{85}b");
    assert_eq!(why.as_str(), "a{\"v\":1}b");
    let long = Text::new(&"ä".repeat(600));
    assert_eq!(long.as_str().chars().count(), Text::LIMIT_CHARS + 1);
}

#[test]
fn an_entry_beyond_the_limit_is_refused_before_it_is_written() {
    let closing = Closing {
        error: Some("x".repeat(LINE_LIMIT_BYTES)),
        request: BodyFacts::default(),
        ..Closing::bare(Outcome::Answered)
    };
    let call = "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
    let what = What::Closed(Box::new(Closed { call, opened: EntryId(0), closing }));
    assert!(matches!(what.to_json(), Err(JournalError::TooLong { .. })));
}
