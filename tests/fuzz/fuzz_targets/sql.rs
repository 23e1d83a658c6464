//! SQL over HTTP: the text of a statement, and the body around it.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let headers: &[(&str, &[u8])] = &[
        ("x-amz-target", b"AmazonAthena.StartQueryExecution"),
        ("content-type", b"application/x-amz-json-1.1"),
    ];
    let Some(head) = remit_fuzz::head("POST", "athena.eu-west-1.amazonaws.com", "/", headers) else { return };
    remit_fuzz::ask(&head, data);
    if let Ok(text) = std::str::from_utf8(data) {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        remit_fuzz::ask(&head, format!("{{\"QueryString\":\"{escaped}\"}}").as_bytes());
    }
});
