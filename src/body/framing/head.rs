//! The head of an HTTP/1 message, checked against RFC 9112 without mercy.

use std::time::Duration;

use super::Limits;

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Violation {
    /// What is wrong, in a clause.
    pub why: String,
    /// What kind of wrong.
    pub kind: Kind,
}

/// Kinds of violation that have a status code of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 400.
    Malformed,
    /// 431.
    HeadTooLarge,
    /// 414; the bound in bytes.
    TargetTooLong(usize),
    /// 408; the bound in seconds.
    TooSlow(u64),
}

impl Violation {
    pub(crate) fn new(why: &str) -> Self {
        Self { why: why.to_owned(), kind: Kind::Malformed }
    }

    fn too_large(why: String) -> Self {
        Self { why, kind: Kind::HeadTooLarge }
    }

    pub(super) fn too_slow(limit: Duration) -> Self {
        Self { why: "the head did not arrive in time".into(), kind: Kind::TooSlow(limit.as_secs()) }
    }
}

/// How the body behind a head is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Answers only: all until the connection closes.
    ToClose,
    /// No body, and what follows depends on the answer; for an answer: the connection is a tunnel now.
    Upgrade,
    /// Requests only: a tunnel is asked for.
    Connect,
}

/// A sound request head.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// As sent.
    pub method: &'a str,
    /// As sent.
    pub target: &'a str,
    /// How its body is delimited.
    pub frame: Frame,
    /// Names and values, in order, values trimmed.
    pub fields: Vec<(&'a str, &'a [u8])>,
}

impl<'a> RequestHead<'a> {
    /// The only field of this name; the check has refused repetition where it matters.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// The length of the head at the beginning of `raw`, when it is whole. What can be refused at once is. The first
/// `seen` bytes were looked at before.
pub fn find_end(raw: &[u8], seen: usize, limits: &Limits) -> Result<Option<usize>, Violation> {
    let mut previous = seen.checked_sub(1).and_then(|at| raw.get(at)).copied().unwrap_or_default();
    for (at, &byte) in raw.iter().enumerate().take(limits.head_bytes).skip(seen) {
        if previous == b'\r' && byte != b'\n' {
            return Err(Violation::new("a CR stands without its LF"));
        }
        match byte {
            b'\n' if previous != b'\r' => return Err(Violation::new("a line ends with LF alone")),
            b'\n' if at == 1 => {
                return Err(Violation::new("an empty line stands where a message should begin"));
            }
            b'\n' if raw.get(..=at).is_some_and(|head| head.ends_with(b"\r\n\r\n")) => {
                return Ok(Some(at + 1));
            }
            b'\n' | b'\r' | b'\t' | b' '..=b'~' | 0x80.. => {}
            _ => return Err(Violation::new("a control character stands in the head")),
        }
        previous = byte;
    }
    if raw.len() >= limits.head_bytes {
        return Err(Violation::too_large(format!("it is longer than {} bytes", limits.head_bytes)));
    }
    Ok(None)
}

fn is_token(bytes: &[u8]) -> bool {
    // RFC 9110 §5.6.2
    let tchar = |&b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !bytes.is_empty() && bytes.iter().all(tchar)
}

/// One header or trailer line without its CRLF: name and trimmed value.
pub fn field(line: &[u8]) -> Result<(&str, &[u8]), Violation> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Violation::new("a header line is folded (obs-fold)"));
    }
    let colon = line.iter().position(|&b| b == b':').ok_or(Violation::new("a header line has no colon"))?;
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
    if !is_token(name) {
        return Err(Violation::new("a header name is not a token, or blanks stand before its colon"));
    }
    if value.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f) {
        return Err(Violation::new("a header value has a control character"));
    }
    let name = std::str::from_utf8(name).map_err(|_| Violation::new("a header name is not a token"))?;
    Ok((name, value))
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let inner = head.strip_suffix(b"\r\n\r\n").unwrap_or(head);
    inner.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

type Fields<'a> = Vec<(&'a str, &'a [u8])>;

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Result<Fields<'a>, Violation> {
    let mut fields = Vec::with_capacity(16);
    for line in lines {
        if fields.len() == limits.fields {
            return Err(Violation::too_large(format!("it has more than {} fields", limits.fields)));
        }
        fields.push(field(line)?);
    }
    Ok(fields)
}

/// Names that may stand at most once, in requests and answers alike.
const SINGLE: [&str; 4] = ["content-length", "transfer-encoding", "host", "proxy-authorization"];

#[derive(Clone, Copy)]
enum Length {
    Absent,
    Bytes(u64),
    Chunked,
}

