//! Messages over a WebSocket.

use super::*;
use crate::call::Dialect;

/// What a message is at a place; the upgrade is what the catalog says of it.
fn said(place: &str, protocol: Option<&str>, message: &[u8]) -> (Vec<String>, Dialect, bool) {
    let (host, path) = place.split_once('/').unwrap();
    let opened = with_upgrade(head("GET", host, &format!("/{path}")));
    CATALOG.with(|catalog| {
        let upgrade = ask(catalog, &opened).strongest().clone();
        let peek = Peek { bytes: bytes::Bytes::copy_from_slice(message), whole: true };
        let spoken = catalog.recognise_message(&opened, &upgrade, protocol, &peek);
        (spoken.operations.iter().map(brief).collect(), spoken.dialect, spoken.covered)
    })
}

fn class(place: &str, protocol: Option<&str>, message: &str) -> Class {
    let (host, path) = place.split_once('/').unwrap();
    let opened = with_upgrade(head("GET", host, &format!("/{path}")));
    CATALOG.with(|catalog| {
        let upgrade = ask(catalog, &opened).strongest().clone();
        let peek = Peek { bytes: bytes::Bytes::copy_from_slice(message.as_bytes()), whole: true };
        catalog.recognise_message(&opened, &upgrade, protocol, &peek).operations.class()
    })
}

