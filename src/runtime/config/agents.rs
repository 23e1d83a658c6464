//! `[[agents]]` and `[tasks]`: who the agents are, and what a task may be.

use std::collections::BTreeMap;
use std::time::Duration;

use super::read::{Section, not_one_of};
use crate::call::grant::Pattern;
use crate::call::{AgentKind, AgentProfile, Binding, SpiffeId, TrustDomain};
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
    })
}

fn labels(section: Section<'_>) -> BTreeMap<String, String> {
    section.entries(|key, value| Ok((key.to_owned(), value.text()?.to_owned()))).into_iter().collect()
}
