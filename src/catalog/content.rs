//! A body, read in every way in which a server could read it.
//!
//! The content type is a claim (RFC 9110 §8.3): many servers sniff, some ignore it. JSON is read wherever it parses,
//! a form wherever the text has the shape of one.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::call::Peek;

use super::decode::{self, Unreadable};
use super::json::Json;
use super::multipart::{self, Part};
use super::request::Query;

/// A body.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The media type without parameters, in lower case.
    pub(super) media: String,
    /// As text, where it is text.
    pub(super) text: Option<String>,
    /// As JSON: one value, or several one after the other.
    pub(super) json: Vec<Json>,
    /// As a form, still encoded.
    form: Option<String>,
    /// As parts.
    pub(super) parts: Vec<Part>,
    /// Why it cannot be read with certainty.
    pub(super) trouble: Option<Unreadable>,
    /// The `boundary` and others, as sent.
    pub(super) parameters: String,
}

impl Content {
    pub(super) fn read(headers: &HeaderMap, peek: &Peek) -> Self {
        Self::of(headers, &peek.bytes, peek.whole || peek.bytes.is_empty())
    }

    pub(super) fn of(headers: &HeaderMap, bytes: &[u8], whole: bool) -> Self {
        let (media, parameters) = media(headers);
        let mut content = Self { media, parameters, ..Self::default() };
        if bytes.is_empty() {
            return content;
        }
        if !whole {
            // What it begins with tells whether it could be one of those whose meaning is inside.
            content.trouble =
                opens_structure(bytes).then_some(Unreadable("the body is longer than what is read"));
            return content;
        }
        match decode::text(headers, parameter(&content.parameters, "charset").as_deref(), bytes) {
            Ok(text) => content.text = text,
            Err(why) => content.trouble = Some(why),
        }
        if let Some(text) = content.text.take() {
            content.structure(&text);
            content.text = Some(text);
        }
        content
    }

    /// The body of a request inside of a batch that is JSON.
    pub(super) fn of_json(value: &Json) -> Self {
        let media = "application/json".to_owned();
        match value {
            // A body in a text: JSON again, or base64 of it.
            Json::Text(text) => {
                let mut content = Self { media, ..Self::default() };
                content.structure(text);
                content
            }
            value => Self { media, json: vec![value.clone()], ..Self::default() },
        }
    }

    fn structure(&mut self, text: &str) {
        let trimmed = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
        if trimmed.starts_with(['{', '[', '"']) {
            match Json::all(trimmed) {
                Ok(values) => self.json = unwrapped(values),
                Err(_) if self.media != "application/graphql" => {
                    self.trouble = Some(Unreadable("the body begins like JSON and is none"));
                }
                Err(_) => {}
            }
        }
        if self.media.starts_with("multipart/") || trimmed.starts_with("--") {
            match multipart::parts(parameter(&self.parameters, "boundary").as_deref(), trimmed) {
                Ok(parts) => self.parts = parts,
                // Not what it says it is, but something else that can be read.
                Err(_) if !self.json.is_empty() => {}
                Err(why) => self.trouble = Some(why),
            }
        }
        let is_form = self.media == "application/x-www-form-urlencoded";
        if is_form || (self.json.is_empty() && self.parts.is_empty() && looks_like_a_form(trimmed)) {
            self.form = Some(trimmed.to_owned());
        }
    }

    pub(super) fn form(&self) -> Query<'_> {
        Query(self.form.as_deref())
    }

    /// All objects of the JSON: each value, and each element of a list.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Json> {
        self.json.iter().flat_map(Json::objects)
    }

    /// All values that a form field, a part or a top-level JSON field of this name has.
    pub(super) fn said(&self, name: &str) -> Vec<String> {
        let mut all: Vec<String> = self.form().all(name).collect();
        all.extend(
            self.parts.iter().filter(|part| part.name.as_deref() == Some(name)).map(|part| part.body.clone()),
        );
        all.extend(self.objects().flat_map(|object| object.texts(name)).map(str::to_owned));
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.as_ref().is_none_or(String::is_empty) && self.json.is_empty() && self.trouble.is_none()
    }
}

/// JSON in a text that is JSON: some servers unwrap it.
fn unwrapped(values: Vec<Json>) -> Vec<Json> {
    match values.as_slice() {
        [Json::Text(text)] if text.trim_start().starts_with(['{', '[']) => Json::all(text).unwrap_or(values),
        _ => values,
    }
}

/// The media type of a request.
pub(super) fn media(headers: &HeaderMap) -> (String, String) {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (media, parameters) = value.split_once(';').unwrap_or((value, ""));
    (media.trim().to_ascii_lowercase(), parameters.to_owned())
}

/// A parameter of a media type (RFC 9110 §5.6.6).
pub(super) fn parameter(parameters: &str, name: &str) -> Option<String> {
    parameters.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn opens_structure(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    match bytes {
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return true,
        _ => {}
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0);
    let text = bytes.iter().take(256).all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    first.is_some_and(|byte| matches!(byte, b'{' | b'[' | b'"' | b'<' | b'-')) || text
}

/// `a=b`, perhaps `&c=d`: no blanks or brackets before the first `=`.
fn looks_like_a_form(text: &str) -> bool {
    let name = text.split('=').next().unwrap_or_default();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]%+$:".contains(&b);
    name.len() < text.len()
        && !name.is_empty()
        && name.len() <= 256
        && name.split('&').all(|n| n.bytes().all(fits))
}
