//! Recognised: which operation of which service is this call, and what does that do to the world?
//!
//! A request goes in, at least one [`Operation`] comes out, always: a call that no entry names is classed by its verb
//! and says so (`how`, `because`). Unknown is an answer, never a pass (INVARIANT I7). Where servers could read a request
//! in several ways (a method override, an encoded path), every reading becomes an operation of its own, and the call is
//! as strong as the strongest of them.
//!
//! The catalog itself is data: `data/<service>/`, three files each (`manifest.rs`, `table.rs`), and the operator's own
//! folders of the same form. It must not know a service by name, nor do any I/O after it is loaded.
//!
//! Method semantics: RFC 9110 §9. Paths: RFC 3986 §3.3.

mod ai;
mod aws;
mod batch;
mod class;
mod content;
mod credential;
mod decode;
mod error;
mod facts;
mod fields;
mod git;
mod graphql;
mod grpc;
mod hosts;
pub mod import;
mod index;
mod json;
mod labels;
mod listing;
mod manifest;
mod message;
mod multipart;
mod naming;
mod oauth;
mod people;
mod reading;
mod request;
mod resource;
mod rpc;
mod sentence;
mod service;
mod shipped;
mod soap;
mod sql;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
mod tools;
mod webdav;
mod wire;
mod xml;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::call::{Class, Head, Host, Operation, Operations, Peek, Recognition, ServiceName};

use content::Content;
use hosts::{Hosts, Named};
use index::Asked;
use labels::Labels;
use reading::{Reading, Request};
use request::{Overrides, Query, WEBSOCKET};
use service::Service;
use tools::{Server, Tools};

pub use credential::Credential;
pub use error::CatalogError;
pub use hosts::Own;
pub use listing::Entry;
pub use manifest::{About, Protocol, Provenance};
pub use message::Spoken;
pub use tokens::{TokenPlaces, Untold};

/// All services that remit knows. Immutable: a reload makes a new one.
#[derive(Debug)]
pub struct Catalog {
    /// The operator's own first.
    services: Vec<Service>,
    by_name: Named<String, usize>,
    hosts: Hosts,
    /// What the operator says of his own.
    labels: Labels,
    /// Learnt from what passes by: a reload begins anew.
    tools: Tools,
}

/// As much of a body is looked at. A longer one that could decide the class makes the call unknown.
const PEEK_BYTES: usize = 1 << 20;

/// As much of a message over a WebSocket is looked at. A longer one that could decide the class is unknown.
pub const MESSAGE_BYTES: usize = 1 << 20;

/// A request for a list of tools is shorter.
const LIST_BYTES: usize = 16 << 10;

/// How many operations of one call are told apart; one with more is as strong as can be.
const OPERATIONS: usize = 1_000;

impl Catalog {
    /// The services in the binary.
    pub fn shipped() -> Result<Self, CatalogError> {
        Self::load(&[])
    }

    /// The services in the binary and those in the operator's folders. Each of `dirs` holds one folder a service; one
    /// with the name of a shipped service replaces it, one that describes the same hosts is asked before it.
    pub fn load(dirs: &[PathBuf]) -> Result<Self, CatalogError> {
        Self::load_at(dirs, &[])
    }

    /// The same, with services that answer at hosts of the operator's own. Those are asked first.
    pub fn load_at(dirs: &[PathBuf], own: &[Own]) -> Result<Self, CatalogError> {
        Self::load_where(dirs, own, &|_| true)
    }

    /// The services in the binary whose names `wanted` takes: what remit would say of the others if it did not know them.
    #[cfg(test)]
    pub(crate) fn shipped_where(wanted: &dyn Fn(&str) -> bool) -> Result<Self, CatalogError> {
        Self::load_where(&[], &[], wanted)
    }

