//! The catalog as a list, for `remit catalog` and for advice on misspelt names.

use serde::Serialize;

use crate::call::{Class, OperationId, Recognition};

use super::credential::Credential;
use super::manifest::About;
use super::{Catalog, Service};

/// An operation as the catalog lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name.
    pub id: OperationId,
    /// What it does.
    pub class: Class,
    /// Where it is: method and path template, one or several.
    pub places: Vec<String>,
    /// What it touches, as `kind=template`.
    pub resource: Option<String>,
    /// What led to the class.
    pub because: String,
}

impl Catalog {
    /// Where a service, or whoever answers at a host, wants to see a credential; none: the catalog does not say.
    pub fn credential(&self, service: &str) -> Option<Credential> {
        let at_host = |one: &&Service| one.about.hosts.iter().any(|host| host == service);
        let service = self.named(service).or_else(|| self.services.iter().find(at_host))?;
        let written = service.table().and_then(|table| table.credential.clone());
        written.or_else(|| Credential::of(&service.about))
    }

    /// The operations of a service, in the order of its file; empty where there is no such service. Lines that name no
    /// operation are left out.
    pub fn operations(&self, service: &str) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for row in self.named(service).and_then(Service::table).map_or(&[][..], |table| &table.rows) {
            if row.how != Recognition::Exact {
                continue;
            }
            let at = *places.entry(row.id.clone()).or_insert(entries.len());
            if let Some(entry) = entries.get_mut(at) {
                entry.places.push(row.place.clone());
                continue;
            }
            entries.push(Entry {
                id: row.id.clone(),
                class: row.class,
                places: vec![row.place.clone()],
                resource: row.resource.as_ref().map(|(text, _)| text.clone()),
                because: row.because.to_string(),
            });
        }
        entries
    }

    /// What a service is, and where its description comes from.
    pub fn about(&self, service: &str) -> Option<&About> {
        self.named(service).map(|service| &service.about)
    }

    /// The operation id that is spelt most like `id`, of those that are somewhat alike.
    pub fn nearest(&self, id: &str) -> Option<String> {
        let (service, _) = id.split_once(':').unwrap_or((id, ""));
        let of = |name: String| self.operations(&name).into_iter().map(|entry| entry.id.0.to_string());
        let ids: Vec<String> = match self.named(service) {
            Some(_) => of(service.to_owned()).collect(),
            None => self.services.iter().map(|s| s.about.name.clone()).flat_map(of).collect(),
        };
        closest(id, ids.into_iter())
    }

    /// The service name that is spelt most like `name`, of those that are somewhat alike.
    pub fn nearest_service(&self, name: &str) -> Option<String> {
        closest(name, self.services.iter().map(|s| s.about.name.clone()))
    }
}

/// Names less alike than this (Jaro-Winkler, 0 to 1) are no help.
const ALIKE: f64 = 0.75;

pub(super) fn closest(wanted: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let rated = names.map(|name| (strsim::jaro_winkler(wanted, &name), name));
    rated.filter(|(rate, _)| *rate >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}
