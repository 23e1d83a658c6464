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

mod class;
mod error;
mod hosts;
pub mod import;
mod index;
mod listing;
mod manifest;
mod naming;
mod request;
mod resource;
mod service;
mod shipped;
mod table;
mod template;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::call::{Class, Head, Host, Operation, Operations, Peek, Recognition, ServiceName};

use hosts::{Hosts, Place};
use request::{Overrides, Query, WEBSOCKET};
use service::Service;

pub use error::CatalogError;
pub use listing::Entry;
pub use manifest::{About, Protocol, Provenance};

/// All services that remit knows. Immutable: a reload makes a new one.
#[derive(Debug)]
pub struct Catalog {
    /// The operator's own first.
    services: Vec<Service>,
    by_name: HashMap<String, usize>,
    hosts: Hosts,
}

impl Catalog {
    /// The services in the binary.
    pub fn shipped() -> Result<Self, CatalogError> {
        Self::load(&[])
    }

    /// The services in the binary and those in the operator's folders. Each of `dirs` holds one folder a service; one
    /// with the name of a shipped service replaces it, one that describes the same hosts is asked before it.
    pub fn load(dirs: &[PathBuf]) -> Result<Self, CatalogError> {
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
        let own = services.len();
        for folder in shipped::folders()? {
            if !services.iter().take(own).any(|mine| mine.about.name == folder.about.name) {
                services.push(Service::shipped(folder));
            }
        }
        let mut hosts = Hosts::default();
        for (at, service) in services.iter().enumerate() {
            let file = || format!("{}/{}", service.folder, service::SERVICE);
            let fault = |why| error::Fault::new(1, why, "write `api.example.com`").in_file(&file());
            hosts.add(at, &service.about).map_err(fault)?;
        }
        let by_name = services.iter().enumerate().map(|(at, s)| (s.about.name.clone(), at)).collect();
        Ok(Self { services, by_name, hosts })
    }

    /// How many bytes of the body it takes to name the operation; `None`: the head is enough. So it is with every
    /// protocol of today; GraphQL, JSON-RPC, AWS query and SQL will ask.
    pub fn wants_body(&self, _head: &Head) -> Option<usize> {
        None
    }

    /// What the call would do. The first operation is the plain reading; others follow where a server could read the
    /// request as something else.
    pub fn recognise(&self, head: &Head, _peek: &Peek) -> Operations {
        let host = host_text(&head.origin.host);
        let query = Query(head.target.query());
        let path = request::segments(head.target.path());
        let sent = head.method.as_str();
        let ask = |segments: &[Cow<'_, str>], verb: &str| self.ask(&host, segments, verb, query);

        let mut found = Found { first: ask(&path, sent), rest: Vec::new() };
        let overrides = Overrides::of(&head.headers, query);
        // RFC 9110 §9.1: methods are case-sensitive. Some servers do not care.
        let shouted = sent.bytes().any(|b| b.is_ascii_lowercase()).then(|| sent.to_ascii_uppercase());
        let others = overrides.verbs.iter().map(|verb| (verb.as_str(), "method override"));
        let others = others.chain(shouted.iter().map(|verb| (verb.as_str(), "method in upper case")));
        let others: Vec<_> = others.chain(head.upgrade.map(|_| (WEBSOCKET, "upgrade"))).collect();
        for (verb, why) in &others {
            found.add(ask(&path, verb), why);
        }
        if let Some(path) = request::lenient(&path) {
            for verb in std::iter::once(sent).chain(others.iter().map(|(verb, _)| *verb)) {
                // By its verb alone it is no other call than before.
                let reading = ask(&path, verb);
                if reading.how == Recognition::Exact || reading.class > by_verb(verb) {
                    found.add(reading, "path decoded leniently");
                }
            }
        }
        if overrides.more {
            found.add(
                class::opaque(found.first.service.clone(), "too many method overrides"),
                "method override",
            );
        }
        Operations::batch(found.first, found.rest)
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

    fn named(&self, service: &str) -> Option<&Service> {
        self.services.get(*self.by_name.get(service)?)
    }

    /// One reading. Of several services at one host the first that knows the operation has it; the most specific one
    /// owns what none of them knows.
    fn ask(&self, host: &str, segments: &[Cow<'_, str>], verb: &str, query: Query<'_>) -> Operation {
        let mut owner: Option<&Service> = None;
        for Place { service, other, .. } in self.hosts.at(host, segments) {
            let Some(service) = self.services.get(*service) else { continue };
            let Some(table) = service.table() else {
                return class::opaque(service.name.clone(), "the catalog's data is broken");
            };
            if let Some(operation) = table.find(other.as_deref(), segments, verb, query, &service.name) {
                return operation;
            }
            owner = owner.or(Some(service));
        }
        match owner {
            Some(service) => {
                class::unknown(service.name.clone(), verb, ", an operation that the catalog does not have")
            }
            None => class::unknown(ServiceName(host.into()), verb, ", a host that the catalog does not have"),
        }
    }
}

fn by_verb(verb: &str) -> Class {
    class::by_verb(verb).0
}

/// The readings of one request.
struct Found {
    first: Operation,
    rest: Vec<Operation>,
}

impl Found {
    /// Adds a reading, unless it says what another said already.
    fn add(&mut self, mut reading: Operation, why: &str) {
        let same = |have: &Operation| {
            have.id == reading.id && have.service == reading.service && have.resource == reading.resource
        };
        if !same(&self.first) && !self.rest.iter().any(same) {
            reading.because = format!("{why}: {}", reading.because).into();
            self.rest.push(reading);
        }
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
