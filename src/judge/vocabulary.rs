//! Which operations policies may name: the catalog's. `judge` asks through a trait, because rooms do not know their
//! neighbours.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cedar_policy::EntityUid;

use crate::call::{
    Class, Head, Host, IntentName, OperationId, Operations, Peek, ServiceName, SpiffeId, Subject, TaskId,
};

use super::draft::Draft;
use super::error::{Cause, Problem};
use super::groups::Groups;
use super::names::Literal;

/// The group of all operations that the catalog cannot name.
pub(super) const UNKNOWN: &str = "unknown";
/// Names that are offered for one that is not known.
const OFFERS: usize = 3;
/// How alike two names have to be (Jaro-Winkler, 0 to 1) for one to be offered for the other.
const ALIKE: f64 = 0.8;

/// What the catalog knows.
pub trait Vocabulary: Send + Sync {
    /// Service and class of an operation.
    fn operation(&self, id: &str) -> Option<(ServiceName, Class)>;
    /// All services.
    fn services(&self) -> Vec<ServiceName>;
    /// All operations.
    fn operation_ids(&self) -> Vec<String>;
    /// What a request as it goes over the wire would do; none: nobody here can read one.
    fn recognise(&self, _head: &Head, _body: &Peek) -> Option<Operations> {
        None
    }
}

/// What policies name of the catalog.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    /// Operations, each with its service and class.
    pub(super) operations: BTreeMap<String, (ServiceName, Class)>,
    /// Services, by the group of their actions.
    groups: BTreeSet<ServiceName>,
}

impl Named {
    /// And what another policy names.
    pub(super) fn add(&mut self, other: &Self) {
        self.operations.extend(other.operations.iter().map(|(id, of)| (id.clone(), of.clone())));
        self.groups.extend(other.groups.iter().cloned());
    }

    /// Made of operations, and services by their group.
    pub(super) fn of(
        operations: BTreeMap<String, (ServiceName, Class)>,
        groups: BTreeSet<ServiceName>,
    ) -> Self {
        Self { operations, groups }
    }

    /// The services that policies can tell from others by an action's name or group.
    pub(super) fn services(&self) -> BTreeSet<&ServiceName> {
        self.groups.iter().chain(self.operations.values().map(|(service, _)| service)).collect()
    }
}

/// Looks up every entity that a policy names. One that no call can bring is an error: in a `forbid` it would be a
/// hole that nobody sees.
pub(super) struct Checker<'a> {
    vocabulary: &'a dyn Vocabulary,
    groups: &'a Groups,
    services: Vec<ServiceName>,
    known: HashSet<ServiceName>,
}

impl<'a> Checker<'a> {
    /// Over a vocabulary and the groups.
    pub(super) fn new(vocabulary: &'a dyn Vocabulary, groups: &'a Groups) -> Self {
        let services = vocabulary.services();
        let known = services.iter().cloned().collect();
        Self { vocabulary, groups, services, known }
    }

    /// The services of the vocabulary.
    pub(super) fn services(&self) -> &[ServiceName] {
        &self.services
    }

    /// Looks up what `draft` names.
    pub(super) fn check(&self, draft: &Draft<'_>) -> (Named, Vec<Problem>) {
        let (mut named, mut problems) = (Named::default(), Vec::new());
        for uid in &draft.parsed.literals {
            let fault = match Literal::of(uid) {
                Literal::Action(id) => self.action(id, &mut named),
                Literal::Agent(id) => SpiffeId::parse(id).err().map(|error| {
                    (
                        never(&uid.to_string(), &error.to_string()),
                        "an agent is named by its whole SPIFFE ID".to_owned(),
                    )
                }),
                Literal::Group(name) => {
                    (!self.groups.has(name)).then(|| self.no_group(name, &uid.to_string()))
                }
                Literal::Service(name) => self.service(name, uid),
                Literal::Intent(name) => IntentName::parse(name).err().map(|error| {
                    (never(&uid.to_string(), &error.to_string()), "name an intent as tasks do".to_owned())
                }),
                Literal::Task(id) => id.parse::<TaskId>().err().map(|error| {
                    let remedy = "a task is named by its id, as `remit task list` prints it";
                    (never(&uid.to_string(), &error.to_string()), remedy.to_owned())
                }),
                Literal::User(name) => Subject::parse(name).err().map(|error| {
                    let remedy = "name the person or system as tasks do (`--on-behalf-of`)";
                    (never(&uid.to_string(), &error.to_string()), remedy.to_owned())
                }),
                Literal::Other => None,
            };
            problems
                .extend(fault.map(|(cause, remedy)| draft.problem(&uid.to_string(), cause).remedy(remedy)));
        }
        (named, problems)
    }

