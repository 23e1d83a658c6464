//! The space of requests: for a proof over all of them, they are sorted into kinds, and each kind is proved by itself.
//!
//! A kind is an action and the type of the resource. The actions are those of [`schema`](crate::judge::schema): what the
//! policies name, and what stands for the rest; so there are few of them, whatever the size of the catalog. `unknown:act` is a kind
//! at hosts that the catalog does not know, and another one at each service that a policy names, because there it is in that
//! service's group as well.
//!
//! Of two kinds that the same policies can apply to, and whose actions these policies cannot tell apart, one is proved
//! ([`Kind::like`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Entity, EntityTypeName, EntityUid, Policy, RequestEnv, ResourceConstraint, Schema,
};

use crate::call::{Class, OperationId, ServiceName};
use crate::judge::error::{Cause, Problem};
use crate::judge::names;
use crate::judge::schema::Types;
use crate::judge::vocabulary::Named;

/// A kind of request.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) env: RequestEnv,
    pub(super) schema: Arc<Schema>,
    /// All groups that the action is in.
    groups: BTreeSet<EntityUid>,
    /// Where what has no name happens, if that is a service that policies name.
    at: Option<ServiceName>,
}

/// What two kinds have to have in common for one proof to be the other's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Like {
    principal: EntityTypeName,
    resource: EntityTypeName,
    at: Option<ServiceName>,
    policies: Vec<String>,
    /// Of the names of the action and of its groups, those that the policies use.
    named: BTreeSet<EntityUid>,
}

/// All kinds of requests, as far as policies that name `named` can tell them apart.
pub(super) fn kinds(types: &Types, named: &Named) -> Result<Vec<Kind>, Problem> {
    let mut all = of(types.with(named)?, None, &types.file)?;
    for service in named.services() {
        let there = of(types.with_unknown_at(named, service)?, Some(service), &types.file)?;
        all.extend(there.into_iter().filter(Kind::is_unknown));
    }
    Ok(all)
}

fn of(schema: Schema, at: Option<&ServiceName>, file: &str) -> Result<Vec<Kind>, Problem> {
    let wrong = |error: cedar_policy::entities_errors::EntitiesError| {
        Problem::in_file(file, Cause::Schema(error.to_string()))
    };
    let actions = schema.action_entities().map_err(wrong)?;
    let schema = Arc::new(schema);
    let groups: BTreeMap<EntityUid, BTreeSet<EntityUid>> = actions
        .iter()
        .map(|action| {
            let above = actions.ancestors(&action.uid()).into_iter().flatten();
            (action.uid(), above.cloned().collect())
        })
        .collect();
    let kind = |env: RequestEnv| Kind {
        groups: groups.get(env.action()).cloned().unwrap_or_default(),
        schema: schema.clone(),
        at: at.cloned(),
        env,
    };
    Ok(schema.request_envs().map(kind).collect())
}

impl Kind {
    /// Whether the scope of `policy` can be true for a request of this kind; yes, where that cannot be told.
    pub(super) fn may_match(&self, policy: &Policy) -> bool {
        let action = match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => uid == *self.env.action(),
            ActionConstraint::In(uids) => uids.iter().any(|uid| self.has(uid)),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any | ResourceConstraint::In(_) => true,
            ResourceConstraint::Eq(uid) => uid.type_name() == self.env.resource(),
            ResourceConstraint::Is(of) | ResourceConstraint::IsIn(of, _) => of == *self.env.resource(),
        };
        action && resource
    }

    fn has(&self, uid: &EntityUid) -> bool {
        uid == self.env.action() || self.groups.contains(uid)
    }

    /// What a proof about this kind by these policies rests on.
    pub(super) fn like<'p>(&self, policies: impl Iterator<Item = &'p Policy>) -> Like {
        let (mut ids, mut named, mut unknown) = (Vec::new(), BTreeSet::new(), false);
        for policy in policies {
            ids.push(policy.id().to_string());
            for literal in policy.entity_literals() {
                unknown |= is_unknown(&literal);
                if self.has(&literal) {
                    named.insert(literal);
                }
            }
        }
        // That such an action is in a service's group is all that sets these schemas apart.
        let at = self.at.clone().filter(|_| unknown);
        let (principal, resource) = (self.env.principal().clone(), self.env.resource().clone());
        Like { principal, resource, at, policies: ids, named }
    }

    /// The action as it stands beside a request.
    pub(super) fn entity(&self) -> Entity {
        let others = names::action(names::OTHERS);
        let groups = self.groups.iter().filter(|group| **group != others).cloned().collect();
        Entity::new_no_attrs(self.env.action().clone(), groups)
    }

    fn is_unknown(&self) -> bool {
        is_unknown(self.env.action())
    }

    /// For people.
    pub(super) fn told(&self) -> String {
        let id = self.env.action().id().unescaped();
        let class = Class::ALL.into_iter().find(|class| id.ends_with(&format!(":*{class}")));
        let at = self.at.as_ref().map(|service| format!(" at `{service}`")).unwrap_or_default();
        match class.and_then(|class| Some((class, id.split_once(":*")?.0))) {
            Some((class, names::OTHERS)) => {
                format!("any {class} of a service of the catalog that no policy names")
            }
            Some((class, service)) => format!("any {class} of `{service}` that no policy names"),
            None => format!("`{id}`{at}"),
        }
    }
}

fn is_unknown(uid: &EntityUid) -> bool {
    Class::ALL.into_iter().any(|class| *uid == names::action(&OperationId::unknown(class).0))
}
