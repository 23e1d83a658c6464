//! What policies say of one request: Cedar's evaluator, policy by policy.
//!
//! Cedar's own authorizer puts a policy's scope and conditions together anew for each request, and gathers the policies that
//! do not apply as well; over a slice that is most of the work. What it concludes is three lines, and a property test holds them
//! against it (`tests/slicing.rs`). Conditions are put together once, when rules are loaded.

use std::fmt;

use cedar_policy::{Effect, Entities, Policy, PolicyId, Request};
use cedar_policy_core::ast::{Expr, Literal, Value, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

/// Characters of an evaluation error that are shown.
const SHOWN_ERROR: usize = 200;

/// A policy, ready to be weighed.
#[derive(Debug)]
pub(super) struct Weight {
    id: PolicyId,
    permits: bool,
    /// Scope and conditions.
    condition: Expr,
    policy: Policy,
}

impl Weight {
    /// Of a policy.
    pub(super) fn of(policy: Policy) -> Self {
        let written: &cedar_policy_core::ast::Policy = policy.as_ref();
        let condition = written.condition();
        Self { id: policy.id().clone(), permits: policy.effect() == Effect::Permit, condition, policy }
    }

    /// The policy itself.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Answer {
    permits: Vec<PolicyId>,
    forbids: Vec<PolicyId>,
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

impl Answer {
    /// Whether Cedar would allow. It passes by policies that fail; whoever asks MUST look at [`Answer::failures`] too.
    pub(super) fn allows(&self) -> bool {
        self.forbids.is_empty() && !self.permits.is_empty()
    }

    /// The policies that decide: the forbids if there are any, else the permits.
    pub(super) fn determining(&self) -> &[PolicyId] {
        if self.forbids.is_empty() { &self.permits } else { &self.forbids }
    }

    /// Policies that failed.
    pub(super) fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

/// Has `policies` say what they say of a request.
pub(super) fn weigh<'w>(
    request: &Request,
    entities: &Entities,
    policies: impl IntoIterator<Item = &'w Weight>,
) -> Answer {
    let request: &cedar_policy_core::ast::Request = request.as_ref();
    let evaluator = Evaluator::new(request.clone(), entities.as_ref(), Extensions::all_available());
    let mut answer = Answer::default();
    for Weight { id, permits, condition, policy } in policies {
        let written: &cedar_policy_core::ast::Policy = policy.as_ref();
        let applies = evaluator.interpret(condition, written.env());
        match applies.map(|value| truth(&value)) {
            Ok(Some(false)) => {}
            Ok(Some(true)) if *permits => answer.permits.push(id.clone()),
            Ok(Some(true)) => answer.forbids.push(id.clone()),
            Ok(None) => answer.fail(id, "it is neither true nor false".to_owned()),
            Err(error) => answer.fail(id, error.to_string()),
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

impl Answer {
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
