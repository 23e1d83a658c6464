//! Declared intents: what a purpose may need at the most (`policies/intents.toml`). Where none is declared, every name is
//! accepted and bounds nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::IntentError;
use super::error::Within;
use crate::call::grant::{Budget, Grant, Part, Pattern};
use crate::call::{Class, IntentName, SpiffeId, TemplateLink};

/// The intents of one node.
#[derive(Clone, Debug, Default)]
pub struct Intents(BTreeMap<IntentName, Intent>);

/// What is declared for one intent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Intent {
    /// For people.
    #[serde(rename = "purpose")]
    _purpose: String,
    classes: BTreeSet<Class>,
    services: BTreeSet<Pattern>,
    operations: BTreeSet<Pattern>,
    resources: BTreeSet<Pattern>,
    /// Policy templates that its tasks may be linked to: `repo-writer=github/repo/octo/*`. Left out: none.
    links: BTreeSet<Pattern>,
    budget: Budget,
    /// Who may declare it; empty: every agent.
    agents: BTreeSet<Pattern>,
    /// Longest life of a task, seconds.
    max_ttl_s: Option<u64>,
}

/// What an intent leaves of what was wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bounded {
    pub grant: Grant,
    pub budget: Budget,
    pub longest: Option<Duration>,
}

impl Intents {
    /// Parses `intents.toml`: one table for each intent. An error names the place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let intents: BTreeMap<IntentName, Intent> =
            toml::from_str(text).map_err(|error| error.to_string())?;
        for (name, intent) in &intents {
            intent.grant().check().map_err(|error| format!("intent `{name}`: {error}"))?;
        }
        Ok(Self(intents))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether every name is accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `agent` may have of `grant` and `budget` for this intent.
    pub(super) fn bound(
        &self,
        name: &IntentName,
        agent: &SpiffeId,
        grant: &Grant,
        budget: &Budget,
    ) -> Result<Bounded, IntentError> {
        if self.is_empty() {
            return Ok(Bounded { grant: grant.clone(), budget: budget.clone(), longest: None });
        }
        let intent = self.0.get(name).ok_or_else(|| IntentError::Undeclared(name.clone()))?;
        if !intent.agents.is_empty() && !intent.agents.iter().any(|who| who.covers(agent.as_str())) {
            return Err(IntentError::NotTheirs { intent: name.clone(), agent: agent.clone() });
        }
        let of = Within::Intent;
        let linked = |link: &TemplateLink| {
            let name = link.to_string();
            intent.links.iter().any(|links| links.covers(&name))
        };
        if !grant.links.iter().all(linked) {
            return Err(IntentError::Outside { part: Part::Links, of });
        }
        let bounds = Grant { links: grant.links.clone(), ..intent.grant() };
        Ok(Bounded {
            grant: grant.within(&bounds).map_err(|part| IntentError::Outside { part, of })?,
            budget: fit(budget, &intent.budget, of)?,
            longest: intent.max_ttl_s.map(Duration::from_secs),
        })
    }

    /// What the standing task of a default agent is bound to; all of it where `standing` is not declared.
    pub(super) fn standing(&self, name: &IntentName) -> (Grant, Budget) {
        self.0.get(name).map(|intent| (intent.grant(), intent.budget.clone())).unwrap_or_default()
    }
}

impl Intent {
    fn grant(&self) -> Grant {
        Grant {
            classes: self.classes.clone(),
            services: self.services.clone(),
            operations: self.operations.clone(),
            resources: self.resources.clone(),
            links: BTreeSet::new(),
        }
    }
}

/// `inner` inside `outer`, or which line is too much.
pub(super) fn fit(inner: &Budget, outer: &Budget, of: Within) -> Result<Budget, IntentError> {
    inner.within(outer).map_err(|line| {
        let (wanted, allowed) = (inner.spent(line), outer.spent(line));
        IntentError::Budget { line, wanted, allowed, of }
    })
}
