//! SOAP 1.1 and 1.2: the action in a header and the element in the body, which need not agree.

use crate::call::Class;
use crate::call::Operation;

use super::content::parameter;
use super::naming::{self, Words};
use super::reading::{Certain, Reading, Told};

/// How many names one request may have.
const NAMES: usize = 10;

pub(super) fn read(reading: &Reading<'_>) -> Told {
    if reading.place.is_exact() {
        return Told::Nothing;
    }
    let (headers, content) = (reading.request.headers, reading.request.content);
    // SOAP 1.1 §6.1.1; 1.2 has it as a parameter of the media type (RFC 3902).
    let mut actions: Vec<String> =
        headers.get_all("soapaction").iter().filter_map(|v| v.to_str().ok()).map(last_of_uri).collect();
    actions.extend(parameter(&content.parameters, "action").map(|uri| last_of_uri(&uri)));
    actions.retain(|name| !name.is_empty());
    let text = content.text.as_deref().unwrap_or_default();
    let envelope = text.trim_start().starts_with('<').then(|| elements(text)).flatten();
    let soap = content.media == "application/soap+xml" || headers.contains_key("soapaction");
    if envelope.is_none() && !soap {
        return Told::Nothing;
    }
    let certain = envelope.is_some();
    actions.extend(envelope.unwrap_or_default());
    let mut found: Vec<Operation> = actions.iter().take(NAMES).map(|name| operation(reading, name)).collect();
    if text.contains("<!DOCTYPE")
        || text.contains("<!ENTITY")
        || actions.len() > NAMES
        || (certain && actions.is_empty())
    {
        found.push(reading.unknown(Class::Delegate, "SOAP that cannot be read with certainty"));
    }
    Told::by(Certain::if_place(certain), found)
}

fn operation(reading: &Reading<'_>, name: &str) -> Operation {
    reading.action("POST", name).unwrap_or_else(|| {
        let verdict = naming::judge("CALL", Words { name, path: "" });
        reading.inferred(verdict.class, &format!("SOAP `{name}`: {}", verdict.rule))
    })
}

fn last_of_uri(uri: &str) -> String {
    uri.trim()
        .trim_matches('"')
        .trim_end_matches('/')
        .rsplit(['/', '#', ':'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// The names of the elements in the `Body` of an envelope; `None` where the text is none.
fn elements(text: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let (mut depth, mut body_at, mut seen_envelope) = (0_usize, None, false);
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = rest.get(at + 1..)?;
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").and_then(|end| comment.get(end + 3..))?;
            continue;
        }
        if let Some(data) = rest.strip_prefix("![CDATA[") {
            rest = data.find("]]>").and_then(|end| data.get(end + 3..))?;
            continue;
        }
        let end = rest.find('>')?;
        let tag = rest.get(..end)?;
        rest = rest.get(end + 1..)?;
        if tag.starts_with(['?', '!']) {
            continue;
        }
        if tag.starts_with('/') {
            depth = depth.saturating_sub(1);
            if body_at.is_some_and(|at| depth < at) {
                body_at = None;
            }
            continue;
        }
        let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
        let local = name.rsplit(':').next().unwrap_or_default();
        if depth == 0 && local == "Envelope" {
            seen_envelope = true;
        }
        if body_at == Some(depth) {
            names.push(local.to_owned());
        }
        if !tag.ends_with('/') {
            depth += 1;
            if seen_envelope && depth == 2 && local == "Body" {
                body_at = Some(depth);
            }
        }
    }
    seen_envelope.then_some(names)
}
