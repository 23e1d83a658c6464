//! Who may speak to the admin API at all; stands before every route, so a new route is guarded without a word.
//!
//! Three kinds of evidence, one after the other: a bearer token, a session's cookie, a client certificate. A token or a certificate
//! that does not hold is refused and makes no room for the next; a session that is over counts as none.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, AsHeaderName, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::login::{SESSION, field, is_form, to_login};
use super::operators::too_many;
use super::serve::Peer;
use super::session::{Csrf, Place};
use super::{MAX_BODY_BYTES, Problem, REQUEST_LIMIT, STEP_LIMIT, Settings, Shared, headers};
use crate::call::{Host, Operator, Origin, Scheme};

/// What a change that comes with a cookie shows.
const CSRF: HeaderName = HeaderName::from_static("remit-csrf");
/// Where a browser says that a request comes from (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut answer = match let_in(&shared, request).await {
        Ok(request) => tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await.unwrap_or_else(|_| {
            let detail = format!(
                "the answer took longer than {} s; look before asking again",
                REQUEST_LIMIT.as_secs()
            );
            Problem::unavailable("too_slow", detail).into_response()
        }),
        Err(answer) => *answer,
    };
    headers::harden(&mut answer);
    answer
}

/// The request with what is known of whoever sent it in its extensions; or the answer to it.
async fn let_in(shared: &Shared, mut request: Request) -> Result<Request, Box<Response>> {
    let refuse = |problem: Problem| Box::new(problem.into_response());
    let peer = request.extensions().get::<Peer>().cloned();
    let peer = peer.ok_or_else(|| refuse(Problem::unavailable("internal", "the connection is not known")))?;
    let place = check_host(&shared.settings, &peer, &request).map_err(refuse)?;
    check_origin(&place, &request).map_err(refuse)?;
    request.extensions_mut().insert(place.clone());
    let matched = request.extensions().get::<MatchedPath>();
    if matched.is_some_and(|path| shared.open.contains(path.as_str())) {
        return Ok(request);
    }
    let (operator, csrf) = match known(shared, &peer, &place, request.headers()) {
        Ok(Some(known)) => known,
        Ok(None) if wants_page(&request) => return Err(Box::new(to_login(&request))),
        Ok(None) => return Err(refuse(missing())),
        Err(problem) => return Err(refuse(shared.rooms.operators.failed(peer.address.ip(), problem))),
    };
    let paced = shared.rooms.operators.requests.take(&operator.id);
    paced.map_err(|wait| refuse(too_many("too many requests", wait)))?;
    if let Some(csrf) = csrf {
        if !request.method().is_safe() {
            request = check_csrf(&csrf, request).await.map_err(refuse)?;
        }
        request.extensions_mut().insert(csrf);
    }
    request.extensions_mut().insert(operator);
    Ok(request)
}

/// The operator that asks, and what changes have to show if that is told by a cookie; none: there is no evidence at all.
fn known(
    shared: &Shared,
    peer: &Peer,
    place: &Place,
    headers: &HeaderMap,
) -> Result<Option<(Operator, Option<Csrf>)>, Problem> {
    let operators = &shared.rooms.operators;
    if headers.contains_key(AUTHORIZATION) {
        return by_token(shared, headers).map(|operator| Some((operator, None)));
    }
    if let Some(name) = place.sent(SESSION, headers)
        && let Some((operator, csrf)) = operators.sessions.find(name, operators.clock.now())
    {
        return Ok(Some((operator, Some(csrf))));
    }
    match &peer.certificates {
        Some(shown) => operators.certified(shown).map(|operator| Some((operator, None))),
        None => Ok(None),
    }
}

