use super::*;

#[test]
fn a_notice_names_the_call_and_the_verbs_and_drives_no_terminal() {
    let hold = serde_json::json!({"id": "01AB", "summary": "Open an issue in o/\u{1b}[2Jx"});
    let told = notice(&hold, Paint::plain());
    assert!(told.contains("Open an issue in o/\\u{1b}[2Jx") && told.contains("remit approve 01AB"), "{told}");
}
