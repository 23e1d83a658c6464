//! A request that contradicts a claim: put before the real engine, and told by what the policies read of it.

use cedar_policy::{Authorizer, Decision as CedarDecision, Policy, PolicySet};
use cedar_policy_symcc::Env;
use serde_json::{Value, json};

use super::Claim;
use super::pool;
use crate::call::{Decision, PolicyId};
use crate::judge::engine::Rules;
use crate::judge::explain;
use crate::judge::request::Question;

/// A request, and what is ruled on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Who, as a policy would write it.
    pub principal: String,
    /// The action, in words: it may stand for all operations that no policy names.
    pub action: String,
    /// What it is done to.
    pub resource: String,
    /// What the claim and the policies that decide ask for, with its value in this request.
    pub reads: Vec<(String, String)>,
    /// What is ruled, and by which policies.
    pub now: (Decision, Vec<PolicyId>),
    /// What was ruled by the older of two sets.
    pub then: Option<(Decision, Vec<PolicyId>)>,
    /// The request in the form of Cedar's `run-tests`, as it ought to be ruled: a case for `tests/*.json`.
    pub case: Value,
}

impl Example {
    /// Replays what the solver found; an error if the engine does not rule as the solver says.
    pub(super) fn of(
        asked: &pool::Question,
        found: Env,
        claim: &Claim,
        probe: Option<&Policy>,
        rules: &Rules,
        before: Option<&Rules>,
    ) -> Result<Self, String> {
        let (kind, (now, then)) = (&asked.kind, asked.what.policies());
        let Env { request, entities } = found;
        let entities = entities.upsert_entities([kind.entity()], None).map_err(|error| error.to_string())?;
        let question = Question { request, entities };
        let now = ruled(rules, &question, now)?;
        let then = before.map(|before| ruled(before, &question, then)).transpose()?;
        let described = probe.is_none_or(|probe| matches(probe, &question));
        let wanted = if claim.expect == "always" { Decision::Deny } else { Decision::Allow };
        let contradicts =
            described && now.0 == wanted && then.as_ref().is_none_or(|then| then.0 == Decision::Deny);
        if !contradicts {
            return Err(format!(
                "the solver names a request that contradicts it, but the engine says {} to that",
                now.0.as_str()
            ));
        }
        let mut reads = Vec::new();
        let decided = now.1.iter().chain(then.iter().flat_map(|then| &then.1));
        let decided: Vec<_> = decided.map(|id| cedar_policy::PolicyId::new(&*id.0)).collect();
        let all = std::iter::once(rules).chain(before).flat_map(Rules::all_policies);
        for policy in all.filter(|policy| decided.contains(policy.id())).chain(probe) {
            for part in explain::conditions(policy) {
                reads.extend(explain::values(&part, &question));
            }
        }
        reads.sort();
        reads.dedup();
        let uid = |uid: Option<&cedar_policy::EntityUid>| uid.map(ToString::to_string).unwrap_or_default();
        Ok(Self {
            principal: uid(question.request.principal()),
            action: kind.told(),
            resource: uid(question.request.resource()),
            reads,
            case: case(&claim.id, &question, wanted)?,
            now,
            then,
        })
    }
}

/// As the engine rules: a policy that fails denies. Templates that are among `asked` count as if they were linked.
fn ruled(rules: &Rules, question: &Question, asked: &[Policy]) -> Result<(Decision, Vec<PolicyId>), String> {
    let twins = rules.templates.supposed(asked);
    let answer = rules.answer(question, &twins).map_err(|error| error.to_string())?;
    let mut by: Vec<_> = answer.determining().iter().map(|weight| weight.reason().policy.clone()).collect();
    by.sort();
    let allowed = answer.allows() && answer.failures().is_empty();
    Ok((if allowed { Decision::Allow } else { Decision::Deny }, by))
}

fn matches(probe: &Policy, question: &Question) -> bool {
    let Ok(alone) = PolicySet::from_policies([probe.clone()]) else { return false };
    let answer = Authorizer::new().is_authorized(&question.request, &alone, &question.entities);
    answer.decision() == CedarDecision::Allow
}

fn case(id: &str, question: &Question, ruled: Decision) -> Result<Value, String> {
    let Question { request, entities } = question;
    let uid = |uid: Option<&cedar_policy::EntityUid>| uid.map(ToString::to_string).unwrap_or_default();
    let context = request.context().map(cedar_policy::Context::to_json_value).transpose();
    let context = context.map_err(|error| error.to_string())?;
    let mut entities = entities.to_json_value().map_err(|error| error.to_string())?;
    // remit supplies the actions.
    if let Some(list) = entities.as_array_mut() {
        list.retain(|entity| entity.pointer("/uid/type").is_none_or(|of| of != "Action"));
    }
    Ok(json!({
        "name": id,
        "request": {
            "principal": uid(request.principal()),
            "action": uid(request.action()),
            "resource": uid(request.resource()),
            "context": context,
        },
        "entities": entities,
        "decision": if ruled == Decision::Allow { "deny" } else { "allow" },
        "reason": [],
        "num_errors": 0,
    }))
}
