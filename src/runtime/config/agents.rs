//! `[[agents]]` and `[tasks]`: who the agents are, and what a task may be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::problem::Problems;
use super::read::{Section, Value, not_one_of};
use crate::call::grant::Pattern;
use crate::call::{AgentKind, AgentProfile, Binding, Host, PeerName, SpiffeId, TrustDomain};
use crate::identity::{DEFAULT_CHAIN_LIFE, MAX_CHAIN_LIFE, ProcessRule};
use crate::intent::MAX_TTL;

/// An agent that the operator put down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Who.
    pub id: SpiffeId,
    /// Kind, owner, environment, purpose, labels.
    pub profile: AgentProfile,
    /// What its tokens are bound to.
    pub binding: Binding,
    /// How long an integration is watched before another operation counts as drift.
    pub learning: Option<Duration>,
    /// The fixed operations of an integration; nothing is learnt then.
    pub operations: Vec<Pattern>,
    /// Where it is invoked.
    pub hosts: Vec<Host>,
    /// The node that it works behind.
    pub behind: Option<PeerName>,
    /// Percent of what is left of a budget that is lent to that node.
    pub lends_percent: Option<u8>,
}

/// A node that may hand tasks over to agents here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// What it is called.
    pub name: PeerName,
    /// The file of its public key.
    pub key: PathBuf,
    /// The agents that it may speak for.
    pub speaks_for: Vec<Pattern>,
}

/// What concerns tasks that go from node to node.
pub(super) struct Handover {
    pub(super) node: PeerName,
    pub(super) life: Duration,
    pub(super) peers: Vec<Peer>,
}

/// Bounds of every task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tasks {
    /// Longest life.
    pub max_ttl: Duration,
    /// Delegations one under the other.
    pub max_depth: usize,
    /// Open delegations of one task.
    pub max_children: usize,
}

pub(super) fn tasks(mut section: Section<'_>) -> Tasks {
    let hard = MAX_TTL.as_secs();
    let max_ttl = section.take("max_ttl_s", |value| value.integer(1, hard, "seconds"));
    let mut count = |key, default: u64, most| {
        let wanted = section.take(key, |value| value.integer(0, most, "tasks"));
        usize::try_from(wanted.unwrap_or(default)).unwrap_or(usize::MAX)
    };
    let tasks = Tasks {
        max_ttl: max_ttl.map_or(MAX_TTL, Duration::from_secs),
        max_depth: count("max_depth", 4, 16),
        max_children: count("max_children", 32, 10_000),
    };
    section.finish();
    tasks
}

