//! `[[leases]]` with `provider = "oauth"`: an authorization server (`lease/provider/oauth.rs` has the specifications).
//!
//! | key | what | where nothing is said |
//! |---|---|---|
//! | `token_url` | the token endpoint; https, or http on this machine | has to be said |
//! | `revocation_url` | the revocation endpoint (RFC 7009) | tokens end by themselves |
//! | `client_id` | the client's name | has to be said |
//! | `client_auth` | `client_secret_basic`, `client_secret_post`, `private_key_jwt`, `jwt_svid`, `none` | `client_secret_basic` |
//! | `secret` | the client's secret; for `private_key_jwt` its key, PEM | |
//! | `key_id` | `kid` of that key | none |
//! | `grant` | `client_credentials`, `refresh_token`, `token_exchange`, `jwt_bearer` | `client_credentials` |
//! | `refresh_token` | where the first one is, from a login; say no `revocation_url` if the server ends it with an access token, as RFC 7009 §2.1 lets it | |
//! | `subject`, `actor` | `task`, `svid`, or `{ token = { file = … }, type = "access_token" }` (`id_token`, `jwt`) | `subject`: `task`; `actor`: none |
//! | `issuer`, `signing_key`, `signing_key_id` | who signs for the task, with which key (PEM), under which `kid` | |
//! | `scopes` | `{ read = […], act = […], delegate = […] }`; a list for all classes takes `wide` | takes `wide` |
//! | `wide` | a lease may be able to do more than its class needs | `false` |
//! | `resource`, `audience` | lists: URIs (RFC 8707), names (RFC 8693) | none |
//! | `dpop` | tokens are bound to a key of the lease (RFC 9449) | `false` |
//! | `lifetime_s` | life of tokens whose server says none, 1 to 31,622,400 s | they have no end |
//! | `assertion_audience` | whom assertions are for | `token_url` |

use std::time::Duration;

use super::{Path, by_class, endpoint, secret, source, text, texts, truth};
use crate::lease::provider::ask::LONGEST_LIFE;
use crate::lease::provider::fixed::Source;
use crate::lease::provider::narrow::{ByClass, Width};
use crate::lease::provider::oauth::{ClientAuth, Flow, Kind, Proven, Settings, Source as Party};
use crate::runtime::config::read::{Section, Value, not_one_of};

const CLIENT_AUTHS: [&str; 5] =
    ["client_secret_basic", "client_secret_post", "private_key_jwt", "jwt_svid", "none"];
const GRANTS: [&str; 4] = ["client_credentials", "refresh_token", "token_exchange", "jwt_bearer"];
const KINDS: [&str; 3] = ["access_token", "id_token", "jwt"];

pub(super) fn settings(section: &mut Section<'_>, path: Path<'_>) -> Option<Settings<Source>> {
    let token_url = endpoint(section, "token_url");
    let client_id = section.take("client_id", text);
    for key in ["token_url", "client_id"] {
        if !section.has(key) {
            section.lacks(key);
        }
    }
    let client = client(section, path);
    let flow = flow(section, path);
    let list = |section: &mut Section<'_>, key| section.take(key, texts).unwrap_or_default();
    let life = section.take("lifetime_s", |value| value.integer(1, LONGEST_LIFE.as_secs(), "seconds"));
    let settings = Settings {
        revocation_url: endpoint(section, "revocation_url"),
        scopes: section.take("scopes", |value| by_class(value, texts)).unwrap_or(ByClass::Unsaid),
        width: width(section),
        resources: list(section, "resource"),
        audiences: list(section, "audience"),
        proven: match section.take("dpop", truth) {
            Some(true) => Proven::Dpop,
            Some(false) | None => Proven::Bearer,
        },
        lifetime: life.map(Duration::from_secs),
        assertion_audience: section.take("assertion_audience", text),
        token_url: token_url?,
        client_id: client_id?,
        client: client?,
        flow: flow?,
    };
    match settings.check() {
        Ok(()) => Some(settings),
        Err(error) => {
            section.wrong(&error.to_string());
            None
        }
    }
}

pub(super) fn width(section: &mut Section<'_>) -> Width {
    match section.take("wide", truth) {
        Some(true) => Width::Wide,
        Some(false) | None => Width::Narrow,
    }
}

fn one_of(value: Value<'_>, known: &'static [&'static str]) -> Result<&'static str, String> {
    let text = value.text()?;
    known.iter().copied().find(|name| *name == text).ok_or_else(|| not_one_of(text, known))
}

fn client(section: &mut Section<'_>, path: Path<'_>) -> Option<ClientAuth<Source>> {
    let way = section.take("client_auth", |value| one_of(value, &CLIENT_AUTHS));
    if way.is_none() && section.has("client_auth") {
        return None;
    }
    let kid = section.take("key_id", text);
    match way {
        Some("none") => Some(ClientAuth::Public),
        Some("jwt_svid") => Some(ClientAuth::Svid),
        Some("client_secret_post") => secret(section, path).map(ClientAuth::Post),
        Some("private_key_jwt") => secret(section, path).map(|key| ClientAuth::PrivateKeyJwt { key, kid }),
        _ => secret(section, path).map(ClientAuth::Basic),
    }
}

fn flow(section: &mut Section<'_>, path: Path<'_>) -> Option<Flow<Source>> {
    let grant = section.take("grant", |value| one_of(value, &GRANTS));
    if grant.is_none() && section.has("grant") {
        return None;
    }
    match grant {
        Some("refresh_token") => source(section, "refresh_token", path).map(|token| Flow::Refresh { token }),
        Some("token_exchange") => {
            let subject = party(section, "subject", path)?;
            let actor = section.has("actor").then(|| party(section, "actor", path));
            Some(Flow::Exchange { subject, actor: actor.map_or(Some(None), |actor| actor.map(Some))? })
        }
        Some("jwt_bearer") => party(section, "subject", path).map(|assertion| Flow::JwtBearer { assertion }),
        _ => Some(Flow::ClientCredentials),
    }
}

/// `task` where nothing is said: the task is what a lease is for.
fn party(section: &mut Section<'_>, key: &'static str, path: Path<'_>) -> Option<Party<Source>> {
    if section.is_table(key) {
        let mut table = section.section(key);
        let token = source(&mut table, "token", path);
        let kind = table.take("type", |value| one_of(value, &KINDS)).and_then(Kind::parse);
        if !table.has("type") {
            table.lacks("type");
        }
        table.finish();
        return Some(Party::Configured { token: token?, kind: kind? });
    }
    let named = section.take(key, |value| one_of(value, &["task", "svid"]));
    match named {
        Some("svid") => Some(Party::Svid),
        None if section.has(key) => None,
        _ => {
            let issuer = section.take("issuer", text);
            if !section.has("issuer") {
                section.lacks("issuer");
            }
            let key = source(section, "signing_key", path);
            let kid = section.take("signing_key_id", text);
            Some(Party::Task { issuer: issuer?, key: key?, kid })
        }
    }
}
