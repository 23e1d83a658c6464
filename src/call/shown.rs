//! A body laid out for a person, and what of it stays the same when the same call is sent again.
//!
//! JSON is read as it was sent: every field is kept, also those whose name occurs twice, and numbers keep their digits, so
//! that nobody approves something else than what goes out. What looks like a secret is masked; what the sender chose does
//! nothing where it is shown ([`inert`]) and stands behind a bar (`│`) where it has lines of its own.

mod raw;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::card::ShownBody;
use super::inert;
use super::veil::{short_digest, veil};
use raw::Raw;

pub use raw::essence;

/// How much of a body is shown, characters: all of those that can be held, laid out.
pub const SHOWN_CHARS: usize = 400_000;
/// How much of one value is shown, characters.
const VALUE_CHARS: usize = 300_000;
/// How deep values may lie in one another and still be laid out.
const DEPTH: usize = 40;
/// How many values are told apart when bodies are compared.
const LEAVES: usize = 500;
/// From that many characters on, a value is tried as base64.
const PACKED_CHARS: usize = 24;

/// A body of `bytes` bytes; `text` is what it says, its codings undone, where it is text.
pub fn body(media: &str, bytes: u64, text: Option<&str>) -> ShownBody {
    let media = inert::text(media, 200).into_owned();
    let mut shown = ShownBody { media, bytes, ..ShownBody::default() };
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return shown };
    let mut page = Page::default();
    // A form first: what is said to be one is read as one, whatever else it looks like.
    if shown.media.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        page.form(text);
    } else if let Some(value) = Raw::read(text).filter(Raw::has_parts) {
        page.value(&value, "", 0);
    } else {
        page.block(&veil(text, ""), 0);
        page.leaf("", text);
    }
    let mut all = page.text.chars();
    let kept: String = all.by_ref().take(SHOWN_CHARS).collect();
    shown.cut = all.next().is_some() || page.cut;
    shown.text = Some(kept.trim_end().into());
    shown.outline = page.outline;
    shown
}

/// What names of fields say whose values are secrets.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authorization",
    "accesstoken",
    "refreshtoken",
    "passphrase",
];

/// Whether a field of this name holds a secret, whatever its value looks like.
pub fn names_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    plain == "token"
        || plain == "cookie"
        || plain.ends_with("token") && !plain.contains("page")
        || SECRET_WORDS.iter().any(|word| plain.contains(word))
}

/// A value that is not shown.
pub fn masked(value: &str) -> String {
    format!("(masked, {} characters)", value.chars().count())
}

#[derive(Default)]
struct Page {
    text: String,
    outline: Vec<(String, String)>,
    cut: bool,
}

impl Page {
    fn leaf(&mut self, place: &str, value: &str) {
        if self.outline.len() < LEAVES {
            self.outline.push((inert::text(place, 200).into_owned(), short_digest(value)));
        }
    }

    fn is_full(&mut self) -> bool {
        // Four bytes are the most that a character takes.
        self.cut |= self.text.len() > SHOWN_CHARS * 4;
        self.cut
    }

    fn value(&mut self, value: &Raw<'_>, place: &str, depth: usize) {
        if self.is_full() {
            return;
        }
        let indent = "  ".repeat(depth.min(DEPTH));
        match value {
            Raw::Object(fields) if depth < DEPTH => {
                for (name, value) in fields {
                    if self.is_full() {
                        return;
                    }
                    let here = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
                    let _ = write!(self.text, "{indent}{}:", inert::text(&veil(name, ""), 200));
                    self.field(value.get(), name, &here, depth);
                }
            }
            Raw::List(items) if depth < DEPTH => {
                for (n, item) in items.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    let here = format!("{place}/{n}");
                    let _ = write!(self.text, "{indent}-");
                    self.field(item.get(), "", &here, depth);
                }
            }
            Raw::Object(_) | Raw::List(_) => {
                self.text.push_str(&indent);
                self.text.push_str("… (too deep to be laid out)\n");
                self.cut = true;
            }
            Raw::Text(text) => self.string(text, depth),
            Raw::Other(text) => {
                let _ = writeln!(self.text, " {}", inert::text(text, VALUE_CHARS));
            }
        }
    }

    fn field(&mut self, raw: &str, name: &str, place: &str, depth: usize) {
        match Raw::read(raw) {
            Some(value) if names_secret(name) => {
                let text = if let Raw::Text(text) = &value { text } else { raw };
                let _ = writeln!(self.text, " {}", masked(text));
                // Told apart by its length alone: a digest of something short could be guessed from.
                self.leaf(place, &masked(text));
            }
            Some(part) if part.has_parts() => {
                self.text.push('\n');
                self.value(&part, place, depth + 1);
            }
            Some(other) => {
                self.leaf(place, raw);
                self.value(&other, place, depth + 1);
            }
            None => {
                self.leaf(place, raw);
                let _ = writeln!(self.text, " {}", inert::text(&veil(raw, ""), VALUE_CHARS));
            }
        }
    }

    /// A text, after the name of its field.
    fn string(&mut self, text: &str, depth: usize) {
        if let Some(unpacked) = unpacked(text) {
            let _ = writeln!(self.text, " (base64 of {} characters)", unpacked.chars().count());
            self.block(&veil(&unpacked, ""), depth);
        } else if text.trim_end().contains('\n') {
            self.text.push('\n');
            self.block(&veil(text, ""), depth);
        } else {
            let _ = writeln!(self.text, " \"{}\"", inert::text(&veil(text, ""), VALUE_CHARS));
            self.cut |= text.chars().nth(VALUE_CHARS).is_some();
        }
    }

    /// Lines of the sender's own.
    fn block(&mut self, text: &str, depth: usize) {
        let indent = "  ".repeat(depth.min(DEPTH));
        let shown = inert::lines(text, VALUE_CHARS);
        self.cut |= text.chars().nth(VALUE_CHARS).is_some();
        for line in shown.lines() {
            let _ = writeln!(self.text, "{indent}│ {line}");
        }
    }

    fn form(&mut self, text: &str) {
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if self.is_full() {
                return;
            }
            let _ = write!(self.text, "{}:", inert::text(&veil(&name, ""), 200));
            if names_secret(&name) {
                let _ = writeln!(self.text, " {}", masked(&value));
                self.leaf(&format!("/{name}"), &masked(&value));
            } else {
                self.leaf(&format!("/{name}"), &value);
                self.string(&value, 1);
            }
        }
    }
}

/// What base64 packs, where that is text: file contents, mails.
fn unpacked(text: &str) -> Option<String> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    if text.len() < PACKED_CHARS {
        return None;
    }
    let bare: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let decode = |alphabet| GeneralPurpose::new(alphabet, lenient).decode(&bare).ok();
    let bytes = decode(&alphabet::STANDARD).or_else(|| decode(&alphabet::URL_SAFE))?;
    let said = String::from_utf8(bytes).ok()?;
    // A long word is base64 of nonsense; text has blanks, and nothing that is no text.
    let is_text = said.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    (is_text && said.contains([' ', '\n'])).then_some(said)
}
