//! Why a call is ruled as it is: the policies that decided or, where none permits, those that came nearest to it, each with
//! the first thing in it that is not so and what is so instead.
//!
//! For people, and off the walk: it looks at every policy of the set.

use std::fmt::Write as _;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, EvalResult, Expression, Policy, PrincipalConstraint,
    ResourceConstraint, eval_expression, pst,
};

use super::engine::Rules;
use super::request::{Approved, Asker, Question};
use super::twin::{self, Twins};
use super::weigh::Weight;
use crate::call::{
    Attributed, Call, Class, Decision, Operation, OperationId, PolicyId, Reason, SpiffeId, TaskId,
};

/// Permits that are told of at most, nearest first.
const TOLD: usize = 5;

/// What is said of one operation of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Which.
    pub operation: OperationId,
    /// What it does.
    pub class: Class,
    /// In whose place it is judged, if that is a task above the call's own: all of the chain have to be let through.
    pub link: Option<(TaskId, SpiffeId)>,
    /// What is ruled.
    pub decision: Decision,
    /// By which policies; none where nothing permits.
    pub by: Vec<Reason>,
    /// Policies that failed, and why: each failure denies.
    pub failed: Vec<String>,
    /// Permits that came near, where nothing else says why it is denied.
    pub near: Vec<NearMiss>,
}

/// A permit that does not permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// Which.
    pub policy: PolicyId,
    /// The first part of it that is not so, as Cedar would write it.
    pub unmet: String,
    /// What is so: the values that this part asks for.
    pub values: Vec<(String, String)>,
}

impl Rules {
    /// Explains the ruling on a call: one operation after the other, each in the place of each task of the chain, as it is ruled.
    pub fn explain(&self, call: &Call<Attributed>) -> Vec<Explanation> {
        let operations = call.stage().operations.iter();
        let one = |operation| {
            let askers = Asker::all(call).enumerate();
            askers.map(move |(above, asker)| Explanation {
                link: (above > 0).then(|| (asker.task.id, asker.task.agent.clone())),
                ..self.explain_one(call, asker, operation)
            })
        };
        operations.flat_map(one).collect()
    }

    fn explain_one(&self, call: &Call<Attributed>, asker: Asker<'_>, operation: &Operation) -> Explanation {
        let mut explanation = Explanation {
            operation: operation.id.clone(),
            class: operation.class,
            link: None,
            decision: Decision::Deny,
            by: Vec::new(),
            failed: Vec::new(),
            near: Vec::new(),
        };
        let put = self.question(call, asker, operation, Approved::No);
        let twins = self.templates.twins(asker.task);
        match put.and_then(|question| Ok((self.answer(&question, &twins)?, question))) {
            Err(error) => explanation.failed.push(error.to_string()),
            Ok((answer, question)) => {
                explanation.by = answer.determining().iter().map(|weight| weight.under_own_name()).collect();
                explanation.by.sort_by(|a, b| a.policy.cmp(&b.policy));
                explanation.failed = answer.failures().iter().map(ToString::to_string).collect();
                explanation.failed.sort();
                if answer.allows() && explanation.failed.is_empty() {
                    explanation.decision = Decision::Allow;
                } else if explanation.by.is_empty() {
                    explanation.near = self.near(&question, &twins);
                } else {
                    explanation.decision = self.decision(call, asker, operation);
                }
            }
        }
        explanation
    }

    /// Permits whose scope is true and whose condition is not; behind them those with one part of the scope that is not.
    fn near(&self, question: &Question, twins: &Twins) -> Vec<NearMiss> {
        let all = self.index.policies().chain(twins.weights().map(Weight::policy));
        let permits = all.filter(|policy| policy.effect() == Effect::Permit);
        let mut misses: Vec<_> = permits.filter_map(|policy| miss(policy, question)).collect();
        misses.sort_by(|a, b| (a.0, &a.1.policy).cmp(&(b.0, &b.1.policy)));
        let missing = twins.unlinked().map(|link| NearMiss {
            policy: PolicyId(twin::name(link).into()),
            unmet: format!("the template `{}` is in force", link.template()),
            values: Vec::new(),
        });
        missing.chain(misses.into_iter().take(TOLD).map(|(_, miss)| miss)).collect()
    }
}

/// How far off a permit is (0: by its condition, 1: by one part of its scope), and by what.
fn miss(policy: &Policy, question: &Question) -> Option<(u8, NearMiss)> {
    let name = PolicyId(policy.id().to_string().into());
    let mut unmet = scope(policy).into_iter().filter(|part| !holds(part, question));
    if let Some(part) = unmet.next() {
        if unmet.next().is_some() {
            return None;
        }
        let variable = part.split([' ', '.']).next().unwrap_or_default().to_owned();
        return Some((1, NearMiss { policy: name, values: values(&variable, question), unmet: part }));
    }
    let part = conditions(policy).into_iter().find(|part| !holds(part, question))?;
    Some((0, NearMiss { policy: name, values: values(&part, question), unmet: part }))
}

