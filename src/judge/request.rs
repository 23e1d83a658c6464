//! An operation of a call as Cedar's request and entities: the only translator.
//!
//! MUST put beside each request every entity that a policy can walk through: the action with its groups, the agent
//! with its groups, the service, the object. Cedar takes an absent one for one that is in no group.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid, Request, RestrictedExpression};

use crate::call::{AgentProfile, Attributed, Call, History, Operation, SpiffeId, Task};

use super::context::{self, Shape};
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

/// Whether a person is taken to have approved the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approved {
    /// Nobody has.
    No,
    /// As if somebody had: what would be ruled then.
    AsIf,
}

/// One operation, put as a question.
#[derive(Debug)]
pub(super) struct Question {
    pub request: Request,
    pub entities: Entities,
}

/// In whose place a call is judged: in that of the agent that makes it, or of one that delegated to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub task: &'a Task,
    pub history: &'a History,
    pub profile: &'a AgentProfile,
}

impl<'a> Asker<'a> {
    /// Who makes the call.
    #[cfg(test)]
    pub(super) fn own(call: &'a Call<Attributed>) -> Self {
        let stage = call.stage();
        Asker { task: &stage.task, history: &stage.history, profile: &stage.profile }
    }

    /// Who makes the call, then everybody that it was delegated by, nearest first.
    pub(super) fn all(call: &'a Call<Attributed>) -> impl Iterator<Item = Self> {
        let stage = call.stage();
        let own = Asker { task: &stage.task, history: &stage.history, profile: &stage.profile };
        let above = stage.links.iter();
        let above =
            above.map(|link| Asker { task: &link.task, history: &link.history, profile: &link.profile });
        std::iter::once(own).chain(above)
    }
}

/// The question whether `operation` of `call` may go on for `asker`. `agent` is what [`agent`] makes.
pub(super) fn question(
    call: &Call<Attributed>,
    asker: Asker<'_>,
    operation: &Operation,
    approved: Approved,
    agent: Entities,
    actions: &Actions,
) -> Result<Question, Untranslatable> {
    let judged = actions.of(operation)?;
    let action = judged.entity.clone();
    let (resource, things) = things(operation, actions)?;
    let principal = names::agent(asker.task.agent.as_str());
    let context = context::of(call, asker, operation, approved).map_err(unfit)?;
    // What the schema says of an action's requests it says of all like it, and it lists one of them; and what it says of
    // one request it says of all of the same shape.
    let shape = Shape::of(judged.like, &resource, &operation.facts.args);
    if !actions.fits(&shape) {
        let like = Request::new(
            principal.clone(),
            judged.like.clone(),
            resource.clone(),
            context.clone(),
            Some(actions.schema()),
        );
        like.map_err(unfit)?;
        actions.note_fit(shape);
    }
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

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}
