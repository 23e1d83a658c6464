//! Where a name leads: the operator's table first, else the system's resolver and the egress guard.
//!
//! Nothing here looks a name up before the call is permitted: it runs inside `Upstream::send` alone. All addresses of a
//! name are checked, and the ones that were checked are the ones that are dialled (DNS rebinding).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::egress;
use super::error::{OriginError, SetupError, Waiting};
use crate::call::{Host, Origin, Scheme};

/// Lookups at the same time. The system's resolver blocks a thread each, and cannot be called off.
const LOOKUPS: usize = 64;

/// What is spoken to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wire {
    /// HTTP alone.
    Plain,
    /// HTTP over TLS.
    Tls,
}

/// Where the operator sends a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The address that is dialled instead.
    pub address: SocketAddr,
    /// `http://`: plain HTTP although the agent spoke HTTPS.
    pub plain: bool,
}

/// `upstream.resolve`: the operator's word on where names lead, and the only way to a closed address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolveTable {
    exact: BTreeMap<(Host, Option<u16>), Mapped>,
    /// Suffixes with their leading dot, longest first.
    suffixes: Vec<(String, Option<u16>, Mapped)>,
    any: BTreeMap<Option<u16>, Mapped>,
}

impl ResolveTable {
    /// Reads pairs of `host[:port]` and `[http://]address:port`. A host may be `*.suffix` or `*`.
    pub fn parse<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, SetupError> {
        let mut table = Self::default();
        for (key, value) in entries {
            table
                .add(key, value)
                .map_err(|why| SetupError::BadRoute { entry: format!("{key} = {value}"), why })?;
        }
        table.suffixes.sort_by_key(|(suffix, port, _)| std::cmp::Reverse((suffix.len(), port.is_some())));
        Ok(table)
    }

    fn add(&mut self, key: &str, value: &str) -> Result<(), String> {
        let mapped = Mapped::parse(value)?;
        let (host, port) = split_port(key)?;
        if host == "*" {
            self.any.insert(port, mapped);
        } else if let Some(suffix) = host.strip_prefix("*.") {
            match Host::parse(suffix).map_err(|bad| bad.to_string())? {
                Host::Name(name) => self.suffixes.push((format!(".{name}"), port, mapped)),
                Host::V4(_) | Host::V6(_) => return Err("an address has no suffix".to_owned()),
            }
        } else {
            let host = Host::parse(host).map_err(|bad| bad.to_string())?;
            self.exact.insert((host, port), mapped);
        }
        Ok(())
    }

    /// The most specific entry: host and port, host, longest suffix, `*`; at each step the one with the port first.
    pub fn find(&self, host: &Host, port: u16) -> Option<Mapped> {
        let exact = |port| self.exact.get(&(host.clone(), port)).copied();
        let suffix = || {
            let Host::Name(name) = host else { return None };
            let fits = |(suffix, only, _): &&(String, Option<u16>, Mapped)| {
                name.ends_with(suffix.as_str()) && only.is_none_or(|only| only == port)
            };
            self.suffixes.iter().find(fits).map(|(_, _, mapped)| *mapped)
        };
        let any = |port| self.any.get(&port).copied();
        exact(Some(port))
            .or_else(|| exact(None))
            .or_else(suffix)
            .or_else(|| any(Some(port)))
            .or_else(|| any(None))
    }

    /// Where `origin` leads, as far as the table tells.
    pub(super) fn route(&self, origin: &Origin) -> Route {
        let mapped = self.find(&origin.host, origin.port);
        let plain = origin.scheme == Scheme::Http || mapped.is_some_and(|mapped| mapped.plain);
        Route {
            mapped: mapped.map(|mapped| mapped.address),
            wire: if plain { Wire::Plain } else { Wire::Tls },
        }
    }
}

impl Mapped {
    fn parse(value: &str) -> Result<Self, String> {
        let (address, plain) = match value.strip_prefix("http://") {
            Some(rest) => (rest.strip_suffix('/').unwrap_or(rest), true),
            None => (value, false),
        };
        let address: SocketAddr = address.parse().map_err(
            |_| "the value must be `address:port` or `http://address:port`, the address an IP address",
        )?;
        if address.port() == 0 {
            return Err("port 0 cannot be dialled".to_owned());
        }
        Ok(Self { address, plain })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split_port(key: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match key.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (key, None),
    };
    let port = match port {
        None => None,
        Some(text) => {
            let number = text.parse().ok().filter(|&port: &u16| port != 0);
            Some(number.ok_or("the port is not within 1 to 65535")?)
        }
    };
    Ok((host, port))
}

/// Where an origin leads, before any lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    /// The operator's address, if there is one.
    pub(super) mapped: Option<SocketAddr>,
    /// What is spoken there.
    pub(super) wire: Wire,
}

/// Looks names up.
#[derive(Debug)]
pub(super) struct Resolver {
    slots: Arc<Semaphore>,
    limit: Duration,
}

impl Resolver {
    pub(super) fn new(limit: Duration) -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS)), limit }
    }

    /// The addresses that may be dialled: at least one, all of them checked.
    pub(super) async fn addresses(
        &self,
        origin: &Origin,
        route: &Route,
    ) -> Result<Vec<SocketAddr>, OriginError> {
        if let Some(mapped) = route.mapped {
            return Ok(vec![mapped]);
        }
        let found = match origin.host.address() {
            Some(literal) => vec![literal],
            None => self.look_up(&origin.host).await?,
        };
        let open = all_open(&origin.host, found)?;
        Ok(open.into_iter().map(|address| SocketAddr::new(address, origin.port)).collect())
    }

    async fn look_up(&self, host: &Host) -> Result<Vec<IpAddr>, OriginError> {
        let name = host.to_string();
        let late = || OriginError::timeout(Waiting::Dns, self.limit);
        let ended = tokio::time::timeout(self.limit, async {
            let slot = self.slots.clone().acquire_owned().await;
            let name = name.clone();
            // A task of its own: the thread that waits in the system's resolver goes on after the limit, and must keep
            // its slot until it is back.
            tokio::spawn(async move {
                let _slot = slot;
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                Ok::<Vec<IpAddr>, std::io::Error>(found.map(|address| address.ip()).collect())
            })
            .await
        })
        .await
        .map_err(|_elapsed| late())?;
        let unresolved = |why: String| OriginError::Unresolved { host: name, why };
        match ended {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(unresolved(error.to_string())),
            Err(stopped) => Err(unresolved(stopped.to_string())),
        }
    }
}

/// A name with one closed address is closed: an attacker who answers for it chooses which one is dialled.
pub(super) fn all_open(host: &Host, mut found: Vec<IpAddr>) -> Result<Vec<IpAddr>, OriginError> {
    for &address in &found {
        if let Some(range) = egress::closed(address) {
            return Err(OriginError::AddressForbidden { host: host.to_string(), address, range });
        }
    }
    if found.is_empty() {
        return Err(OriginError::Unresolved {
            host: host.to_string(),
            why: "the resolver gave none".to_owned(),
        });
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|address| seen.insert(*address));
    Ok(found)
}
