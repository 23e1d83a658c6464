//! Signing in and out with a browser: by the token of the state folder, or at an identity provider.
//!
//! The secrets of an attempt at the provider are made of a random cookie and of a key that the node draws at its start, so
//! nothing is kept for attempts that never end, and the answer is worth nothing in another browser.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{DOCTYPE, Markup, html};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

use super::operators::{source_of, too_many};
use super::serve::Peer;
use super::session::{Csrf, Place, random};
use super::tasks::within_limit;
use super::{MAX_BODY_BYTES, Problem, Shared, TaskEvent};
use crate::call::{Membership, Operator, OperatorId, Role, Timestamp};
use crate::identity::{Attempt, OidcError};

/// What the session's cookie is called, but for prefix and port.
pub(super) const SESSION: &str = "remit";
/// And that of an attempt to sign in.
const ATTEMPT: &str = "remit-attempt";
/// How long an attempt may take.
const ATTEMPT_LIFE: Duration = Duration::from_secs(600);
/// Longest way back that is remembered.
const MAX_NEXT_BYTES: usize = 1_024;

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct Onward {
    #[serde(default)]
    next: String,
}

/// What the provider sends the browser back with (RFC 6749 §4.1.2, RFC 9207 §2).
#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    state: String,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// `GET /login`.
pub(super) async fn page(State(shared): State<Arc<Shared>>, Query(onward): Query<Onward>) -> Response {
    html_of(StatusCode::OK, &form(&shared, &onward.next, None))
}

/// `POST /login`: by the token of the state folder.
pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Extension(place): Extension<Place>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (token, next) = match token_and_next(&headers, body).await {
        Ok(found) => found,
        Err(problem) => return refused(&shared, "", &problem),
    };
    if !shared.rooms.admin.matches(token.trim()) {
        tracing::warn!(peer = %peer.address, "a wrong admin token was shown at /login");
        let detail = "this is not the token of this node; it is in admin.token in the node's state folder";
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        let problem = shared.rooms.operators.failed(peer.address.ip(), problem);
        return refused(&shared, &next, &problem);
    }
    welcome(&shared, &place, &headers, Operator::local(), &next).await
}

/// `GET /login/oidc`: off to the identity provider.
pub(super) async fn depart(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Extension(place): Extension<Place>,
    Query(onward): Query<Onward>,
) -> Response {
    let operators = &shared.rooms.operators;
    let Some((provider, _)) = &operators.evidence.provider else {
        return refused(&shared, &onward.next, &no_provider());
    };
    if let Err(wait) = operators.beginnings.take(&source_of(peer.address.ip())) {
        let problem = too_many("too many attempts to sign in came from this address", wait);
        return refused(&shared, &onward.next, &problem);
    }
    let next = URL_SAFE_NO_PAD.encode(onward_path(&onward.next));
    let cookie = format!("{}.{}.{next}", operators.clock.now().unix_s(), random(&*operators.entropy));
    match provider.authorize(&attempt(&shared, &place, &cookie)).await {
        Ok(url) => {
            let mut answer = redirect(url.as_str());
            put_cookie(&mut answer, &place.set(ATTEMPT, &cookie, ATTEMPT_LIFE));
            answer
        }
        Err(error) => refused(&shared, &onward.next, &problem_of(&error)),
    }
}

/// `GET /login/oidc/callback`: back from it.
pub(super) async fn arrive(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    Extension(place): Extension<Place>,
    Query(back): Query<Back>,
    headers: HeaderMap,
) -> Response {
    let (operators, source) = (&shared.rooms.operators, source_of(peer.address.ip()));
    if let Some(wait) = operators.failures.wait(&source) {
        return refused(
            &shared,
            "",
            &too_many("too many failed attempts to sign in came from this address", wait),
        );
    }
    let came = place.sent(ATTEMPT, &headers).unwrap_or_default();
    let mut answer = match returned(&shared, &place, came, back).await {
        Ok((operator, next)) => welcome(&shared, &place, &headers, operator, &next).await,
        Err(problem) => {
            tracing::warn!(peer = %peer.address, problem = problem.detail(), "a sign-in at the identity provider came to nothing");
            refused(&shared, "", &operators.failed(peer.address.ip(), problem))
        }
    };
    put_cookie(&mut answer, &place.set(ATTEMPT, "", Duration::ZERO));
    answer
}

