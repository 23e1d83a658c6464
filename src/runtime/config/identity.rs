//! `[identity]`: who is believed, and on what.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::agents::{self, Peer};
use super::read::{Section, Value};
use crate::call::{PeerName, SpiffeId, TrustDomain};
use crate::identity::{AUDIENCE, DEFAULT_LIFE, MAX_LIFE, ProcessRule};

/// Whose agents these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The trust domain of every short agent name.
    pub trust_domain: TrustDomain,
    /// Who a caller without evidence is; none: it gets a 407.
    pub default_agent: Option<SpiffeId>,
    /// How long a task's token holds unless it is renewed.
    pub token_ttl: Duration,
    /// Whom JWT-SVIDs have to be for.
    pub audience: String,
    /// The Workload API that tells of trust bundles too; none: there is none.
    pub workload_api: Option<String>,
    /// The files of the trust bundles by which SVIDs are believed.
    pub bundles: BTreeMap<TrustDomain, PathBuf>,
    /// What this node is called by its peers.
    pub node: PeerName,
    /// How long what is handed over holds behind another node.
    pub handover: Duration,
    /// The nodes that may hand tasks over to agents here.
    pub peers: Vec<Peer>,
    /// Which processes of this machine are which agent.
    pub processes: Vec<ProcessRule>,
}

/// Reads `[identity]`. `example` is the trust domain where none is named, `path` reads the name of a file.
pub(super) fn identity(
    mut section: Section<'_>,
    example: &TrustDomain,
    path: impl Fn(Value<'_>) -> Result<PathBuf, String>,
) -> Identity {
    let domain = section
        .take("trust_domain", |value| TrustDomain::parse(value.text()?).map_err(|error| error.to_string()));
    let trust_domain = domain.unwrap_or_else(|| example.clone());
    let default_agent = section.take("default_agent", |value| match value.text()? {
        "" => Ok(None),
        name => SpiffeId::parse_or_name(name, &trust_domain).map(Some).map_err(|error| error.to_string()),
    });
    let token_ttl = section.take("token_ttl_s", |value| value.integer(30, MAX_LIFE.as_secs(), "seconds"));
    let audience = section.take("audience", |value| match value.text()? {
        "" => Err("an audience is wanted, and it is empty".to_owned()),
        text => Ok(text.to_owned()),
    });
    let workload_api = section.take("workload_api", |value| match value.text()? {
        "" => Ok(None),
        text if text.starts_with("unix:") || text.starts_with("tcp:") => Ok(Some(text.to_owned())),
        other => Err(format!("`{other}` is no endpoint: `unix:/path` is wanted, or `tcp://ADDRESS:PORT`")),
    });
    let bundles = section.section("bundles").entries(|name, value| {
        Ok((TrustDomain::parse(name).map_err(|error| error.to_string())?, path(value)?))
    });
    let agents::Handover { node, life: handover, peers } = agents::handover(&mut section, &path);
    let processes = section.sections("processes").into_iter();
    let processes = processes.filter_map(|one| agents::process(one, &trust_domain)).collect();
    section.finish();
    let (audience, bundles) =
        (audience.unwrap_or_else(|| AUDIENCE.to_owned()), bundles.into_iter().collect());
    let token_ttl = token_ttl.map_or(DEFAULT_LIFE, Duration::from_secs);
    let (default_agent, workload_api) = (default_agent.flatten(), workload_api.flatten());
    Identity {
        trust_domain,
        default_agent,
        token_ttl,
        audience,
        workload_api,
        bundles,
        node,
        handover,
        peers,
        processes,
    }
}
