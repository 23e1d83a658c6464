//! `[[leases]]` with `provider = "vault"`: Vault or OpenBao (`lease/provider/vault.rs`).
//!
//! | key | what | where nothing is said |
//! |---|---|---|
//! | `api_url` | the server, without `/v1`; https, or http on this machine | has to be said |
//! | `namespace` | sent with each request | none |
//! | `auth` | `token`, `approle`, `jwt`, `svid` | `token` |
//! | `auth_mount` | where that method is mounted | `approle`, else `jwt` |
//! | `secret` | the token; the secret id of an AppRole (may be absent); the JWT | |
//! | `role_id`, `role`, `auth_audience` | of `approle`; of `jwt` and `svid`; of `svid` | `auth_audience`: `api_url` |
//! | `path` | what is read, such as `database/creds/readonly`: `{ read = "…", act = "…" }`; one for all classes takes `wide` | has to be said |
//! | `wide` | a lease may be able to do more than its class needs | `false` |
//! | `field` | the member of the secret that is the credential | `token` |
//! | `fields` | `{ user = …, password = … }`, or `{ access_key_id = …, secret_access_key = …, session_token = … }` | |

use super::oauth::width;
use super::{Path, by_class, endpoint, secret, text};
use crate::lease::provider::fixed::Source;
use crate::lease::provider::vault::{Fields, Login, Settings};
use crate::runtime::config::read::{Section, Value, not_one_of};

const AUTHS: [&str; 4] = ["token", "approle", "jwt", "svid"];

pub(super) fn settings(section: &mut Section<'_>, path: Path<'_>) -> Option<Settings<Source>> {
    let api = endpoint(section, "api_url");
    let paths = section.take("path", |value| by_class(value, vault_path));
    for key in ["api_url", "path"] {
        if !section.has(key) {
            section.lacks(key);
        }
    }
    let audience = section.take("auth_audience", text);
    let audience = audience.or_else(|| api.as_ref().map(|api| api.as_str().to_owned()));
    let login = login(section, audience, path);
    let namespace = section.take("namespace", text);
    let width = width(section);
    let fields = fields(section);
    Some(Settings { api: api?, namespace, login: login?, paths: paths?, width, fields: fields? })
}

/// A path is joined to the address segment by segment, so none of them may be empty or lead upwards.
fn vault_path(value: Value<'_>) -> Result<String, String> {
    let text = value.text()?;
    let sound = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    if text.split('/').all(sound) && !text.starts_with("v1/") && !text.contains(['?', '#']) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is no path of a secret: without `/v1/` before it, such as `database/creds/readonly`"
    ))
}

fn login(section: &mut Section<'_>, audience: Option<String>, path: Path<'_>) -> Option<Login<Source>> {
    let auth = section.take("auth", |value| {
        let text = value.text()?;
        AUTHS.into_iter().find(|auth| *auth == text).ok_or_else(|| not_one_of(text, &AUTHS))
    });
    if auth.is_none() && section.has("auth") {
        return None;
    }
    let auth = auth.unwrap_or("token");
    let usual = if auth == "approle" { auth } else { "jwt" };
    let mount = section.take("auth_mount", vault_path).unwrap_or_else(|| usual.to_owned());
    let mut wanted = |key: &'static str| {
        if !section.has(key) {
            section.lacks(key);
        }
        section.take(key, text)
    };
    match auth {
        "approle" => {
            let role_id = wanted("role_id");
            let secret_id = section.has("secret").then(|| secret(section, path));
            Some(Login::AppRole {
                mount,
                role_id: role_id?,
                secret_id: secret_id.map_or(Some(None), |id| id.map(Some))?,
            })
        }
        "jwt" => {
            let role = wanted("role");
            let jwt = secret(section, path);
            Some(Login::Jwt { mount, role: role?, jwt: jwt? })
        }
        "svid" => Some(Login::Svid { mount, role: wanted("role")?, audience: audience? }),
        _ => secret(section, path).map(Login::Token),
    }
}

fn fields(section: &mut Section<'_>) -> Option<Fields> {
    let field = section.take("field", text);
    if !section.has("fields") {
        return Some(Fields::Token(field.unwrap_or_else(|| "token".to_owned())));
    }
    let mut table = section.section("fields");
    let mut take = |key| table.take(key, text);
    let (user, password) = (take("user"), take("password"));
    let (access_key_id, secret_access_key) = (take("access_key_id"), take("secret_access_key"));
    let session_token = take("session_token");
    let found = match (user, password, access_key_id, secret_access_key) {
        (Some(user), Some(password), None, None) if session_token.is_none() => {
            Some(Fields::Basic { user, password })
        }
        (None, None, Some(access_key_id), Some(secret_access_key)) => {
            Some(Fields::Aws { access_key_id, secret_access_key, session_token })
        }
        _ => {
            table.wrong("either `user` and `password` are wanted, or `access_key_id` and `secret_access_key`, with a `session_token` where there is one");
            None
        }
    };
    table.finish();
    found.filter(|_| field.is_none()).or_else(|| {
        if field.is_some() {
            section.wrong("`field` and `fields` go not together");
        }
        None
    })
}
