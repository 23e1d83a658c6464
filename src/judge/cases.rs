//! Test cases in the form of Cedar's own `run-tests`: a request in Cedar's words, entities, and what is expected.
//!
//! What a node adds to a request is added here: the action with its groups, the agent with its groups where the case does not list
//! it, and the task as an entity where the case only says its id. Everything else is the case's business, and held against the
//! schema. The ruling is remit's: where Cedar would pass by a policy that fails, remit denies.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Context, Entities, EntityUid, Request};
use serde::Deserialize;
use serde_json::{Value, json};

use super::engine::Rules;
use super::error::{Cause, Problem};
use super::lab::{Failure, Report};
use super::names::{self, Literal};
use super::request::Question;
use super::scene;
use super::source::SourceFile;
use super::twin::Twins;
use super::vocabulary::Vocabulary;
use crate::call::{
    AgentProfile, Claims, Class, Decision, Facts, Operation, OperationId, PolicyId, Recognition, ServiceName,
    SpiffeId,
};

/// As Cedar's command line reads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    request: Asked,
    #[serde(default)]
    entities: Given,
    decision: Decision,
    /// Policies that have to be among those that decided.
    #[serde(default)]
    reason: Vec<String>,
    /// Policies that fail.
    #[serde(default)]
    num_errors: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    principal: String,
    action: String,
    resource: String,
    #[serde(default)]
    context: Option<Value>,
}

/// Entities, or the file beside this one that has them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Here(Vec<Value>),
    In(String),
}

impl Default for Given {
    fn default() -> Self {
        Self::Here(Vec::new())
    }
}

/// Runs the cases of all files that are JSON. A file that another one takes its entities from has no cases.
pub(super) fn run(
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
    files: &[SourceFile],
    report: &mut Report,
    problems: &mut Vec<Problem>,
) {
    let files: BTreeMap<_, _> = files.iter().map(|file| (file.name.as_str(), file)).collect();
    let json = || files.values().filter(|file| is_json(file));
    let mut of_entities = BTreeSet::new();
    let mut read = Vec::new();
    for file in json() {
        match serde_json::from_str::<Vec<Case>>(&file.text) {
            Ok(cases) => {
                let elsewhere = cases.iter().filter_map(|case| match &case.entities {
                    Given::In(name) => Some(beside(&file.name, name)),
                    Given::Here(_) => None,
                });
                of_entities.extend(elsewhere);
                read.push((*file, Ok(cases)));
            }
            Err(error) => read.push((*file, Err(error))),
        }
    }
    for (file, cases) in read {
        match cases {
            Err(_) if of_entities.contains(&file.name) => {}
            Err(error) => problems.push(no_case(file, &error)),
            Ok(cases) => {
                for (number, case) in (1..).zip(cases) {
                    let name = case.name.clone().unwrap_or_else(|| format!("case {number}"));
                    match judge(rules, vocabulary, &files, file, &name, case) {
                        Ok(None) => report.passed += 1,
                        Ok(Some(failure)) => report.failures.push(failure),
                        Err(why) => {
                            let cause = Cause::Cases(format!("{name}: {why}"));
                            problems.push(Problem::in_file(&file.name, cause));
                        }
                    }
                }
            }
        }
    }
}

/// Whether the cases of a file are in Cedar's form.
pub(super) fn is_json(file: &SourceFile) -> bool {
    file.name.rsplit_once('.').is_some_and(|(_, end)| end == "json")
}

/// The name within the set of a file that `file` names.
fn beside(file: &str, name: &str) -> String {
    file.rsplit_once('/').map_or_else(|| name.to_owned(), |(folder, _)| format!("{folder}/{name}"))
}

fn no_case(file: &SourceFile, error: &serde_json::Error) -> Problem {
    let before: usize =
        file.text.lines().take(error.line().saturating_sub(1)).map(|line| line.len() + 1).sum();
    let at = before + error.column().saturating_sub(1);
    Problem::at(file, at.min(file.text.len()), 1, Cause::Cases(error.to_string()))
        .remedy("a list of {name, request: {principal, action, resource, context}, entities, decision, reason, num_errors} is wanted")
}

fn judge(
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
    files: &BTreeMap<&str, &SourceFile>,
    file: &SourceFile,
    name: &str,
    case: Case,
) -> Result<Option<Failure>, String> {
    let given = match &case.entities {
        Given::Here(list) => list.clone(),
        Given::In(other) => {
            let there = files.get(beside(&file.name, other).as_str());
            let there = there.ok_or_else(|| format!("there is no `{other}` beside it"))?;
            serde_json::from_str(&there.text).map_err(|error| format!("{other}: {error}"))?
        }
    };
    let question = question(rules, vocabulary, case.request, given)?;
    // No task, no links.
    let twins = Twins::default();
    let answer = rules.answer(&question, &twins).map_err(|error| error.to_string())?;
    let errors: Vec<_> = answer.failures().iter().map(ToString::to_string).collect();
    let mut got: Vec<_> = answer.determining().iter().map(|weight| weight.reason().policy.clone()).collect();
    got.sort();
    let allowed = answer.allows() && errors.is_empty();
    let decision = if allowed { Decision::Allow } else { Decision::Deny };
    let wanted: Vec<_> = case.reason.iter().map(|id| PolicyId(id.as_str().into())).collect();
    let as_expected = decision == case.decision && wanted.iter().all(|id| got.contains(id));
    if as_expected && errors.len() == case.num_errors {
        return Ok(None);
    }
    let count = (errors.len() != case.num_errors)
        .then(|| format!("{} policies failed and {} were to", errors.len(), case.num_errors));
    let note = count.into_iter().chain(errors).collect::<Vec<_>>().join("; ");
    Ok(Some(Failure {
        file: file.name.clone(),
        case: name.to_owned(),
        expected: (case.decision, wanted),
        got: (decision, got),
        note: (!note.is_empty()).then_some(note),
    }))
}

