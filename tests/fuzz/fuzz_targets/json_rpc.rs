//! JSON-RPC: MCP and A2A, requests and what is learnt from `tools/list`.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(head) =
        remit_fuzz::head("POST", "mcp.nobody.test", "/mcp", &[("content-type", b"application/json")])
    {
        remit_fuzz::ask(&head, data);
        remit_fuzz::shipped().remember_tools(&head, &http::HeaderMap::new(), data);
    }
});
