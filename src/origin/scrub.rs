//! A credential that an answer holds does not reach the agent: it sees its placeholder, or asterisks.
//!
//! For calls that carried a lease alone; all other answers pass untouched. What is searched streams: only bytes that may be
//! the beginning of a credential wait for the next ones, so an event stream does not stall. The forms are told in `needles`.
//!
//! An answer without a hit passes byte for byte, if it is not packed. A packed one is unpacked, searched and passed on
//! unpacked, as gateways do for clients that cannot unpack (RFC 9110 §7.7): a stream that is under way cannot be packed anew
//! where a credential turns up. Then `content-encoding`, `content-length`, `accept-ranges` and the digests of the packed form
//! go, and its `etag` stays, because it is the origin's name for what the agent may want to change. Ranges of packed
//! answers cannot be unpacked, codings that are not known cannot either, and UTF-16 spells a credential in other bytes: such
//! answers are refused. [`ask_searchable`] and [`ask_whole`] have origins not send them in the first place.
//!
//! Lengths that others rely on are kept (`content-length`, ranges, formats with lengths inside, gRPC): there a placeholder
//! of another length gives way to asterisks.

mod body;
mod decode;
mod needles;
mod sieve;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::Body as _;

use self::body::{Marks, Scrubbed};
use self::decode::{Coding, Decoder};
use self::needles::Lengths;
use self::sieve::{Finder, Sieve};
use super::error::OriginError;
use crate::body::Body;
use crate::call::Leak;

/// Codings that are undone as they stream. Zstandard is too, but it keeps back as much as its window holds, so it is not
/// asked for.
const SEARCHABLE: [&str; 5] = ["gzip", "x-gzip", "deflate", "br", "identity"];
/// What an answer says of its packed form that is not true of the unpacked one (RFC 9110 §8.8.3, RFC 9530, RFC 1864).
const OF_THE_PACKED: [HeaderName; 7] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What must not pass, made ready to be found. Making it takes some 40 µs, for long tokens ten times that: keep it as long as the
/// lease.
#[derive(Clone)]
pub struct Scrubber {
    finder: Arc<Finder>,
}

impl Scrubber {
    /// For these credentials. One of less than 4 bytes cannot be told from other text, and is not looked for.
    pub fn new(leaks: &[Leak]) -> Self {
        Self { finder: Arc::new(Finder::new(needles::of(leaks))) }
    }

    /// A text with all credentials replaced; `None` where there is none in it.
    pub fn replace(&self, data: &[u8]) -> Option<Vec<u8>> {
        self.finder.replace(data, Lengths::Free)
    }

    /// The same with as many bytes in the place of each.
    pub(super) fn replace_in_place(&self, data: &[u8]) -> Option<Vec<u8>> {
        self.finder.replace(data, Lengths::Kept)
    }

    /// Bytes that come in pieces, as far as they may go on; for what is no HTTP body. Lengths are kept.
    pub(super) fn frames(&self) -> Frames {
        Frames { sieve: self.sieve(Lengths::Kept) }
    }

    fn sieve(&self, lengths: Lengths) -> Sieve {
        Sieve::new(self.finder.clone(), lengths)
    }

    fn headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            if let Some(clean) = self.replace(value.as_bytes()) {
                // A placeholder that cannot stand in a header gives way to nothing at all.
                *value = HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static(""));
            }
        }
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrubber(..)")
    }
}

/// The messages of one side of a WebSocket.
pub(super) struct Frames {
    sieve: Sieve,
}

impl Frames {
    /// The next bytes of messages; what may go on is handed to `out`, each byte in its place.
    pub(super) fn push(&mut self, chunk: Bytes, out: impl FnMut(Bytes)) {
        self.sieve.push(chunk, out);
    }

    /// A message is over.
    pub(super) fn finish(&mut self, out: impl FnMut(Bytes)) {
        self.sieve.finish(out);
    }
}

/// Takes from a request what would have its answer packed so that it cannot be searched as it streams. For calls that carry
/// a lease, before they are signed.
pub fn ask_searchable(headers: &mut HeaderMap) {
    // UTF-16 would spell a credential in other bytes.
    headers.remove(header::ACCEPT_CHARSET);
    if headers.contains_key(GRPC_ACCEPT_ENCODING) {
        headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    let values: Vec<String> =
        headers.get_all(header::ACCEPT_ENCODING).iter().map(|value| text(value).to_owned()).collect();
    if values.is_empty() {
        return;
    }
    let searchable = |part: &&str| {
        let name = part.split(';').next().unwrap_or_default().trim();
        SEARCHABLE.iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    let parts =
        || values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|part| !part.is_empty());
    if parts().all(|part| searchable(&part)) {
        return;
    }
    let kept: Vec<&str> = parts().filter(searchable).collect();
    let kept = if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") };
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::try_from(kept).unwrap_or(HeaderValue::from_static("identity")),
    );
}