    fn load_where(dirs: &[PathBuf], at: &[Own], wanted: &dyn Fn(&str) -> bool) -> Result<Self, CatalogError> {
        let mut services: Vec<Service> = Vec::new();
        for folder in dirs.iter().map(|dir| folders_of(dir)).collect::<Result<Vec<_>, _>>()?.iter().flatten()
        {
            let own = Service::own(folder)?;
            if let Some(other) = services.iter().find(|other| other.name == own.name) {
                let (service, first, second) = (own.name.to_string(), other.folder.clone(), own.folder);
                return Err(CatalogError::Twice { service, first, second });
            }
            services.push(own);
        }
        let mut labels = Labels::default();
        dirs.iter().try_for_each(|dir| labels.read(dir))?;
        let own = services.len();
        for folder in shipped::folders()? {
            let replaced = services.iter().take(own).any(|mine| mine.about.name == folder.about.name);
            if !replaced && wanted(&folder.about.name) {
                services.push(Service::shipped(folder));
            }
        }
        let by_name: Named<String, usize> =
            services.iter().enumerate().map(|(at, s)| (s.about.name.clone(), at)).collect();
        let mut hosts = Hosts::default();
        for one in at {
            let unknown = || {
                let nearest = listing::closest(&one.service, by_name.keys().cloned());
                CatalogError::Nobody { host: one.host.clone(), service: one.service.clone(), nearest }
            };
            let service = by_name.get(&one.service).ok_or_else(unknown)?;
            let fault = |why| error::Fault::new(1, why, "write `git.example.org`").in_file("catalog.hosts");
            hosts.add_own(*service, one).map_err(fault)?;
        }
        for (at, service) in services.iter().enumerate() {
            let file = || format!("{}/{}", service.folder, service::SERVICE);
            let fault = |why| error::Fault::new(1, why, "write `api.example.com`").in_file(&file());
            hosts.add(at, &service.about).map_err(fault)?;
        }
        Ok(Self { services, by_name, hosts, labels, tools: Tools::default() })
    }

    /// How many bytes of the body it takes to name the operation; `None`: the head is enough.
    pub fn wants_body(&self, head: &Head) -> Option<usize> {
        let host = host_text(&head.origin.host);
        let path = request::segments(head.target.path());
        let query = Query(head.target.query());
        let asked = Asked { verb: head.method.as_str(), query, headers: &head.headers };
        let place = self.place(&host, &path, &asked);
        let (media, _) = content::media(&head.headers);
        let strongest = place.entry.is_some_and(|entry| entry.class == Class::Delegate);
        let enough = if place.is_exact() {
            // As another method or at another place, the body may decide.
            let redirected = request::redirects(&head.headers);
            let decided = decided_by_body(&place, &path, head.method.as_str(), &media);
            !(place.facts_want_body() || ai::names_model_in_body(&place))
                && (strongest || !(redirected || decided))
        } else {
            // The path of gRPC says all; a WebSocket has no body yet.
            grpc::is_grpc(&media) && path.len() == 2
        };
        (!enough).then_some(PEEK_BYTES)
    }

    /// What the call would do. The first operation is the plain reading; others follow where a server could read the
    /// request as something else.
    pub fn recognise(&self, head: &Head, peek: &Peek) -> Operations {
        let host = host_text(&head.origin.host);
        let path = request::segments(head.target.path());
        let content = Content::read(&head.headers, peek);
        let request = Request::of(head, &host, &path, &content);
        let mut found = self.readings(&request);
        for operation in &mut found {
            self.tell_model(operation, &content);
        }
        let mut found = found.into_iter();
        let first = found
            .next()
            .unwrap_or_else(|| class::opaque(ServiceName(host.as_ref().into()), "nothing to read"));
        Operations::batch(first, found.collect())
    }

    /// Whether the server at this place is known to speak JSON-RPC: the catalog says so, or it listed tools (MCP). What a request
    /// looks like says nothing of who reads it.
    pub fn speaks_rpc(&self, head: &Head) -> bool {
        let host = host_text(&head.origin.host);
        let path = request::segments(head.target.path());
        let asked =
            Asked { verb: head.method.as_str(), query: Query(head.target.query()), headers: &head.headers };
        let place = self.place(&host, &path, &asked);
        let is_rpc = |service: &&Service| {
            matches!(service.about.protocol, manifest::Protocol::Mcp | manifest::Protocol::A2a)
        };
        let server = tools::Server { host: &host, path: head.target.path(), session: "" };
        place.services.iter().any(is_rpc) || self.tools.listed_by(&server)
    }

