//! Where secrets may be sent: addresses of servers that the operator named.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// An absolute URL over TLS; over plain HTTP on this machine alone, where a vault's agent or a test may listen.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Parses one. RFC 6749 §3.2: no fragment. User and password have no place in it: they would be printed.
    pub fn parse(text: &str) -> Result<Self, BadEndpoint> {
        let url = Url::parse(text).map_err(|error| BadEndpoint::new(None, error.to_string()))?;
        let bad = |why: &str| Err(BadEndpoint::new(Some(&url), why.to_owned()));
        if !url.username().is_empty() || url.password().is_some() {
            return bad("user and password have no place in it; name the secret with `secret`");
        }
        if url.fragment().is_some() {
            return bad("it has a fragment, which is never sent");
        }
        let near = match url.host() {
            None => return bad("it has no host"),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        };
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if near => Ok(Self(url)),
            "http" => bad("secrets go over TLS; write https, or an address of this machine"),
            _ => bad("https is wanted"),
        }
    }

    /// This with more segments at the end of its path, each percent-encoded; what stands after the path goes.
    #[must_use]
    pub fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut url = self.0.clone();
        url.set_query(None);
        // An http URL always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Self(url)
    }

    /// As it is asked.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What errors may name: without a query, in which some put keys.
    pub fn shown(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.to_string()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.shown())
    }
}

/// A text that names no place for secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is no address to send secrets to: {why}")]
pub struct BadEndpoint {
    shown: String,
    why: String,
}

impl BadEndpoint {
    /// What could not be parsed at all is not shown: nobody can tell what is secret in it.
    fn new(url: Option<&Url>, why: String) -> Self {
        let shown = url.map_or_else(
            || "…".to_owned(),
            |url| format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()),
        );
        Self { shown, why }
    }
}
