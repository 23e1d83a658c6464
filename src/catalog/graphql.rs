//! GraphQL over HTTP: each root field that the server would run is an operation.
//!
//! GraphQL specification (October 2021) §2 and §6.1; GraphQL over HTTP draft; the multipart request specification; automatic
//! persisted queries. A document is taken from every place where a server looks for one. Without an operation name that
//! fits, every operation of the document counts. What cannot be parsed, or is known by its hash alone, is unknown.

mod executable;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use crate::call::{Class, Operation};

use executable::{Definition, Document, Selected};

use super::json::Json;
use super::naming::{self, Words};
use super::reading::{Certain, Reading, Told};

/// How many documents a request may have.
const DOCUMENTS: usize = 100;
/// How many root fields.
const FIELDS: usize = 500;

pub(super) fn read(reading: &Reading<'_>) -> Told {
    read_as(reading, is_place(reading))
}

/// The same; `certain` says that the server speaks it.
pub(super) fn read_as(reading: &Reading<'_>, certain: bool) -> Told {
    if reading.place.is_exact() && !certain {
        return Told::Nothing;
    }
    let asked = Asked::of(reading, certain);
    if asked.documents.is_empty() && asked.nameless == 0 {
        // The page for people, or an empty request.
        let silent = !reading.may_carry() && matches!(reading.verb, "GET" | "HEAD" | "OPTIONS");
        if !certain || silent || reading.has_actions("POST") {
            return Told::Nothing;
        }
    }
    let mut found = Vec::new();
    for document in &asked.documents {
        match root_fields(document, &asked.names) {
            Some(fields) => found.extend(fields.into_iter().map(|field| operation(reading, field))),
            None if certain => {
                found.push(reading.unknown(Class::Delegate, "a GraphQL document that cannot be read"));
            }
            None => {}
        }
    }
    if certain {
        if let Some(why) = reading.request.content.trouble {
            found.push(reading.unknown(Class::Delegate, why.0));
        } else if asked.nameless > 0 || found.is_empty() {
            found.push(reading.unknown(Class::Act, "a GraphQL request without a document"));
        }
        if asked.more {
            found.push(reading.unknown(Class::Delegate, "more GraphQL documents than are read"));
        }
    }
    Told::by(Certain::if_place(certain), found)
}

/// Host, path or catalog say that the server speaks it.
pub(super) fn is_place(reading: &Reading<'_>) -> bool {
    let listed = || reading.speaks_here("QUERY") || reading.speaks_here("MUTATION");
    reading.path_has(&["graphql", "gql"])
        || (!reading.place.is_exact() && listed() && !reading.has_actions("POST"))
}

/// Fields that name a stored document.
const IDS: [&str; 5] = ["id", "documentId", "queryId", "doc_id", "sha256Hash"];

/// Automatic persisted queries: `{"persistedQuery": {"version": 1, "sha256Hash": ".."}}`.
fn hashes(extensions: &Json) -> Vec<String> {
    let stored = extensions.named("persistedQuery").into_iter().flat_map(|query| query.named("sha256Hash"));
    stored.map(|hash| hash.text().unwrap_or_default().to_owned()).collect()
}

/// What a request asks to be run.
#[derive(Default)]
struct Asked {
    documents: Vec<String>,
    names: Vec<String>,
    /// Requests without a document: known to the server by a hash.
    nameless: usize,
    more: bool,
}

impl Asked {
    fn of(reading: &Reading<'_>, certain: bool) -> Self {
        let (content, query) = (reading.request.content, reading.request.query);
        let mut asked = Self::default();
        let stored = |id: &str| reading.catalog.labels.document(&reading.place.name().0, id);
        query.all("query").chain(content.form().all("query")).for_each(|text| asked.document(text));
        asked.names.extend(query.all("operationName").chain(content.form().all("operationName")));
        if asked.documents.is_empty() {
            let ids = IDS.iter().flat_map(|name| query.all(name).chain(content.form().all(name)));
            let packed = query.all("extensions").chain(content.form().all("extensions"));
            let packed: Vec<Json> =
                packed.flat_map(|text| Json::all(&text).unwrap_or(vec![Json::Null])).collect();
            let ids: Vec<String> = ids.chain(packed.iter().flat_map(hashes)).collect();
            asked.ids(&ids, !packed.is_empty(), stored);
        }
        content.objects().for_each(|object| asked.object(object, stored));
        for part in &content.parts {
            match part.name.as_deref() {
                Some("query") => asked.document(part.body.clone()),
                Some("operationName") => asked.names.push(part.body.clone()),
                Some("operations") => match Json::all(&part.body) {
                    Ok(values) => {
                        values.iter().flat_map(Json::each).for_each(|object| asked.object(object, stored));
                    }
                    Err(_) => asked.nameless += 1,
                },
                _ => {}
            }
        }
        if let Some(text) = &content.text {
            let declared = content.media.starts_with("application/graphql");
            let bare =
                certain && content.json.is_empty() && content.parts.is_empty() && asked.documents.is_empty();
            if (declared || bare) && !text.trim().is_empty() && content.json.is_empty() {
                asked.document(text.clone());
            }
        }
        asked
    }

