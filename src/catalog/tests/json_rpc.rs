//! JSON-RPC, MCP and A2A.

use http::HeaderMap;

use crate::call::{Class, Peek, Recognition};

use super::super::{Catalog, rpc};
use super::{CATALOG, ask_with, class_of, head};

const MCP: &str = "POST mcp.example.test/mcp";
const JSON: &str = "application/json";

fn call(method: &str) -> Class {
    class_of(MCP, JSON, format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#))
}

#[test]
fn methods_are_sorted_so_that_they_can_be_searched() {
    let all: Vec<_> = rpc::methods().collect();
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(all.iter().all(|method| rpc::class(method).is_some()));
}

#[test]
fn methods_of_mcp_and_a2a_have_their_classes() {
    for method in
        ["initialize", "ping", "tools/list", "resources/read", "prompts/get", "tasks/get", "GetTask"]
    {
        assert_eq!(call(method), Class::Read, "{method}");
    }
    for method in ["tasks/cancel", "CancelTask", "resources/subscribe", "nobody/knows", "get/anything"] {
        assert_eq!(call(method), Class::Act, "{method}");
    }
    for method in [
        "sampling/createMessage",
        "elicitation/create",
        "message/send",
        "message/stream",
        "SendMessage",
        "tasks/pushNotificationConfig/set",
    ] {
        assert_eq!(call(method), Class::Delegate, "{method}");
    }
}

#[test]
fn a_tool_that_nothing_vouches_for_acts() {
    for name in ["read_file", "search", "delete_repo", ""] {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#);
        assert_eq!(class_of(MCP, JSON, body), Class::Act, "{name}");
    }
    assert_eq!(call("tools/call"), Class::Act);
}

#[test]
fn a_tool_that_its_server_calls_read_only_reads_at_that_server() {
    let catalog = Catalog::shipped().unwrap();
    let here = head("POST", "mcp.example.test", "/mcp/");
    let learn = |answer: &str| catalog.remember_tools(&here, &HeaderMap::new(), answer.as_bytes());
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[
        {"name":"read_file","annotations":{"readOnlyHint":true}},
        {"name":"twice","annotations":{"readOnlyHint":true,"readOnlyHint":false}},
        {"name":"write_file","annotations":{"readOnlyHint":false}},{"name":"plain"}]}}"#;
    assert!(learn(answer).is_empty());
    let class = |host: &str, path: &str, tool: &str| {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
        ask_with(&catalog, &head("POST", host, path), body.as_bytes()).class()
    };
    assert_eq!(class("mcp.example.test", "/mcp", "read_file"), Class::Read);
    for tool in ["twice", "write_file", "plain", "unheard"] {
        assert_eq!(class("mcp.example.test", "/mcp", tool), Class::Act, "{tool}");
    }
    assert_eq!(class("other.example.test", "/mcp", "read_file"), Class::Act);
    assert_eq!(class("mcp.example.test", "/other/mcp", "read_file"), Class::Act);
    // The drift is told, and what drifted is no read whatever it says of itself.
    let drift = r#"{"result":{"tools":[{"name":"write_file","annotations":{"readOnlyHint":true}}]}}"#;
    assert_eq!(learn(drift), ["write_file"]);
    assert_eq!(class("mcp.example.test", "/mcp", "write_file"), Class::Act);
    let stream = "event: message\r\ndata: {\"result\":{\"tools\":[{\"name\":\"streamed\",\r\ndata: \"annotations\":{\"readOnlyHint\":true}}]}}\r\n\r\n";
    assert!(learn(stream).is_empty());
    assert_eq!(class("mcp.example.test", "/mcp", "streamed"), Class::Read);
    for nonsense in ["", "{", "[]", r#"{"result":{"tools":3}}"#] {
        assert!(learn(nonsense).is_empty());
    }
}

#[test]
fn every_message_of_a_batch_counts_and_so_does_every_reading() {
    for (body, class) in [
        (r#"[{"jsonrpc":"2.0","method":"tools/list"},{"jsonrpc":"2.0","method":"ping"}]"#, Class::Read),
        (
            r#"[{"jsonrpc":"2.0","method":"tools/list"},{"jsonrpc":"2.0","method":"message/send"}]"#,
            Class::Delegate,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"tools/list","method":"tools/call","params":{"name":"x"}}"#,
            Class::Act,
        ),
        (r#"{"jsonrpc":"2.0","method":"message/send","method":"ping"}"#, Class::Delegate),
        (r#"{"jsonrpc":"2.0","Method":"message/send","method":"ping"}"#, Class::Delegate),
        (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, Class::Read),
        (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, Class::Act),
        (r#"[{"jsonrpc":"2.0","method":"ping"},{"amount":7}]"#, Class::Act),
        (
            r#"[{"jsonrpc":"2.0","method":"ping"},[[{"jsonrpc":"2.0","method":"message/send"}]]]"#,
            Class::Delegate,
        ),
        (r#""{\"jsonrpc\":\"2.0\",\"method\":\"message/send\"}""#, Class::Delegate),
    ] {
        assert_eq!(class_of(MCP, JSON, body), class, "{body}");
    }
    let many = format!("[{}]", vec![r#"{"jsonrpc":"2.0","method":"ping"}"#; 600].join(","));
    assert_eq!(class_of(MCP, JSON, many), Class::Delegate);
}

#[test]
fn a_body_alone_makes_no_read_of_another_place() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","amount":100}"#;
    assert_eq!(class_of("POST pay.example.test/v1/payments", JSON, body), Class::Act);
    assert_eq!(class_of("POST api.stripe.com/v1/refunds", JSON, body), Class::Act);
    let send = r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}}"#;
    assert_eq!(class_of("POST pay.example.test/v1/search", JSON, send), Class::Delegate);
}

#[test]
fn a_message_in_the_body_of_a_get_counts() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#;
    assert_eq!(class_of("GET mcp.example.test/mcp", JSON, body), Class::Act);
    assert_eq!(class_of("GET mcp.example.test/mcp", "", ""), Class::Read);
}

#[test]
fn the_rest_binding_of_a2a_is_read() {
    assert_eq!(class_of("POST a2a.example.test/v1/message:send", JSON, "{}"), Class::Delegate);
    assert_eq!(class_of("GET a2a.example.test/v1/tasks/t:subscribe", "", ""), Class::Read);
    assert_eq!(class_of("POST a2a.example.test/v1/tasks/t:cancel", JSON, "{}"), Class::Act);
}

#[test]
fn what_led_to_a_class_is_told() {
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_file"}}"#;
    let found = CATALOG.with(|catalog| ask_with(catalog, &head("POST", "mcp.example.test", "/mcp"), body));
    assert_eq!(found.strongest().because.as_ref(), "tool `read_file`: nothing vouches for it");
    assert_eq!(found.strongest().how, Recognition::Inferred);
}

#[test]
fn only_a_request_for_the_tools_has_an_answer_to_learn_from() {
    let asked = head("POST", "mcp.example.test", "/mcp");
    let lists = |body: &'static str| {
        CATALOG.with(|catalog| catalog.lists_tools(&asked, &Peek { bytes: body.into(), whole: true }))
    };
    assert!(lists(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#));
    assert!(lists(r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#));
    assert!(!lists(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#));
    assert!(!lists(""));
}
