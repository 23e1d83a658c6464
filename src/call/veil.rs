//! Hides what looks like a secret in a text that is to be kept or shown.
//!
//! Some services take secrets in places that are otherwise names: a bot's token or a webhook's key in the path, user and
//! password before a host. No list of formats is kept; what counts is the look. A **word** (letters, digits, `-`, `_` and
//! percent-encoded bytes) is hidden where it is mixed as only random text is: at least 12 letters and digits on end that
//! change between letters and digits, or from small to capital, three times; or 20 characters with six such changes. A
//! hidden word becomes `~` and the first 16 hex digits of its SHA-256, so equal ones can still be told. A secret that
//! looks like a word (`hunter2`) cannot be known by its look.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Letters and digits on end from which on a mix counts.
const RUN: usize = 12;
/// Changes within such a run.
const RUN_CHANGES: usize = 3;
/// Characters of a word from which on a mix counts.
const WORD: usize = 20;
/// Changes within such a word.
const WORD_CHANGES: usize = 6;

/// The text with each word hidden that looks like a secret, but for words that stand in `known`.
pub fn veil<'a>(text: &'a str, known: &str) -> Cow<'a, str> {
    if text.len() < RUN {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut copied = 0;
    let mut rest = 0;
    while let Some(start) = text.get(rest..).and_then(|tail| tail.find(is_part)).map(|at| rest + at) {
        let tail = text.get(start..).unwrap_or_default();
        let end = start + tail.find(|c| !is_part(c)).unwrap_or(tail.len());
        let word = text.get(start..end).unwrap_or_default();
        if looks_random(word) && !known.contains(word) {
            out.push_str(text.get(copied..start).unwrap_or_default());
            hide(&mut out, word);
            copied = end;
        }
        rest = end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// An authority without user and password: RFC 3986 §3.2.1 has them before the last `@`.
pub fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The first 16 hex digits of a text's SHA-256.
pub fn short_digest(text: &str) -> String {
    let mut out = String::with_capacity(16);
    push_digest(&mut out, text);
    out
}

fn hide(out: &mut String, word: &str) {
    out.push('~');
    push_digest(out, word);
}

fn push_digest(out: &mut String, text: &str) {
    for byte in Sha256::digest(text.as_bytes()).iter().take(8) {
        let _infallible = write!(out, "{byte:02x}");
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '%')
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Small,
    Capital,
    Digit,
    Other,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' => Self::Small,
            b'A'..=b'Z' => Self::Capital,
            b'0'..=b'9' => Self::Digit,
            _ => Self::Other,
        }
    }

    /// Words begin with a capital, so only the other way round is a change; what parts words changes nothing.
    fn changes_to(self, next: Self) -> bool {
        use Kind::{Capital, Digit, Other, Small};
        match (self, next) {
            (Other, _) | (_, Other) | (Capital, Small) => false,
            (Small, Capital) => true,
            (one, other) => (one == Digit) != (other == Digit),
        }
    }
}

fn looks_random(word: &str) -> bool {
    if word.len() < RUN {
        return false;
    }
    let (mut run, mut run_changes, mut run_digits) = (0, 0, false);
    let (mut changes, mut digits) = (0, false);
    let mut before = Kind::Other;
    for kind in word.bytes().map(Kind::of) {
        if kind == Kind::Other {
            (run, run_changes, run_digits) = (0, 0, false);
        } else {
            let change = usize::from(before.changes_to(kind));
            run += 1;
            run_changes += change;
            changes += change;
            run_digits |= kind == Kind::Digit;
            digits |= kind == Kind::Digit;
        }
        before = kind;
        if run >= RUN && run_changes >= RUN_CHANGES && run_digits {
            return true;
        }
    }
    word.len() >= WORD && changes >= WORD_CHANGES && digits
}