/// Takes from a request what would have it answered in parts (RFC 9110 §14): a part can end inside of a credential, and the next
/// one can begin there. Any origin may answer with the whole instead (§14.2), so clients that conform can tell. For calls on which
/// the credential itself goes out; nobody can say back what was only signed with.
pub fn ask_whole(headers: &mut HeaderMap) {
    headers.remove(header::RANGE);
    headers.remove(header::IF_RANGE);
}

/// Replaces every credential in an answer. `Err`: it cannot be searched, and must not reach the agent.
pub fn scrub(answer: Response<Body>, scrubber: &Scrubber) -> Result<Response<Body>, OriginError> {
    let (mut parts, body) = answer.into_parts();
    scrubber.headers(&mut parts.headers);
    // HTTP/1.1 has a text beside the status, which hyper passes on.
    if let Some(reason) = parts.extensions.get::<hyper::ext::ReasonPhrase>()
        && scrubber.replace(reason.as_bytes()).is_some()
    {
        parts.extensions.remove::<hyper::ext::ReasonPhrase>();
    }
    if body.is_end_stream() {
        return Ok(Response::from_parts(parts, body));
    }
    let coding = coding(&parts.headers)?;
    let partial =
        parts.status == StatusCode::PARTIAL_CONTENT || parts.headers.contains_key(header::CONTENT_RANGE);
    if coding.is_some() && partial {
        return Err(unsearchable("is a part of a packed whole"));
    }
    if parts.headers.get(GRPC_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(unsearchable("has packed gRPC messages"));
    }
    if charset(&parts.headers).is_some_and(|name| is_wide(&name)) {
        return Err(unsearchable("is in a character set that spells letters otherwise than ASCII"));
    }
    let framed = coding.is_none() && parts.headers.contains_key(header::CONTENT_LENGTH);
    let lengths = if framed || partial || !is_text(&parts.headers) { Lengths::Kept } else { Lengths::Free };
    if coding.is_some() {
        is_rewritten(&mut parts.headers);
    }
    let marks = if is_text(&parts.headers) { Marks::Looked } else { Marks::Ignored };
    let body = Scrubbed::new(body, scrubber, coding.map(Decoder::new), lengths, marks);
    Ok(Response::from_parts(parts, Body::wrap(body)))
}

/// Takes from the head of an answer what is not true of a body that was read and written anew.
pub fn is_rewritten(headers: &mut HeaderMap) {
    for name in &OF_THE_PACKED {
        headers.remove(name);
    }
}

fn unsearchable(what: &str) -> OriginError {
    let remedy = "ask for it without `accept-encoding`";
    OriginError::Protocol {
        why: format!("its answer {what} and cannot be searched for the credential; {remedy}"),
    }
}

fn coding(headers: &HeaderMap) -> Result<Option<Coding>, OriginError> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in text(value).split(',').map(|name| name.trim().to_ascii_lowercase()) {
            let coding = match name.as_str() {
                // `aws-chunked` is what an object was sent as; an answer is not in chunks.
                "identity" | "aws-chunked" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                _ => return Err(unsearchable("has a content coding that is not known")),
            };
            if found.replace(coding).is_some() {
                return Err(unsearchable("is packed more than once"));
            }
        }
    }
    Ok(found)
}

/// The character set that an answer says it has (RFC 9110 §8.3.2).
fn charset(headers: &HeaderMap) -> Option<String> {
    let mut parameters = text(headers.get(header::CONTENT_TYPE)?).split(';').skip(1);
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    })?;
    Some(value.trim().trim_matches('"').to_ascii_lowercase())
}

/// Whether ASCII letters are other bytes there. Of the sets that are registered, these are in use.
fn is_wide(charset: &str) -> bool {
    [
        "utf-16",
        "utf16",
        "utf-32",
        "utf32",
        "utf-7",
        "utf7",
        "ucs-",
        "ucs2",
        "ucs4",
        "iso-10646",
        "unicode",
        "ebcdic",
        "ibm",
        "cp037",
    ]
    .iter()
    .any(|begins| charset.starts_with(begins))
}

/// Formats in which nothing counts bytes.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(media) = headers.get(header::CONTENT_TYPE) else { return false };
    let media = text(media).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = media.strip_prefix("application/").unwrap_or_default();
    media.starts_with("text/")
        || matches!(
            subtype,
            "json"
                | "xml"
                | "javascript"
                | "x-www-form-urlencoded"
                | "x-ndjson"
                | "jsonl"
                | "yaml"
                | "graphql"
        )
        || media.ends_with("+json")
        || media.ends_with("+xml")
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("?")
}