/// What the scope demands, as expressions.
fn scope(policy: &Policy) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(match policy.principal_constraint() {
        PrincipalConstraint::Any => None,
        PrincipalConstraint::In(uid) => Some(format!("principal in {uid}")),
        PrincipalConstraint::Eq(uid) => Some(format!("principal == {uid}")),
        PrincipalConstraint::Is(of) => Some(format!("principal is {of}")),
        PrincipalConstraint::IsIn(of, uid) => Some(format!("principal is {of} in {uid}")),
    });
    parts.extend(match policy.action_constraint() {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(uid) => Some(format!("action == {uid}")),
        ActionConstraint::In(uids) => {
            let uids: Vec<_> = uids.iter().map(EntityUid::to_string).collect();
            Some(format!("action in [{}]", uids.join(", ")))
        }
    });
    parts.extend(match policy.resource_constraint() {
        ResourceConstraint::Any => None,
        ResourceConstraint::In(uid) => Some(format!("resource in {uid}")),
        ResourceConstraint::Eq(uid) => Some(format!("resource == {uid}")),
        ResourceConstraint::Is(of) => Some(format!("resource is {of}")),
        ResourceConstraint::IsIn(of, uid) => Some(format!("resource is {of} in {uid}")),
    });
    parts
}

/// What the conditions demand: their conjuncts, in order.
pub(super) fn conditions(policy: &Policy) -> Vec<String> {
    let Ok(written) = policy.to_pst() else { return Vec::new() };
    let mut parts = Vec::new();
    for clause in written.body().clauses() {
        match clause {
            pst::Clause::When(condition) => conjuncts(condition, &mut parts),
            pst::Clause::Unless(condition) => parts.push(format!("!({condition})")),
        }
    }
    parts
}

fn conjuncts(expression: &pst::Expr, parts: &mut Vec<String>) {
    match expression {
        pst::Expr::BinaryOp { op: pst::BinaryOp::And, left, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        other => parts.push(other.to_string()),
    }
}

fn value(expression: &str, question: &Question) -> Result<EvalResult, String> {
    let parsed: Expression = expression.parse().map_err(|error| format!("{error}"))?;
    eval_expression(&question.request, &question.entities, &parsed).map_err(|error| error.to_string())
}

fn holds(expression: &str, question: &Question) -> bool {
    matches!(value(expression, question), Ok(EvalResult::Bool(true)))
}

/// What an expression asks for, with its values: `context.history.acts`, `principal`.
pub(super) fn values(expression: &str, question: &Question) -> Vec<(String, String)> {
    let mut paths = paths(expression);
    paths.sort();
    paths.dedup();
    let told = |path: String| {
        let value = value(&path, question).map_or_else(|why| format!("({why})"), |value| shown(&value));
        (path, value)
    };
    paths.into_iter().map(told).collect()
}

fn shown(value: &EvalResult) -> String {
    match value {
        EvalResult::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// The paths that begin with one of Cedar's four words, outside of strings; a called method is not part of one.
fn paths(expression: &str) -> Vec<String> {
    let (mut found, mut word, mut in_string, mut escaped) = (Vec::new(), String::new(), false, false);
    for letter in expression.chars().chain([' ']) {
        if in_string {
            in_string = escaped || letter != '"';
            escaped = letter == '\\' && !escaped;
        } else if letter.is_alphanumeric() || matches!(letter, '_' | '.' | ':') {
            word.push(letter);
        } else {
            in_string = letter == '"';
            let mut path = std::mem::take(&mut word);
            if letter == '(' {
                path.truncate(path.rfind('.').unwrap_or(0));
            }
            let first = path.split('.').next().unwrap_or_default();
            if ["principal", "action", "resource", "context"].contains(&first) {
                found.push(path);
            }
        }
    }
    found
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operation, class, link, decision, by, failed, near } = self;
        let place = link.as_ref().map(|(task, agent)| format!(" in the place of task {task} of {agent}"));
        let mut text = format!("{operation} ({class}){}: {}", place.unwrap_or_default(), decision.as_str());
        for reason in by {
            let _ = write!(text, "\n  by {}", reason.policy);
            if let Some(why) = &reason.reason {
                let _ = write!(text, ": {why}");
            }
            if let Some(advice) = &reason.advice {
                let _ = write!(text, "\n     {advice}");
            }
        }
        for failure in failed {
            let _ = write!(text, "\n  {failure}");
        }
        if by.is_empty() && failed.is_empty() {
            text.push_str("\n  no policy permits it");
            for NearMiss { policy, unmet, values } in near {
                let _ = write!(text, "\n  {policy} would, if it were so that\n     {unmet}");
                for (path, value) in values {
                    let _ = write!(text, "\n     {path} is {value}");
                }
            }
        }
        f.write_str(&text)
    }
}
