//! From a parsed request to the head of a call: one authority, end-to-end headers, nothing that claims to speak for
//! somebody else.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Version};

use super::connect::{Connection, credentials};
use super::{Front, Walk};
use crate::call::stage::{CHAIN, Upgrade};
use crate::call::veil::{veil, without_user};
use crate::call::{CallId, Head, Origin, Presented, Refusal, Scheme, Secret, Target, TraceContext};

/// Makes the head of a call, and what the connection presented for it.
pub(super) fn read<W: Walk, B>(
    front: &Front<W>,
    id: CallId,
    connection: &Connection,
    request: &Request<B>,
) -> Result<(Head, Presented), Refusal> {
    let (origin, mut presented) = match &connection.tunnel {
        Some((origin, presented)) => (origin.clone(), presented.clone()),
        None => absolute(connection, request)?,
    };
    presented.chain = chain(request.headers())?;
    same_authority(&origin, request)?;
    let upgrade = upgrade(request)?;
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        // TRACE would echo the credentials that the origin saw (RFC 9110 §9.3.8).
        return Err(Refusal::MethodRefused { method: request.method().to_string() });
    }
    let target = match request.uri().path_and_query() {
        Some(target) => target.as_str(),
        None => "/",
    };
    let target = Target::parse(target).map_err(|error| Refusal::BadRequest { why: error.to_string() })?;
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let head = Head {
        id,
        at: front.clock.now(),
        origin,
        method: request.method().clone(),
        target,
        version: request.version(),
        headers: end_to_end(request.headers()),
        trace: TraceContext::of(id, traceparent, &*front.entropy),
        upgrade,
    };
    Ok((head, presented))
}

/// What a node handed over with an earlier call, passed on by the agent that it was handed to. It goes no further: like all
/// `remit-*` fields it is none of those that are forwarded.
fn chain(headers: &HeaderMap) -> Result<Option<Secret<String>>, Refusal> {
    let bad = |why: &str| Refusal::IdentityInvalid { why: format!("`{CHAIN}` {why}") };
    let mut values = headers.get_all(CHAIN).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(bad("comes twice")),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(Secret::new(text.to_owned()))),
            Err(_) => Err(bad("is not ASCII")),
        },
    }
}

/// A request outside of any tunnel: absolute-form to a plain-HTTP origin (RFC 9112 §3.2.2). The credentials are those of
/// this very request, not of one before it on the connection.
fn absolute<B>(connection: &Connection, request: &Request<B>) -> Result<(Origin, Presented), Refusal> {
    let bad = |why: &str| Refusal::BadRequest { why: why.to_owned() };
    let uri = request.uri();
    let authority =
        uri.authority().ok_or(bad("this is a forward proxy: send CONNECT, or a whole http:// URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(bad("https:// goes through CONNECT")),
        _ => return Err(bad("only http:// URLs and CONNECT are served")),
    }
    let (host, port) = Origin::parse_authority(authority.as_str(), Some(80))
        .map_err(|error| Refusal::BadRequest { why: error.to_string() })?;
    let token = request.headers().get(header::PROXY_AUTHORIZATION);
    let token = token.map(|value| credentials(value.as_bytes())).transpose()?;
    let certificates = connection.certificates.clone();
    let (peer, by) = (connection.peer, connection.entrance);
    let process = connection.process.clone();
    let presented = Presented { peer, by, token, certificates, chain: None, process };
    Ok((Origin { scheme: Scheme::Http, host, port }, presented))
}

/// INVARIANT I4: `:authority`, an absolute-form target and every `Host` name the connection's origin.
fn same_authority<B>(origin: &Origin, request: &Request<B>) -> Result<(), Refusal> {
    let agrees = |text: &str| {
        Origin::parse_authority(text, Some(origin.scheme.default_port()))
            .is_ok_and(|(host, port)| host == origin.host && port == origin.port)
    };
    let mismatch = |what, got: &str| Refusal::OriginMismatch {
        expected: origin.authority(),
        what,
        got: without_user(got).chars().take(300).collect(),
    };
    let uri = request.uri();
    if let Some(authority) = uri.authority()
        && !agrees(authority.as_str())
    {
        return Err(mismatch("the request target", authority.as_str()));
    }
    if let Some(scheme) = uri.scheme_str()
        && scheme != origin.scheme.as_str()
    {
        return Err(mismatch("the scheme", scheme));
    }
    let mut named = uri.authority().is_some();
    for value in request.headers().get_all(header::HOST) {
        let text = value.to_str().unwrap_or_default();
        if !agrees(text) {
            return Err(mismatch("the Host header", text));
        }
        named = true;
    }
    // HTTP/1.0 may leave Host out; the tunnel says where it goes.
    if named || request.version() == Version::HTTP_10 {
        return Ok(());
    }
    Err(Refusal::BadRequest { why: "the request names no host".into() })
}

/// WebSocket, or nothing. `h2c` (RFC 7540 §3.2) may be ignored by a server, and is.
fn upgrade<B>(request: &Request<B>) -> Result<Option<Upgrade>, Refusal> {
    let asks =
        listed(request.headers(), &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let mut wanted =
        listed(request.headers(), &header::UPGRADE).filter(|token| !token.eq_ignore_ascii_case("h2c"));
    match (asks, wanted.next(), wanted.next()) {
        (false, ..) | (true, None, _) => Ok(None),
        (true, Some(protocol), None)
            if protocol.eq_ignore_ascii_case("websocket") && *request.method() == Method::GET =>
        {
            Ok(Some(Upgrade::WebSocket))
        }
        (true, Some(protocol), _) => {
            Err(Refusal::UpgradeRefused { protocol: veil(protocol, "").chars().take(60).collect() })
        }
    }
}

fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
}

/// Hop-by-hop headers (RFC 9110 §7.6.1), claims about who forwarded what for whom, rewritten paths, and identity claims:
/// all of them are for remit alone to make.
const DROPPED: [&str; 34] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "host",
    "expect",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-prefix",
    "x-forwarded-client-cert",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-host",
    "x-spiffe-id",
    "x-ssl-client-cert",
    "x-ssl-client-dn",
    "x-authenticated-user",
    "x-remote-user",
];

/// Headers that a `Connection` list must not take away (it would unsay what was judged, or what is injected).
const KEPT: [&str; 4] = ["authorization", "content-length", "content-type", "content-encoding"];

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let trailers = listed(headers, &header::TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    let named: Vec<String> = listed(headers, &header::CONNECTION).map(str::to_ascii_lowercase).collect();
    let goes = |name: &str| {
        DROPPED.contains(&name)
            || name.starts_with("proxy-")
            || name.starts_with("remit-")
            || (named.iter().any(|listed| listed == name) && !KEPT.contains(&name))
    };
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if !goes(name.as_str()) {
            kept.append(name.clone(), value.clone());
        }
    }
    if trailers {
        // RFC 9110 §10.1.4: the one value of TE that means the same on the next leg, where trailers are kept too.
        kept.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    kept
}
