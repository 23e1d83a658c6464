//! Which policies can have a say in a request: an index over their scopes.
//!
//! Cedar walks through every policy of a set. Here a request is put before those alone whose scope can be true for it,
//! so that a ruling costs the same among ten policies as among ten thousand.
//!
//! A policy may be left out if its scope is false for the request. The scope is the first conjunct of what Cedar
//! evaluates, and it cannot err; so what is left out would have been "does not match, no error", and decision,
//! determining policies and errors are those of the whole set (Lean: `isAuthorized_eq_for_scope_based_policy_slice`).
//! It is exact: the scope of what is found is true, so that only conditions are left to evaluate. But `is T in e` is filed under `e`
//! alone, and such a policy's scope is evaluated (`weigh`). Ancestors MUST come from the entities that the request is evaluated
//! with.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Entities, EntityTypeName, EntityUid, Policy, PrincipalConstraint, Request,
    ResourceConstraint,
};

use super::weigh::Weight;
use crate::call::Reason;

/// The part of a scope that says nothing.
const ANY: u32 = 0;

/// A part of a policy's scope (or of a request), as a small number.
type Key = u32;

/// The policies of a generation, filed by their scopes.
#[derive(Debug, Default)]
pub(super) struct Index {
    policies: Vec<Arc<Weight>>,
    /// What is named by `==`.
    selves: HashMap<EntityUid, Key>,
    /// What is named by `in`.
    things: HashMap<EntityUid, Key>,
    types: HashMap<EntityTypeName, Key>,
    /// By principal and action, then by resource; the policies by their place in `policies`.
    cells: HashMap<(Key, Key), HashMap<Key, Vec<u32>>>,
}

/// The policies that can have a say in a request.
#[derive(Clone, Debug)]
pub(super) struct Slice(Box<[u32]>);

/// What can be said of one principal and one action, by the parts that scopes name of resources.
#[derive(Clone, Debug, Default)]
pub(super) struct Rack(HashMap<Key, Vec<u32>>);

/// No slice can be made: principal, action or resource is missing. Denies.
#[derive(Debug, thiserror::Error)]
#[error("the request does not say who does what to what")]
pub(super) struct Unspecific;

impl Index {
    /// Files policies. Their names have to differ.
    pub(super) fn of(policies: Vec<Arc<Weight>>) -> Self {
        let mut index = Self::default();
        for (at, weight) in (0..).zip(&policies) {
            index.file(at, weight.policy());
        }
        Self { policies, ..index }
    }

    /// All policies, in no particular order.
    pub(super) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().map(|weight| weight.policy())
    }

    /// What they have to say to callers.
    pub(super) fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.policies.iter().map(|weight| weight.reason())
    }

    /// The policies whose scope can be true for `request`.
    pub(super) fn slice(&self, request: &Request, entities: &Entities) -> Result<Slice, Unspecific> {
        let (Some(principal), Some(action), Some(resource)) =
            (request.principal(), request.action(), request.resource())
        else {
            return Err(Unspecific);
        };
        Ok(self.taken(&self.rack(principal, action, entities), resource, entities))
    }

    /// The policies whose scope can be true where this principal does this, to whatever.
    pub(super) fn rack(&self, principal: &EntityUid, action: &EntityUid, entities: &Entities) -> Rack {
        let (principals, actions) = (self.keys(principal, entities), self.keys(action, entities));
        let mut rack = Rack::default();
        for &principal in &principals {
            for &action in &actions {
                for (resource, policies) in self.cells.get(&(principal, action)).into_iter().flatten() {
                    rack.0.entry(*resource).or_default().extend_from_slice(policies);
                }
            }
        }
        rack
    }

    /// Those of them whose scope can be true for this resource.
    pub(super) fn taken(&self, rack: &Rack, resource: &EntityUid, entities: &Entities) -> Slice {
        let mut found = Vec::new();
        for key in self.keys(resource, entities) {
            found.extend_from_slice(rack.0.get(&key).map_or(&[], Vec::as_slice));
        }
        found.sort_unstable();
        // `action in [a, b]` is filed under both.
        found.dedup();
        Slice(found.into())
    }

    /// The policies of a slice.
    pub(super) fn within<'i>(&'i self, slice: &Slice) -> impl Iterator<Item = &'i Weight> {
        slice.0.iter().filter_map(|&at| self.policies.get(at as usize).map(|weight| &**weight))
    }

    fn file(&mut self, at: u32, policy: &Policy) {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => ANY,
            PrincipalConstraint::Is(of) => self.type_key(of),
            PrincipalConstraint::Eq(uid) => self.self_key(uid),
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => self.thing_key(uid),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => ANY,
            ResourceConstraint::Is(of) => self.type_key(of),
            ResourceConstraint::Eq(uid) => self.self_key(uid),
            ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => self.thing_key(uid),
        };
        let actions: Vec<_> = match policy.action_constraint() {
            ActionConstraint::Any => vec![ANY],
            ActionConstraint::Eq(uid) => vec![self.self_key(uid)],
            ActionConstraint::In(uids) => uids.into_iter().map(|uid| self.thing_key(uid)).collect(),
        };
        for action in actions {
            let rack = self.cells.entry((principal, action)).or_default();
            rack.entry(resource).or_default().push(at);
        }
    }

    fn self_key(&mut self, uid: EntityUid) -> Key {
        let next = self.next_key();
        *self.selves.entry(uid).or_insert(next)
    }

    fn thing_key(&mut self, uid: EntityUid) -> Key {
        let next = self.next_key();
        *self.things.entry(uid).or_insert(next)
    }

    fn type_key(&mut self, of: EntityTypeName) -> Key {
        let next = self.next_key();
        *self.types.entry(of).or_insert(next)
    }

    /// Two keys are never given to one part, and one never to two: the maps only grow. There are fewer of them than
    /// bytes of policy text, which is bounded far below 2^32.
    fn next_key(&self) -> Key {
        u32::try_from(self.selves.len() + self.things.len() + self.types.len() + 1).unwrap_or(u32::MAX)
    }

    /// What scopes can say of `uid` and be true. Parts that no policy mentions have no key.
    fn keys(&self, uid: &EntityUid, entities: &Entities) -> Vec<Key> {
        let above = entities.ancestors(uid).into_iter().flatten();
        let things = std::iter::once(uid).chain(above).filter_map(|uid| self.things.get(uid));
        let itself = self.selves.get(uid).into_iter().chain(self.types.get(uid.type_name()));
        std::iter::once(&ANY).chain(itself).chain(things).copied().collect()
    }
}
