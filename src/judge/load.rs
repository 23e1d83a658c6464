//! From text to rules: read, name, look up, validate. Everything that is wrong is told at once, and nothing that is wrong
//! is left out to save the rest.

use std::collections::{HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::Arc;

use cedar_policy::{Entities, Policy, PolicySet, PolicySetError, ValidationMode, Validator};
use miette::Diagnostic;

use super::draft::{self, Draft, Earlier};
use super::engine::Rules;
use super::error::{Cause, LoadErrors, Problem};
use super::footprint::Footprint;
use super::groups::Groups;
use super::request::{self, Approved, Asker, Untranslatable};
use super::scenario::Scenario;
use super::scene::{Cast, Scene};
use super::schema::{Actions, Types};
use super::shape::{self, Numbers, Shape};
use super::slice::Index;
use super::source::{PolicySource, SourceFile};
use super::twin::Templates;
use super::vocabulary::{Checker, Named, Vocabulary};
use super::weigh::Weight;

/// Policies for which a thread of its own is worth having.
const A_THREADS_WORTH: usize = 256;

/// What `engine` judges by.
#[derive(Debug)]
pub(super) struct Loaded {
    pub policies: Vec<Arc<Weight>>,
    pub templates: Templates,
    /// What of the context they look at, templates too.
    pub read: Footprint,
    pub actions: Actions,
    pub groups: Groups,
    pub named: Named,
}

/// Loads policy sets one after the other, and looks again only at what is new in each.
#[derive(Debug, Default)]
pub struct Loader {
    /// The schema's file and what it holds: all that is below was found out under it.
    schema: Option<(SourceFile, Arc<Types>)>,
    shapes: HashMap<Shape, Arc<Validator>>,
    /// Policies that were sound.
    policies: Earlier,
    /// Those of them that are valid if they are of this shape.
    valid: HashSet<(Box<str>, Shape)>,
}

/// A draft with what it names.
type Sound<'d, 'f> = (&'d Draft<'f>, Named);

impl Rules {
    /// Loads a policy set, or says everything that is wrong with it.
    pub fn load(source: &PolicySource, vocabulary: &dyn Vocabulary) -> Result<Self, LoadErrors> {
        Loader::default().load(source, vocabulary)
    }
}

impl Loader {
    /// Loads a policy set, or says everything that is wrong with it.
    pub fn load(&mut self, source: &PolicySource, vocabulary: &dyn Vocabulary) -> Result<Rules, LoadErrors> {
        Ok(Rules::of(self.read(source, vocabulary)?, source.digest()))
    }

    fn read(&mut self, source: &PolicySource, vocabulary: &dyn Vocabulary) -> Result<Loaded, LoadErrors> {
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
            drafts.extend(draft::read(file, &self.policies, &mut problems));
        }
        if drafts.is_empty() && problems.is_empty() {
            let names: Vec<_> = source.policies.iter().map(|file| file.name.as_str()).collect();
            problems.push(Problem::in_file(&names.join(", "), Cause::Empty).remedy("write a policy"));
        }
        problems.extend(draft::duplicates(&drafts));

        let checker = Checker::new(vocabulary, &groups);
        let (mut all, mut sound) = (Named::default(), Vec::new());
        for draft in &drafts {
            let (named, mut found) = checker.check(draft);
            all.add(&named);
            // Every group would look unknown, for one misplaced comma.
            found.retain(|problem| !(unparsed && is_group(problem)));
            if found.is_empty() {
                sound.push((draft, named));
            }
            problems.append(&mut found);
        }
        let types = self.types(&source.schema);
        match types.and_then(|types| Ok((types.actions(checker.services(), &all)?, types))) {
            Err(problem) => problems.push(problem),
            Ok((actions, types)) => {
                problems.extend(fits(&actions, &source.schema.name));
                problems.extend(self.validate(&sound, &types));
                LoadErrors::none_of(std::mem::take(&mut problems))?;
                self.remember(&drafts);
                let parsed = || drafts.iter().map(|draft| &draft.parsed);
                let policies = parsed().filter(|parsed| parsed.template.is_none());
                let policies = policies.map(|parsed| parsed.weight.clone()).collect();
                let templates = Templates::of(
                    parsed().filter_map(|parsed| Some((parsed.template.clone()?, parsed.weight.clone()))),
                );
                let read = Footprint::together(parsed().map(|parsed| &parsed.read));
                return Ok(Loaded { policies, templates, read, actions, groups, named: all });
            }
        }
        Err(LoadErrors::all(problems))
    }

    fn types(&mut self, file: &SourceFile) -> Result<Arc<Types>, Problem> {
        if let Some((known, types)) = &self.schema
            && known == file
        {
            return Ok(types.clone());
        }
        *self = Self { policies: std::mem::take(&mut self.policies), ..Self::default() };
        let types = Arc::new(Types::parse(file)?);
        self.schema = Some((file.clone(), types.clone()));
        Ok(types)
    }

    /// Keeps what the next load will most likely ask again, and nothing else.
    fn remember(&mut self, drafts: &[Draft<'_>]) {
        self.policies = drafts.iter().map(|draft| (draft.text.into(), draft.parsed.clone())).collect();
        let policies = &self.policies;
        self.valid.retain(|(text, _)| policies.contains_key(text));
    }

    /// Strict: an attribute that may be missing is asked for first, both sides of `==` have one type. Warnings count as
    /// errors: a policy that can never apply, or looks like other than it is, is not what its author meant.
    fn validate(&mut self, sound: &[Sound<'_, '_>], types: &Types) -> Vec<Problem> {
        let mut work = Vec::new();
        for (draft, named) in sound {
            let (shape, numbers) = Shape::of(named);
            let key = (Box::<str>::from(draft.text), shape);
            if !self.valid.contains(&key) {
                let validator = self.validator(&key.1, types);
                work.push(Work { draft, named, key, numbers, validator });
            }
        }
        let share = work.len().div_ceil(std::thread::available_parallelism().map_or(1, usize::from));
        let found: Vec<_> = std::thread::scope(|scope| {
            let run =
                |part: &[Work<'_, '_>]| part.iter().map(|work| work.problems(types)).collect::<Vec<_>>();
            let parts = work.chunks(share.max(A_THREADS_WORTH));
            let threads: Vec<_> = parts.map(|part| scope.spawn(move || run(part))).collect();
            // What was not validated to the end is not valid.
            let done =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|why| resume_unwind(why)));
            done.flatten().collect()
        });
        let mut problems = Vec::new();
        for (work, found) in work.into_iter().zip(found) {
            if found.is_empty() {
                self.valid.insert(work.key);
            }
            problems.extend(found);
        }
        problems
    }

    fn validator(&mut self, shape: &Shape, types: &Types) -> Option<Arc<Validator>> {
        if let Some(known) = self.shapes.get(shape) {
            return Some(known.clone());
        }
        let validator = Arc::new(Validator::new(types.with(&shape.named()).ok()?));
        self.shapes.insert(shape.clone(), validator.clone());
        Some(validator)
    }
}