    /// Documents that the server knows by an id: those that the operator told of are read, the others are unknown.
    fn ids<'a>(&mut self, ids: &[String], named: bool, stored: impl Fn(&str) -> Option<&'a str>) {
        let known: Vec<&str> = ids.iter().filter_map(|id| stored(id)).collect();
        if known.len() < ids.len() || (named && ids.is_empty()) {
            self.nameless += 1;
        }
        for document in known {
            self.document(document.to_owned());
        }
    }

    fn object<'a>(&mut self, object: &Json, stored: impl Fn(&str) -> Option<&'a str>) {
        let before = self.documents.len();
        object.texts("query").for_each(|text| self.document(text.to_owned()));
        self.names.extend(object.texts("operationName").map(str::to_owned));
        if self.documents.len() == before {
            let told = IDS
                .iter()
                .flat_map(|name| object.fields(name))
                .map(|id| id.text().unwrap_or_default().to_owned());
            let ids: Vec<String> = told.chain(object.fields("extensions").flat_map(hashes)).collect();
            self.ids(&ids, object.has("extensions"), stored);
        }
    }

    fn document(&mut self, text: String) {
        if text.trim().is_empty() {
            return;
        }
        if self.documents.len() < DOCUMENTS {
            self.documents.push(text);
        } else {
            self.more = true;
        }
    }
}

/// A root field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RootField<'a> {
    /// `QUERY`, `MUTATION` or `SUBSCRIPTION`, as the catalog writes them.
    kind: &'static str,
    /// `None`: a fragment that the document does not have.
    name: Option<&'a str>,
}

/// The root fields that a server could run; `None` where the document cannot be read.
pub(super) fn root_fields<'a>(document: &'a str, names: &[String]) -> Option<Vec<RootField<'a>>> {
    let Document { mut operations, fragments } = executable::read(document)?;
    let mut by_name: HashMap<&str, Vec<&Definition<'a>>> = HashMap::new();
    for fragment in &fragments {
        by_name.entry(fragment.name?).or_default().push(fragment);
    }
    let picked = |one: &Definition<'_>| one.name.is_some_and(|name| names.iter().any(|n| n == name));
    // One name that one operation has picks it. Anything else, and a server may run any of them.
    let one = !names.is_empty() && names.iter().all(|name| Some(name) == names.first());
    if one && operations.iter().filter(|one| picked(one)).count() == 1 {
        operations.retain(|one| picked(one));
    }
    let mut found = HashSet::new();
    let mut in_order = Vec::new();
    for operation in &operations {
        for name in selected(operation, &by_name) {
            let field = RootField { kind: operation.kind, name };
            if found.insert(field) {
                in_order.push(field);
            }
        }
        if in_order.len() > FIELDS {
            return None;
        }
    }
    (!in_order.is_empty()).then_some(in_order)
}

/// The fields of a definition, those of its fragments with them. Each fragment is looked into once.
fn selected<'a>(
    definition: &Definition<'a>,
    fragments: &HashMap<&str, Vec<&Definition<'a>>>,
) -> Vec<Option<&'a str>> {
    let (mut open, mut seen, mut found) = (vec![definition], HashSet::new(), Vec::new());
    while let Some(definition) = open.pop() {
        for one in &definition.selected {
            match one {
                Selected::Field(name) => found.push(Some(*name)),
                Selected::Spread(name) => match fragments.get(name) {
                    Some(sets) if seen.insert(*name) => open.extend(sets),
                    Some(_) => {}
                    None => found.push(None),
                },
            }
        }
    }
    found
}

fn operation(reading: &Reading<'_>, field: RootField<'_>) -> Operation {
    let Some(name) = field.name else {
        return reading.unknown(Class::Act, "a GraphQL fragment that the document lacks");
    };
    if let Some(known) = reading.action(field.kind, name) {
        return known;
    }
    let verdict = naming::judge(field.kind, Words { name, path: "" });
    // A mutation is one whatever its name says.
    let floor = if field.kind == "MUTATION" { Class::Act } else { Class::Read };
    let kind = field.kind.to_ascii_lowercase();
    reading.inferred(verdict.class.max(floor), &format!("GraphQL {kind} `{name}`: {}", verdict.rule))
}
