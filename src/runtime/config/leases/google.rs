//! `[[leases]]` with `provider = "google"` (`lease/provider/google.rs`).
//!
//! | key | what | where nothing is said |
//! |---|---|---|
//! | `secret` | the key file of a service account, JSON | has to be said |
//! | `scopes` | `{ read = […], act = […], delegate = […] }`, whole URLs; a list for all classes takes `wide` | has to be said |
//! | `wide` | a lease may be able to do more than its class needs | `false` |
//! | `impersonate` | the account that tokens are made for; they live as long as the task, 60 to 3,600 s | the key's own account, an hour |
//! | `delegates` | the accounts in between | none |
//! | `iam_url` | the IAM Credentials API | of the key's `universe_domain` |
//! | `iam_scope` | what the key's own token asks for then | `https://www.googleapis.com/auth/iam` |
//! | `token_url` | the token endpoint | the key's `token_uri` |
//! | `revocation_url` | the revocation endpoint | tokens run out |

use super::oauth::width;
use super::{Path, by_class, endpoint, secret, text, texts};
use crate::lease::provider::fixed::Source;
use crate::lease::provider::google::{Impersonate, Settings};
use crate::lease::provider::narrow::ByClass;
use crate::runtime::config::read::Section;

const IAM_SCOPE: &str = "https://www.googleapis.com/auth/iam";

pub(super) fn settings(section: &mut Section<'_>, path: Path<'_>) -> Option<Settings<Source>> {
    let key = secret(section, path);
    let scopes = section.take("scopes", |value| by_class(value, texts));
    if !section.has("scopes") {
        section.lacks("scopes");
    }
    let account = section.take("impersonate", |value| match text(value)? {
        name if name.contains('@') && !name.contains(['/', ':']) => Ok(name),
        other => Err(format!("`{other}` is no address of a service account")),
    });
    let delegates = section.take("delegates", texts).unwrap_or_default();
    let iam = endpoint(section, "iam_url");
    let scope = section.take("iam_scope", text).unwrap_or_else(|| IAM_SCOPE.to_owned());
    if account.is_none() && !delegates.is_empty() {
        section.wrong("`delegates` belong to `impersonate`");
    }
    let settings = Settings {
        width: width(section),
        impersonate: account.map(|account| Impersonate { account, delegates, iam, scope }),
        token_url: endpoint(section, "token_url"),
        revocation_url: endpoint(section, "revocation_url"),
        scopes: scopes.unwrap_or(ByClass::Unsaid),
        key: key?,
    };
    Some(settings)
}