/// A policy to be validated.
struct Work<'d, 'f> {
    draft: &'d Draft<'f>,
    named: &'d Named,
    key: (Box<str>, Shape),
    numbers: Numbers,
    validator: Option<Arc<Validator>>,
}

impl Work<'_, '_> {
    fn problems(&self, types: &Types) -> Vec<Problem> {
        let numbered = shape::numbered(&self.draft.parsed.policy, self.numbers.clone());
        let clean = self.validator.as_ref().zip(numbered).is_some_and(|(by, policy)| is_valid(&policy, by));
        if clean { Vec::new() } else { under_own_names(self.draft, self.named, types) }
    }
}

fn is_group(problem: &Problem) -> bool {
    matches!(&problem.cause, Cause::UnknownEntity { literal, .. } if literal.starts_with("Group::"))
}

/// A schema of the operator's own has to take what remit supplies: two made-up calls show it at load, and not each
/// real one by being refused.
fn fits(actions: &Actions, file: &str) -> Option<Problem> {
    let schema = actions.schema();
    let trial = |scenario: Scenario| -> Result<(), String> {
        let call = scenario.call(None).map_err(|error| error.to_string())?;
        let operation = call.stage().operations.strongest();
        let asker = Asker::own(&call);
        let judged = actions.of(operation).map_err(|error| error.to_string())?;
        let (cast, index) = (Cast::of(asker, operation, judged, true), Index::of(Vec::new()));
        let stage = cast.stage(judged, &Groups::default(), actions, &index).map_err(|e| told(&e))?;
        let scene = Scene::of(Arc::new(stage), operation, &index).map_err(|e| told(&e))?;
        let read = Footprint::whole();
        request::request(&call, asker, operation, Approved::No, &scene, &read, actions)
            .map_err(|e| told(&e))?;
        let things = scene.entities().clone().into_iter();
        let things = things.filter(|entity| entity.uid() != *scene.action());
        Entities::from_entities(things, Some(schema)).map(drop).map_err(|error| error.to_string())
    };
    let failed = [Scenario::at_service(), Scenario::at_object()].into_iter().find_map(|s| trial(s).err())?;
    let remedy = "policies can ask for what remit supplies, which is the schema in the binary, and no more";
    Some(Problem::in_file(file, Cause::Schema(failed)).remedy(remedy))
}

fn told(error: &Untranslatable) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn is_valid(policy: &Policy, validator: &Validator) -> bool {
    let Ok(alone) = PolicySet::from_policies([policy.clone()]) else { return false };
    let result = validator.validate(&alone, ValidationMode::Strict);
    result.validation_errors().next().is_none() && result.validation_warnings().next().is_none()
}

/// What is wrong with a policy, in words that its author knows.
fn under_own_names(draft: &Draft<'_>, named: &Named, types: &Types) -> Vec<Problem> {
    match types.with(named) {
        Ok(schema) => validate_one(draft, &Validator::new(schema)),
        Err(problem) => vec![problem],
    }
}

pub(super) fn validate_one(draft: &Draft<'_>, validator: &Validator) -> Vec<Problem> {
    // What Cedar says of a template points into its text; what it is linked to, it finds in the general form alone.
    let as_template = draft.parsed.template.iter().flat_map(|template| {
        let mut alone = PolicySet::new();
        validated(draft, alone.add_template(template.clone()).map(|()| alone), validator)
    });
    let problems: Vec<_> = as_template.collect();
    if !problems.is_empty() {
        return problems;
    }
    // One by one, so that two policies of one name are both looked at.
    validated(draft, PolicySet::from_policies([draft.parsed.policy.clone()]), validator)
}

fn validated(
    draft: &Draft<'_>,
    alone: Result<PolicySet, PolicySetError>,
    validator: &Validator,
) -> Vec<Problem> {
    let policy = draft.id();
    let alone = match alone {
        Ok(alone) => alone,
        Err(error) => {
            let cause = Cause::Invalid { policy: policy.to_owned(), why: error.to_string() };
            return vec![draft.point(&error, cause)];
        }
    };
    let result = validator.validate(&alone, ValidationMode::Strict);
    let errors = result.validation_errors().map(|error| {
        draft.point(error, Cause::Invalid { policy: policy.to_owned(), why: plain(error, policy) })
    });
    let warnings = result.validation_warnings().map(|warning| {
        let cause = Cause::NeverApplies { policy: policy.to_owned(), why: plain(warning, policy) };
        match draft.point(warning, cause) {
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
