//! How far a token is to reach: which repositories, which permissions. What a task's grant says, in GitHub's terms.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::Settings;
use super::permissions::Level;
use crate::call::{Class, Operation};
use crate::lease::provider::narrow::Width;
use crate::lease::provider::{MintError, Need};

/// What the catalog calls a repository.
const REPOSITORY: &str = "repo";
/// What any token may do, and what any token is given beside the rest.
const METADATA: &str = "metadata";

/// The body of the request for a token. A part that is left out asks for all that the installation has.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reach {
    #[serde(skip_serializing_if = "Option::is_none")]
    repositories: Option<BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<BTreeMap<String, Level>>,
    #[serde(skip)]
    owner: String,
}

impl Reach {
    /// As little as the need can be met with.
    pub(super) fn of<S>(need: &Need<'_>, settings: &Settings<S>) -> Result<Self, MintError> {
        Ok(Self {
            repositories: repositories(need, settings)?,
            permissions: permissions(need, settings)?,
            owner: settings.owner.clone(),
        })
    }

    /// Whether what was given lies inside of what was asked for.
    pub(super) fn contains<'a>(
        &self,
        permissions: &BTreeMap<String, String>,
        repositories: impl Iterator<Item = &'a str>,
        all: bool,
    ) -> Result<(), MintError> {
        let too_wide = |what: &str| {
            Err(MintError::TooWide(format!(
                "the token that GitHub gave reaches further than was asked for: {what}"
            )))
        };
        if let Some(asked) = &self.permissions {
            let more = permissions.iter().find(|(name, level)| {
                name.as_str() != METADATA && asked.get(*name).is_none_or(|asked| !asked.contains(level))
            });
            if let Some((name, level)) = more {
                let shown: String =
                    format!("{name}:{level}").chars().take(60).flat_map(char::escape_default).collect();
                return too_wide(&format!("`{shown}`"));
            }
        }
        if let Some(asked) = &self.repositories {
            if all {
                return too_wide("all repositories");
            }
            for given in repositories {
                if !asked.contains(&given.to_ascii_lowercase()) {
                    return too_wide("a repository that was not named");
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.permissions {
            None => f.write_str("all permissions")?,
            Some(permissions) => {
                let each = permissions.iter().map(|(name, level)| format!("{name}:{}", level.as_str()));
                f.write_str(&each.collect::<Vec<_>>().join(" "))?;
            }
        }
        match &self.repositories {
            None => write!(f, " on all of {}", self.owner),
            Some(names) => {
                let names = names.iter().map(|name| format!("{}/{name}", self.owner));
                write!(f, " on {}", names.collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// Letter case does not matter to GitHub, so it must not make two leases of one.
fn repositories<S>(need: &Need<'_>, settings: &Settings<S>) -> Result<Option<BTreeSet<String>>, MintError> {
    let owner = settings.owner.to_ascii_lowercase();
    let mut touched = BTreeSet::new();
    let mut elsewhere = None;
    for operation in need.operations.iter() {
        match repository(operation) {
            Some((whose, name)) if whose == owner => drop(touched.insert(name)),
            Some((whose, name)) => {
                elsewhere = Some(format!("it touches {whose}/{name}, and the app is installed at {owner}"));
            }
            None => {
                let why = || format!("`{}` touches no repository that can be told", operation.id);
                elsewhere = elsewhere.or_else(|| Some(why()));
            }
        }
    }
    if let Some(why) = elsewhere {
        return match settings.width {
            Width::Wide => Ok(None),
            Width::Narrow => Err(MintError::TooWide(format!(
                "no repository can be named for this call ({why}); a token for the whole installation takes `wide = true`"
            ))),
        };
    }
    // Where the grant names the repositories one by one, the task has one lease for all of them.
    let prefix = format!("{}/{REPOSITORY}/{owner}/", need.service).to_ascii_lowercase();
    let patterns =
        need.task.terms.grant.resources.iter().map(|pattern| pattern.to_string().to_ascii_lowercase());
    let named = patterns.filter_map(|pattern| Some(pattern.strip_prefix(&prefix)?.to_owned()));
    let named: BTreeSet<_> = named.filter(|name| !name.is_empty() && !name.contains(['*', '/'])).collect();
    Ok(Some(if touched.is_subset(&named) { named } else { touched }))
}

fn repository(operation: &Operation) -> Option<(String, String)> {
    let resource = operation.resource.as_ref().filter(|resource| &*resource.kind == REPOSITORY)?;
    let id = resource.id.to_ascii_lowercase();
    let (owner, name) = id.split_once('/')?;
    (!name.is_empty() && !name.contains('/')).then(|| (owner.to_owned(), name.to_owned()))
}

fn permissions<S>(
    need: &Need<'_>,
    settings: &Settings<S>,
) -> Result<Option<BTreeMap<String, Level>>, MintError> {
    let mut wanted: BTreeMap<String, Level> = BTreeMap::new();
    for operation in need.operations.iter() {
        let level = if operation.class == Class::Read { Level::Read } else { Level::Write };
        let name = operation.id.0.split_once(':').map_or(&*operation.id.0, |(_, name)| name);
        let Some(names) = settings.permissions.of(name) else {
            return match settings.width {
                Width::Wide => Ok(None),
                Width::Narrow => Err(MintError::TooWide(format!(
                    "nothing says which permission `{}` needs; name it in `permissions = {{ \"{name}\" = [\"…\"] }}`, or accept all permissions of the app with `wide = true`",
                    operation.id
                ))),
            };
        };
        for name in names {
            // Everything can be read of `metadata`, and nothing can be written.
            let level = if name == METADATA { Level::Read } else { level };
            let entry = wanted.entry(name.clone()).or_insert(level);
            *entry = (*entry).max(level);
        }
    }
    Ok(Some(wanted))
}