async fn returned(
    shared: &Shared,
    place: &Place,
    cookie: &str,
    back: Back,
) -> Result<(Operator, String), Problem> {
    let operators = &shared.rooms.operators;
    let (provider, reading) = operators.evidence.provider.as_ref().ok_or_else(no_provider)?;
    let stale =
        |why: &str| Problem::new(StatusCode::FORBIDDEN, "stale_attempt", format!("{why}; sign in again"));
    let mut parts = cookie.splitn(3, '.');
    let began = parts.next().and_then(|s| s.parse().ok()).map(Timestamp::from_unix_s);
    let (began, next) =
        began.zip(parts.nth(1)).ok_or_else(|| stale("this browser has not begun to sign in here"))?;
    let (now, attempt) = (operators.clock.now(), attempt(shared, place, cookie));
    if !bool::from(attempt.state.as_bytes().ct_eq(back.state.as_bytes())) {
        return Err(stale("the answer belongs to another attempt (`state`)"));
    }
    if now.since(began) > ATTEMPT_LIFE {
        return Err(stale("the attempt took too long"));
    }
    let code = match (back.code, back.error) {
        (Some(code), None) => code,
        (_, error) => {
            let why = back.error_description.or(error).unwrap_or_else(|| "it sent no code".into());
            let why = why.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(problem_of(&OidcError::Refused { why }));
        }
    };
    let claims = provider.redeem(&attempt, &code, back.iss.as_deref()).await;
    let operator = operators.claimed(reading, &claims.map_err(|error| problem_of(&error))?)?;
    let next = URL_SAFE_NO_PAD.decode(next).ok().and_then(|next| String::from_utf8(next).ok());
    Ok((operator, next.unwrap_or_default()))
}

/// Who a request comes from, as JSON.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionBody<'a> {
    id: &'a OperatorId,
    roles: &'a BTreeSet<Role>,
    /// `all`, or a list.
    groups: GroupsBody<'a>,
    /// What changes have to show in `remit-csrf`; absent where it was not a cookie that told who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum GroupsBody<'a> {
    All(&'static str),
    Of(Vec<&'a str>),
}

/// `GET /v1/session`.
pub(super) async fn session(
    Extension(operator): Extension<Operator>,
    csrf: Option<Extension<Csrf>>,
) -> Response {
    let Operator { id, roles, groups, .. } = &operator;
    let groups = match groups {
        Membership::All => GroupsBody::All("all"),
        Membership::Of(groups) => GroupsBody::Of(groups.iter().map(|group| &**group).collect()),
    };
    let csrf = csrf.as_ref().map(|Extension(csrf)| &*csrf.0);
    Json(SessionBody { id, roles, groups, csrf }).into_response()
}

/// `POST /logout`.
pub(super) async fn sign_out(
    State(shared): State<Arc<Shared>>,
    Extension(operator): Extension<Operator>,
    Extension(place): Extension<Place>,
    headers: HeaderMap,
) -> Response {
    if let Some(name) = place.sent(SESSION, &headers) {
        shared.rooms.operators.sessions.end(name);
        record(&shared, &operator, TaskEvent::SignedOut).await;
    }
    let mut answer = redirect("/login");
    put_cookie(&mut answer, &place.set(SESSION, "", Duration::ZERO));
    answer
}

/// Begins a session, another one at each sign-in.
async fn welcome(
    shared: &Shared,
    place: &Place,
    headers: &HeaderMap,
    operator: Operator,
    next: &str,
) -> Response {
    let operators = &shared.rooms.operators;
    if let Some(before) = place.sent(SESSION, headers) {
        operators.sessions.end(before);
    }
    record(shared, &operator, TaskEvent::SignedIn).await;
    let name = operators.sessions.begin(operator, operators.clock.now(), &*operators.entropy);
    let mut answer = redirect(&onward_path(next));
    put_cookie(&mut answer, &place.set(SESSION, name.reveal(), operators.life.whole));
    answer
}

/// Where the journal cannot be written, an operator is let in all the same: to stop what goes on there.
async fn record(shared: &Shared, operator: &Operator, event: TaskEvent) {
    let recording = shared.rooms.node.record(operator.id.clone(), event);
    if let Err(problem) = within_limit("journal_unavailable", recording).await {
        tracing::error!(operator = %operator.id, error = problem.detail(), "a sign-in or sign-out could not be recorded");
    }
}

/// Where a browser goes that asks for a page and is not signed in.
pub(super) fn to_login(request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let next: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
    redirect(&format!("/login?next={next}"))
}

fn attempt(shared: &Shared, place: &Place, cookie: &str) -> Attempt {
    let derived = |what| URL_SAFE_NO_PAD.encode(shared.rooms.operators.derive(what, cookie));
    Attempt {
        state: derived("state"),
        nonce: derived("nonce"),
        verifier: derived("verifier"),
        redirect_uri: format!("{}/login/oidc/callback", place.origin()),
    }
}

/// A path of this node and nothing else: no other host, by whatever spelling browsers understand.
fn onward_path(next: &str) -> String {
    let is_path = next.starts_with('/') && !next.starts_with("//");
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_path && plain && next.len() <= MAX_NEXT_BYTES { next.to_owned() } else { "/".to_owned() }
}

async fn token_and_next(headers: &HeaderMap, body: Body) -> Result<(String, String), Problem> {
    if !is_form(headers) {
        let detail = "send a form (`Content-Type: application/x-www-form-urlencoded`)";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form", detail));
    }
    let reading = tokio::time::timeout(super::STEP_LIMIT, axum::body::to_bytes(body, MAX_BODY_BYTES)).await;
    let bytes = reading.ok().and_then(Result::ok);
    let bytes =
        bytes.ok_or_else(|| Problem::bad_request("bad_body", "the form is too long, or broke off"))?;
    Ok((field(&bytes, "token").unwrap_or_default(), field(&bytes, "next").unwrap_or_default()))
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The value of a field that stands once.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    let mut values = url::form_urlencoded::parse(form).filter(|(one, _)| one == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value.into_owned()),
        _ => None,
    }
}

