//! The rooms that read what an agent sends, alone (they import nothing else of remit), and what the targets have in common: a
//! request, and what must be true of whatever is made of it.

#[path = "../../src/call/mod.rs"]
pub mod call;
#[path = "../../src/catalog/mod.rs"]
pub mod catalog;
#[path = "../../src/origin/frame.rs"]
pub mod frame;
// How ids and names stand in the API's document: what `call` derives needs it to compile.
#[allow(dead_code)]
#[path = "../../src/web/openapi/names.rs"]
mod names;

use std::sync::OnceLock;

use bytes::Bytes;
use call::stage::Upgrade;
use call::{
    CallId, Class, Head, Operation, Operations, Origin, Peek, Recognition, Scheme, SpanId, Target, Timestamp,
    TraceContext, TraceId,
};
use catalog::Catalog;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

/// The shipped catalog.
pub fn shipped() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| Catalog::shipped().expect("the shipped catalog"))
}

/// A request's head; `None` where no proxy would let it in.
pub fn head(method: &str, host: &str, target: &str, headers: &[(&str, &[u8])]) -> Option<Head> {
    let (host, port) = Origin::parse_authority(host, Some(443)).ok()?;
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    Some(Head {
        id: "00000000000000000000000000".parse::<CallId>().ok()?,
        at: Timestamp::default(),
        origin: Origin { scheme: Scheme::Https, host, port },
        method: Method::from_bytes(method.as_bytes()).ok()?,
        target: Target::parse(target).ok()?,
        version: Version::HTTP_11,
        headers: map,
        trace: TraceContext { trace: TraceId([1; 16]), parent: None, span: SpanId([1; 8]), flags: 0 },
        upgrade: None,
    })
}

/// Recognises a request as the proxy does, and looks at what comes of it.
pub fn ask(head: &Head, body: &[u8]) -> Operations {
    let peek = shipped().wants_body(head).map_or_else(Peek::default, |limit| Peek {
        bytes: Bytes::copy_from_slice(body.get(..limit).unwrap_or(body)),
        whole: body.len() <= limit,
    });
    let operations = shipped().recognise(head, &peek);
    operations.iter().for_each(sound);
    operations
}

/// Recognises a message over a WebSocket.
pub fn message(path: &str, protocol: Option<&str>, body: &[u8], whole: bool) {
    let Some(mut opened) = head("GET", "api.openai.com", path, &[]) else { return };
    opened.upgrade = Some(Upgrade::WebSocket);
    let upgrade = ask(&opened, b"").strongest().clone();
    let peek = Peek { bytes: Bytes::copy_from_slice(body), whole };
    shipped().recognise_message(&opened, &upgrade, protocol, &peek).operations.iter().for_each(sound);
}

/// INVARIANT I7, and that whoever reads it is told why.
fn sound(operation: &Operation) {
    assert!(operation.how != Recognition::Unknown || operation.class > Class::Read, "{operation:?}");
    assert!(!operation.because.is_empty(), "{operation:?}");
}
