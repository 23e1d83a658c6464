//! Who may speak to the admin API at all; stands before every route, so a new route is guarded without a word.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, AsHeaderName, CACHE_CONTROL, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::{Problem, REQUEST_LIMIT, Settings, Shared};
use crate::call::{Host, Operator, Origin, Scheme};

pub(super) async fn guard(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let checked = check(&shared, &request).map(|operator| {
        // For routes that ask who it is.
        if let Some(operator) = operator {
            request.extensions_mut().insert(operator);
        }
    });
    let mut answer = match checked {
        Ok(()) => tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await.unwrap_or_else(|_| {
            let detail = format!(
                "the answer took longer than {} s; look before asking again",
                REQUEST_LIMIT.as_secs()
            );
            Problem::unavailable("too_slow", detail).into_response()
        }),
        Err(problem) => problem.into_response(),
    };
    let headers = answer.headers_mut();
    // Answers carry tokens and what agents did.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The operator that asks; none, where anybody may.
fn check(shared: &Shared, request: &Request) -> Result<Option<Operator>, Problem> {
    let host = check_host(&shared.settings, request)?;
    check_origin(host, request.headers())?;
    let matched = request.extensions().get::<MatchedPath>();
    if matched.is_some_and(|path| shared.open.contains(path.as_str())) {
        return Ok(None);
    }
    check_token(shared, request.headers()).map(Some)
}

/// Names this node, or a browser was led here by a name that somebody else owns (DNS rebinding).
fn check_host<'a>(settings: &Settings, request: &'a Request) -> Result<&'a str, Problem> {
    let misdirected = |detail: &str| Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", detail);
    if request.uri().authority().is_some() {
        return Err(misdirected("this is the admin API and no proxy: send the path alone"));
    }
    let host = only(request.headers(), HOST)
        .and_then(|host| host.ok_or(()))
        .map_err(|()| Problem::bad_request("bad_host", "one `Host` header is wanted (RFC 9112 §3.2)"))?;
    let (name, _) = Origin::parse_authority(host, Some(Scheme::Http.default_port()))
        .map_err(|error| Problem::bad_request("bad_host", error.to_string()))?;
    if is_ours(settings, &name) {
        Ok(host)
    } else {
        Err(misdirected("`Host` does not name this node; use its address, a loopback address or `localhost`"))
    }
}

fn is_ours(settings: &Settings, name: &Host) -> bool {
    let bound = settings.bound.ip();
    match name.address() {
        // An address in `Host` was typed or configured, never rebound. Bound to all addresses, any may be this node's.
        Some(address) => {
            let address = address.to_canonical();
            address.is_loopback() || address == bound.to_canonical() || bound.is_unspecified()
        }
        None => *name == Host::Name("localhost".into()) || settings.names.contains(name),
    }
}

/// A browser says where a request comes from (RFC 6454 §7); only this node's own pages may send any.
fn check_origin(host: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let same = match only(headers, ORIGIN) {
        Ok(None) => true,
        Ok(Some(origin)) => origin.eq_ignore_ascii_case(&format!("http://{host}")),
        Err(()) => false,
    };
    if same {
        return Ok(());
    }
    let detail = "the request comes from a web page of another origin; pages have no business here";
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail))
}

fn check_token(shared: &Shared, headers: &HeaderMap) -> Result<Operator, Problem> {
    let presented = only(headers, AUTHORIZATION).ok().flatten().and_then(|value| value.split_once(' '));
    let (scheme, token) = presented.unwrap_or_default();
    // RFC 9110 §11.1: the scheme's case does not matter.
    if scheme.eq_ignore_ascii_case("bearer") && shared.rooms.admin.matches(token.trim_matches(' ')) {
        return Ok(Operator::local());
    }
    tracing::debug!("an admin request without the right token was refused");
    let detail =
        "send `Authorization: Bearer TOKEN` with the content of admin.token in the node's state folder";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail))
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