fn no_provider() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_provider", "no identity provider is named here; see [admin.oidc]")
}

fn problem_of(error: &OidcError) -> Problem {
    match error {
        OidcError::Unavailable { .. } => Problem::unavailable("provider_unavailable", error.to_string()),
        OidcError::Refused { .. } | OidcError::Token { .. } => {
            Problem::new(StatusCode::FORBIDDEN, "sign_in_refused", error.to_string())
        }
    }
}

fn refused(shared: &Shared, next: &str, problem: &Problem) -> Response {
    let mut answer = html_of(problem.status(), &form(shared, next, Some(problem.detail())));
    problem.put_headers(answer.headers_mut());
    answer
}

fn redirect(to: &str) -> Response {
    let to = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

fn put_cookie(answer: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}

fn html_of(status: StatusCode, page: &Markup) -> Response {
    let kind: (HeaderName, _) = (CONTENT_TYPE, "text/html; charset=utf-8");
    (status, [kind], page.0.clone()).into_response()
}

fn form(shared: &Shared, next: &str, wrong: Option<&str>) -> Markup {
    let provider = shared.rooms.operators.evidence.provider.as_ref().map(|(provider, _)| provider.issuer());
    let next = onward_path(next);
    let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Sign in · remit" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/console/assets/console.css";
            }
            body {
                main.login {
                    h1 { "Sign in to remit" }
                    @if let Some(wrong) = wrong {
                        p role="alert" { (wrong) }
                    }
                    @if let Some(provider) = provider {
                        p { a href={ "/login/oidc?next=" (query) } { "Sign in with " (provider) } }
                    }
                    form.login method="post" action="/login" {
                        input type="hidden" name="next" value=(next);
                        p {
                            label for="token" { "Admin token" }
                            " "
                            input type="password" id="token" name="token" required autocomplete="current-password" autofocus[provider.is_none()];
                        }
                        p { button type="submit" { "Sign in" } }
                    }
                }
            }
        }
    }
}
