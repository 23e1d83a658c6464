//! One request to a server that gives credentials, and how its failures read: with cause and remedy, without a secret.
//!
//! Servers are the operator's, their answers are data all the same: bounded, and what they say of an error is cut, veiled and
//! freed of what was sent to them before anybody sees it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use url::form_urlencoded::Serializer;

use super::MintError;
use super::endpoint::Endpoint;
use crate::call::veil::veil;
use crate::call::{Fetch, Secret, Timestamp};

/// Longest answer that is looked at, bytes. A token with its claims has a few thousand.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Longest token that is taken, bytes: what servers commonly take in one header field.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest life that a credential may be said to have. What claims more is a mistake in units or no lifetime at all.
pub const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// How much of what a server says of an error is shown, characters.
const SHOWN: usize = 160;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("remit/", env!("CARGO_PKG_VERSION")));

/// What a request does there, which says what it means when its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It gives a credential: perhaps one exists that nobody here knows.
    Gives,
    /// Asking twice is like asking once.
    Repeatable,
}

/// One request.
pub struct Ask<'a> {
    /// To whom.
    pub to: &'a Endpoint,
    /// What the server is called in errors: `the token endpoint`.
    pub who: &'a str,
    /// What is lost with the answer.
    pub effect: Effect,
    /// What errors must not repeat, whatever the server says.
    pub secrets: Vec<Secret<String>>,
    request: Request<Bytes>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    body: Bytes,
    place: String,
    secrets: Vec<Secret<String>>,
    effect: Effect,
}

impl<'a> Ask<'a> {
    fn new(
        method: Method,
        to: &'a Endpoint,
        who: &'a str,
        effect: Effect,
        body: Bytes,
    ) -> Result<Self, MintError> {
        let request = Request::builder().method(method).uri(to.as_str()).body(body);
        let mut request =
            request.map_err(|error| MintError::Refused(format!("{who} cannot be asked: {error}")))?;
        request.headers_mut().insert(USER_AGENT, AGENT);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Self { to, who, effect, secrets: Vec::new(), request })
    }

    /// A request without a body.
    pub fn bare(method: Method, to: &'a Endpoint, who: &'a str, effect: Effect) -> Result<Self, MintError> {
        Self::new(method, to, who, effect, Bytes::new())
    }

    /// A POST of a form (RFC 6749 appendix B).
    pub fn form(
        to: &'a Endpoint,
        who: &'a str,
        effect: Effect,
        fields: &[(&str, &str)],
    ) -> Result<Self, MintError> {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut ask = Self::new(Method::POST, to, who, effect, form.into())?;
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        ask.request.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(ask)
    }

    /// A request with a JSON body.
    pub fn json(
        method: Method,
        to: &'a Endpoint,
        who: &'a str,
        effect: Effect,
        body: &serde_json::Value,
    ) -> Result<Self, MintError> {
        let mut ask = Self::new(method, to, who, effect, body.to_string().into())?;
        ask.request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(ask)
    }

    /// This with a header field, marked as not to be printed or indexed.
    pub fn with(mut self, name: &'static str, value: &str) -> Result<Self, MintError> {
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            MintError::Refused(format!(
                "`{name}` for {} would hold a character that no header field may; check the secret for line ends and spaces",
                self.who
            ))
        })?;
        value.set_sensitive(true);
        self.request.headers_mut().insert(name, value);
        Ok(self)
    }

    /// This, with more that errors must not repeat.
    #[must_use]
    pub fn hiding(mut self, secrets: impl IntoIterator<Item = Secret<String>>) -> Self {
        self.secrets.extend(secrets);
        self
    }

    /// Sends it.
    pub async fn send(self, fetch: &dyn Fetch) -> Result<Answer, MintError> {
        let place = format!("{} ({})", self.who, self.to.shown());
        let answer = fetch.fetch(self.request).await.map_err(|error| {
            if error.reached && self.effect == Effect::Gives {
                MintError::Unknown(format!("{place} was asked and the answer was lost: {error}"))
            } else {
                MintError::Unavailable(format!("{place} cannot be reached: {error}"))
            }
        })?;
        let (head, body) = answer.into_parts();
        if body.len() > MAX_ANSWER_BYTES {
            let why =
                format!("{place} answered with {} bytes, and {MAX_ANSWER_BYTES} are looked at", body.len());
            return Err(lost(self.effect, head.status, why));
        }
        let (secrets, effect) = (self.secrets, self.effect);
        Ok(Answer { status: head.status, headers: head.headers, body, place, secrets, effect })
    }
}

