//! Which permission an operation needs: data of the catalog, and the operator's own lines before it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far a permission reaches. GitHub has `admin` too, for a few; nothing here asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Looks.
    Read,
    /// Changes.
    Write,
}

impl Level {
    /// `read` or `write`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Whether what was given under this name reaches no further.
    pub(super) fn contains(self, given: &str) -> bool {
        match given {
            "read" => true,
            "write" => self == Self::Write,
            _ => false,
        }
    }
}

/// Names of operations, or their beginnings, and the permissions that they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    api: Option<String>,
    exact: BTreeMap<String, Vec<String>>,
    /// Without the `*`.
    beginnings: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    api_url: Option<String>,
    #[serde(default)]
    permission: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    operations: Vec<String>,
    needs: Vec<String>,
}

impl Permissions {
    /// Reads a `permissions.toml`.
    pub fn parse(text: &str) -> Result<Self, BadPermissions> {
        let file: File = toml::from_str(text).map_err(|error| BadPermissions(error.message().to_owned()))?;
        let mut permissions = Self { api: file.api_url, ..Self::default() };
        for line in file.permission {
            for operation in line.operations {
                permissions.add(&operation, line.needs.clone())?;
            }
        }
        Ok(permissions)
    }

    /// These, with a line of the operator's own, which goes before what is there under that name.
    pub fn add(&mut self, operation: &str, needs: Vec<String>) -> Result<(), BadPermissions> {
        let sound = |name: &String| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if needs.is_empty() || !needs.iter().all(sound) {
            return Err(BadPermissions(format!(
                "`{operation}` needs at least one permission, written as the API has it: `pull_requests`"
            )));
        }
        match operation.strip_suffix('*') {
            Some(beginning) => drop(self.beginnings.insert(beginning.to_owned(), needs)),
            None if operation.contains('*') => {
                return Err(BadPermissions(format!("`{operation}`: a `*` stands at the end or nowhere")));
            }
            None => drop(self.exact.insert(operation.to_owned(), needs)),
        }
        Ok(())
    }

    /// Where the API is that these are of.
    pub fn api(&self) -> Option<&str> {
        self.api.as_deref()
    }

    /// What an operation needs: its own line, else that with the longest beginning.
    pub(super) fn of(&self, operation: &str) -> Option<&[String]> {
        let longest = || {
            let matching =
                self.beginnings.iter().filter(|(beginning, _)| operation.starts_with(beginning.as_str()));
            matching.max_by_key(|(beginning, _)| beginning.len()).map(|(_, needs)| needs)
        };
        self.exact.get(operation).or_else(longest).map(Vec::as_slice)
    }
}

/// A line that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the permissions cannot be used: {0}")]
pub struct BadPermissions(String);
