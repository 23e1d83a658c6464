//! `[admin]` and `[[operators]]`: who may look after the node, and by what they are known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::leases::{Path, source, text, texts};
use super::read::{Section, Value, not_one_of};
use crate::call::{Host, OperatorId, Role, Scheme, SpiffeId, TrustDomain};
use crate::lease::provider::endpoint::Endpoint;
use crate::lease::provider::fixed::Source;
use crate::web::{Access, Front, Life, Reading, Rights};

/// What the configuration says of the admin API.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where browsers reach it, if not at its own address.
    pub url: Option<Front>,
    /// Further names of it.
    pub names: Vec<Host>,
    /// The certificate of the TLS listener and its key, PEM; none: a leaf of the node's own CA.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The operators' own CA, PEM.
    pub client_ca: Option<PathBuf>,
    /// Who may do what, and how often.
    pub access: Access,
    /// Where operators sign in.
    pub oidc: Option<Provider>,
}

/// An identity provider of operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// As it names itself.
    pub issuer: String,
    /// What remit is called there.
    pub client_id: String,
    /// Where the client's secret is; none: a public client.
    pub client_secret: Option<Source>,
    /// Beside `openid`.
    pub scopes: Vec<String>,
    /// How its claims are read.
    pub reading: Reading,
}

/// Requests of one operator that are answered in a second.
const REQUESTS_PER_S: u32 = 200;

/// Reads `[admin]` and the tables of `[[operators]]`.
pub(super) fn admin(
    mut section: Section<'_>,
    operators: Vec<Section<'_>>,
    domain: &TrustDomain,
    path: Path<'_>,
) -> Admin {
    let url = section.take("url", |value| match value.text()? {
        "" => Ok(None),
        text => front(text).map(Some),
    });
    let names = section.take("names", |value| {
        value.each(|item| Host::parse(item.text()?).map_err(|error| error.to_string()))
    });
    let or_none = |value: Value<'_>| if value.text() == Ok("") { Ok(None) } else { path(value).map(Some) };
    let certificate = section.take("certificate", or_none).flatten();
    let key = section.take("key", or_none).flatten();
    let client_ca = section.take("client_ca", or_none).flatten();
    if certificate.is_some() != key.is_some() {
        section.amiss("`admin.certificate` goes with `admin.key`: name both, or neither");
    }
    let mut seconds = |key, default: u64, most| {
        Duration::from_secs(section.take(key, |value| value.integer(60, most, "seconds")).unwrap_or(default))
    };
    let life = Life {
        idle: seconds("session_idle_s", 1_800, 86_400),
        whole: seconds("session_life_s", 28_800, 7 * 86_400),
    };
    let requests = section.take("requests_per_s", |value| value.integer(1, 1_000_000, "requests"));
    let requests_per_s = requests.and_then(|number| u32::try_from(number).ok()).unwrap_or(REQUESTS_PER_S);
    let has_provider = section.has("oidc");
    let oidc = section.section("oidc");
    let oidc = if has_provider { provider(oidc, path) } else { None };
    section.finish();
    let known = operators.into_iter().filter_map(|one| operator(one, domain)).collect();
    let access = Access { life, requests_per_s, named: known };
    let (url, names) = (url.flatten(), names.unwrap_or_default());
    Admin { url, names, certificate: certificate.zip(key), client_ca, access, oidc }
}

/// An origin, written as a URL.
fn front(text: &str) -> Result<Front, String> {
    let wrong = || format!("`{text}` is no origin: `https://remit.example.org` is wanted, without a path");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let scheme = match url.scheme() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err(wrong()),
    };
    let host = url.host_str().ok_or_else(wrong)?;
    let bare =
        url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !bare {
        return Err(wrong());
    }
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok(Front { scheme, authority })
}

/// One of `[[operators]]`.
fn operator(mut section: Section<'_>, domain: &TrustDomain) -> Option<(OperatorId, Rights)> {
    let has_id = section.has("id");
    if !has_id {
        section.lacks("id");
    }
    let id = section.take("id", |value| id(value.text()?, domain));
    let roles = section.take("roles", |value| value.each(role)).unwrap_or_default();
    let groups = section.take("groups", texts).unwrap_or_default();
    let person = section.take("person", text).map(Arc::from);
    section.finish();
    let groups: BTreeSet<Arc<str>> = groups.into_iter().map(Arc::from).collect();
    Some((id?, Rights { roles: roles.into_iter().collect(), groups, person }))
}

fn id(text: &str, domain: &TrustDomain) -> Result<OperatorId, String> {
    let named = |kind: &str| text.strip_prefix(kind).is_some_and(|name| !name.is_empty());
    if named("oidc:")
        || named("cert:")
        || named("slack:")
        || (text.contains("://") && !text.starts_with("spiffe:"))
    {
        return Ok(OperatorId(text.into()));
    }
    if !text.starts_with("spiffe://") {
        return Err(format!(
            "`{text}` is no operator: `oidc:NAME`, `cert:ADDRESS`, `slack:TEAM/MEMBER` or a SPIFFE ID such as `spiffe://{}/operator/ada` is wanted",
            domain.as_str()
        ));
    }
    SpiffeId::parse(text).map(|id| OperatorId(id.as_str().into())).map_err(|error| error.to_string())
}

fn role(value: Value<'_>) -> Result<Role, String> {
    role_named(value.text()?)
}

fn role_named(text: &str) -> Result<Role, String> {
    let known = Role::ALL.map(Role::as_str);
    Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| not_one_of(text, &known))
}

fn provider(mut section: Section<'_>, path: Path<'_>) -> Option<Provider> {
    for key in ["issuer", "client_id"] {
        if !section.has(key) {
            section.amiss(&format!("`admin.oidc.{key}` is missing"));
        }
    }
    // As it stands: issuers are compared letter by letter. A client secret goes there, so it must be a place for secrets.
    let issuer = section.take("issuer", |value| {
        let text = value.text()?;
        Endpoint::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
    });
    let client_id = section.take("client_id", text);
    let client_secret =
        if section.has("client_secret") { source(&mut section, "client_secret", path) } else { None };
    let scopes = section.take("scopes", texts).unwrap_or_else(|| vec!["profile".into(), "email".into()]);
    let name_claim = section.take("name_claim", text).unwrap_or_else(|| "email".into());
    let groups_claim = section.take("groups_claim", text).unwrap_or_else(|| "groups".into());
    let giving = section.section("roles").entries(|key, value| Ok((role_named(key)?, texts(value)?)));
    section.finish();
    let roles: BTreeMap<_, BTreeSet<_>> =
        giving.into_iter().map(|(role, groups)| (role, groups.into_iter().collect())).collect();
    let reading = Reading { name_claim, groups_claim, roles };
    Some(Provider { issuer: issuer?, client_id: client_id?, client_secret, scopes, reading })
}