/// The part of `[identity]` that is about other nodes.
pub(super) fn handover(
    section: &mut Section<'_>,
    path: impl Fn(Value<'_>) -> Result<PathBuf, String>,
) -> Handover {
    let name = |value: Value<'_>| PeerName::parse(value.text()?).map_err(|error| error.to_string());
    let node = section.take("node", name).unwrap_or_else(own_name);
    let life = section.take("handover_s", |value| value.integer(10, MAX_CHAIN_LIFE.as_secs(), "seconds"));
    let mut peers: Vec<Peer> = Vec::new();
    for mut one in section.sections("peers") {
        let found = (
            one.take("name", name),
            one.take("key", &path),
            one.take("speaks_for", |value| {
                value.each(|item| Pattern::parse(item.text()?).map_err(|error| error.to_string()))
            }),
        );
        for (key, lacks) in
            [("name", found.0.is_none()), ("key", found.1.is_none()), ("speaks_for", found.2.is_none())]
        {
            if lacks {
                one.lacks(key);
            }
        }
        let (Some(name), Some(key), Some(speaks_for)) = found else {
            one.finish();
            continue;
        };
        if name == node || peers.iter().any(|peer| peer.name == name) {
            one.wrong(&format!("`name`: `{name}` is this node's own name, or that of another peer"));
        }
        one.finish();
        peers.push(Peer { name, key, speaks_for });
    }
    let life = life.map_or(DEFAULT_CHAIN_LIFE, Duration::from_secs);
    Handover { node, life, peers }
}

/// One of `[[identity.processes]]`. A rule that names nothing would make everybody on this machine that agent.
pub(super) fn process(mut section: Section<'_>, domain: &TrustDomain) -> Option<ProcessRule> {
    let agent = section.take("agent", |value| {
        SpiffeId::parse_or_name(value.text()?, domain).map_err(|error| error.to_string())
    });
    if agent.is_none() {
        section.lacks("agent");
    }
    let uid = section.take("uid", |value| value.integer(0, u32::MAX.into(), "the user's number"));
    let executable = section.take("executable", |value| match value.text()? {
        path if path.starts_with('/') => Ok(path.to_owned()),
        other => Err(format!("`{other}` is no absolute path")),
    });
    let sha256 = section.take("sha256", |value| {
        let text = value.text()?.to_ascii_lowercase();
        let sound = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if sound { Ok(text) } else { Err("64 hex digits are wanted, as `sha256sum` prints them".to_owned()) }
    });
    let cgroup =
        section.take("cgroup", |value| Pattern::parse(value.text()?).map_err(|error| error.to_string()));
    if uid.is_none() && executable.is_none() && sha256.is_none() && cgroup.is_none() {
        section.wrong(
            "one of `uid`, `executable`, `sha256`, `cgroup` is wanted, or everybody would be this agent",
        );
    }
    section.finish();
    let uid = uid.and_then(|uid| u32::try_from(uid).ok());
    Some(ProcessRule { agent: agent?, uid, executable, sha256, cgroup })
}

#[expect(clippy::expect_used, reason = "the text is a constant, and every start takes this way")]
fn own_name() -> PeerName {
    PeerName::parse("self").expect("a constant that is a name")
}

pub(super) fn agent(mut section: Section<'_>, domain: &TrustDomain) -> Option<Agent> {
    let text = |section: &mut Section<'_>, key| {
        section.take(key, |value| value.text().map(str::to_owned)).unwrap_or_default()
    };
    let id = section.take("id", |value| {
        SpiffeId::parse_or_name(value.text()?, domain).map_err(|error| error.to_string())
    });
    if id.is_none() {
        section.lacks("id");
    }
    let kind = section.take("kind", |value| match value.text()? {
        "agent" => Ok(AgentKind::Agent),
        "integration" => Ok(AgentKind::Integration),
        other => Err(not_one_of(other, &["agent", "integration"])),
    });
    let binding = section.take("bind_tokens", |value| match value.text()? {
        "none" => Ok(Binding::None),
        "x509-svid" => Ok(Binding::X509Svid),
        other => Err(not_one_of(other, &["none", "x509-svid"])),
    });
    let learning = section.take("learning_s", |value| value.integer(0, 366 * 86_400, "seconds"));
    let operations = section.take("operations", |value| {
        value.each(|item| Pattern::parse(item.text()?).map_err(|error| error.to_string()))
    });
    let hosts = section.take("hosts", |value| {
        value.each(|item| Host::parse(item.text()?).map_err(|error| error.to_string()))
    });
    let behind =
        section.take("behind", |value| PeerName::parse(value.text()?).map_err(|error| error.to_string()));
    let lends = section.take("lends_percent", |value| value.integer(0, 100, "percent"));
    let profile = AgentProfile {
        registered: true,
        kind: kind.unwrap_or_default(),
        owner: text(&mut section, "owner"),
        environment: text(&mut section, "environment"),
        purpose: text(&mut section, "purpose"),
        labels: labels(section.section("labels")),
    };
    section.finish();
    let learning = learning.map(Duration::from_secs);
    Some(Agent {
        id: id?,
        profile,
        binding: binding.unwrap_or_default(),
        learning,
        operations: operations.unwrap_or_default(),
        hosts: hosts.unwrap_or_default(),
        behind,
        lends_percent: lends.and_then(|lends| u8::try_from(lends).ok()),
    })
}

/// Two agents at one host could not be told apart by the calls that invoke them.
pub(super) fn one_for_each_host(agents: &[Agent], problems: &Problems<'_>) {
    let mut taken: BTreeMap<&Host, &SpiffeId> = BTreeMap::new();
    for agent in agents {
        for host in &agent.hosts {
            if let Some(other) = taken.insert(host, &agent.id).filter(|other| **other != agent.id) {
                problems
                    .anywhere(format!("agents.hosts: both `{other}` and `{}` answer at `{host}`", agent.id));
            }
        }
    }
}

fn labels(section: Section<'_>) -> BTreeMap<String, String> {
    section.entries(|key, value| Ok((key.to_owned(), value.text()?.to_owned()))).into_iter().collect()
}
