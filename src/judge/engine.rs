//! The one place that rules. Every way in which an evaluation can go wrong is a deny.
//!
//! Cedar's own answer is not enough: a policy that errs is skipped, a `forbid` too, and the answer may still be Allow.
//! So any error in an answer denies, whatever the answer is (INVARIANT I8).
//!
//! Cedar knows allow and deny. Hold is a third thing that is made of two answers: where nothing but forbids with `@hold`
//! stands against a call, and the same question with `context.approved` true is allowed, a person may let it through. If
//! anything else stands against it, or the second question fails, it is a deny: nobody is asked for an approval in vain.
//! A call that comes with an approval is asked both questions too, and gets the second answer if people were asked about
//! every policy that stands against it now.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cedar_policy::Policy;
use moka::sync::Cache;

use crate::call::{
    Approval, Attributed, Call, Decision, Operation, PolicyId, Reason, Recognition, RulesDigest, Ruling, Task,
};

use super::footprint::Footprint;
use super::groups::Groups;
use super::load::Loaded;
use super::names;
use super::request::{self, Approved, Asker, Question, Untranslatable};
use super::scene::{self, Cast, Scene, Stage};
use super::schema::Actions;
use super::slice::Index;
use super::twin::{Templates, Twins};
use super::vocabulary::Named;
use super::weigh::{Answer, Weight, weigh};

/// Stages that are kept; those used least go first and are set anew when they are wanted again.
const KEPT_STAGES: u64 = 8_192;
/// A call that takes longer is denied: the policies, or the machine, are in no state to let anything out. Cedar always comes to an
/// end (it has no loops) and cannot be stopped on its way, so this is looked at before and after each question.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Notes that are told of one call; it may be a batch of a thousand operations.
const TOLD_NOTES: usize = 8;

/// Rules in force. Never change: other rules are another value.
#[derive(Debug)]
pub struct Rules {
    digest: RulesDigest,
    pub(super) index: Index,
    pub(super) templates: Templates,
    pub(super) actions: Actions,
    pub(super) groups: Groups,
    named: Named,
    /// What of the context the policies look at.
    pub(super) read: Footprint,
    with_tasks: bool,
    stages: Cache<Cast, Arc<Stage>>,
    time_limit: Duration,
}

/// What is said of one operation.
struct Verdict {
    decision: Decision,
    reasons: Vec<Reason>,
    note: Option<String>,
}

impl Verdict {
    fn deny(reasons: Vec<Reason>, note: Option<String>) -> Self {
        Self { decision: Decision::Deny, reasons, note }
    }

    /// Nothing but policies that an approval lifts stands against it, and nothing failed (which would be noted).
    fn may_be_held(&self) -> bool {
        self.decision == Decision::Deny
            && self.note.is_none()
            && !self.reasons.is_empty()
            && self.reasons.iter().all(|reason| reason.hold.is_some())
    }

    /// Whether people were asked about every policy that stands against it.
    fn is_lifted_by(&self, approval: &Approval) -> bool {
        self.reasons.iter().all(|reason| approval.policies().contains(&reason.policy))
    }
}

impl Rules {
    pub(super) fn of(loaded: Loaded, digest: RulesDigest) -> Self {
        let Loaded { policies, templates, read, actions, groups, named } = loaded;
        let (index, with_tasks) = (Index::of(policies), scene::asks_for_tasks(&read));
        let (stages, time_limit) = (Cache::new(KEPT_STAGES), TIME_LIMIT);
        Self { digest, index, templates, actions, groups, named, read, with_tasks, stages, time_limit }
    }

