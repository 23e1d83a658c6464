//! Multipart bodies (RFC 2046 §5.1): form data (RFC 7578) and batches of requests.

use super::decode::Unreadable;

/// More parts than this are not read.
const PARTS: usize = 200;

/// One part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// The `name` of `Content-Disposition`.
    pub(super) name: Option<String>,
    /// The whole value of `Content-Type`, in lower case but for its parameters.
    pub(super) media: String,
    pub(super) body: String,
}

/// The parts of a body. A boundary that is not declared is taken from the first line, as lenient readers do.
pub(super) fn parts(boundary: Option<&str>, text: &str) -> Result<Vec<Part>, Unreadable> {
    let first = text.lines().next().unwrap_or_default().trim_end();
    let seen = first.strip_prefix("--").filter(|rest| !rest.is_empty());
    let Some(boundary) = boundary.filter(|b| !b.is_empty()).or(seen) else {
        return Err(Unreadable("the body has no boundary"));
    };
    let mark = format!("--{boundary}");
    let mut found = Vec::new();
    // What precedes the first mark is a preamble (§5.1.1).
    for piece in text.split(mark.as_str()).skip(1) {
        if piece.starts_with("--") {
            break;
        }
        if found.len() == PARTS {
            return Err(Unreadable("the body has more parts than are read"));
        }
        found.push(part(piece));
    }
    if found.is_empty() { Err(Unreadable("the body has no part")) } else { Ok(found) }
}

fn part(piece: &str) -> Part {
    let piece = piece.strip_prefix("\r\n").or_else(|| piece.strip_prefix('\n')).unwrap_or(piece);
    let (head, body) = head_and_body(piece);
    let mut part = Part { body: body.trim_end_matches(['\r', '\n']).to_owned(), ..Part::default() };
    for line in head.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.trim().to_ascii_lowercase().as_str() {
            "content-type" => value.trim().clone_into(&mut part.media),
            "content-disposition" => part.name = super::content::parameter(value, "name"),
            _ => {}
        }
    }
    part
}

/// Parts a head from its body at the first empty line. A head alone has no body.
pub(super) fn head_and_body(text: &str) -> (&str, &str) {
    if let Some(body) = text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')) {
        return ("", body);
    }
    let crlf = text.find("\r\n\r\n").map(|at| (at, 4));
    let lf = text.find("\n\n").map(|at| (at, 2));
    let end = match (crlf, lf) {
        (Some(a), Some(b)) => Some(if a.0 < b.0 { a } else { b }),
        (a, b) => a.or(b),
    };
    end.map_or((text, ""), |(at, len)| {
        (text.get(..at).unwrap_or_default(), text.get(at + len..).unwrap_or_default())
    })
}
