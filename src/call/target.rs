//! What is asked of the origin: path and query, kept as sent and as judged.

use std::fmt;

/// A request target in origin form (RFC 9112 §3.2.1), or `*`.
///
/// `raw` is what is forwarded, `path` what catalog and policies read. Where one server could read the raw form as
/// another path than the next server would, [`Target::parse`] refuses it: what was judged is what is sent
/// (INVARIANT I4).
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    raw: String,
    path: String,
    query_at: Option<usize>,
}

impl Target {
    /// Takes `path[?query]` as it stood in the request.
    pub fn parse(raw: &str) -> Result<Self, BadTarget> {
        let bad = |why| Err(BadTarget { why });
        if raw == "*" {
            return Ok(Self { raw: raw.to_owned(), path: raw.to_owned(), query_at: None });
        }
        if !raw.starts_with('/') {
            return bad("it does not begin with `/`");
        }
        if raw.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#' || b == b'\\') {
            return bad("it has a blank, a control character, `#` or `\\`");
        }
        let query_at = raw.find('?');
        let raw_path = raw.get(..query_at.unwrap_or(raw.len())).unwrap_or(raw);
        let path = normalise(raw_path).map_err(|why| BadTarget { why })?;
        Ok(Self { raw: raw.to_owned(), path, query_at })
    }

    /// Exactly what the agent sent, and what the origin gets.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The path with needless percent-encoding undone (RFC 3986 §6.2.2.2). `%2F` stays encoded: it is not a separator.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query without its `?`, undecoded.
    pub fn query(&self) -> Option<&str> {
        self.query_at.and_then(|at| self.raw.get(at + 1..))
    }
}

impl fmt::Display for Target {
    /// The path alone: query values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Target {
    /// The same: what is printed for a developer ends in logs, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = if self.query_at.is_some() { "?.." } else { "" };
        write!(f, "Target({}{query})", self.path)
    }
}

/// Undoes percent-encoding of unreserved characters and upper-cases what remains encoded.
fn normalise(path: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let code = from.get(1..3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let byte = byte.ok_or("it has a `%` that is not followed by two hex digits")?;
        match byte {
            0..=0x1f | 0x7f => return Err("it encodes a control character"),
            b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => out.push(byte.into()),
            _ => out.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
        rest = from.get(3..).unwrap_or_default();
    }
    out.push_str(rest);
    // A dot segment means one path to a server that resolves it and another to one that does not; so does one with
    // parameters (`/..;x/`), which some servers cut off before they resolve.
    let dots = |segment: &str| {
        let name = segment.split(';').next().unwrap_or(segment);
        name == "." || name == ".."
    };
    let hides = |segment: &str| segment.split("%2F").flat_map(|s| s.split("%5C")).any(dots);
    if out.split('/').any(hides) {
        return Err("it has a dot segment; send the resolved path");
    }
    Ok(out)
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

/// A request target that two servers could read in two ways.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request target is refused: {why}")]
pub struct BadTarget {
    why: &'static str,
}
