//! Validation at a cost that does not grow with the catalog, nor with the number of policies.
//!
//! Cedar's validator looks at a policy once for each action of the schema. But to one policy all actions are alike that
//! it does not name, and what it calls those that it names is nothing to the validator: names are compared, never read.
//! So the named services and operations of a policy are given numbers in the place of their names, and it is validated
//! against a schema with just these. Policies that name as many services, and as many operations of each class in them,
//! are of one **shape** and share that schema; there are few shapes, whatever the size of the set.
//!
//! A policy that is found wanting under its numbers is looked at again under its own names ([`super::load`]): what is
//! told to people comes from there.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{EntityUid, Policy};

use crate::call::{Class, ServiceName};

use super::names;
use super::vocabulary::Named;

/// How many operations of each class a policy names in each of the services that it names; most first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Shape(Vec<[usize; 3]>);

/// What a policy's names become.
pub(super) type Numbers = BTreeMap<EntityUid, EntityUid>;

impl Shape {
    /// The shape of what a policy names, with the numbers for its names.
    pub(super) fn of(named: &Named) -> (Self, Numbers) {
        let mut services: Vec<_> = named
            .services()
            .into_iter()
            .map(|service| {
                let of_class = Class::ALL.map(|class| operations(named, service, class));
                (of_class.each_ref().map(Vec::len), service, of_class)
            })
            .collect();
        services.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        let mut numbers = Numbers::new();
        for (at, (_, service, of_class)) in services.iter().enumerate() {
            numbers.insert(names::action(&service.0), names::action(&number(at).0));
            for (class, ids) in Class::ALL.into_iter().zip(of_class) {
                let numbered = (0..).map(|nth| names::action(&operation(at, class, nth)));
                numbers.extend(ids.iter().map(|id| names::action(id)).zip(numbered));
            }
        }
        (Self(services.into_iter().map(|(counts, ..)| counts).collect()), numbers)
    }

    /// What all policies of this shape name, as numbers.
    pub(super) fn named(&self) -> Named {
        let mut operations = BTreeMap::new();
        for (at, counts) in self.0.iter().enumerate() {
            for (class, count) in Class::ALL.into_iter().zip(counts) {
                operations.extend((0..*count).map(|nth| (operation(at, class, nth), (number(at), class))));
            }
        }
        let services: BTreeSet<_> = (0..self.0.len()).map(number).collect();
        Named::of(operations, services)
    }
}

/// `policy` under numbers; nothing if Cedar cannot write them in.
pub(super) fn numbered(policy: &Policy, numbers: Numbers) -> Option<Policy> {
    if numbers.is_empty() {
        return Some(policy.clone());
    }
    policy.sub_entity_literals(numbers).ok()
}

fn operations<'n>(named: &'n Named, service: &ServiceName, class: Class) -> Vec<&'n str> {
    let of = named.operations.iter().filter(|(_, (whose, of))| whose == service && *of == class);
    of.map(|(id, _)| id.as_str()).collect()
}

/// No name that a policy may use: services have no `*` in theirs.
fn number(at: usize) -> ServiceName {
    ServiceName(format!("*{at}").into())
}

fn operation(at: usize, class: Class, nth: usize) -> String {
    format!("*{at}:{class}{nth}")
}