/// What an answer that cannot be read means: after a success somebody may have given something.
fn lost(effect: Effect, status: StatusCode, why: String) -> MintError {
    if effect == Effect::Gives && status.is_success() {
        MintError::Unknown(why)
    } else {
        MintError::Unavailable(why)
    }
}

impl Answer {
    /// The body as JSON of the wanted form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, MintError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // serde's own text may quote the body.
            let why = format!(
                "{} answered {} with a body that is not what belongs there (line {}, column {})",
                self.place,
                self.status.as_u16(),
                error.line(),
                error.column()
            );
            lost(self.effect, self.status, why)
        })
    }

    /// The body as JSON, if it is.
    pub fn json_if_any<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What an error of the server becomes, with its own words.
    pub fn refused(&self, said: &str, remedy: &str) -> MintError {
        let (place, status) = (&self.place, self.status.as_u16());
        let said = self.shown(said);
        let said = if said.is_empty() { "nothing else".to_owned() } else { format!("`{said}`") };
        let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
        let text = format!("{place} answered {status} and said {said}{remedy}");
        let again = self.status.is_server_error()
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if again { MintError::Unavailable(text) } else { MintError::Refused(text) }
    }

    /// Something in the answer that cannot be.
    pub fn odd(&self, why: &str) -> MintError {
        MintError::Refused(format!("{} answered oddly: {why}", self.place))
    }

    /// A text of the server, fit to be shown: one line, cut, without what was sent and without what looks like a secret.
    pub fn shown(&self, said: &str) -> String {
        shown(said, self.secrets.iter())
    }
}

/// What a server said, fit to be shown; these secrets were sent to it.
pub fn shown<'a>(said: &str, sent: impl IntoIterator<Item = &'a Secret<String>>) -> String {
    let mut said = said.to_owned();
    for secret in sent.into_iter().map(|secret| secret.reveal().trim()).filter(|secret| secret.len() >= 4) {
        said = said.replace(secret, "…");
    }
    let line: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // Veiled before it is cut: half of a secret looks like less of one.
    let veiled = veil(line.trim(), "");
    let mut cut: String = veiled.chars().take(SHOWN).collect();
    if veiled.chars().nth(SHOWN).is_some() {
        cut.push('…');
    }
    cut
}

/// A token that can be sent in a header field (RFC 6750 §2.1 and more: visible ASCII).
pub fn token(text: String, place: &str) -> Result<Secret<String>, MintError> {
    let text = Secret::new(text);
    let sound = (1..=MAX_TOKEN_BYTES).contains(&text.reveal().len())
        && text.reveal().bytes().all(|byte| byte.is_ascii_graphic());
    if sound {
        return Ok(text);
    }
    Err(MintError::Refused(format!("{place} gave a token that is empty, too long, or not visible ASCII")))
}

/// When something ends that lives for `seconds` from now.
pub fn ends(now: Timestamp, seconds: u64) -> Result<Timestamp, MintError> {
    let life = Duration::from_secs(seconds);
    if seconds == 0 || life > LONGEST_LIFE {
        return Err(MintError::Refused(format!(
            "a lifetime of {seconds} s was given, and 1 to {} make sense; it is seconds that are counted",
            LONGEST_LIFE.as_secs()
        )));
    }
    Ok(now.plus(life))
}
