//! From text to rules: read, name, look up, build the schema, validate. Everything that is wrong is told at once, and
//! nothing that is wrong is left out to save the rest.

use std::collections::HashMap;

use cedar_policy::{Entities, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::call::Reason;

use super::draft::{self, Draft, point};
use super::engine::Rules;
use super::error::{Cause, LoadErrors, Problem};
use super::groups::Groups;
use super::request::{self, Untranslatable};
use super::scenario::Scenario;
use super::schema::{self, Actions};
use super::source::PolicySource;
use super::vocabulary::{Checker, Named, Vocabulary};

/// What `engine` judges by.
#[derive(Debug)]
pub(super) struct Loaded {
    pub set: PolicySet,
    pub reasons: HashMap<cedar_policy::PolicyId, Reason>,
    pub schema: Schema,
    pub actions: Actions,
    pub groups: Groups,
}

impl Rules {
    /// Loads a policy set, or says everything that is wrong with it.
    pub fn load(source: &PolicySource, vocabulary: &dyn Vocabulary) -> Result<Self, LoadErrors> {
        Ok(Self::of(load(source, vocabulary)?, source.digest()))
    }
}

fn load(source: &PolicySource, vocabulary: &dyn Vocabulary) -> Result<Loaded, LoadErrors> {
    let mut problems = Vec::new();
    let groups = source.groups.as_ref().map(Groups::parse).transpose();
    let groups = groups.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let unparsed = !problems.is_empty();
    let groups = groups.unwrap_or_default();
    let mut drafts: Vec<_> = Vec::new();
    for file in &source.policies {
        drafts.extend(draft::read(file, &mut problems));
    }
    if drafts.is_empty() && problems.is_empty() {
        let names: Vec<_> = source.policies.iter().map(|file| file.name.as_str()).collect();
        problems.push(Problem::in_file(&names.join(", "), Cause::Empty).remedy("write a policy"));
    }
    problems.extend(draft::duplicates(&drafts));

    let checker = Checker::new(vocabulary, &groups);
    let mut named = Named::default();
    let mut sound = Vec::new();
    for draft in &drafts {
        let mut found = checker.check(draft, &mut named);
        // Every group would look unknown, for one misplaced comma.
        found.retain(|problem| !(unparsed && is_group(problem)));
        if found.is_empty() {
            sound.push(draft);
        }
        problems.append(&mut found);
    }
    match schema::build(&source.schema, checker.services(), &named) {
        Err(problem) => problems.push(problem),
        Ok((schema, actions)) => {
            problems.extend(fits(&schema, &actions, &source.schema.name));
            problems.extend(validate(&sound, &schema));
            LoadErrors::none_of(std::mem::take(&mut problems))?;
            let (set, reasons) = gather(&drafts)?;
            return Ok(Loaded { set, reasons, schema, actions, groups });
        }
    }
    Err(LoadErrors::all(problems))
}

fn is_group(problem: &Problem) -> bool {
    matches!(&problem.cause, Cause::UnknownEntity { literal, .. } if literal.starts_with("Group::"))
}

/// A schema of the operator's own has to take what remit supplies: two made-up calls show it at load, and not each
/// real one by being refused.
fn fits(schema: &Schema, actions: &Actions, file: &str) -> Option<Problem> {
    let trial = |scenario: Scenario| -> Result<(), String> {
        let call = scenario.call(None).map_err(|error| error.to_string())?;
        let operation = call.stage().operations.strongest();
        let agent =
            request::agent(&call.stage().principal.agent, &Groups::default()).map_err(|e| told(&e))?;
        let question = request::question(&call, operation, agent, actions, schema).map_err(|e| told(&e))?;
        let action = question.request.action().cloned();
        let things = question.entities.into_iter().filter(|entity| Some(entity.uid()) != action);
        Entities::from_entities(things, Some(schema)).map(drop).map_err(|error| error.to_string())
    };
    let failed = [Scenario::at_service(), Scenario::at_object()].into_iter().find_map(|s| trial(s).err())?;
    let remedy = "policies can ask for what remit supplies, which is the schema in the binary, and no more";
    Some(Problem::in_file(file, Cause::Schema(failed)).remedy(remedy))
}

fn told(error: &Untranslatable) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Strict: an attribute that may be missing is asked for first, both sides of `==` have one type. Warnings count as
/// errors: a policy that can never apply, or looks like other than it is, is not what its author meant.
fn validate(drafts: &[&Draft<'_>], schema: &Schema) -> Vec<Problem> {
    let validator = Validator::new(schema.clone());
    drafts.iter().flat_map(|draft| validate_one(draft, &validator)).collect()
}

fn validate_one(draft: &Draft<'_>, validator: &Validator) -> Vec<Problem> {
    // One by one, so that two policies of one name are both looked at.
    let Ok(alone) = PolicySet::from_policies([draft.policy.clone()]) else { return Vec::new() };
    let result = validator.validate(&alone, ValidationMode::Strict);
    let policy = draft.id();
    let errors = result.validation_errors().map(|error| {
        point(draft.file, error, Cause::Invalid { policy: policy.to_owned(), why: plain(error, policy) })
    });
    let warnings = result.validation_warnings().map(|warning| {
        let cause = Cause::NeverApplies { policy: policy.to_owned(), why: plain(warning, policy) };
        match point(draft.file, warning, cause) {
            problem if problem.remedy.is_some() => problem,
            problem => {
                problem.remedy("a policy that does nothing is a mistake: correct its scope or take it out")
            }
        }
    });
    // The validator looks at a policy once for each action, and finds the same each time.
    let mut problems: Vec<_> = errors.chain(warnings).collect();
    problems.sort_by_cached_key(ToString::to_string);
    problems.dedup();
    problems
}

/// What the validator says, less what we say ourselves: which policy, and under which of the many actions.
fn plain(error: &dyn Diagnostic, policy: &str) -> String {
    let text = error.to_string();
    let text = text.strip_prefix(&format!("for policy `{policy}`, ")).unwrap_or(&text);
    match text.split_once(" for Action::") {
        Some((what, under)) if under.ends_with(" not found") => format!("{what} not found"),
        _ => text.to_owned(),
    }
}

type Gathered = (PolicySet, HashMap<cedar_policy::PolicyId, Reason>);

fn gather(drafts: &[Draft<'_>]) -> Result<Gathered, LoadErrors> {
    let mut set = PolicySet::new();
    let mut reasons = HashMap::new();
    for draft in drafts {
        // A second of the same name was found before; should one slip through, it does not come in by this door.
        set.add(draft.policy.clone())
            .map_err(|error| LoadErrors::one(draft.problem("@id", Cause::Syntax(error.to_string()))))?;
        reasons.insert(draft.policy.id().clone(), draft.reason.clone());
    }
    Ok((set, reasons))
}
