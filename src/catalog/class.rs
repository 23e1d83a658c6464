//! The class of what the catalog does not know: from the verb alone, and never weaker than act where the verb does
//! not promise to change nothing (INVARIANT I7).

use std::sync::Arc;

use crate::call::{Class, Operation, OperationId, Recognition, ServiceName};

use super::request::WEBSOCKET;

/// Concludes from the verb. GET, HEAD and OPTIONS are safe by RFC 9110 §9.2.1; TRACE is too, but echoes credentials.
/// Method names are case-sensitive (§9.1): `get` is not GET.
pub(super) fn by_verb(verb: &str) -> (Class, Recognition) {
    match verb {
        "GET" | "HEAD" | "OPTIONS" => (Class::Read, Recognition::Inferred),
        "POST" | "PUT" | "PATCH" | "DELETE" | "TRACE" | "CONNECT" | WEBSOCKET => {
            (Class::Act, Recognition::Inferred)
        }
        _ => (Class::Act, Recognition::Unknown),
    }
}

/// What a request is that no entry names.
pub(super) fn unknown(service: ServiceName, verb: &str, origin: &str) -> Operation {
    let (class, how) = by_verb(verb);
    let because: Arc<str> = match how {
        Recognition::Unknown => "unrecognised verb".into(),
        _ if verb == WEBSOCKET => "WebSocket upgrade".into(),
        _ => format!("verb {verb}{origin}").into(),
    };
    Operation { id: OperationId::unknown(class), service, class, resource: None, how, because }
}

/// What a request is that asks to be more things than anyone can follow, or whose entry cannot be read.
pub(super) fn opaque(service: ServiceName, because: &str) -> Operation {
    let class = Class::Delegate;
    let (id, how) = (OperationId::unknown(class), Recognition::Unknown);
    Operation { id, service, class, resource: None, how, because: because.into() }
}
