//! `[upstream.resolve]`: names that are dialled at an address of the operator's.

use std::net::SocketAddr;

use super::read::{Section, Value};
use crate::call::{Host, Origin, Scheme};

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Which names it is for.
    pub host: HostPattern,
    /// Which port it is for; none: all.
    pub port: Option<u16>,
    /// Where they are dialled.
    pub to: SocketAddr,
    /// What is spoken there: `http` takes the TLS off (local stand-ins), `https` leaves the call as the agent made it.
    pub scheme: Scheme,
}

impl Mapping {
    /// The line as it stands in a file: what `origin` reads.
    pub fn as_entry(&self) -> (String, String) {
        let host = match &self.host {
            HostPattern::Any => "*".to_owned(),
            HostPattern::Exact(host) => host.to_string(),
            HostPattern::Below(suffix) => format!("*{suffix}"),
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = if self.scheme == Scheme::Http { "http://" } else { "" };
        (host + &port, format!("{scheme}{}", self.to))
    }
}

/// Which names a mapping is for. The most specific wins: a name before a suffix, a long suffix before a short one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: every name.
    Any,
    /// This host alone.
    Exact(Host),
    /// `*.example.test`: every name below it, held without the asterisk (`.example.test`).
    Below(String),
}

pub(super) fn table(section: Section<'_>) -> Vec<Mapping> {
    section.entries(mapping)
}

fn mapping(key: &str, value: Value<'_>) -> Result<Mapping, String> {
    let (host, port) = pattern(key)?;
    let text = value.text()?;
    let (scheme, address) = match text.strip_prefix("http://") {
        Some(rest) => (Scheme::Http, rest.strip_suffix('/').unwrap_or(rest)),
        None => (Scheme::Https, text),
    };
    let to: SocketAddr = address.parse().map_err(|_| {
        format!("`{text}` is not `ADDRESS:PORT` or `http://ADDRESS:PORT`; the address is an IP address, such as `127.0.0.1:9443`")
    })?;
    if to.port() == 0 {
        return Err(format!("`{text}`: port 0 cannot be dialled"));
    }
    Ok(Mapping { host, port, to, scheme })
}

fn pattern(key: &str) -> Result<(HostPattern, Option<u16>), String> {
    let Some(rest) = key.strip_prefix('*') else {
        let (host, port) = Origin::parse_authority(key, Some(1)).map_err(|error| error.to_string())?;
        return Ok((HostPattern::Exact(host), has_port(key).then_some(port)));
    };
    let (name, port) = split_port(rest)?;
    match name {
        "" => Ok((HostPattern::Any, port)),
        below => match below.strip_prefix('.').map(Host::parse) {
            Some(Ok(Host::Name(name))) => Ok((HostPattern::Below(format!(".{name}")), port)),
            _ => Err("`*` stands alone or before a dot, such as `*.example.test`".to_owned()),
        },
    }
}

fn has_port(key: &str) -> bool {
    key.rsplit_once(']').map_or(key, |(_, after)| after).contains(':')
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let Some((name, digits)) = text.split_once(':') else { return Ok((text, None)) };
    match digits.parse() {
        Ok(port) if port > 0 => Ok((name, Some(port))),
        _ => Err(format!("`{digits}` is not a port from 1 to 65535")),
    }
}