    #[cfg(test)]
    pub(super) fn within(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Rules on a call. A call with several operations is allowed if each of them is, and held if none of them is denied;
    /// the reasons of a deny are those of the operations that are denied. Never fails: an error is a deny.
    pub fn rule(&self, call: &Call<Attributed>) -> Ruling {
        let operations = &call.stage().operations;
        let strongest = operations.strongest();
        let began = Instant::now();
        let one = |operation| {
            Asker::all(call).map(move |asker| (operation, self.judge(call, asker, operation, began)))
        };
        let mut verdicts: Vec<_> = operations.iter().flat_map(one).collect();
        let one_is = |decision| verdicts.iter().any(|(_, verdict)| verdict.decision == decision);
        let decision = [Decision::Deny, Decision::Hold].into_iter().find(|decision| one_is(*decision));
        let decision = decision.unwrap_or(Decision::Allow);
        if decision == Decision::Allow {
            // The permits that are told are those of the agent that makes the call.
            let own = 1 + call.stage().links.len();
            verdicts = verdicts.into_iter().step_by(own).collect();
        }
        let (mut reasons, mut notes) = (Vec::new(), Vec::new());
        for (operation, verdict) in verdicts.into_iter().filter(|(_, verdict)| verdict.decision == decision) {
            reasons.extend(verdict.reasons);
            // The refusal is headed by the strongest operation; what is said of another has to name it.
            notes.extend(verdict.note.map(|note| {
                if operation.id == strongest.id {
                    note
                } else {
                    format!("`{}` ({}): {note}", operation.id, operation.class)
                }
            }));
        }
        reasons.sort_by(|a, b| a.policy.cmp(&b.policy));
        reasons.dedup();
        notes.dedup();
        let more = notes.len().saturating_sub(TOLD_NOTES);
        if more > 0 {
            notes.truncate(TOLD_NOTES);
            notes.push(format!("and so on, {more} more"));
        }
        let note = (!notes.is_empty()).then(|| notes.join("; ").into());
        Ruling::assertion(decision, reasons, note, self.digest)
    }

    /// The digest over schema, groups and policies.
    pub fn digest(&self) -> RulesDigest {
        self.digest
    }

    /// What the policies name of the catalog.
    pub(super) fn named(&self) -> &Named {
        &self.named
    }

    /// The names of all policies and templates, sorted.
    pub fn policies(&self) -> Vec<PolicyId> {
        let templates = self.templates.general().map(Weight::reason);
        let all = self.index.reasons().chain(templates);
        let mut ids: Vec<_> = all.map(|reason| reason.policy.clone()).collect();
        ids.sort();
        ids
    }

    /// All policies, and templates with nothing in the place of their slots.
    pub(super) fn all_policies(&self) -> impl Iterator<Item = &Policy> {
        self.index.policies().chain(self.templates.general().map(Weight::policy))
    }

    /// How many actions policies can tell apart.
    pub fn actions(&self) -> usize {
        self.actions.len()
    }

    /// What is said of one operation in the place of one asker. Where that is not the agent itself, a refusal names
    /// the link of the chain that it comes from (INVARIANT I6).
    fn judge(
        &self,
        call: &Call<Attributed>,
        asker: Asker<'_>,
        operation: &Operation,
        began: Instant,
    ) -> Verdict {
        let mut verdict = self.judge_alone(call, asker, operation, began);
        if asker.task.id != call.stage().task.id && verdict.decision != Decision::Allow {
            let Task { id, agent, .. } = asker.task;
            let link =
                format!("task `{id}` of `{agent}`, which it was delegated from, could not make this call");
            verdict.note = Some(verdict.note.map_or(link.clone(), |note| format!("{link}: {note}")));
        }
        verdict
    }

    fn judge_alone(
        &self,
        call: &Call<Attributed>,
        asker: Asker<'_>,
        operation: &Operation,
        began: Instant,
    ) -> Verdict {
        let ask = |approved| self.ask_in_time(call, asker, operation, approved, began);
        let verdict = ask(Approved::No);
        if !verdict.may_be_held() {
            return verdict;
        }
        let lifted = ask(Approved::AsIf);
        let given = call.stage().approval.as_deref().is_some_and(|approval| verdict.is_lifted_by(approval));
        if given && lifted.decision == Decision::Allow { lifted } else { held(verdict, lifted) }
    }

    fn ask_in_time(
        &self,
        call: &Call<Attributed>,
        asker: Asker<'_>,
        operation: &Operation,
        approved: Approved,
        began: Instant,
    ) -> Verdict {
        let in_time = || began.elapsed() <= self.time_limit;
        let verdict = in_time().then(|| self.ask(call, asker, operation, approved));
        verdict.filter(|_| in_time()).unwrap_or_else(|| {
            tracing::error!(call.id = %call.head().id, op.id = %operation.id, "judged too slowly; denied");
            let limit = self.time_limit.as_millis();
            Verdict::deny(Vec::new(), Some(format!("the policies took longer than {limit} ms")))
        })
    }

    fn ask(
        &self,
        call: &Call<Attributed>,
        asker: Asker<'_>,
        operation: &Operation,
        approved: Approved,
    ) -> Verdict {
        let twins = self.templates.twins(asker.task);
        match self.say(call, asker, operation, approved, &twins) {
            Ok(answer) => self.verdict(operation, &answer, &twins),
            Err(error) => {
                tracing::error!(call.id = %call.head().id, op.id = %operation.id, error = ?error, "not judged");
                Verdict::deny(Vec::new(), Some(error.to_string()))
            }
        }
    }

    /// What is ruled on one operation in the place of one asker alone.
    pub(super) fn decision(
        &self,
        call: &Call<Attributed>,
        asker: Asker<'_>,
        operation: &Operation,
    ) -> Decision {
        self.judge_alone(call, asker, operation, Instant::now()).decision
    }

    /// What the policies, and these twins beside them, say to any question, even one that is not made of a call.
    pub(super) fn answer<'w>(
        &'w self,
        question: &Question,
        twins: &'w Twins,
    ) -> Result<Answer<'w>, Untranslatable> {
        let Question { request, entities } = question;
        let slice = self.index.slice(request, entities)?;
        Ok(weigh(request, entities, self.index.within(&slice).chain(twins.weights())))
    }

    /// What they say of one operation of a call, in the place of one asker, whose twins MUST be given.
    pub(super) fn say<'w>(
        &'w self,
        call: &Call<Attributed>,
        asker: Asker<'_>,
        operation: &Operation,
        approved: Approved,
        twins: &'w Twins,
    ) -> Result<Answer<'w>, Untranslatable> {
        let scene = self.scene(asker, operation, self.with_tasks)?;
        let request = request::request(call, asker, operation, approved, &scene, &self.read, &self.actions)?;
        Ok(weigh(&request, scene.entities(), self.index.within(scene.slice()).chain(twins.weights())))
    }

    /// The same as a question, with all that policies could ask for.
    pub(super) fn question(
        &self,
        call: &Call<Attributed>,
        asker: Asker<'_>,
        operation: &Operation,
        approved: Approved,
    ) -> Result<Question, Untranslatable> {
        let scene = self.scene(asker, operation, true)?;
        let read = Footprint::whole();
        let request = request::request(call, asker, operation, approved, &scene, &read, &self.actions)?;
        Ok(Question { request, entities: scene.entities().clone() })
    }

    fn scene(
        &self,
        asker: Asker<'_>,
        operation: &Operation,
        with_tasks: bool,
    ) -> Result<Scene, Untranslatable> {
        let judged = self.actions.of(operation)?;
        let cast = Cast::of(asker, operation, judged, with_tasks);
        let stage = if let Some(known) = self.stages.get(&cast) {
            known
        } else {
            let stage = Arc::new(cast.stage(judged, &self.groups, &self.actions, &self.index)?);
            self.stages.insert(cast, stage.clone());
            stage
        };
        Scene::of(stage, operation, &self.index)
    }

    fn verdict(&self, operation: &Operation, answer: &Answer<'_>, twins: &Twins) -> Verdict {
        let mut reasons: Vec<_> = answer.determining().iter().map(|weight| weight.reason().clone()).collect();
        let mut errors: Vec<_> = answer.failures().iter().map(ToString::to_string).collect();
        errors.sort();
        if !errors.is_empty() {
            tracing::error!(op.id = %operation.id, errors = ?errors, "a policy failed");
            if answer.allows() {
                reasons.clear(); // permits: they did not determine this deny
            }
            return Verdict::deny(reasons, Some(errors.join("; ")));
        }
        if answer.allows() && !reasons.is_empty() {
            return Verdict { decision: Decision::Allow, reasons, note: None };
        }
        let note = reasons.is_empty().then(|| {
            let note = nothing_permits(operation, &self.actions);
            twins.missing().map_or(note.clone(), |missing| format!("{note}; {missing}"))
        });
        Verdict::deny(reasons, note)
    }
}

/// A hold, if the call would be allowed were it approved; otherwise the deny that it is, with what else stands against it.
fn held(denied: Verdict, approved: Verdict) -> Verdict {
    if approved.decision == Decision::Allow {
        return Verdict { decision: Decision::Hold, ..denied };
    }
    let mut reasons = denied.reasons;
    reasons.extend(approved.reasons);
    let note = approved.note.unwrap_or_else(|| "a policy that no approval lifts forbids it too".to_owned());
    Verdict::deny(reasons, Some(format!("an approval would not change that: {note}")))
}

/// What an operator would write to permit it: people copy what they are shown, so it is as narrow as the scope can
/// say. An operation that the catalog only infers has no name that a policy could use.
fn nothing_permits(operation: &Operation, actions: &Actions) -> String {
    let service = names::service(&operation.service);
    let mut policy =
        String::from("no policy permits it; an operator can, with `@id(\"…\") permit (principal, action ");
    let known = actions.catalogues(&operation.service);
    let _ = match (known, operation.how) {
        (true, Recognition::Exact) => write!(policy, "== {}, resource", names::action(&operation.id.0)),
        _ => write!(policy, "in {}, resource in {service}", names::action(operation.class.as_str())),
    };
    policy.push_str(");`");
    policy
}
