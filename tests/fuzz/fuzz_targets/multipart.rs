//! Multipart bodies and batches: the first line is the media type.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (Some(media), Some(body)) = (lines.next(), lines.next()) else { return };
    for path in ["/batch", "/graphql", "/upload"] {
        if let Some(head) = remit_fuzz::head("POST", "www.googleapis.com", path, &[("content-type", media)]) {
            remit_fuzz::ask(&head, body);
        }
    }
});
