//! Host names and origins, parsed once into one canonical form.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::veil::without_user;

/// A host in canonical form: lower case, no trailing dot, numeric forms resolved.
///
/// Everything that compares hosts (CONNECT target, SNI, `Host`, policies, the resolve table) compares values of this
/// type, so `EXAMPLE.com.`, `0x7f.1` and `[::FFFF:7f00:1]` have nowhere to hide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Host {
    /// A DNS name.
    Name(String),
    /// An IPv4 literal, however it was spelt.
    V4(Ipv4Addr),
    /// An IPv6 literal, without brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// Parses the host part of an authority (RFC 3986 §3.2.2), IPv6 in brackets.
    ///
    /// Stricter than the WHATWG parser that it uses: percent-encoding and non-ASCII are refused, so what is judged is
    /// what any other parser would see.
    pub fn parse(text: &str) -> Result<Self, BadHost> {
        let bad = |why| BadHost { host: shown(text), why };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if !text.is_ascii() {
            return Err(bad("it has characters beyond ASCII; send the Punycode form"));
        }
        if text.contains('%') {
            return Err(bad("it is percent-encoded or has a zone id"));
        }
        let undotted = text.strip_suffix('.').unwrap_or(text);
        match url::Host::parse(undotted) {
            Ok(url::Host::Ipv4(address)) => Ok(Self::V4(address)),
            Ok(url::Host::Ipv6(address)) => Ok(Self::V6(address)),
            Ok(url::Host::Domain(name)) => Self::name(name).map_err(bad),
            Err(_) => Err(bad("it is no name and no address")),
        }
    }

    /// RFC 1035 §2.3.4 lengths, RFC 1123 §2.1 letters; the underscore is let through because real services use it.
    fn name(name: String) -> Result<Self, &'static str> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.len() > 253 {
            return Err("it is longer than 253 characters");
        }
        if !name.split('.').all(label) {
            return Err("a label is empty, too long, or has a character that no host name has");
        }
        Ok(Self::Name(name))
    }

    /// The address, if this is a literal.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some((*address).into()),
            Self::V6(address) => Some((*address).into()),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = BadHost;
    fn try_from(text: String) -> Result<Self, BadHost> {
        Self::parse(&text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6(v6),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => fmt::Display::fmt(address, f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// As much of a bad host or authority as may be told: without user and password.
fn shown(text: &str) -> String {
    without_user(text).chars().take(300).collect()
}

/// A text that is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` is not a host: {why}")]
pub struct BadHost {
    host: String,
    why: &'static str,
}

/// How the origin is spoken to, as far as the agent can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The port that is meant when none is named (RFC 9110 §4.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Scheme, host and port (RFC 9110 §4.3.1): the one authority of a call. CONNECT target, SNI, `Host` and the dialled
/// name all agree with it, or the call is refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Who it is.
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

impl Origin {
    /// Parses `host` or `host:port`; `default_port` stands for an absent port. User-info, empty ports, port 0 and
    /// anything behind the port are refused (RFC 9110 §4.2.4).
    pub fn parse_authority(text: &str, default_port: Option<u16>) -> Result<(Host, u16), BadHost> {
        let bad = |why| BadHost { host: shown(text), why };
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((inside, after)) => {
                // What stands between the first brackets is the whole address: no second pair.
                let host = Host::parse(&format!("[{inside}]"))?;
                (
                    host,
                    if after.is_empty() {
                        None
                    } else {
                        Some(after.strip_prefix(':').ok_or(bad("something stands behind the bracket"))?)
                    },
                )
            }
            None if text.contains('@') => return Err(bad("user and password have no place in an authority")),
            None => match text.rsplit_once(':') {
                Some((host, port)) => (Host::parse(host)?, Some(port)),
                None => (Host::parse(text)?, None),
            },
        };
        let port = match port {
            None => default_port.ok_or(bad("the port is missing"))?,
            Some(digits) if (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits
                    .parse()
                    .ok()
                    .filter(|&port| port != 0)
                    .ok_or(bad("the port is not within 1 to 65535"))?
            }
            Some(_) => return Err(bad("the port is not a number")),
        };
        Ok((host, port))
    }

    /// `host`, or `host:port` where the port is not the scheme's own: what a `Host` header carries.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}
