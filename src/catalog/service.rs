//! One service: described at load, its operations parsed when it is first asked.

use std::path::Path;
use std::sync::OnceLock;

use crate::call::ServiceName;

use super::error::{CatalogError, Fault};
use super::facts::FactFile;
use super::manifest::About;
use super::shipped::{Folder, Place};
use super::table::{File, Table};

/// The operations of a service as text.
#[derive(Debug)]
enum Text {
    /// In the binary.
    Packed(Place),
    /// Read from a folder.
    Plain { operations: String, overrides: String, facts: String },
}

/// One service of the catalog.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: ServiceName,
    pub(super) about: About,
    /// The folder that it was read from.
    pub(super) folder: String,
    text: Text,
    table: OnceLock<Option<Table>>,
    facts: OnceLock<Option<FactFile>>,
}

impl Service {
    /// A service in the binary. Its operations are parsed later: start-up costs the same with ten as with ten thousand.
    pub(super) fn shipped(folder: Folder) -> Self {
        let place = format!("(shipped)/{}", folder.about.name);
        Self::new(folder.about, place, Text::Packed(folder.place))
    }

    /// A service in a folder of the operator's. All of it is parsed now, so that mistakes are told now.
    pub(super) fn own(folder: &Path) -> Result<Self, CatalogError> {
        let place = folder.display().to_string();
        let service_file = format!("{place}/{SERVICE}");
        let text = read(folder, SERVICE, "every service needs one")?;
        let about = About::parse(&text).map_err(|f| f.in_file(&service_file))?;
        if folder.file_name().is_none_or(|name| name != about.name.as_str()) {
            let why = format!("the service is `{}`, the folder is not", about.name);
            return Err(Fault::new(1, why, "give the folder the name of the service").in_file(&service_file));
        }
        let operations = read(folder, OPERATIONS, "every service needs one")?;
        let overrides = if folder.join(OVERRIDES).exists() {
            read(folder, OVERRIDES, "check its permissions, or remove it")?
        } else {
            String::new()
        };
        let facts = if folder.join(FACTS).exists() {
            read(folder, FACTS, "check its permissions, or remove it")?
        } else {
            String::new()
        };
        let facts_file =
            FactFile::parse(&facts).map_err(|fault| fault.in_file(&format!("{place}/{FACTS}")))?;
        let service = Self::new(about, place, Text::Plain { operations, overrides, facts });
        let table = service.parse()?;
        service.facts.get_or_init(|| Some(facts_file));
        // A fresh cell: nobody can have filled it.
        service.table.get_or_init(|| Some(table));
        Ok(service)
    }

    fn new(about: About, folder: String, text: Text) -> Self {
        let name = ServiceName(about.name.as_str().into());
        Self { name, about, folder, text, table: OnceLock::new(), facts: OnceLock::new() }
    }

    /// The operations; parsed at the first call. `None` where the shipped data is broken, which a test rules out: calls
    /// are then answered as opaque.
    pub(super) fn table(&self) -> Option<&Table> {
        self.table.get_or_init(|| self.parse().ok()).as_ref()
    }

    /// What is known of its operations beside their names; `None` where there is nothing.
    pub(super) fn facts(&self) -> Option<&FactFile> {
        let parse = || match &self.text {
            Text::Packed(place) if !place.has_facts() => None,
            // Broken shipped data, which a test rules out, tells nothing.
            Text::Packed(place) => FactFile::parse(&place.unpack()?.facts).ok(),
            Text::Plain { facts, .. } => FactFile::parse(facts).ok(),
        };
        self.facts.get_or_init(parse).as_ref()
    }

    /// Whether anybody needed it yet.
    #[cfg(test)]
    pub(super) fn is_parsed(&self) -> bool {
        self.table.get().is_some()
    }

    /// What a damaged file would leave behind.
    #[cfg(test)]
    pub(super) fn break_for_test(&mut self) {
        self.text = Text::Plain { operations: String::new(), overrides: String::new(), facts: String::new() };
        self.table = OnceLock::new();
    }

    /// Parses the operations.
    pub(super) fn parse(&self) -> Result<Table, CatalogError> {
        let unpacked;
        let (operations, overrides) = match &self.text {
            Text::Plain { operations, overrides, .. } => (operations, overrides),
            Text::Packed(place) => {
                unpacked = place.unpack().unwrap_or_default();
                (&unpacked.operations, &unpacked.overrides)
            }
        };
        Table::parse(&self.about, operations, overrides).map_err(|(file, fault)| {
            let file = match file {
                File::Operations => OPERATIONS,
                File::Overrides => OVERRIDES,
            };
            fault.in_file(&format!("{}/{file}", self.folder))
        })
    }
}

fn read(folder: &Path, name: &str, remedy: &'static str) -> Result<String, CatalogError> {
    let path = folder.join(name);
    std::fs::read_to_string(&path).map_err(|source| CatalogError::Unreadable {
        file: path.display().to_string(),
        source,
        remedy,
    })
}

pub(super) const SERVICE: &str = "service.toml";
const OPERATIONS: &str = "operations.tsv";
const OVERRIDES: &str = "overrides.toml";
const FACTS: &str = "facts.toml";