    /// Whether the answer to this request is one for [`Catalog::remember_tools`].
    pub fn lists_tools(&self, head: &Head, peek: &Peek) -> bool {
        let asks = |object: &json::Json| object.texts("method").any(|method| method == "tools/list");
        // Such a request is small; no other is parsed twice.
        (1..LIST_BYTES).contains(&peek.bytes.len()) && Content::read(&head.headers, peek).objects().any(asks)
    }

    /// Forgets what servers said of their tools: what comes now is from another world, as each request is that
    /// `catalog classify` reads.
    pub fn forget_tools(&self) {
        self.tools.forget();
    }

    /// Takes what a server answered to `tools/list` (MCP), with the answer's header fields: its annotations tell reads from
    /// acts in the session that asked. Gives the names of tools that it describes otherwise than before, to whomever: they are
    /// acts at least from now on.
    pub fn remember_tools(&self, head: &Head, headers: &http::HeaderMap, answer: &[u8]) -> Vec<String> {
        let Ok(Some(answer)) = decode::text(headers, None, answer) else { return Vec::new() };
        let mut path = String::new();
        for segment in request::segments(head.target.path()) {
            path.push('/');
            path.push_str(&segment);
        }
        let server = Server {
            host: &host_text(&head.origin.host),
            path: &path,
            session: tools::session(&head.headers),
        };
        self.tools.remember(&server, &answer).unwrap_or_default()
    }

    /// Every reading of a request. Never empty.
    fn readings(&self, request: &Request<'_>) -> Vec<Operation> {
        let sent = request.verb;
        let read = |verb: &str, path: &[Cow<'_, str>]| Reading::new(self, *request, verb, path).operations();
        let mut found = Found::default();
        for operation in read(sent, request.path) {
            found.add(operation, None);
        }
        let overrides = Overrides::of(request.headers, request.query, request.content);
        // RFC 9110 §9.1: methods are case-sensitive. Some servers do not care.
        let shouted = sent.bytes().any(|b| b.is_ascii_lowercase()).then(|| sent.to_ascii_uppercase());
        let others = overrides.verbs.iter().map(|verb| (verb.as_str(), "method override"));
        let others = others.chain(shouted.iter().map(|verb| (verb.as_str(), "method in upper case")));
        let others: Vec<_> = others.chain(request.websocket.then_some((WEBSOCKET, "upgrade"))).collect();
        for (verb, why) in &others {
            for operation in read(verb, request.path) {
                found.add(operation, Some(why));
            }
        }
        if let Some(path) = request::lenient(request.path) {
            let floor = found.class();
            for verb in std::iter::once(sent).chain(others.iter().map(|(verb, _)| *verb)) {
                // By a rule alone it is no other call than before, unless it is a stronger one.
                let new = |one: &Operation| one.how == Recognition::Exact || one.class > floor;
                read(verb, &path)
                    .into_iter()
                    .filter(new)
                    .for_each(|operation| found.add(operation, Some("path decoded leniently")));
            }
        }
        for path in request::rewritten(request.headers) {
            for operation in read(sent, &path) {
                found.add(operation, Some("path override"));
            }
        }
        if overrides.more {
            let service = found
                .operations
                .first()
                .map_or_else(|| ServiceName(request.host.into()), |o| o.service.clone());
            found.add(class::opaque(service, "too many method overrides"), Some("method override"));
        }
        found.operations
    }

    /// Whose operation this is and what it does: `github:issues/create`. The ids of unknown calls are not operations.
    pub fn operation(&self, id: &str) -> Option<(ServiceName, Class)> {
        let service = self.named(id.split_once(':')?.0)?;
        Some((service.name.clone(), service.table()?.class(id)?))
    }

    /// The names of all services.
    pub fn services(&self) -> impl Iterator<Item = ServiceName> {
        self.services.iter().map(|service| service.name.clone())
    }

    /// Of a service's hosts those with a `*` in them, where every name is somebody else's.
    pub fn wide_hosts(&self, service: &str) -> Vec<&str> {
        let about = self.named(service).map(|service| &service.about);
        let all = about.into_iter().flat_map(|about| about.hosts.iter().chain(&about.other_hosts));
        all.map(String::as_str).filter(|host| host.contains('*')).collect()
    }

    /// Whether a service has anything at a host.
    pub fn is_at(&self, service: &str, host: &Host) -> bool {
        self.by_name.get(service).is_some_and(|at| self.hosts.has(&host_text(host), *at))
    }

    fn named(&self, service: &str) -> Option<&Service> {
        self.services.get(*self.by_name.get(service)?)
    }

    /// Who answers at a place, and the entry that fits. Of several services at one host the first that knows the operation
    /// has it; the most specific one owns what none of them knows.
    fn place<'a>(&'a self, host: &'a str, sent: &[Cow<'a, str>], asked: &Asked<'_>) -> reading::Place<'a> {
        let mut place = reading::Place { host, services: Vec::new(), entry: None, path: None, broken: false };
        for found in self.hosts.at(host, sent) {
            let Some(service) = self.services.get(found.service) else { continue };
            let moved = found.moved(sent);
            let segments = moved.as_deref().unwrap_or(sent);
            let Some(table) = service.table() else {
                place.services.insert(0, service);
                place.broken = true;
                return place;
            };
            let entry = table.find(found.other.as_deref(), segments, asked);
            if entry.is_some() {
                place.services.insert(0, service);
                (place.entry, place.path) = (entry, moved);
                return place;
            }
            if place.services.is_empty() {
                place.path = moved;
            }
            place.services.push(service);
        }
        place
    }
}

