//! `[[leases]]`: the credentials that remit holds, what they are for, and where they come from. Secrets are named here and never
//! written: in the environment, in a file, or told by a command.

mod aws_sts;
mod github_app;
mod google;
mod oauth;
mod vault;

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::read::{Section, Value, not_one_of};
use crate::call::{Class, Host};
use crate::lease::provider::endpoint::Endpoint;
use crate::lease::provider::fixed::Source;
use crate::lease::provider::narrow::ByClass;
use crate::lease::provider::{
    aws_sts as sts, github_app as github, google as gcp, oauth as oauth2, vault as vaults,
};
use crate::lease::{Look, Place};

/// One credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// A service of the catalog, or a host.
    pub service: String,
    /// The hosts of the service to which the credential goes; empty: all.
    pub hosts: Vec<Host>,
    /// Who gives it.
    pub provider: LeaseProvider,
    /// Where it goes; none: where the catalog says, else `authorization: Bearer`.
    pub place: Option<Place>,
    /// The classes of calls that it serves; empty: all.
    pub classes: Vec<Class>,
    /// The variables in which a client looks for it; none: those that the catalog names.
    pub env: Option<Vec<String>>,
    /// What its placeholder looks like; none: as the catalog says.
    pub look: Option<Look>,
    /// Whether it is given to calls that go on only because policies are observed.
    pub observed: bool,
}

/// Who gives a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseProvider {
    /// Nobody: it is there already.
    Fixed(Source),
    /// An authorization server.
    Oauth(Box<oauth2::Settings<Source>>),
    /// AWS STS.
    AwsSts(Box<sts::Settings<Source>>),
    /// A GitHub App.
    GithubApp(Box<github::Settings<Source>>),
    /// A service account of Google's.
    Google(Box<gcp::Settings<Source>>),
    /// Vault or OpenBao.
    Vault(Box<vaults::Settings<Source>>),
}

/// Reads the name of a file.
pub(super) type Path<'a> = &'a dyn Fn(Value<'_>) -> Result<PathBuf, String>;

impl LeaseProvider {
    /// As the configuration names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fixed(_) => "fixed",
            Self::Oauth(_) => "oauth",
            Self::AwsSts(_) => "aws_sts",
            Self::GithubApp(_) => "github_app",
            Self::Google(_) => "google",
            Self::Vault(_) => "vault",
        }
    }

    /// Where its secrets are.
    pub fn sources(&self) -> Vec<&Source> {
        match self {
            Self::Fixed(source) => vec![source],
            Self::Oauth(settings) => settings.secrets(),
            Self::AwsSts(settings) => settings.who.secret().into_iter().collect(),
            Self::GithubApp(settings) => vec![&settings.key],
            Self::Google(settings) => vec![&settings.key],
            Self::Vault(settings) => settings.login.secret().into_iter().collect(),
        }
    }
}

/// The providers that there are.
const KINDS: [&str; 6] = ["fixed", "aws_sts", "oauth", "github_app", "google", "vault"];

