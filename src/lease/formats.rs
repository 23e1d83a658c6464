//! Real long-lived keys, known by their published formats (`formats.tsv`): an agent that has one does not need remit to do harm.
//!
//! What is found is a fact for policies; nothing here refuses. It looks at the head, RFC 7617 credentials decoded, and at what was
//! read of the body. It must not repeat what it found: the name of a format is all that leaves.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::header::{self, HeaderName};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::call::Head;

/// How often escapes are undone.
const JSON_DEPTH: usize = 3;

static FORMATS: LazyLock<Formats> = LazyLock::new(|| Formats::read(include_str!("formats.tsv")));

/// Fields that clients fill by themselves.
const HARMLESS: [HeaderName; 14] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::EXPECT,
    header::HOST,
    header::IF_NONE_MATCH,
    header::TE,
    header::USER_AGENT,
];

struct Formats {
    formats: Vec<Format>,
    finder: Option<AhoCorasick>,
}

struct Format {
    name: &'static str,
    begins: &'static str,
    goes_on: Alphabet,
    least: usize,
    most: usize,
    holds: Option<&'static str>,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// A key's id, which is no secret.
    Credential,
}

#[derive(Clone, Copy)]
enum Alphabet {
    Alnum,
    Base32,
    Base64,
    Dotted,
    Hex,
    Upper,
    Url,
    UrlPadded,
    Word,
}

impl Alphabet {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "alnum" => Self::Alnum,
            "base32" => Self::Base32,
            "base64" => Self::Base64,
            "dotted" => Self::Dotted,
            "hex" => Self::Hex,
            "upper" => Self::Upper,
            "url" => Self::Url,
            "url=" => Self::UrlPadded,
            "word" => Self::Word,
            _ => return None,
        })
    }

    fn has(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Self::UrlPadded => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_',
        }
    }
}

impl Formats {
    fn read(table: &'static str) -> Self {
        let rows = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let formats: Vec<Format> = rows.filter_map(Format::read).collect();
        let begins = formats.iter().map(|format| format.begins);
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(begins);
        Self { formats, finder: finder.ok() }
    }

    /// The first format of which a text has a key that is not ours.
    fn find(&self, text: &[u8], place: Place, ours: &impl Fn(&str) -> bool) -> Option<&'static str> {
        self.finder.iter().flat_map(|finder| finder.find_iter(text)).find_map(|found| {
            let format = self.formats.get(found.pattern().as_usize())?;
            let begins = found
                .start()
                .checked_sub(1)
                .and_then(|before| text.get(before))
                .is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'-'));
            let rest = text.get(found.end()..)?;
            let long = rest.iter().take_while(|byte| format.goes_on.has(**byte)).count();
            let fits = begins
                && (format.least..=format.most).contains(&long)
                && (format.place == Place::Anywhere || place == Place::Credential);
            let key = text.get(found.start()..found.end() + long).filter(|_| fits)?;
            let key = std::str::from_utf8(key).ok()?;
            let whole = format.holds.is_none_or(|piece| key.contains(piece)) && !ours(key);
            whole.then_some(format.name)
        })
    }
}

impl Formats {
    /// The same in a body or a message, as it is and with its escapes undone: a key is the same key where each of its letters is
    /// spelt out. JSON inside of JSON is looked into as deep as APIs have it.
    fn in_text(&self, text: &[u8], ours: &impl Fn(&str) -> bool) -> Option<&'static str> {
        if let Some(found) = self.find(text, Place::Anywhere, ours) {
            return Some(found);
        }
        let mut plain = Zeroizing::new(Vec::new());
        for depth in 0..JSON_DEPTH {
            let from = if depth == 0 { text } else { plain.as_slice() };
            let Some(next) = unescaped(from) else { break };
            plain = next;
            if let Some(found) = self.find(&plain, Place::Anywhere, ours) {
                return Some(found);
            }
        }
        memchr::memchr(b'%', text)?;
        let decoded: Zeroizing<Vec<u8>> = Zeroizing::new(percent_encoding::percent_decode(text).collect());
        self.find(&decoded, Place::Anywhere, ours)
    }
}

