//! Requests inside of a request: `multipart/mixed` (RFC 2046; `OData`, and others who copied it) and lists in JSON.
//!
//! Each inner request is recognised like one that came alone; the call is as strong as the strongest of them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::call::{Class, Operation};

use super::content::Content;
use super::index::Asked;
use super::json::Json;
use super::multipart::{Part, head_and_body};
use super::reading::{Certain, Reading, Request, Told};
use super::request::{self, Query};

/// How deep batches may nest: `OData` puts a change set into a batch.
const DEPTH: usize = 3;
/// How many requests one batch may have.
const REQUESTS: usize = 200;

pub(super) fn read(reading: &Reading<'_>) -> Told {
    let content = reading.request.content;
    let inner = if content.parts.is_empty() { in_json(reading) } else { in_parts(reading, &content.parts) };
    if inner.is_empty() {
        return Told::Nothing;
    }
    let place = reading.place.is_open()
        || (!reading.place.is_exact() && reading.path_has(&["batch"]))
        || (reading.path_has(&["composite"]) && reading.request.verb == "POST");
    let mut found = inner;
    if place && let Some(why) = content.trouble {
        found.push(reading.unknown(Class::Delegate, why.0));
    }
    Told::by(Certain::if_place(place), found)
}

/// A request inside.
struct Inner<'a> {
    verb: &'a str,
    url: &'a str,
    headers: HeaderMap,
    content: Content,
}

fn in_parts(reading: &Reading<'_>, parts: &[Part]) -> Vec<Operation> {
    let mut found = Vec::new();
    for part in parts {
        let media = part.media.to_ascii_lowercase();
        if media.starts_with("multipart/") {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_str(&part.media) {
                headers.insert(http::header::CONTENT_TYPE, value);
            }
            let content = Content::of(&headers, part.body.as_bytes(), true);
            found.extend(nested(reading, &content));
        } else if let Some(inner) = http_message(&part.body) {
            found.extend(one(reading, &inner));
        } else if media.starts_with("application/http") {
            found.push(reading.unknown(Class::Delegate, "a part of a batch that is no request"));
        }
    }
    found
}

fn nested(reading: &Reading<'_>, content: &Content) -> Vec<Operation> {
    if reading.request.depth >= DEPTH || content.trouble.is_some() {
        return vec![reading.unknown(Class::Delegate, "a batch that cannot be read")];
    }
    let request = Request { content, depth: reading.request.depth + 1, ..reading.request };
    in_parts(&Reading::new(reading.catalog, request, reading.verb, reading.sent), &content.parts)
}

/// `GET /path HTTP/1.1`, header fields, body. The version may be missing.
fn http_message(text: &str) -> Option<Inner<'_>> {
    let text = text.trim_start();
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut words = line.split_whitespace();
    let (verb, url) = (words.next()?, words.next()?);
    if !is_verb(verb) || words.next().is_some_and(|version| !version.starts_with("HTTP/")) {
        return None;
    }
    let (head, body) = head_and_body(rest);
    let mut headers = HeaderMap::new();
    for line in head.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.trim().as_bytes()), HeaderValue::from_str(value.trim()))
        {
            headers.append(name, value);
        }
    }
    let content = Content::of(&headers, body.trim_end().as_bytes(), true);
    Some(Inner { verb, url, headers, content })
}

fn is_verb(text: &str) -> bool {
    matches!(
        text.to_ascii_uppercase().as_str(),
        "GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE" | "MERGE"
    )
}

/// Lists of objects that each have a verb and a place: Microsoft Graph, Salesforce, and whoever else batches in JSON.
fn in_json(reading: &Reading<'_>) -> Vec<Operation> {
    const LISTS: [&str; 6] =
        ["requests", "compositeRequest", "batchRequests", "operations", "batch", "graphs"];
    let content = reading.request.content;
    let mut inner: Vec<&Json> = Vec::new();
    for object in content.objects() {
        inner.push(object);
        for list in LISTS.iter().flat_map(|name| object.fields(name)).flat_map(Json::each) {
            inner.push(list);
            inner.extend(list.fields("compositeRequest").flat_map(Json::each));
        }
    }
    let mut found = Vec::new();
    for (count, object) in inner.into_iter().filter(|object| place_of(object).is_some()).enumerate() {
        if count == REQUESTS {
            found.push(reading.unknown(Class::Delegate, "more requests in a batch than are read"));
            break;
        }
        let verbs = object.texts("method").filter(|verb| is_verb(verb));
        for (verb, url) in verbs.flat_map(|verb| places(object).map(move |url| (verb, url))).take(REQUESTS) {
            let bodies: Vec<&Json> =
                ["body", "richInput", "data"].iter().flat_map(|name| object.fields(name)).collect();
            let content = bodies.first().map_or_else(Content::default, |body| Content::of_json(body));
            found.extend(one(reading, &Inner { verb, url, headers: HeaderMap::new(), content }));
        }
    }
    found
}

fn places(object: &Json) -> impl Iterator<Item = &str> {
    ["url", "uri", "relative_url", "relativeUrl", "path", "href"]
        .into_iter()
        .flat_map(|name| object.texts(name))
}

fn place_of(object: &Json) -> Option<&str> {
    object.texts("method").find(|verb| is_verb(verb))?;
    places(object).next()
}

fn one(reading: &Reading<'_>, inner: &Inner<'_>) -> Vec<Operation> {
    if reading.request.depth >= DEPTH {
        return vec![reading.unknown(Class::Delegate, "batches inside of batches")];
    }
    let (host, target) = match inner.url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => (reading.request.host, inner.url),
    };
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let segments = resolved(path);
    let request = Request {
        host: &host,
        verb: inner.verb,
        path: &segments,
        query: Query(query),
        headers: &inner.headers,
        content: &inner.content,
        websocket: false,
        depth: reading.request.depth + 1,
    };
    // A relative place begins where the batch stands: `/v1.0/$batch` and `/me/messages`.
    let below: Vec<Cow<'_, str>> =
        reading.path.iter().take(1).cloned().chain(segments.iter().cloned()).collect();
    let asked = Asked { verb: inner.verb, query: request.query, headers: &inner.headers };
    let known = |path: &[Cow<'_, str>]| reading.catalog.place(&host, path, &asked).entry.is_some();
    let request =
        if !known(&segments) && known(&below) { Request { path: &below, ..request } } else { request };
    reading.catalog.readings(&request)
}

/// The segments of a path, `.` and `..` resolved.
fn resolved(path: &str) -> Vec<Cow<'_, str>> {
    let mut out: Vec<Cow<'_, str>> = Vec::new();
    for segment in request::segments(path) {
        match segment.as_ref() {
            "." => {}
            ".." => drop(out.pop()),
            _ => out.push(segment),
        }
    }
    out
}
