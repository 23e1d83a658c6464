//! Writes the card of a held call: what it would do, from the request as it would be sent.

use http::HeaderName;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};

use crate::call::card::{Deed, ShownBody, Touched};
use crate::call::veil::veil;
use crate::call::{Attributed, Card, Decision, Head, Operation, Peek, Recognition, Ruling, inert, shown};
use crate::catalog::Catalog;
use crate::intent::Tasks;
use crate::judge::hold::is_bound;

/// How many operations of a batch are told; the card says how many more there are.
const DEEDS: usize = 50;
/// How many operations that the task did before are told.
const TOUCHED: usize = 12;
/// How much of a header field is shown, characters; what is longer is warned of.
const FIELD_CHARS: usize = 4_000;
/// How much of a target is shown, characters: more than one may have.
const TARGET_CHARS: usize = 100_000;

pub(super) fn of(
    catalog: &Catalog,
    tasks: &Tasks,
    head: &Head,
    stage: &Attributed,
    ruling: &Ruling,
    body: &bytes::Bytes,
) -> Card {
    let task = &stage.task;
    let media = head.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    let text = catalog.readable(head, &Peek { bytes: body.clone(), whole: true });
    let mut operations: Vec<_> = stage.operations.iter().collect();
    // What is most to be thought about stands first, wherever the agent put it.
    operations.sort_by_key(|operation| std::cmp::Reverse(operation.class));
    let body = shown::body(media, body.len() as u64, text.as_deref());
    let chain = task.terms.actors.iter().rev().chain(std::iter::once(&stage.principal.agent));
    Card {
        does: operations.into_iter().take(DEEDS).map(|operation| deed(catalog, operation)).collect(),
        method: inert::text(head.method.as_str(), 32).into_owned(),
        url: url(head, stage),
        headers: headers(head),
        warnings: warnings(head, stage, &body, text.is_some()),
        body,
        reasons: ruling.reasons().to_vec(),
        intent: task.intent.as_str().to_owned(),
        on_behalf_of: task.terms.on_behalf_of.as_ref().map_or("", |subject| subject.as_str()).to_owned(),
        chain: chain.map(|agent| agent.as_str().to_owned()).collect(),
        touched: touched(tasks, stage),
        difference: None,
    }
}

fn deed(catalog: &Catalog, operation: &Operation) -> Deed {
    let resource = operation.resource.as_ref();
    Deed {
        sentence: catalog.sentence(operation),
        operation: inert::text(&operation.id.0, 200).into_owned(),
        class: operation.class,
        resource: resource
            .map(|resource| format!("{} {}", resource.kind, inert::text(&resource.id, 200)))
            .unwrap_or_default(),
    }
}

/// Scheme, authority and target, values of the query masked as those of a body are.
fn url(head: &Head, stage: &Attributed) -> String {
    let known: Vec<_> = stage
        .operations
        .iter()
        .filter(|operation| operation.how == Recognition::Exact)
        .filter_map(|operation| operation.resource.as_ref())
        .map(|resource| resource.id.as_str())
        .collect();
    let path = veil(head.target.path(), &known.join(" ")).into_owned();
    let one = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if shown::names_secret(name) => format!("{name}=(masked)"),
        Some((name, value)) => format!("{}={}", veil(name, ""), veil(value, "")),
        None => veil(pair, "").into_owned(),
    };
    let query = head.target.query().map(|query| query.split('&').map(one).collect::<Vec<_>>().join("&"));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    inert::text(&format!("{}{path}{query}", head.origin), TARGET_CHARS).into_owned()
}

/// The fields that an approval is for.
fn headers(head: &Head) -> Vec<(String, String)> {
    let is_secret =
        |name: &HeaderName| *name == AUTHORIZATION || *name == COOKIE || shown::names_secret(name.as_str());
    let mut all: Vec<_> = head.headers.iter().filter(|(name, _)| is_bound(name)).collect();
    all.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    let one = |(name, value): (&HeaderName, &http::HeaderValue)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let value = if is_secret(name) {
            shown::masked(&text)
        } else {
            inert::text(&veil(&text, ""), FIELD_CHARS).into_owned()
        };
        (name.as_str().to_owned(), value)
    };
    all.into_iter().map(one).collect()
}

fn touched(tasks: &Tasks, stage: &Attributed) -> Vec<Touched> {
    let Some(view) = tasks.show(stage.task.id) else { return Vec::new() };
    let mut rows: Vec<_> = view.summary.into_iter().filter(|row| row.decision == Decision::Allow).collect();
    rows.sort_by(|a, b| b.class.cmp(&a.class).then(b.calls.cmp(&a.calls)));
    let one = |row: crate::intent::SummaryRow| Touched {
        operation: inert::text(&row.operation.0, 200).into_owned(),
        class: row.class,
        calls: row.calls,
    };
    rows.into_iter().take(TOUCHED).map(one).collect()
}

/// What whoever decides has to know beside the sentences.
fn warnings(head: &Head, stage: &Attributed, body: &ShownBody, readable: bool) -> Vec<String> {
    let mut all = Vec::new();
    let operations = || stage.operations.iter();
    if operations().any(|operation| operation.how != Recognition::Exact) {
        all.push("The catalog does not know this call; what it does is inferred from its form.".to_owned());
    }
    if operations().any(|operation| operation.facts.drifted) {
        all.push("A tool is described otherwise than when it was first listed.".to_owned());
    }
    if operations().any(|operation| operation.facts.brought_key.is_some()) {
        all.push("The agent brings a long-lived key of its own.".to_owned());
    }
    let more = operations().count().saturating_sub(DEEDS);
    if more > 0 {
        all.push(format!("{more} more operations of this call are not listed."));
    }
    if body.bytes > 0 && !readable {
        all.push("The body is no text that can be shown.".to_owned());
    }
    if body.cut {
        all.push("Not all of the body is shown.".to_owned());
    }
    if head.headers.iter().any(|(name, value)| is_bound(name) && value.len() > FIELD_CHARS) {
        all.push("Not all of a header field is shown.".to_owned());
    }
    all
}
