//! Paths and queries: `METHOD target`, and a second line that headers say of it.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (first, rewritten) = text.split_once('\n').unwrap_or((text, ""));
    let Some((method, target)) = first.split_once(' ') else { return };
    let headers = [("x-http-method-override", method.as_bytes()), ("x-original-url", rewritten.as_bytes())];
    for host in ["api.github.com", "data.s3.eu-west-1.amazonaws.com", "nobody.test"] {
        for headers in [&headers[..], &[]] {
            if let Some(head) = remit_fuzz::head(method, host, target, headers) {
                remit_fuzz::ask(&head, b"");
            }
        }
    }
});