#[test]
fn graphql_messages_are_judged_by_their_documents() {
    let at = "nobody.test/graphql";
    let new = Some("graphql-transport-ws");
    for (protocol, message, wanted) in [
        (new, r#"{"type":"connection_init"}"#, Class::Read),
        (
            new,
            r#"{"type":"subscribe","id":"1","payload":{"query":"subscription { newMessages { id } }"}}"#,
            Class::Read,
        ),
        (
            new,
            r#"{"type":"subscribe","id":"1","payload":{"query":"mutation { payNow { id } }"}}"#,
            Class::Act,
        ),
        (
            Some("graphql-ws"),
            r#"{"type":"start","id":"1","payload":{"query":"mutation { createToken { id } }"}}"#,
            Class::Delegate,
        ),
        (
            None,
            r#"{"type":"start","id":"1","payload":{"data":"{\"query\":\"mutation { payNow { id } }\"}"}}"#,
            Class::Act,
        ),
        // Two readings: the stronger.
        (
            new,
            r#"{"type":"connection_init","type":"subscribe","payload":{"query":"mutation { payNow { id } }"}}"#,
            Class::Act,
        ),
        (
            new,
            r#"{"type":"subscribe","id":"1","payload":{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}}"#,
            Class::Act,
        ),
        (new, r#"{"type":"subscribe","id":"1"}"#, Class::Act),
        (new, r#"{"type":"something_new"}"#, Class::Act),
        (new, r#"{"type":"subscribe","payload":{"query":"mutation { pay"}}"#, Class::Delegate),
        (new, "{\"type\":\"subscri", Class::Delegate),
    ] {
        assert_eq!(class(at, protocol, message), wanted, "{message}");
    }
    let (_, dialect, _) = said(at, new, br#"{"type":"subscribe","id":"op-7","payload":{"query":"{ a }"}}"#);
    assert_eq!(dialect, Dialect::GraphQl { id: "op-7".into(), old: false });
}

#[test]
fn json_rpc_messages_are_judged_by_their_methods() {
    let at = "nobody.test/mcp/ws";
    for (message, wanted) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, Class::Read),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"anything"}}"#, Class::Act),
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"message/send"}]"#,
            Class::Delegate,
        ),
        ("\u{feff}{\"jsonrpc\":\"2.0\",\"method\":\"message/send\"}", Class::Delegate),
    ] {
        assert_eq!(class(at, None, message), wanted, "{message}");
    }
    assert_eq!(class(at, None, "{\"jsonrpc\":\"2.0\",\"method\":"), Class::Delegate, "cut off");
    // At a place that says nothing, a message that looks like a read may be anything.
    let (operations, dialect, _) =
        said("nobody.test/socket", None, br#"{"jsonrpc":"2.0","id":"x","method":"tools/list"}"#);
    assert_eq!(operations, ["unknown:read read inferred", "unknown:act act inferred"]);
    assert_eq!(dialect, Dialect::JsonRpc { id: r#""x""#.into(), tool: false });
}

#[test]
fn events_of_model_providers_are_listed() {
    let at = "api.openai.com/v1/realtime?model=m";
    let event = |kind: &str| said(at, None, format!(r#"{{"type":"{kind}","event_id":"e1"}}"#).as_bytes());
    assert_eq!(event("response.create").0, ["openai:responses.message.create read exact"]);
    assert_eq!(event("session.update").0, ["openai:realtime.session.update act exact"]);
    assert_eq!(event("mcp.approve").0, ["unknown:act act unknown"]);
    assert_eq!(event("session.update").1, Dialect::Event { event: Some("e1".into()) });
}

#[test]
fn what_nothing_understands_is_what_the_upgrade_was_judged_as() {
    let (operations, dialect, covered) = said("nobody.test/chat", None, b"\x00\x01\x02 hello");
    assert_eq!(
        (operations, dialect, covered),
        (vec!["unknown:act act inferred".to_owned()], Dialect::None, true)
    );
    let opened = with_upgrade(head("GET", "nobody.test", "/feed"));
    CATALOG.with(|catalog| {
        let mut upgrade = ask(catalog, &opened).strongest().clone();
        upgrade.class = Class::Read;
        let peek = Peek { bytes: "buy".into(), whole: true };
        let spoken = catalog.recognise_message(&opened, &upgrade, None, &peek);
        // INVARIANT I7.
        assert_eq!((spoken.operations.class(), spoken.covered), (Class::Act, false));
        // Longer than what is read, where its class depends on it.
        let graphql = with_upgrade(head("GET", "nobody.test", "/graphql"));
        let upgrade = ask(catalog, &graphql).strongest().clone();
        let cut = Peek { bytes: r#"{"type":"subscribe","payload":{"query":"{ a"#.into(), whole: false };
        let spoken = catalog.recognise_message(&graphql, &upgrade, None, &cut);
        assert_eq!((spoken.operations.class(), spoken.covered), (Class::Delegate, false));
    });
}

#[test]
fn tools_that_a_server_tells_of_over_a_websocket_count_on_that_connection_alone() {
    let catalog = Catalog::shipped().unwrap();
    let opened = with_upgrade(head("GET", "mcp.nobody.test", "/mcp"));
    let mut other = opened.clone();
    other.id = CallId::from_str("00000000000000000000000001").unwrap();
    let upgrade = ask(&catalog, &opened).strongest().clone();
    let spoken = |opened: &Head, message: &'static str| {
        let peek = Peek { bytes: message.as_bytes().into(), whole: true };
        catalog.recognise_message(opened, &upgrade, None, &peek)
    };
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let call = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"look"}}"#;
    assert!(spoken(&opened, list).lists_tools && !spoken(&opened, call).lists_tools);
    assert_eq!(spoken(&opened, call).operations.class(), Class::Act);
    assert_eq!(catalog.remember_spoken_tools(&opened, br#"{"jsonrpc":"2.0","id":9,"result":{}}"#), None);
    assert_eq!(catalog.remember_spoken_tools(&opened, b"\xff"), None);
    let told = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"look","annotations":{"readOnlyHint":true}}]}}"#;
    assert_eq!(catalog.remember_spoken_tools(&opened, told), Some(vec![]));
    assert_eq!(spoken(&opened, call).operations.class(), Class::Read);
    assert_eq!(spoken(&other, call).operations.class(), Class::Act);
    // Described otherwise on another connection: drift is the server's.
    let otherwise =
        br#"{"result":{"tools":[{"name":"look","annotations":{"readOnlyHint":true},"description":"d"}]}}"#;
    assert_eq!(catalog.remember_spoken_tools(&other, otherwise), Some(vec!["look".to_owned()]));
    assert_eq!(spoken(&opened, call).operations.class(), Class::Act);
}
