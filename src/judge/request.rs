//! An operation of a call as Cedar's request and entities: the only translator.
//!
//! MUST put beside each request every entity that a policy can walk through: the action with its groups, the agent
//! with its groups, the service, the object. Cedar takes an absent one for one that is in no group.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};

use crate::call::{Args, Attributed, Call, Operation, SpiffeId};

use super::groups::Groups;
use super::names;
use super::schema::{Actions, ClassDiffers};
use super::slice::NoSlice;

/// Why a call cannot be put before the policies. The texts name no values: they go to the agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untranslatable {
    #[error(transparent)]
    Class(#[from] ClassDiffers),
    #[error("the policies that it falls under cannot be put together")]
    Slice(#[from] NoSlice),
    #[error("what is known of the call does not fit the schema")]
    Unfit(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn unfit(error: impl std::error::Error + Send + Sync + 'static) -> Untranslatable {
    Untranslatable::Unfit(Box::new(error))
}

/// One operation, put as a question.
#[derive(Debug)]
pub(super) struct Question {
    pub request: Request,
    pub entities: Entities,
}

/// The question whether `operation` of `call` may go on. `agent` is what [`agent`] makes.
pub(super) fn question(
    call: &Call<Attributed>,
    operation: &Operation,
    agent: Entities,
    actions: &Actions,
) -> Result<Question, Untranslatable> {
    let judged = actions.of(operation)?;
    let action = judged.entity.clone();
    let (resource, things) = things(operation, actions)?;
    let principal = names::agent(call.stage().principal.agent.as_str());
    let context = context(call, operation)?;
    // What the schema says of an action's requests it says of all like it, and it lists one of them.
    let like = Request::new(
        principal.clone(),
        judged.like.clone(),
        resource.clone(),
        context.clone(),
        Some(actions.schema()),
    );
    like.map_err(unfit)?;
    let request = Request::new(principal, action.uid(), resource, context, None).map_err(unfit)?;
    let entities = agent.upsert_entities(std::iter::once(action).chain(things), None).map_err(unfit)?;
    Ok(Question { request, entities })
}

/// The agent and its groups. The same for all its calls under one set of rules.
pub(super) fn agent(id: &SpiffeId, groups: &Groups) -> Result<Entities, Untranslatable> {
    let parents: Vec<_> = groups.of(id).map(names::group).collect();
    let attributes = [("trust_domain".to_owned(), text(id.trust_domain()))];
    let agent =
        Entity::new_with_tags(names::agent(id.as_str()), attributes, parents.clone(), []).map_err(unfit)?;
    let groups = parents.into_iter().map(Entity::with_uid);
    Entities::from_entities(std::iter::once(agent).chain(groups), None).map_err(unfit)
}

/// The service, and the object if the catalog told one: the more exact of the two is the resource.
fn things(operation: &Operation, actions: &Actions) -> Result<(EntityUid, Vec<Entity>), Untranslatable> {
    let service = names::service(&operation.service);
    let catalogued = RestrictedExpression::new_bool(actions.catalogues(&operation.service));
    let none = || RestrictedExpression::new_set([]);
    let attributes = HashMap::from([
        ("service".to_owned(), text(&operation.service.0)),
        ("catalogued".to_owned(), catalogued),
        ("labels".to_owned(), none()),
    ]);
    let mut things = vec![Entity::new(service.clone(), attributes.clone(), HashSet::new()).map_err(unfit)?];
    let Some(object) = &operation.resource else { return Ok((service, things)) };
    // Outermost first: what lies in something lies in all that this lies in.
    let (mut parents, mut known) = (HashSet::from([service]), HashSet::new());
    let labels = RestrictedExpression::new_set(operation.facts.labels.iter().map(|label| text(label)));
    let ancestors = operation.facts.ancestors.iter().rev().filter(|outer| *outer != object);
    let ancestors = ancestors.map(|object| (object, none()));
    let uid = names::resource(&operation.service, object);
    for (object, labels) in ancestors.chain([(object, labels)]) {
        let is = names::resource(&operation.service, object);
        if !known.insert(is.clone()) {
            continue;
        }
        let mut attributes = attributes.clone();
        attributes.insert("kind".to_owned(), text(&object.kind));
        attributes.insert("id".to_owned(), text(&object.id));
        attributes.insert("labels".to_owned(), labels);
        things.push(Entity::new(is.clone(), attributes, parents.clone()).map_err(unfit)?);
        parents.insert(is);
    }
    Ok((uid, things))
}

/// What the request says, as far as the catalog can tell.
fn args(args: &Args) -> Result<RestrictedExpression, Untranslatable> {
    let mut fields = vec![
        ("domains".to_owned(), RestrictedExpression::new_set(args.domains.iter().map(|domain| text(domain)))),
        ("unclear".to_owned(), RestrictedExpression::new_bool(args.unclear)),
    ];
    let texts = [("currency", &args.currency), ("visibility", &args.visibility), ("branch", &args.branch)];
    for (name, value) in texts {
        fields.extend(value.iter().map(|value| (name.to_owned(), text(value))));
    }
    let counts = [("recipients", args.recipients), ("external", args.external), ("rows", args.rows)];
    for (name, value) in counts {
        fields.extend(value.map(|value| (name.to_owned(), long(value))));
    }
    fields.extend(args.amount.map(|amount| ("amount".to_owned(), RestrictedExpression::new_long(amount))));
    RestrictedExpression::new_record(fields).map_err(unfit)
}

fn context(call: &Call<Attributed>, operation: &Operation) -> Result<Context, Untranslatable> {
    let (head, stage) = (call.head(), call.stage());
    let labels = stage.task.labels.iter().map(|(key, value)| text(&format!("{key}={value}")));
    let task = record([
        ("id", text(&stage.task.id.to_string())),
        ("intent", text(stage.task.intent.as_str())),
        ("labels", RestrictedExpression::new_set(labels)),
    ])?;
    let history = record([
        ("reads", long(stage.history.reads)),
        ("acts", long(stage.history.acts)),
        ("delegates", long(stage.history.delegates)),
        ("denials", long(stage.history.denials)),
        ("service_seen", RestrictedExpression::new_bool(stage.history.service_seen)),
        ("operation_seen", RestrictedExpression::new_bool(stage.history.operation_seen)),
    ])?;
    let http = record([
        ("scheme", text(head.origin.scheme.as_str())),
        ("host", text(&head.origin.host.to_string())),
        ("port", long(head.origin.port.into())),
        ("method", text(head.method.as_str())),
        ("path", text(head.target.path())),
    ])?;
    Context::from_pairs([
        ("task".to_owned(), task),
        ("history".to_owned(), history),
        ("http".to_owned(), http),
        ("recognition".to_owned(), text(operation.how.as_str())),
        ("direction".to_owned(), text(operation.direction().as_str())),
        ("drifted".to_owned(), RestrictedExpression::new_bool(operation.facts.drifted)),
        ("args".to_owned(), args(&operation.facts.args)?),
        ("evidence".to_owned(), text(stage.principal.evidence.as_str())),
        ("approved".to_owned(), RestrictedExpression::new_bool(false)),
        ("time".to_owned(), RestrictedExpression::new_datetime(head.at.to_string())),
    ])
    .map_err(unfit)
}

fn record<const N: usize>(
    fields: [(&str, RestrictedExpression); N],
) -> Result<RestrictedExpression, Untranslatable> {
    RestrictedExpression::new_record(fields.map(|(name, value)| (name.to_owned(), value))).map_err(unfit)
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// Cedar's integers are signed; a count beyond their range stays at its end.
fn long(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}