/// Names this node, or a browser was led here by a name that somebody else owns (DNS rebinding).
fn check_host(settings: &Settings, peer: &Peer, request: &Request) -> Result<Place, Problem> {
    let misdirected = |detail: &str| Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", detail);
    if request.uri().authority().is_some() {
        return Err(misdirected("this is the admin API and no proxy: send the path alone"));
    }
    let host = only(request.headers(), HOST)
        .and_then(|host| host.ok_or(()))
        .map_err(|()| Problem::bad_request("bad_host", "one `Host` header is wanted (RFC 9112 §3.2)"))?;
    let front = settings.url.as_ref().filter(|front| front.authority.eq_ignore_ascii_case(host));
    let secure = front.map_or(peer.secure, |front| front.scheme == Scheme::Https);
    let scheme = if secure { Scheme::Https } else { Scheme::Http };
    let (name, port) = Origin::parse_authority(host, Some(scheme.default_port()))
        .map_err(|error| Problem::bad_request("bad_host", error.to_string()))?;
    if front.is_none() && !is_ours(settings, &name) {
        return Err(misdirected(
            "`Host` does not name this node; use its address, a loopback address or `localhost`, or name it in admin.names",
        ));
    }
    Ok(Place { scheme: if secure { "https" } else { "http" }, authority: host.to_ascii_lowercase(), port })
}

fn is_ours(settings: &Settings, name: &Host) -> bool {
    match name.address() {
        // An address in `Host` was typed or configured, never rebound. Bound to all addresses, any may be this node's.
        Some(address) => {
            let address = address.to_canonical();
            let bound = |ip: std::net::IpAddr| address == ip.to_canonical() || ip.is_unspecified();
            address.is_loopback()
                || bound(settings.bound.ip())
                || settings.bound_tls.is_some_and(|at| bound(at.ip()))
        }
        None => *name == Host::Name("localhost".into()) || settings.names.contains(name),
    }
}

/// A browser says where a request comes from (RFC 6454 §7; Fetch Metadata); only this node's own pages may send any that
/// changes something, and none may send one from elsewhere by script.
fn check_origin(place: &Place, request: &Request) -> Result<(), Problem> {
    let same = match only(request.headers(), ORIGIN) {
        Ok(None) => true,
        Ok(Some(origin)) => origin.eq_ignore_ascii_case(&place.origin()),
        Err(()) => false,
    };
    let site = only(request.headers(), FETCH_SITE);
    let near = request.method().is_safe() || matches!(site, Ok(None | Some("same-origin" | "none")));
    if same && near {
        return Ok(());
    }
    let detail = "the request comes from a web page of another origin; pages have no business here";
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail))
}

fn by_token(shared: &Shared, headers: &HeaderMap) -> Result<Operator, Problem> {
    let presented = only(headers, AUTHORIZATION).ok().flatten().and_then(|value| value.split_once(' '));
    let (scheme, token) = presented.unwrap_or_default();
    // RFC 9110 §11.1: the scheme's case does not matter.
    if scheme.eq_ignore_ascii_case("bearer") && shared.rooms.admin.matches(token.trim_matches(' ')) {
        return Ok(Operator::local());
    }
    tracing::debug!("an admin request without the right token was refused");
    Err(missing())
}

fn missing() -> Problem {
    let detail =
        "send `Authorization: Bearer TOKEN` with the content of admin.token in the node's state folder";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

/// Whether it is a browser that would show what it gets.
fn wants_page(request: &Request) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_page = accepts.contains("text/html") && !request.uri().path().starts_with("/v1/");
    is_page && matches!(*request.method(), Method::GET | Method::HEAD)
}

/// A change that comes with a cookie shows the session's token: in a header, or in a field of its form.
async fn check_csrf(csrf: &Csrf, request: Request) -> Result<Request, Problem> {
    let wrong = || {
        let detail = "changes of a signed-in browser need the session's token, in the header `remit-csrf` or the form field `csrf`; load the page again";
        Problem::new(StatusCode::FORBIDDEN, "csrf_wanted", detail)
    };
    if let Some(shown) = request.headers().get(CSRF) {
        let is_it = shown.to_str().is_ok_and(|shown| csrf.is(shown));
        return if is_it { Ok(request) } else { Err(wrong()) };
    }
    if !is_form(request.headers()) {
        return Err(wrong());
    }
    let (head, body) = request.into_parts();
    let reading = tokio::time::timeout(STEP_LIMIT, axum::body::to_bytes(body, MAX_BODY_BYTES)).await;
    let bytes = reading.ok().and_then(Result::ok).ok_or_else(wrong)?;
    if field(&bytes, "csrf").is_some_and(|shown| csrf.is(&shown)) {
        return Ok(Request::from_parts(head, Body::from(bytes)));
    }
    Err(wrong())
}

/// The value of a field that may stand once: `Err` where it stands twice or is not text.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}
