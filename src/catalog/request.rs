//! How a request can be read: its path in segments, its query, and the verbs that a server may find in it.
//!
//! Servers differ. Where two readings are possible, both are given, and whoever asks takes the stronger. Nothing here
//! knows what an operation is.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use super::content::Content;

/// The verb under which the catalog lists operations that begin a WebSocket (RFC 6455 §4.1). `/` is not a token
/// character (RFC 9110 §5.6.2), so no agent can send it as a method.
pub(super) const WEBSOCKET: &str = "GET/websocket";

/// Methods that a request may be meant as, besides the one that it was sent with. More than this many are not read.
const OVERRIDES: usize = 4;

/// Fields that make a server take another path than the one sent. No RFC; IIS and the frameworks that copied it.
static PATH_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-original-url"), HeaderName::from_static("x-rewrite-url")];

/// How often an encoded path is decoded in search of another reading. Five layers deep is past any real server.
const DECODINGS: usize = 4;

/// Fields that make a server treat a request as of another method. No RFC; ASP.NET, Rails, Express, Google and others.
static OVERRIDE_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];
const OVERRIDE_QUERY: [&str; 4] = ["_method", "x-http-method-override", "x-http-method", "x-method-override"];

/// The shortest of [`OVERRIDE_QUERY`].
const OVERRIDE_QUERY_BYTES: usize = 7;

/// A path in segments, each percent-decoded once; empty segments are left out.
pub(super) fn segments(path: &str) -> Vec<Cow<'_, str>> {
    // Most have no more than this: then the list is made once.
    let mut segments = Vec::with_capacity(8);
    segments.extend(path.split('/').filter(|segment| !segment.is_empty()).map(decode));
    segments
}

/// The path as a server would read it that decodes again and again, cuts matrix parameters (`;v=1`) off, and takes an
/// encoded separator for a separator. `None` where that is the plain reading.
pub(super) fn lenient(segments: &[Cow<'_, str>]) -> Option<Vec<Cow<'static, str>>> {
    if !segments.iter().any(|segment| segment.contains(['%', ';', '/', '\\'])) {
        return None;
    }
    let mut path = segments.join("/");
    for _ in 0..DECODINGS {
        match percent_decode_str(&path).decode_utf8() {
            Ok(Cow::Owned(decoded)) if decoded != path => path = decoded,
            _ => break,
        }
    }
    let mut out: Vec<Cow<'static, str>> = Vec::new();
    for segment in path.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(out.pop()),
            name => out.push(Cow::Owned(name.to_owned())),
        }
    }
    Some(out)
}

/// Whether a header field asks for another method or another path.
pub(super) fn redirects(headers: &HeaderMap) -> bool {
    OVERRIDE_HEADERS.iter().chain(&PATH_HEADERS).any(|name| headers.contains_key(name))
}

/// The paths that header fields tell a server to take, in segments.
pub(super) fn rewritten(headers: &HeaderMap) -> impl Iterator<Item = Vec<Cow<'_, str>>> {
    let values = PATH_HEADERS.iter().flat_map(|name| headers.get_all(name)).take(OVERRIDES);
    values
        .filter_map(|value| value.to_str().ok())
        .map(|path| segments(path.split('?').next().unwrap_or_default()))
}

/// Percent-decodes once. What is not UTF-8 stays as it was sent, so that two different ids do not become one.
fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('%') {
        percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
    } else {
        text.into()
    }
}

/// A query, read where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a>(pub(super) Option<&'a str>);

/// What a query says under one name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Nothing,
    Once(Cow<'a, str>),
    /// Several times, and not the same.
    Differently,
}

impl<'a> Query<'a> {
    /// Pairs as sent. `;` parts them too: old servers take it so.
    fn raw(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.0.unwrap_or_default().split(['&', ';']).filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// Decoded pairs.
    pub(super) fn pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.raw().map(|(name, value)| (form(name), form(value)))
    }

    /// What it says under `name`, as sent.
    fn under<'b>(self, name: &'b str) -> impl Iterator<Item = &'a str> + use<'a, 'b> {
        // Most texts have the name nowhere and nothing encoded: then they are not taken apart.
        let could = |text: &&str| text.contains(name) || text.contains('%') || text.contains('+');
        Self(self.0.filter(could)).raw().filter(move |(key, _)| is(key, name)).map(|(_, value)| value)
    }

    /// All that it says under `name`.
    pub(super) fn all<'b>(self, name: &'b str) -> impl Iterator<Item = String> + use<'a, 'b> {
        self.under(name).map(|value| form(value).into_owned())
    }

    /// Names that stand alone, as `acl` does in `?acl` and `?acl=`.
    pub(super) fn bare(self) -> impl Iterator<Item = &'a str> {
        let alone = |(name, value): &(&str, &str)| {
            value.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-' || b == b'_')
        };
        self.raw().filter(alone).map(|(name, _)| name)
    }

    /// Whether it says anything under `name`.
    pub(super) fn has(self, name: &str) -> bool {
        self.under(name).next().is_some()
    }

    /// What it says under `name`.
    pub(super) fn get(self, name: &str) -> Said<'a> {
        self.under(name).map(form).fold(Said::Nothing, |said, value| match said {
            Said::Nothing => Said::Once(value),
            Said::Once(before) if before == value => Said::Once(before),
            _ => Said::Differently,
        })
    }
}

/// Decodes a name or a value of a form (WHATWG URL §5.1).
fn form(text: &str) -> Cow<'_, str> {
    if text.contains('+') { decode(&text.replace('+', " ")).into_owned().into() } else { decode(text) }
}

/// Whether a name as sent is `name`. Most are not, and most are sent as they are.
fn is(sent: &str, name: &str) -> bool {
    // Decoding makes nothing longer.
    sent.len() >= name.len() && (sent == name || (sent.contains(['%', '+']) && form(sent) == name))
}

/// The methods that header fields and query tell a server to take instead of the one sent, in upper case.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub(super) verbs: Vec<String>,
    /// There were more than are read.
    pub(super) more: bool,
}

impl Overrides {
    pub(super) fn of(headers: &HeaderMap, query: Query<'_>, content: &Content) -> Self {
        let mut found = Self::default();
        for value in OVERRIDE_HEADERS.iter().flat_map(|name| headers.get_all(name)) {
            // A value that is no text is no verb that anyone knows: that reading is unknown.
            value.to_str().unwrap_or("?").split(',').for_each(|verb| found.add(verb));
        }
        for said in [query, content.form()] {
            let asks = |key: &str| OVERRIDE_QUERY.iter().any(|name| key.eq_ignore_ascii_case(name));
            // Shorter names, and those that are not, need not be decoded.
            let could =
                |key: &str| key.len() >= OVERRIDE_QUERY_BYTES && (asks(key) || key.contains(['%', '+']));
            let told = said.raw().filter(|(key, _)| could(key)).map(|(key, verb)| (form(key), form(verb)));
            told.filter(|(key, _)| asks(key)).for_each(|(_, verb)| found.add(&verb));
        }
        let parts = content.parts.iter().filter(|part| part.name.as_deref() == Some("_method"));
        parts.for_each(|part| found.add(&part.body));
        content.objects().flat_map(|object| object.texts("_method")).for_each(|verb| found.add(verb));
        found
    }

    fn add(&mut self, verb: &str) {
        let verb = verb.trim().to_ascii_uppercase();
        if verb.is_empty() || self.verbs.contains(&verb) {
            return;
        }
        if self.verbs.len() < OVERRIDES {
            self.verbs.push(verb);
        } else {
            self.more = true;
        }
    }
}
