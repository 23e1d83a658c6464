//! The catalog's promises.

mod ai;
mod body;
mod credential;
mod data;
mod facts;
mod json_rpc;
mod message;
mod own;
mod protocols;
mod published;
mod reading;
mod tables;
mod tokens;
mod tricks;
mod wire;
mod worst;
mod xml;

use std::str::FromStr as _;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::call::stage::Upgrade;
use crate::call::{
    CallId, Class, Head, Operation, Operations, Origin, Peek, Recognition, Scheme, SpanId, Target, Timestamp,
    TraceContext, TraceId,
};

use super::Catalog;

/// A request to be recognised.
fn head(method: &str, host: &str, target: &str) -> Head {
    let (host, port) = Origin::parse_authority(host, Some(443)).unwrap();
    Head {
        id: CallId::from_str("00000000000000000000000000").unwrap(),
        at: Timestamp::default(),
        origin: Origin { scheme: Scheme::Https, host, port },
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        target: Target::parse(target).unwrap(),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        trace: TraceContext { trace: TraceId([0; 16]), parent: None, span: SpanId([0; 8]), flags: 0 },
        upgrade: None,
    }
}

fn with_header(mut head: Head, name: &str, value: &str) -> Head {
    head.headers.append(HeaderName::from_str(name).unwrap(), HeaderValue::from_str(value).unwrap());
    head
}

fn with_upgrade(mut head: Head) -> Head {
    head.upgrade = Some(Upgrade::WebSocket);
    head
}

/// A request with a body, recognised as the proxy does: nothing of the body is seen unless it was asked for.
fn ask_with(catalog: &Catalog, head: &Head, body: &[u8]) -> Operations {
    let peek = catalog.wants_body(head).map_or_else(Peek::default, |limit_bytes| Peek {
        bytes: bytes::Bytes::copy_from_slice(body.get(..limit_bytes + 1).unwrap_or(body)),
        whole: body.len() <= limit_bytes,
    });
    catalog.recognise(head, &peek)
}

thread_local! {
    static CATALOG: Catalog = Catalog::shipped().unwrap();
}

/// The class of a request to the shipped catalog: `POST host/path`, content type, body.
fn class_of(request: &str, media: &str, body: impl AsRef<[u8]>) -> Class {
    let (method, place) = request.split_once(' ').unwrap();
    let (host, path) = place.split_once('/').unwrap();
    let mut asked = head(method, host, &format!("/{path}"));
    if !media.is_empty() {
        asked = with_header(asked, "content-type", media);
    }
    CATALOG.with(|catalog| ask_with(catalog, &asked, body.as_ref()).class())
}

fn ask(catalog: &Catalog, head: &Head) -> Operations {
    catalog.recognise(head, &Peek::default())
}

/// The strongest operation of a request to the shipped catalog.
fn strongest(method: &str, host: &str, target: &str) -> Operation {
    ask(&Catalog::shipped().unwrap(), &head(method, host, target)).strongest().clone()
}

/// `id class recognition`, to be compared at one glance.
fn brief(operation: &Operation) -> String {
    format!("{} {} {}", operation.id, operation.class, operation.how.as_str())
}

fn resource(operation: &Operation) -> Option<(String, String)> {
    operation.resource.as_ref().map(|r| (r.kind.to_string(), r.id.clone()))
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what `resource` gives")]
fn some(kind: &str, id: &str) -> Option<(String, String)> {
    Some((kind.to_owned(), id.to_owned()))
}

#[test]
fn unknown_calls_are_classed_by_verb_and_words() {
    for (verb, class, how) in [
        ("GET", Class::Read, Recognition::Inferred),
        ("HEAD", Class::Read, Recognition::Inferred),
        ("OPTIONS", Class::Read, Recognition::Inferred),
        ("POST", Class::Act, Recognition::Inferred),
        ("DELETE", Class::Act, Recognition::Inferred),
        ("TRACE", Class::Act, Recognition::Inferred),
        ("get", Class::Act, Recognition::Unknown),
        ("PROPFIND", Class::Read, Recognition::Inferred),
        ("MKCOL", Class::Act, Recognition::Inferred),
        ("ACL", Class::Delegate, Recognition::Inferred),
        ("QUERY", Class::Act, Recognition::Unknown),
    ] {
        for host in ["nobody.example", "api.github.com"] {
            let found = strongest(verb, host, "/no/such/thing");
            assert_eq!((found.class, found.how), (class, how), "{verb} at {host}");
            assert_eq!(found.id.to_string(), format!("unknown:{class}"));
            let service = if host == "api.github.com" { "github" } else { host };
            assert_eq!(found.service.0.as_ref(), service);
            assert!(!found.because.is_empty());
        }
    }
}

#[test]
fn addresses_are_unknown_hosts() {
    assert_eq!(strongest("GET", "192.0.2.7", "/").service.0.as_ref(), "192.0.2.7");
    assert_eq!(strongest("GET", "[2001:db8::1]:8443", "/").service.0.as_ref(), "[2001:db8::1]");
}

#[test]
fn hosts_that_only_look_alike_are_unknown() {
    for host in
        ["api.github.com.evil.test", "evilgithub.com", "xapi.github.com", "github.com.", "api.github.co"]
    {
        let found = strongest("POST", host, "/repos/octo/hello/issues");
        assert_eq!(brief(&found), "unknown:act act inferred", "{host}");
    }
    assert_eq!(strongest("POST", "a.b.slack.com", "/api/chat.postMessage").how, Recognition::Inferred);
    assert_eq!(strongest("POST", "acme.slack.com", "/api/chat.postMessage").how, Recognition::Exact);
}

#[test]
fn a_websocket_at_an_unknown_place_acts() {
    let catalog = Catalog::shipped().unwrap();
    let found = ask(&catalog, &with_upgrade(head("GET", "nobody.example", "/socket")));
    assert_eq!(found.class(), Class::Act);
    // The server may ignore the upgrade and answer the GET: that reading counts as well.
    let invite = ask(&catalog, &with_upgrade(head("GET", "slack.com", "/api/conversations.invite")));
    assert_eq!(invite.class(), Class::Delegate);
    let known = ask(&catalog, &with_upgrade(head("GET", "api.openai.com", "/v1/realtime?model=m")));
    assert_eq!(brief(known.strongest()), "openai:realtime.connect act exact");
}

#[test]
fn no_agent_can_send_the_websocket_verb_as_a_method() {
    assert!(Method::from_bytes(super::WEBSOCKET.as_bytes()).is_err());
}

#[test]
fn operations_are_found_by_their_id() {
    let catalog = Catalog::shipped().unwrap();
    let (service, class) = catalog.operation("github:issues/create").unwrap();
    assert_eq!((service.0.as_ref(), class), ("github", Class::Act));
    for nothing in ["github:issues/nothing", "nobody:issues/create", "unknown:act", "github", ""] {
        assert_eq!(catalog.operation(nothing), None, "{nothing}");
    }
    assert_eq!(catalog.nearest("github:issue/create").as_deref(), Some("github:issues/create"));
    assert_eq!(catalog.nearest_service("githob").as_deref(), Some("github"));
    assert_eq!(catalog.nearest_service("zzzzzz"), None);
}
