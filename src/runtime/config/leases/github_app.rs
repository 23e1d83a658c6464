//! `[[leases]]` with `provider = "github_app"` (`lease/provider/github_app.rs`).
//!
//! | key | what | where nothing is said |
//! |---|---|---|
//! | `app_id` | the app's number or client id, as a text | has to be said |
//! | `installation_id` | the installation's number | has to be said |
//! | `owner` | the account that the app is installed at | has to be said |
//! | `secret` | the app's private key, RSA in PEM | has to be said |
//! | `api_url` | the API; GitHub Enterprise: `https://HOST/api/v3` | the one that the catalog names |
//! | `permissions` | `{ "operation" = ["permission"] }`, a `*` at the end of an operation; goes before the catalog's | the catalog's |
//! | `wide` | where repositories or permissions cannot be told, ask for all that the installation has | `false` |

use super::oauth::width;
use super::{Path, endpoint, secret, text, texts};
use crate::lease::provider::endpoint::Endpoint;
use crate::lease::provider::fixed::Source;
use crate::lease::provider::github_app::{Permissions, Settings};
use crate::runtime::config::read::Section;

/// What operations need, and where the API is, as the catalog has it.
const SHIPPED: &str = include_str!("../../../catalog/data/github/permissions.toml");

pub(super) fn settings(section: &mut Section<'_>, path: Path<'_>) -> Option<Settings<Source>> {
    let app_id = section.take("app_id", text);
    let installation_id = section
        .take("installation_id", |value| value.integer(1, i64::MAX.unsigned_abs(), "the installation"));
    let owner = section.take("owner", |value| match text(value)? {
        name if name.contains('/') => {
            Err(format!("`{name}` is no account: its name alone is wanted, without a repository"))
        }
        name => Ok(name),
    });
    for key in ["app_id", "installation_id", "owner"] {
        if !section.has(key) {
            section.lacks(key);
        }
    }
    let key = secret(section, path);
    let mut permissions = match Permissions::parse(SHIPPED) {
        Ok(permissions) => permissions,
        Err(error) => {
            section.wrong(&error.to_string());
            return None;
        }
    };
    let usual = permissions.api().map(Endpoint::parse).and_then(Result::ok);
    let api = endpoint(section, "api_url").or(usual);
    let own =
        section.section("permissions").entries(|operation, needs| Ok((operation.to_owned(), texts(needs)?)));
    for (operation, needs) in own {
        if let Err(error) = permissions.add(&operation, needs) {
            section.wrong(&error.to_string());
        }
    }
    let width = width(section);
    Some(Settings {
        api: api?,
        app_id: app_id?,
        key: key?,
        installation_id: installation_id?,
        owner: owner?,
        permissions,
        width,
    })
}