    fn action(&self, id: &str, named: &mut Named) -> Option<(Cause, String)> {
        let classes = Class::ALL.map(Class::as_str);
        let unknowns = Class::ALL.map(OperationId::unknown);
        if classes.contains(&id) || id == UNKNOWN || unknowns.iter().any(|unknown| *unknown.0 == *id) {
            return None;
        }
        if let Some(service) = self.known.get(&ServiceName(id.into())) {
            named.groups.insert(service.clone());
            return None;
        }
        if let Some(found) = self.vocabulary.operation(id) {
            named.operations.insert(id.to_owned(), found);
            return None;
        }
        let cause = Cause::UnknownAction(id.to_owned());
        // `github:*act` is how unnamed operations are judged: naming it would mean another set of operations with
        // each policy that is added or taken away.
        if let Some((service, class)) = id.split_once(":*") {
            let both = format!("`action in Action::\"{service}\"` with `action in Action::\"{class}\"`");
            return Some((cause, format!("for all of a class at a service say {both} in the condition")));
        }
        let mut offers = self.vocabulary.operation_ids();
        offers.extend(self.services.iter().map(ToString::to_string));
        offers.extend(classes.map(str::to_owned));
        offers.extend(unknowns.map(|id| id.to_string()));
        Some((
            cause,
            nearest(id, offers.iter().map(String::as_str), "`remit catalog list` shows all operations"),
        ))
    }

    fn no_group(&self, name: &str, literal: &str) -> (Cause, String) {
        let cause = never(literal, "groups.toml has no such group");
        (cause, nearest(name, self.groups.names(), "list its members in groups.toml, beside the policies"))
    }

    /// A service of the catalog, or a host as calls bring it.
    fn service(&self, name: &str, uid: &EntityUid) -> Option<(Cause, String)> {
        if self.known.contains(&ServiceName(name.into())) {
            return None;
        }
        let literal = uid.to_string();
        let literal = literal.as_str();
        let canonical = Host::parse(name).ok().map(|host| host.to_string());
        match canonical {
            // A bare word is a service's name misspelt, far more often than a host without a dot.
            Some(host) if host == name && host.contains(['.', ':']) => None,
            Some(host) if host.contains(['.', ':']) => {
                let cause = never(literal, "hosts are compared in canonical form");
                Some((cause, format!("write `Service::\"{host}\"`")))
            }
            _ => {
                let names = self.services.iter().map(|service| &*service.0);
                let remedy = "if it is a host without a dot, say `context.http.host == \"…\"`";
                Some((never(literal, "the catalog has no such service"), nearest(name, names, remedy)))
            }
        }
    }
}

fn never(literal: &str, why: &str) -> Cause {
    Cause::UnknownEntity { literal: literal.to_owned(), why: why.to_owned() }
}

fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>, otherwise: &str) -> String {
    let mut near: Vec<_> = names.map(|name| (strsim::jaro_winkler(wanted, name), name)).collect();
    near.retain(|(alike, _)| *alike >= ALIKE);
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.truncate(OFFERS);
    if near.is_empty() {
        return otherwise.to_owned();
    }
    let names: Vec<_> = near.iter().map(|(_, name)| format!("`{name}`")).collect();
    format!("did you mean {}?", names.join(" or "))
}
