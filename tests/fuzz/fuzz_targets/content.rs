//! Content codings and character encodings: the first line is the coding, the second the media type, the rest the body.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let (Some(coding), Some(media), Some(body)) = (lines.next(), lines.next(), lines.next()) else { return };
    let headers = [("content-encoding", coding), ("content-type", media)];
    if let Some(head) = remit_fuzz::head("POST", "nobody.test", "/graphql", &headers) {
        remit_fuzz::ask(&head, body);
    }
});