/// A text without the escapes of JSON (RFC 8259 §7); none: it has none.
fn unescaped(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut at = memchr::memchr(b'\\', text)?;
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    out.extend_from_slice(text.get(..at)?);
    while let Some(byte) = text.get(at) {
        let escape = if *byte == b'\\' { text.get(at + 1) } else { None };
        let (plain, length) = match escape {
            None => (*byte, 1),
            Some(b'u') => match text.get(at + 2..at + 6).and_then(ascii) {
                Some(plain) => (plain, 6),
                // No letter of a key.
                None => (b' ', 2),
            },
            Some(b'n' | b'r' | b't' | b'b' | b'f') => (b' ', 2),
            Some(other) => (*other, 2),
        };
        out.push(plain);
        at += length;
    }
    Some(out)
}

fn ascii(hex: &[u8]) -> Option<u8> {
    let hex = std::str::from_utf8(hex).ok().filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(hex, 16).ok().filter(u8::is_ascii)
}

impl Format {
    fn read(line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        let (name, begins, goes_on) = (next()?, next()?, Alphabet::of(next()?)?);
        let (least, most, else_) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?);
        let place = if else_ == "credential" { Place::Credential } else { Place::Anywhere };
        Some(Self { name, begins, goes_on, least, most, holds: else_.strip_prefix("has:"), place })
    }
}

/// The format of a real key that a call has in its head or in what was read of its body, if it has one. `ours` tells a
/// placeholder of remit's, which may look like a key.
pub fn brought(head: &Head, body: &[u8], ours: impl Fn(&str) -> bool) -> Option<&'static str> {
    let formats = &*FORMATS;
    for (name, value) in &head.headers {
        if HARMLESS.contains(name) {
            continue;
        }
        let credential = *name == header::AUTHORIZATION || *name == header::PROXY_AUTHORIZATION;
        let place = if credential { Place::Credential } else { Place::Anywhere };
        let found = formats.find(value.as_bytes(), place, &ours).or_else(|| {
            let decoded = credential.then(|| basic(value.as_bytes())).flatten()?;
            formats.find(&decoded, place, &ours)
        });
        if found.is_some() {
            return found;
        }
    }
    let raw = head.target.raw();
    let in_query = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let credential = name.eq_ignore_ascii_case("x-amz-credential");
        let place = if credential { Place::Credential } else { Place::Anywhere };
        let value: Vec<u8> = percent_decode_str(value).collect();
        formats.find(&value, place, &ours)
    };
    let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
    formats
        .find(path.as_bytes(), Place::Anywhere, &ours)
        .or_else(|| formats.find(head.target.path().as_bytes(), Place::Anywhere, &ours))
        .or_else(|| query.split('&').find_map(in_query))
        .or_else(|| formats.in_text(body, &ours))
}

/// The same for a message, whose head was looked at when its stream began.
pub fn brought_in(message: &[u8], ours: impl Fn(&str) -> bool) -> Option<&'static str> {
    FORMATS.in_text(message, &ours)
}

/// Whether a text is a placeholder of remit's by its look. Nobody can give a real key that look.
pub fn is_placeholder(text: &str) -> bool {
    ["rem1t", "rem1c"].iter().any(|marker| text.contains(marker))
        || ["AKIARMIT", "ASIARMIT"].iter().any(|begins| text.starts_with(begins))
}

/// RFC 7617, decoded.
fn basic(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    // As lenient as whoever reads it: without padding, and in either alphabet.
    let text: Vec<u8> =
        rest.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=').copied().collect();
    STANDARD_NO_PAD.decode(&text).or_else(|_| URL_SAFE_NO_PAD.decode(&text)).ok()
}
