//! `[[notify]]`: who is told that a call waits for a person, and how.

use std::collections::BTreeSet;

use url::Url;

use super::leases::{Path, source, text, texts};
use super::read::{Section, Value, not_one_of};
use crate::lease::provider::endpoint::Endpoint;
use crate::lease::provider::fixed::Source;
use crate::web::{Occasion, Security};

/// One of `[[notify]]`.
#[derive(Clone, Debug)]
pub struct Notify {
    /// Its name in files and logs; none: made of kind and number, which change with the order of the entries.
    pub name: Option<String>,
    /// What is told.
    pub occasions: BTreeSet<Occasion>,
    /// How.
    pub by: NotifyBy,
}

/// A way to tell people.
#[derive(Clone, Debug)]
pub enum NotifyBy {
    /// A mail.
    Mail {
        /// The server's host and port.
        server: (String, u16),
        /// How it is spoken to.
        security: Security,
        /// Who remit is there.
        user: Option<(String, Source)>,
        /// Whom mails are from.
        from: String,
        /// Whom they go to.
        to: Vec<String>,
    },
    /// A message in Slack.
    Slack {
        /// Slack's API.
        api: Endpoint,
        /// A bot's token.
        token: Source,
        /// What Slack signs with.
        signing: Option<Source>,
        /// The id of the channel.
        channel: String,
    },
    /// A signed webhook.
    Webhook {
        /// Where to.
        url: Endpoint,
        /// What it is signed with.
        secret: Source,
    },
}

impl Notify {
    /// Where its secrets are.
    pub fn sources(&self) -> Vec<&Source> {
        match &self.by {
            NotifyBy::Mail { user, .. } => user.iter().map(|(_, password)| password).collect(),
            NotifyBy::Slack { token, signing, .. } => std::iter::once(token).chain(signing).collect(),
            NotifyBy::Webhook { secret, .. } => vec![secret],
        }
    }
}

const KINDS: [&str; 3] = ["mail", "slack", "webhook"];

pub(super) fn notify(mut section: Section<'_>, path: Path<'_>) -> Option<Notify> {
    let kind = section.take("kind", |value| {
        let text = value.text()?;
        KINDS.into_iter().find(|kind| *kind == text).ok_or_else(|| not_one_of(text, &KINDS))
    });
    if !section.has("kind") {
        section.lacks("kind");
    }
    let name = section.take("name", |value| match value.text()? {
        text if is_name(text) => Ok(text.to_owned()),
        other => Err(format!("`{other}` is no name: 1 to 40 letters, digits and `-` are wanted")),
    });
    let occasions = section.take("events", |value| value.each(occasion));
    let occasions = occasions.unwrap_or_else(|| vec![Occasion::HoldOpened]).into_iter().collect();
    let by = match kind {
        Some("mail") => mail(&mut section, path),
        Some("slack") => slack(&mut section, path),
        Some(_) => webhook(&mut section, path),
        None => None,
    };
    section.finish();
    Some(Notify { name, occasions, by: by? })
}

fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn occasion(value: Value<'_>) -> Result<Occasion, String> {
    let text = value.text()?;
    let known = Occasion::ALL.map(Occasion::as_str);
    Occasion::ALL.into_iter().find(|one| one.as_str() == text).ok_or_else(|| not_one_of(text, &known))
}

fn wanted<T>(
    section: &mut Section<'_>,
    key: &'static str,
    parse: impl Fn(Value<'_>) -> Result<T, String>,
) -> Option<T> {
    if !section.has(key) {
        section.lacks(key);
    }
    section.take(key, parse)
}

fn endpoint(value: Value<'_>) -> Result<Endpoint, String> {
    Endpoint::parse(value.text()?).map_err(|error| error.to_string())
}

fn webhook(section: &mut Section<'_>, path: Path<'_>) -> Option<NotifyBy> {
    let url = wanted(section, "url", endpoint);
    let secret = source(section, "secret", path);
    Some(NotifyBy::Webhook { url: url?, secret: secret? })
}

fn slack(section: &mut Section<'_>, path: Path<'_>) -> Option<NotifyBy> {
    let api = section.take("api", endpoint).or_else(|| Endpoint::parse("https://slack.com/api").ok());
    let channel = wanted(section, "channel", text);
    let token = source(section, "token", path);
    let signing = if section.has("signing_secret") { source(section, "signing_secret", path) } else { None };
    Some(NotifyBy::Slack { api: api?, token: token?, signing, channel: channel? })
}

fn mail(section: &mut Section<'_>, path: Path<'_>) -> Option<NotifyBy> {
    let server = wanted(section, "server", server);
    let (from, to) = (wanted(section, "from", text), wanted(section, "to", texts));
    let user = section.take("user", text);
    let password = if section.has("password") { source(section, "password", path) } else { None };
    if user.is_some() != password.is_some() {
        section.amiss("`user` goes with `password`: name both, or neither");
    }
    let (server, security) = server?;
    Some(NotifyBy::Mail { server, security, user: user.zip(password), from: from?, to: to? })
}

/// `smtps://HOST[:465]`, `smtp://HOST[:587]`, or `smtp+plain://` and a loopback address.
fn server(value: Value<'_>) -> Result<((String, u16), Security), String> {
    let text = value.text()?;
    let wrong = || {
        format!(
            "`{text}` is no mail server: `smtps://HOST:465` (TLS), `smtp://HOST:587` (STARTTLS), or `smtp+plain://127.0.0.1:25` are wanted"
        )
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let (security, port) = match url.scheme() {
        "smtps" => (Security::Tls, 465),
        "smtp" => (Security::StartTls, 587),
        "smtp+plain" => (Security::None, 25),
        _ => return Err(wrong()),
    };
    let host = url.host_str().ok_or_else(wrong)?;
    let is_loopback =
        host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    if security == Security::None && !is_loopback {
        return Err(format!(
            "`{text}` would send mail and password in plain text; only loopback may be spoken to so"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("user and password do not stand in `server`; use `user` and `password`".to_owned());
    }
    Ok(((host.to_owned(), url.port().unwrap_or(port)), security))
}
