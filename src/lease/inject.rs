//! Puts a credential where the service wants to see it, and takes away what the agent put there.
//!
//! It writes to the place of the lease and to nothing else (INVARIANT I4 has this one exception): at a header field, a cookie
//! or a parameter of the query, or it has the request signed anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::hmac::HmacError;
use super::place::{Place, is_named};
use super::placeholder::{Placeholders, basic};
use super::provider::{Material, MintError};
use super::sign::{Sent, SignError, sign};
use crate::call::{Origin, Secret, Target};

/// RFC 3986 §2.3: what needs no encoding.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a credential cannot be put into a request. Names no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// It has characters that cannot stand there.
    #[error("what the provider gives cannot stand in {0}; look at the secret for blanks and line ends")]
    Characters(String),
    /// The request cannot be signed anew.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The request cannot be signed with a shared secret.
    #[error(transparent)]
    Hmac(#[from] HmacError),
    /// That whoever sends it has its key could not be proven.
    #[error(transparent)]
    Proof(#[from] MintError),
    /// It is of another kind.
    #[error("the provider gives {given}, which cannot go into {place}; change `place` or `provider`")]
    Kind {
        /// What there is.
        given: &'static str,
        /// Where it should go.
        place: String,
    },
}

/// A request, as far as a credential can stand in it or rest on it.
pub struct Outgoing<'a> {
    /// Where it goes.
    pub origin: &'a Origin,
    /// The method.
    pub method: &'a Method,
    /// Its fields.
    pub headers: &'a mut HeaderMap,
    /// Path and query.
    pub target: &'a mut Target,
}

/// Puts `material` into `place`.
pub(super) fn put(
    place: &Place,
    material: &Material,
    placeholders: &Placeholders,
    outgoing: Outgoing<'_>,
    sent: Sent<'_>,
) -> Result<(), InjectError> {
    let Outgoing { origin, method, headers, target } = outgoing;
    // Else a key of the agent's own would act beside the lease that the call is told to be made with.
    if !matches!(place, Place::SignAws | Place::Basic { .. }) {
        headers.remove(AUTHORIZATION);
    }
    match (place, material) {
        (Place::SignAws, Material::Aws { .. }) => Ok(sign(material, origin, method, headers, target, sent)?),
        (Place::Header { name, format }, Material::Token(token)) => {
            let text = Zeroizing::new(format.replacen("{}", token.reveal(), 1));
            header(headers, name, &text)
        }
        (Place::Query { name }, Material::Token(token)) => query(target, name, token),
        (Place::Cookie { name }, Material::Token(token)) => cookie(headers, name, token),
        (Place::Basic { user }, Material::Token(token)) => {
            let pair = pair(user.as_deref(), token, headers, placeholders);
            user_and_password(headers, &pair)
        }
        (Place::Basic { .. } | Place::Header { .. }, Material::Basic { user, password }) => {
            user_and_password(headers, &Zeroizing::new(format!("{user}:{}", password.reveal())))
        }
        (place, material) => Err(InjectError::Kind { given: kind(material), place: place.to_string() }),
    }
}

fn kind(material: &Material) -> &'static str {
    match material {
        Material::Token(_) => "a token",
        Material::Basic { .. } => "a user and a password",
        Material::Dpop { .. } => "a token that is bound to a key",
        Material::Aws { .. } => "keys of AWS's",
    }
}

pub(super) fn header(headers: &mut HeaderMap, name: &HeaderName, text: &str) -> Result<(), InjectError> {
    let refused = |_| InjectError::Characters(format!("the header field `{name}`"));
    let mut value = HeaderValue::from_str(text).map_err(refused)?;
    value.set_sensitive(true);
    // In the place of all that the agent sent by that name.
    headers.insert(name, value);
    Ok(())
}

fn user_and_password(headers: &mut HeaderMap, pair: &str) -> Result<(), InjectError> {
    let text = Zeroizing::new(format!("Basic {}", BASE64.encode(pair)));
    header(headers, &AUTHORIZATION, &text)
}

/// Where the operator names the user, the token is the password; else it stands where the agent's placeholder stood, and by
/// itself as the user, as services have it whose keys are no passwords.
fn pair(
    user: Option<&str>,
    token: &Secret<String>,
    headers: &HeaderMap,
    placeholders: &Placeholders,
) -> Zeroizing<String> {
    let token = token.reveal();
    if let Some(user) = user {
        return Zeroizing::new(format!("{user}:{token}"));
    }
    let sent = headers.get(AUTHORIZATION).and_then(|value| basic(value.as_bytes()));
    let sent = sent.and_then(|pair| String::from_utf8(pair.to_vec()).ok());
    match sent.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((user, password)) if placeholders.find(password.as_bytes()).next().is_some() => {
            Zeroizing::new(format!("{user}:{token}"))
        }
        _ => Zeroizing::new(format!("{token}:")),
    }
}

fn query(target: &mut Target, name: &str, token: &Secret<String>) -> Result<(), InjectError> {
    let refused = || InjectError::Characters(format!("the query parameter `{name}`"));
    let raw = Zeroizing::new(target.raw().to_owned());
    let path = raw.split_once('?').map_or(raw.as_str(), |(path, _)| path);
    let kept = target.query().into_iter().flat_map(|query| query.split('&'));
    let kept = kept.filter(|pair| !is_named(pair.split('=').next().unwrap_or_default(), name));
    let mut whole = Zeroizing::new(format!("{path}?"));
    for pair in kept.filter(|pair| !pair.is_empty()) {
        whole.push_str(pair);
        whole.push('&');
    }
    whole.extend(utf8_percent_encode(name, UNRESERVED));
    whole.push('=');
    whole.extend(utf8_percent_encode(token.reveal(), UNRESERVED));
    *target = Target::parse(&whole).map_err(|_| refused())?;
    Ok(())
}

fn cookie(headers: &mut HeaderMap, name: &str, token: &Secret<String>) -> Result<(), InjectError> {
    let refused = || InjectError::Characters(format!("the cookie `{name}`"));
    // RFC 6265 §4.1.1; a `;` would make another cookie of the rest.
    if token.reveal().bytes().any(|b| !b.is_ascii_graphic() || matches!(b, b'"' | b',' | b';' | b'\\')) {
        return Err(refused());
    }
    let mut whole = Zeroizing::new(String::new());
    for value in headers.get_all(COOKIE) {
        for pair in value.to_str().map_err(|_| refused())?.split(';').map(str::trim) {
            if !pair.is_empty() && pair.split('=').next() != Some(name) {
                whole.push_str(pair);
                whole.push_str("; ");
            }
        }
    }
    whole.push_str(name);
    whole.push('=');
    whole.push_str(token.reveal());
    header(headers, &COOKIE, &whole)
}