/// Reads one of `[[leases]]`; `path` reads the name of a file.
pub(super) fn lease(
    mut section: Section<'_>,
    path: impl Fn(Value<'_>) -> Result<PathBuf, String>,
) -> Option<Lease> {
    let service = section.take("service", service);
    let kind = section.take("provider", |value| {
        let text = value.text()?;
        KINDS.into_iter().find(|kind| *kind == text).ok_or_else(|| not_one_of(text, &KINDS))
    });
    for (key, is_there) in [("service", section.has("service")), ("provider", section.has("provider"))] {
        if !is_there {
            section.lacks(key);
        }
    }
    let hosts = section.take("hosts", |value| value.each(host)).unwrap_or_default();
    let observed = section.take("observed", truth).unwrap_or(true);
    let place = place(&mut section);
    let classes = section.take("classes", |value| value.each(class)).unwrap_or_default();
    let env = section.take("env", |value| match value.text() {
        Ok(name) => variable(name).map(|name| vec![name]),
        Err(_) => value.each(|item| variable(item.text()?)),
    });
    let look = section.take("placeholder", |value| match value.text()? {
        text if text.len() <= 32 && text.bytes().all(|b| b.is_ascii_graphic()) => Ok(Look::of(text)),
        other => Err(format!("`{other}` is no beginning of a key: at most 32 visible characters are wanted")),
    });
    let provider = match kind {
        Some("fixed") => secret(&mut section, &path).map(LeaseProvider::Fixed),
        Some("oauth") => oauth::settings(&mut section, &path).map(Box::new).map(LeaseProvider::Oauth),
        Some("aws_sts") => aws_sts::settings(&mut section, &path).map(Box::new).map(LeaseProvider::AwsSts),
        Some("github_app") => {
            github_app::settings(&mut section, &path).map(Box::new).map(LeaseProvider::GithubApp)
        }
        Some("google") => google::settings(&mut section, &path).map(Box::new).map(LeaseProvider::Google),
        Some("vault") => vault::settings(&mut section, &path).map(Box::new).map(LeaseProvider::Vault),
        _ => {
            // What else stands there is the provider's, whichever was meant.
            return None;
        }
    };
    section.finish();
    Some(Lease { service: service?, hosts, provider: provider?, place, classes, env, look, observed })
}

/// A name of the catalog has no dot, a host has one, or a colon.
fn service(value: Value<'_>) -> Result<String, String> {
    let text = value.text()?;
    if text.contains(['.', ':']) {
        return Host::parse(text).map(|host| host.to_string()).map_err(|error| error.to_string());
    }
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || !text.bytes().all(letters) {
        return Err(format!(
            "`{text}` is neither a service of the catalog (`remit catalog list`) nor a host"
        ));
    }
    Ok(text.to_owned())
}

fn host(value: Value<'_>) -> Result<Host, String> {
    Host::parse(value.text()?).map_err(|error| error.to_string())
}

fn class(value: Value<'_>) -> Result<Class, String> {
    let text = value.text()?;
    let known = Class::ALL.map(Class::as_str);
    Class::ALL.into_iter().find(|class| class.as_str() == text).ok_or_else(|| not_one_of(text, &known))
}

fn variable(name: &str) -> Result<String, String> {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.bytes().all(letters) {
        Ok(name.to_owned())
    } else {
        Err(format!("`{name}` names no environment variable"))
    }
}

/// Where `secret` is.
fn secret(section: &mut Section<'_>, path: Path<'_>) -> Option<Source> {
    source(section, "secret", path)
}

/// Where a secret is.
pub(super) fn source(section: &mut Section<'_>, key: &'static str, path: Path<'_>) -> Option<Source> {
    if !section.has(key) {
        section.lacks(key);
        return None;
    }
    // A secret that was written here is a mistake that must not be repeated in the complaint.
    let mut secret = section.section(key);
    let env = secret.take("env", |value| variable(value.text()?)).map(Source::Env);
    let file = secret.take("file", path).map(Source::File);
    let command = secret.take("command", |value| {
        let words = value.each(|item| item.text().map(str::to_owned))?;
        if words.is_empty() { Err("a program is wanted, and it is empty".to_owned()) } else { Ok(words) }
    });
    let mut found = [env, file, command.map(Source::Command)].into_iter().flatten();
    let (first, second) = (found.next(), found.next());
    if first.is_none() || second.is_some() {
        secret
            .wrong("one of `env`, `file`, `command` is wanted: where the secret is, never the secret itself");
    }
    secret.finish();
    first
}

fn truth(value: Value<'_>) -> Result<bool, String> {
    value.truth()
}

/// An address to send secrets to.
fn endpoint(section: &mut Section<'_>, key: &'static str) -> Option<Endpoint> {
    section.take(key, |value| Endpoint::parse(value.text()?).map_err(|error| error.to_string()))
}

/// Texts that are not empty.
pub(super) fn texts(value: Value<'_>) -> Result<Vec<String>, String> {
    value.each(text)
}

/// One thing for all classes, or one for each.
fn by_class<T>(value: Value<'_>, one: impl Fn(Value<'_>) -> Result<T, String>) -> Result<ByClass<T>, String> {
    let Some(members) = value.members() else { return one(value).map(ByClass::Same) };
    let known = Class::ALL.map(Class::as_str);
    let mut each = BTreeMap::new();
    for (name, value) in members {
        let class = Class::ALL.into_iter().find(|class| class.as_str() == name);
        let class = class.ok_or_else(|| not_one_of(name, &known))?;
        each.insert(class, one(value).map_err(|why| format!("`{name}`: {why}"))?);
    }
    Ok(ByClass::Each(each))
}

pub(super) fn text(value: Value<'_>) -> Result<String, String> {
    match value.text()? {
        "" => Err("it is empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

fn place(section: &mut Section<'_>) -> Option<Place> {
    let is_there = section.has("place");
    // Taken in any case, so that a slip of the hand is told with the right name.
    let mut table = section.section("place");
    if !is_there {
        return None;
    }
    let header = table.take("header", |value| {
        let text = value.text()?;
        HeaderName::try_from(text).map_err(|_| format!("`{text}` names no header field"))
    });
    let format = table.take("format", |value| match value.text()? {
        text if text.matches("{}").count() == 1 => Ok(text.to_owned()),
        other => Err(format!("`{other}` has to have one `{{}}`, where the credential goes")),
    });
    let query = table.take("query", text);
    let cookie = table.take("cookie", text);
    let basic = table.take("basic", truth);
    let user = table.take("user", |value| match value.text()? {
        text if text.contains(':') => Err(format!("`{text}`: a user has no colon (RFC 7617 §2)")),
        text => Ok(text.to_owned()),
    });
    let sign = table.take("sign", |value| match value.text()? {
        "aws" => Ok(()),
        other => Err(not_one_of(other, &["aws"])),
    });
    let hmac = table.take("hmac", text);
    let header = header.or(format.is_some().then_some(AUTHORIZATION)).map(|name| {
        let bare = if name == AUTHORIZATION { "Bearer {}" } else { "{}" };
        Place::Header { format: format.unwrap_or_else(|| bare.to_owned()), name }
    });
    let mut found = [
        header,
        query.map(|name| Place::Query { name }),
        cookie.map(|name| Place::Cookie { name }),
        (basic == Some(true) || user.is_some()).then_some(Place::Basic { user }),
        sign.map(|()| Place::SignAws),
        hmac.map(|scheme| Place::Hmac { scheme }),
    ]
    .into_iter()
    .flatten();
    let (first, second) = (found.next(), found.next());
    if first.is_none() || second.is_some() {
        table.wrong("one of `header` (with `format`), `query`, `cookie`, `basic` (with `user`), `sign`, `hmac` is wanted");
    }
    table.finish();
    first
}