/// Whether an operation that the catalog knows is another one by its body: a method override in a form, SQL, a batch.
fn decided_by_body(place: &reading::Place<'_>, path: &[Cow<'_, str>], verb: &str, media: &str) -> bool {
    if matches!(verb, "GET" | "HEAD" | "OPTIONS") || verb == WEBSOCKET {
        return false;
    }
    let last = path.last().map(|last| last.to_ascii_lowercase()).unwrap_or_default();
    let by_path = [
        "graphql",
        "gql",
        "batch",
        "composite",
        "jobs",
        "query",
        "queries",
        "sql",
        "statement",
        "mcp",
        "a2a",
        "rpc",
    ];
    let name = place.entry.map(|entry| entry.id.0.to_ascii_lowercase()).unwrap_or_default();
    media == "application/x-www-form-urlencoded"
        || media.starts_with("multipart/")
        || by_path.iter().any(|word| last.contains(word))
        || ["sql", "statement", "query"].iter().any(|word| name.contains(word))
}

/// The readings of one request.
#[derive(Default)]
struct Found {
    operations: Vec<Operation>,
}

impl Found {
    /// Adds a reading, unless it says what another said already.
    fn add(&mut self, mut reading: Operation, why: Option<&str>) {
        let same = |have: &Operation| {
            have.id == reading.id
                && have.service == reading.service
                && have.resource == reading.resource
                && have.ai == reading.ai
                && have.facts == reading.facts
        };
        if self.operations.iter().any(same) {
            return;
        }
        if self.operations.len() == OPERATIONS {
            reading = class::opaque(reading.service, "more operations than are told apart");
        } else if self.operations.len() > OPERATIONS {
            return;
        } else if let Some(why) = why {
            reading.because = format!("{why}: {}", reading.because).into();
        }
        self.operations.push(reading);
    }

    fn class(&self) -> Class {
        self.operations.iter().map(|operation| operation.class).max().unwrap_or(Class::Read)
    }
}

fn host_text(host: &Host) -> Cow<'_, str> {
    match host {
        Host::Name(name) => Cow::Borrowed(name),
        Host::V4(_) | Host::V6(_) => Cow::Owned(host.to_string()),
    }
}

/// The folders in an operator's folder, in the order of their names.
fn folders_of(dir: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let remedy = "correct `catalog.dirs`: each names a folder with one folder a service";
    let unreadable = |source| CatalogError::Unreadable { file: dir.display().to_string(), source, remedy };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !hidden {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}
