//! What the permits in force grant, as their scopes name it: to be held against what was used.

use cedar_policy::{ActionConstraint, Effect};

use super::engine::Rules;
use super::names::Literal;
use crate::call::PolicyId;

/// A permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Which.
    pub policy: PolicyId,
    /// The operations and groups of operations that its scope names; empty where it names none, and so grants any.
    pub actions: Vec<String>,
}

impl Rules {
    /// All permits, templates too, by name.
    pub fn granted(&self) -> Vec<Granted> {
        let permits = self.all_policies().filter(|policy| policy.effect() == Effect::Permit);
        let granted = permits.map(|policy| {
            let uids = match policy.action_constraint() {
                ActionConstraint::Any => Vec::new(),
                ActionConstraint::Eq(uid) => vec![uid],
                ActionConstraint::In(uids) => uids,
            };
            let name = |uid| match Literal::of(uid) {
                Literal::Action(id) => Some(id.to_owned()),
                _ => None,
            };
            let policy = PolicyId(policy.id().to_string().into());
            Granted { policy, actions: uids.iter().filter_map(name).collect() }
        });
        let mut granted: Vec<_> = granted.collect();
        granted.sort_by(|a, b| a.policy.cmp(&b.policy));
        granted
    }
}