/// RFC 9112 §6.1 to §6.3: one `Content-Length` of digits, or `Transfer-Encoding: chunked`, never both.
fn length(fields: &[(&str, &[u8])], minor: u8) -> Result<Length, Violation> {
    for name in SINGLE {
        if fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count() > 1 {
            return Err(Violation { why: format!("`{name}` stands more than once"), kind: Kind::Malformed });
        }
    }
    let find = |name: &str| fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v);
    match (find("content-length"), find("transfer-encoding")) {
        (None, None) => Ok(Length::Absent),
        (Some(_), Some(_)) => Err(Violation::new("it has both Content-Length and Transfer-Encoding")),
        (None, Some(_)) if minor == 0 => Err(Violation::new("HTTP/1.0 knows no Transfer-Encoding")),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Length::Chunked),
        (None, Some(_)) => Err(Violation::new("the transfer coding is not exactly `chunked`")),
        (Some(digits), None) => {
            let sound = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            let number =
                std::str::from_utf8(digits).ok().filter(|_| sound).and_then(|text| text.parse().ok());
            number.map(Length::Bytes).ok_or(Violation::new("the Content-Length is not a plain number"))
        }
    }
}

fn has_token(fields: &[(&str, &[u8])], name: &str, token: &[u8]) -> bool {
    let values = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    values
        .flat_map(|(_, v)| v.split(|&b| b == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// Checks a whole request head, its final empty line included.
pub fn request<'a>(head: &'a [u8], limits: &Limits) -> Result<RequestHead<'a>, Violation> {
    let mut lines = lines(head);
    let line = lines.next().unwrap_or_default();
    let text = std::str::from_utf8(line).map_err(|_| Violation::new("the request line is not ASCII"))?;
    let parts: Vec<_> = text.split(' ').collect();
    let &[method, target, version] = parts.as_slice() else {
        return Err(Violation::new("the request line is not `METHOD target HTTP/1.1`"));
    };
    let minor = match version {
        "HTTP/1.1" => 1,
        "HTTP/1.0" => 0,
        _ => return Err(Violation::new("the version is neither HTTP/1.1 nor HTTP/1.0")),
    };
    if !is_token(method.as_bytes()) {
        return Err(Violation::new("the method is not a token"));
    }
    if target.len() > limits.target_bytes {
        let kind = Kind::TargetTooLong(limits.target_bytes);
        return Err(Violation { why: "the request target is too long".into(), kind });
    }
    if target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Violation::new("the request target has a character that no target has"));
    }
    let fields = fields(lines, limits)?;
    let length = length(&fields, minor)?;
    let has_host = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    if minor == 1 && !has_host {
        return Err(Violation::new("the Host header is missing"));
    }
    let upgrade = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"))
        && has_token(&fields, "connection", b"upgrade");
    let frame = match (method, length) {
        ("CONNECT", Length::Absent | Length::Bytes(0)) => Frame::Connect,
        ("CONNECT", _) => return Err(Violation::new("CONNECT has a body")),
        (_, Length::Absent | Length::Bytes(0)) if upgrade => Frame::Upgrade,
        (_, _) if upgrade => return Err(Violation::new("a request for an upgrade has a body")),
        (_, Length::Absent) => Frame::None,
        (_, Length::Bytes(n)) => Frame::Length(n),
        (_, Length::Chunked) => Frame::Chunked,
    };
    Ok(RequestHead { method, target, frame, fields })
}

/// Checks a whole answer head. `bodiless`: it answers a HEAD.
pub fn answer(head: &[u8], limits: &Limits, bodiless: bool) -> Result<Frame, Violation> {
    let mut lines = lines(head);
    let line = lines.next().unwrap_or_default();
    let minor = match line.get(..9) {
        Some(b"HTTP/1.1 ") => 1,
        Some(b"HTTP/1.0 ") => 0,
        _ => return Err(Violation::new("the status line does not begin with HTTP/1.1")),
    };
    let code = line.get(9..12).filter(|code| code.iter().all(u8::is_ascii_digit));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()).and_then(|code| code.parse::<u16>().ok());
    let code = code
        .filter(|code| (100..600).contains(code))
        .ok_or(Violation::new("the status code is no status code"))?;
    if !matches!(line.get(12), None | Some(b' ')) {
        return Err(Violation::new("the status code is no status code"));
    }
    let length = length(&fields(lines, limits)?, minor)?;
    Ok(match (code, length) {
        (101, _) => Frame::Upgrade,
        // RFC 9110 §15.2, §15.3.5, §15.4.5: these never have a body, whatever they announce.
        (100..=199 | 204 | 304, _) => Frame::None,
        _ if bodiless => Frame::None,
        (_, Length::Absent) => Frame::ToClose,
        (_, Length::Bytes(n)) => Frame::Length(n),
        (_, Length::Chunked) => Frame::Chunked,
    })
}
