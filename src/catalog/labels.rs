//! `labels.toml`, beside the operator's services: which domains are his own, how the data in his resources is labelled, and
//! which stored GraphQL documents his services know by an id.
//!
//! ```toml
//! own_domains = ["example.org"]
//!
//! [[label]]
//! service = "github"
//! kind = "repo"
//! id = "octo/payroll*"        # a `*` at the end stands for any rest
//! labels = ["pii", "financial"]
//!
//! [[persisted]]
//! service = "linear"
//! id = "9f86d081…"            # what the client sends in the place of the document
//! document = "query Me { viewer { id } }"
//! ```

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::call::facts::Facts;
use crate::call::{Resource, ServiceName};

use super::error::{CatalogError, Fault};

/// The file's name.
pub(super) const FILE: &str = "labels.toml";

/// What the operator says of his own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Labels {
    #[serde(default)]
    own_domains: Vec<String>,
    #[serde(default)]
    label: Vec<Label>,
    #[serde(default)]
    persisted: Vec<Persisted>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    service: String,
    kind: String,
    id: String,
    labels: Vec<Arc<str>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Persisted {
    service: String,
    id: String,
    document: String,
}

impl Labels {
    /// Reads the file of a folder, if it has one, and adds what it says.
    pub(super) fn read(&mut self, dir: &Path) -> Result<(), CatalogError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(());
        }
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|source| CatalogError::Unreadable {
            file: file.clone(),
            source,
            remedy: "check its permissions, or remove it",
        })?;
        let more = Self::parse(&text).map_err(|fault| fault.in_file(&file))?;
        self.own_domains.extend(more.own_domains);
        self.label.extend(more.label);
        self.persisted.extend(more.persisted);
        Ok(())
    }

    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let remedy =
            "write `own_domains`, `[[label]]` and `[[persisted]]` as catalog/data/README.md describes them";
        let mut file: Self = toml::from_str(text).map_err(|error| Fault::toml(text, &error, remedy))?;
        for domain in &mut file.own_domains {
            *domain = domain.trim_matches('.').to_ascii_lowercase();
            if !domain.contains('.') {
                return Err(Fault::new(
                    1,
                    format!("`{domain}` is no domain of yours alone"),
                    "write `example.org`",
                ));
            }
        }
        Ok(file)
    }

    /// Whether a domain is the operator's own, or below one.
    pub(super) fn owns(&self, domain: &str) -> bool {
        let is = |own: &String| {
            domain.strip_suffix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.own_domains.iter().any(is)
    }

    /// Labels a resource by its own name and by those of what it lies in.
    pub(super) fn apply(&self, service: &ServiceName, resource: &Resource, facts: &mut Facts) {
        for label in self.label.iter().filter(|label| label.service == *service.0) {
            let things = std::iter::once(resource).chain(&facts.ancestors);
            if things.into_iter().any(|thing| label.fits(thing)) {
                facts.labels.extend(label.labels.iter().cloned());
            }
        }
    }

    /// The document that a service stored under an id.
    pub(super) fn document(&self, service: &str, id: &str) -> Option<&str> {
        let found = self.persisted.iter().find(|stored| stored.service == service && stored.id == id);
        found.map(|stored| stored.document.as_str())
    }
}

impl Label {
    fn fits(&self, resource: &Resource) -> bool {
        // Letter case is ignored: a label too many is safer than one too few.
        let (have, wanted) = (resource.id.to_ascii_lowercase(), self.id.to_ascii_lowercase());
        self.kind == *resource.kind
            && wanted.strip_suffix('*').map_or(have == wanted, |start| have.starts_with(start))
    }
}