fn question(
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
    asked: Asked,
    given: Vec<Value>,
) -> Result<Question, String> {
    let uid = |text: &str| text.parse::<EntityUid>().map_err(|error| format!("`{text}`: {error}"));
    let (principal, action, resource) = (uid(&asked.principal)?, uid(&asked.action)?, uid(&asked.resource)?);
    // The actions are ours to say.
    let is_action = |entity: &Value| entity.pointer("/uid/type").is_some_and(|of| of == "Action");
    let given = Value::Array(given.into_iter().filter(|entity| !is_action(entity)).collect());
    let schema = rules.actions.schema();
    let entities = Entities::from_json_value(given, Some(schema)).map_err(|error| chain(&error))?;
    let operation = operation(rules, vocabulary, &action, &resource, &entities)?;
    let judged = rules.actions.of(&operation).map_err(|error| error.to_string())?;
    let mut context = asked.context.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    name_task(&mut context);
    let context =
        Context::from_json_value(context, Some((schema, judged.like))).map_err(|error| chain(&error))?;
    let like =
        Request::new(principal.clone(), judged.like.clone(), resource.clone(), context.clone(), Some(schema));
    like.map_err(|error| chain(&error))?;
    let mut more = vec![judged.entity.clone()];
    if entities.get(&principal).is_none()
        && let Literal::Agent(id) = Literal::of(&principal)
        && let Ok(id) = SpiffeId::parse(id)
    {
        let unregistered = AgentProfile::default();
        more.extend(
            scene::agent(&id, &unregistered, &Claims::default(), &rules.groups)
                .map_err(|error| chain(&error))?,
        );
    }
    let request = Request::new(principal, judged.entity.uid(), resource, context, None)
        .map_err(|error| chain(&error))?;
    let entities = entities.upsert_entities(more, None).map_err(|error| chain(&error))?;
    Ok(Question { request, entities })
}

/// The task as an entity follows from its id.
fn name_task(context: &mut Value) {
    let Some(task) = context.get_mut("task").and_then(Value::as_object_mut) else { return };
    let id = task.get("id").cloned();
    if let Some(id @ Value::String(_)) = id {
        task.entry("entity").or_insert_with(|| json!({"__entity": {"type": "Task", "id": id}}));
    }
}

/// What a call with this action would be: an operation of the catalog, one that it cannot name, or, as `policy verify` writes
/// it, what stands for all others of a class.
fn operation(
    rules: &Rules,
    vocabulary: &dyn Vocabulary,
    action: &EntityUid,
    resource: &EntityUid,
    entities: &Entities,
) -> Result<Operation, String> {
    let Literal::Action(id) = Literal::of(action) else { return Err(format!("`{action}` is no action")) };
    let unknown = Class::ALL.into_iter().find(|class| *OperationId::unknown(*class).0 == *id);
    let rest = Class::ALL.into_iter().find_map(|class| {
        let service = id.strip_suffix(&format!(":*{class}"))?;
        Some((ServiceName(service.into()), class))
    });
    let (service, class) = match (vocabulary.operation(id), unknown, rest) {
        (Some(found), ..) => found,
        (_, Some(class), _) => (service(resource, entities), class),
        (.., Some((service, class))) if *service.0 == *names::OTHERS => {
            let named = rules.named().services();
            let other = vocabulary.services().into_iter().find(|service| !named.contains(service));
            (other.ok_or("policies name all services of the catalog")?, class)
        }
        (.., Some(found)) => found,
        _ => return Err(format!("the catalog has no operation `{id}`")),
    };
    Ok(Operation {
        id: OperationId(id.into()),
        service,
        class,
        resource: None,
        how: Recognition::Exact,
        facts: Facts::default(),
        because: "the case says so".into(),
        ai: None,
    })
}

/// The service that a resource is, or lies in.
fn service(resource: &EntityUid, entities: &Entities) -> ServiceName {
    let above = entities.ancestors(resource).into_iter().flatten();
    let mut all = std::iter::once(resource).chain(above);
    let found = all.find_map(|uid| match Literal::of(uid) {
        Literal::Service(name) => Some(ServiceName(name.into())),
        _ => None,
    });
    found.unwrap_or_else(|| ServiceName("".into()))
}

/// An error with what is behind it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.replace(char::is_control, " ")
}
