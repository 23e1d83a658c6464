//! GraphQL documents: bare, in JSON, and in the query.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for media in ["application/graphql", "application/json"] {
        if let Some(head) =
            remit_fuzz::head("POST", "api.github.com", "/graphql", &[("content-type", media.as_bytes())])
        {
            remit_fuzz::ask(&head, data);
        }
    }
});
