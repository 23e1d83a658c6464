//! Messages over a WebSocket: the first byte chooses the place and the subprotocol.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let path = ["/v1/realtime", "/graphql", "/mcp", "/"][usize::from(choice & 3)];
    let protocol =
        [None, Some("graphql-transport-ws"), Some("graphql-ws"), Some("mcp")][usize::from(choice >> 2 & 3)];
    remit_fuzz::message(path, protocol, body, choice & 16 == 0);
});
