//! What policies say of one request: Cedar's evaluator, policy by policy.
//!
//! Cedar's own authorizer puts a policy's scope and conditions together anew for each request, evaluates scopes that the index knows
//! to be true, and gathers the policies that do not apply as well; over a slice that is most of the work. What it concludes is
//! three lines, and a property test holds them against it (`tests/slicing.rs`). Conditions are put together once, when a policy
//! is read.

use std::fmt;

use cedar_policy::{Effect, Entities, Policy, PolicyId, PrincipalConstraint, Request, ResourceConstraint};
use cedar_policy_core::ast::{Expr, Literal, SlotEnv, Value, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use crate::call::Reason;

/// Characters of an evaluation error that are shown.
const SHOWN_ERROR: usize = 200;

/// A policy, ready to be weighed.
#[derive(Debug)]
pub(super) struct Weight {
    policy: Policy,
    /// What it has to say to the caller.
    reason: Reason,
    permits: bool,
    /// What the index does not see to: the conditions, and the whole scope where that asks for a type and a group at once, or
    /// where no index has it. None: the policy applies wherever its scope is true.
    condition: Option<Expr>,
}

impl Weight {
    /// Of a policy of the index.
    pub(super) fn of(policy: Policy, reason: Reason) -> Self {
        let whole = matches!(policy.principal_constraint(), PrincipalConstraint::IsIn(..))
            || matches!(policy.resource_constraint(), ResourceConstraint::IsIn(..));
        Self::made(policy, reason, whole)
    }

    /// Of a policy that is in no index: its scope is evaluated as well.
    pub(super) fn whole(policy: Policy, reason: Reason) -> Self {
        Self::made(policy, reason, true)
    }

    fn made(policy: Policy, reason: Reason, whole: bool) -> Self {
        // Each value carries the place in the text that it comes from along, and what is read back from a tree has none.
        let bare = policy.to_pst().ok().and_then(|tree| Policy::from_pst(tree).ok());
        let bare = bare.as_ref().unwrap_or(&policy);
        let written: &cedar_policy_core::ast::Policy = bare.as_ref();
        let condition =
            if whole { Some(written.condition()) } else { written.non_scope_constraints().cloned() };
        Self { permits: policy.effect() == Effect::Permit, condition, policy, reason }
    }

    /// The policy itself.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What it has to say, under the name that it has here: a twin's says what it is linked for.
    pub(super) fn under_own_name(&self) -> Reason {
        let policy = crate::call::PolicyId(self.policy.id().to_string().into());
        Reason { policy, ..self.reason.clone() }
    }

    /// What it has to say to the caller.
    pub(super) fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Answer<'w> {
    permits: Vec<&'w Weight>,
    forbids: Vec<&'w Weight>,
    failures: Vec<Failure>,
}

/// A policy that could not be evaluated.
#[derive(Debug)]
pub(super) struct Failure {
    /// Which.
    pub(super) policy: PolicyId,
    /// Why, in Cedar's words.
    pub(super) why: String,
}

impl<'w> Answer<'w> {
    /// Whether Cedar would allow. It passes by policies that fail; whoever asks MUST look at [`Answer::failures`] too.
    pub(super) fn allows(&self) -> bool {
        self.forbids.is_empty() && !self.permits.is_empty()
    }

    /// The policies that decide: the forbids if there are any, else the permits.
    pub(super) fn determining(&self) -> &[&'w Weight] {
        if self.forbids.is_empty() { &self.permits } else { &self.forbids }
    }

    /// Policies that failed.
    pub(super) fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

/// Has `policies` say what they say of a request. They MUST come from the index, so that their scopes are true for it, or be
/// whole ([`Weight::whole`]).
pub(super) fn weigh<'w>(
    request: &Request,
    entities: &Entities,
    policies: impl IntoIterator<Item = &'w Weight>,
) -> Answer<'w> {
    let request: &cedar_policy_core::ast::Request = request.as_ref();
    let evaluator = Evaluator::new(request.clone(), entities.as_ref(), Extensions::all_available());
    // Links of templates come as static twins: there is nothing to put into slots.
    let no_slots = SlotEnv::new();
    let mut answer = Answer::default();
    for weight in policies {
        let Weight { policy, permits, condition, .. } = weight;
        let applies = match condition {
            None => Some(true),
            Some(condition) => match evaluator.interpret(condition, &no_slots) {
                Ok(value) => truth(&value),
                Err(error) => {
                    answer.fail(policy.id(), error.to_string());
                    continue;
                }
            },
        };
        match applies {
            Some(false) => {}
            Some(true) if *permits => answer.permits.push(weight),
            Some(true) => answer.forbids.push(weight),
            None => answer.fail(policy.id(), "it is neither true nor false".to_owned()),
        }
    }
    answer
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what: String = self.why.replace(char::is_control, " ").chars().take(SHOWN_ERROR).collect();
        write!(f, "policy `{}` failed: {what}", self.policy)
    }
}

impl Answer<'_> {
    fn fail(&mut self, policy: &PolicyId, why: String) {
        self.failures.push(Failure { policy: policy.clone(), why });
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value.value {
        ValueKind::Lit(Literal::Bool(truth)) => Some(truth),
        _ => None,
    }
}
