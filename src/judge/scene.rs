//! What of a request stays the same from call to call: who does what at which service, the entities that policies can walk
//! through, and the policies that can have a say in it. Made once for each agent, action and service, and kept while rules are in
//! force; the object that a call is about is put into it anew each time, since there are as many objects as calls.
//!
//! MUST put beside each request every entity that a policy can walk through: the action with its groups, the agent with its groups,
//! the service, the object and, where policies ask for them, the task and on whose behalf it is worked on. Cedar takes an absent
//! one for one that is in no group.

use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};
use cedar_policy_core::ast::{self, Literal, PartialValue, Value};
use cedar_policy_core::entities::{NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;

use crate::call::{AgentProfile, Claims, Operation, Resource, ServiceName, SpiffeId, Subject, TaskId};

use super::footprint::Footprint;
use super::groups::Groups;
use super::names;
use super::request::{Asker, Untranslatable, unfit};
use super::schema::{Actions, Judged};
use super::slice::{Index, Rack, Slice};

/// A stage: who does what, at which service.
#[derive(Debug)]
pub(super) struct Stage {
    principal: EntityUid,
    action: EntityUid,
    /// The action of the schema that is like it.
    like: EntityUid,
    service: EntityUid,
    catalogued: bool,
    entities: Entities,
    rack: Rack,
    /// Of what is about no object.
    slice: Slice,
}

/// A stage, and the object that is on it.
#[derive(Debug)]
pub(super) struct Scene {
    stage: Arc<Stage>,
    object: Option<Object>,
}

#[derive(Debug)]
struct Object {
    is: EntityUid,
    entities: Entities,
    slice: Slice,
}

impl Scene {
    pub(super) fn principal(&self) -> &EntityUid {
        &self.stage.principal
    }

    pub(super) fn action(&self) -> &EntityUid {
        &self.stage.action
    }

    pub(super) fn like(&self) -> &EntityUid {
        &self.stage.like
    }

    /// The object if the catalog told one, else the service.
    pub(super) fn resource(&self) -> &EntityUid {
        self.object.as_ref().map_or(&self.stage.service, |object| &object.is)
    }

    pub(super) fn entities(&self) -> &Entities {
        self.object.as_ref().map_or(&self.stage.entities, |object| &object.entities)
    }

    /// The policies that can have a say.
    pub(super) fn slice(&self) -> &Slice {
        self.object.as_ref().map_or(&self.stage.slice, |object| &object.slice)
    }
}

/// All that a stage is made of.
#[derive(Clone, Debug)]
pub(super) struct Cast {
    agent: SpiffeId,
    profile: Arc<AgentProfile>,
    claims: Claims,
    action: EntityUid,
    service: ServiceName,
    errand: Option<Errand>,
}

/// A task as policies walk through it, and those above it, nearest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Errand {
    tasks: Vec<(TaskId, Arc<str>)>,
    user: Option<Subject>,
}

impl PartialEq for Cast {
    fn eq(&self, other: &Self) -> bool {
        let same_profile =
            Arc::ptr_eq(&self.profile, &other.profile) || self.profile.labels == other.profile.labels;
        same_profile
            && self.agent == other.agent
            && self.claims == other.claims
            && self.action == other.action
            && self.service == other.service
            && self.errand == other.errand
    }
}

impl Eq for Cast {}

impl Hash for Cast {
    /// Of profile and claims nothing: what is equal has to have one hash, and agents are told apart by their names.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.agent.hash(state);
        self.action.hash(state);
        self.service.hash(state);
        self.errand.hash(state);
    }
}

/// Whether policies walk through tasks, their intents or those on whose behalf they are worked on.
pub(super) fn asks_for_tasks(footprint: &Footprint) -> bool {
    footprint.reads_leaf("task", "entity") || footprint.reads_leaf("task", "user")
}

impl Cast {
    /// Of an operation that is judged as `judged` in the place of `asker`.
    pub(super) fn of(asker: Asker<'_>, operation: &Operation, judged: Judged<'_>, with_task: bool) -> Self {
        let errand = || {
            let above = asker.above.iter().map(|link| &*link.task);
            let tasks = std::iter::once(asker.task).chain(above);
            let tasks = tasks.map(|task| (task.id, Arc::from(task.intent.as_str()))).collect();
            Errand { tasks, user: asker.task.terms.on_behalf_of.clone() }
        };
        Self {
            agent: asker.task.agent.clone(),
            profile: asker.profile.clone(),
            claims: asker.claims.clone(),
            action: judged.entity.uid(),
            service: operation.service.clone(),
            errand: with_task.then(errand),
        }
    }

    /// Sets the stage.
    pub(super) fn stage(
        &self,
        judged: Judged<'_>,
        groups: &Groups,
        actions: &Actions,
        index: &Index,
    ) -> Result<Stage, Untranslatable> {
        let (principal, service) = (names::agent(self.agent.as_str()), names::service(&self.service));
        let catalogued = actions.catalogues(&self.service);
        let mut entities = agent(&self.agent, &self.profile, &self.claims, groups)?;
        entities.push(judged.entity.clone());
        entities.push(thing(&service, &self.service, catalogued, None, HashSet::new()).into());
        if let Some(errand) = &self.errand {
            errand.people(groups, &mut entities);
        }
        // A group may hold an agent and a user.
        let mut known = HashSet::new();
        entities.retain(|entity| known.insert(entity.uid()));
        let entities = Entities::from_entities(entities, None).map_err(unfit)?;
        let (action, like) = (self.action.clone(), judged.like.clone());
        let rack = index.rack(&principal, &action, &entities);
        let slice = index.taken(&rack, &service, &entities);
        Ok(Stage { principal, action, like, service, catalogued, entities, rack, slice })
    }
}

impl Scene {
    /// Puts on a stage what `operation` is about.
    pub(super) fn of(
        stage: Arc<Stage>,
        operation: &Operation,
        index: &Index,
    ) -> Result<Self, Untranslatable> {
        let Some(object) = &operation.resource else { return Ok(Self { stage, object: None }) };
        let is = names::resource(&operation.service, object);
        // Outermost first: what lies in something lies in all that this lies in, so that nothing is left to be concluded.
        let mut parents: HashSet<ast::EntityUID> = HashSet::from([stage.service.as_ref().clone()]);
        let ancestors = operation.facts.ancestors.iter().rev().filter(|outer| *outer != object);
        let labelled = operation.facts.labels.iter().map(|label| Literal::from(&**label));
        let objects = ancestors.map(|outer| (outer, Value::empty_set(None)));
        let objects = objects.chain([(object, Value::set_of_lits(labelled, None))]);
        let mut things = Vec::with_capacity(1 + operation.facts.ancestors.len());
        for (object, labels) in objects {
            let uid = names::resource(&operation.service, object);
            if parents.contains(uid.as_ref()) {
                continue;
            }
            let told = Some((object, labels));
            things.push(Arc::new(thing(&uid, &operation.service, stage.catalogued, told, parents.clone())));
            parents.insert(uid.as_ref().clone());
        }
        let known: &cedar_policy_core::entities::Entities = stage.entities.as_ref();
        let all = known.clone().add_entities(
            things,
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            Extensions::all_available(),
        );
        let entities = Entities::from(all.map_err(unfit)?);
        let slice = index.taken(&stage.rack, &is, &entities);
        Ok(Self { stage, object: Some(Object { is, entities, slice }) })
    }
}

/// A service, or an object in one with its labels.
fn thing(
    is: &EntityUid,
    service: &ServiceName,
    catalogued: bool,
    object: Option<(&Resource, Value)>,
    parents: HashSet<ast::EntityUID>,
) -> ast::Entity {
    let text = |text: &str| Value::from(text);
    let mut attributes = vec![("service", text(&service.0)), ("catalogued", Value::from(catalogued))];
    match object {
        None => attributes.push(("labels", Value::empty_set(None))),
        Some((object, labels)) => {
            attributes.extend([("labels", labels), ("kind", text(&object.kind)), ("id", text(&object.id))]);
        }
    }
    let attributes = attributes.into_iter().map(|(name, value)| (name.into(), PartialValue::from(value)));
    ast::Entity::new_with_attr_partial_value(is.as_ref().clone(), attributes, HashSet::new(), parents, [])
}

impl Errand {
    /// The tasks, each in the one above it and in its intent; and on whose behalf.
    fn people(&self, groups: &Groups, entities: &mut Vec<Entity>) {
        for (at, (task, intent)) in self.tasks.iter().enumerate() {
            let intent = names::intent(intent);
            let above = self.tasks.get(at + 1).map(|(above, _)| names::task(*above));
            let parents = above.into_iter().chain([intent.clone()]).collect();
            entities.push(Entity::new_no_attrs(names::task(*task), parents));
            entities.push(Entity::with_uid(intent));
        }
        if let Some(user) = &self.user {
            let parents: HashSet<_> = groups.of_user(user).map(names::group).collect();
            entities.extend(parents.iter().cloned().map(Entity::with_uid));
            entities.push(Entity::new_no_attrs(names::user(user), parents));
        }
    }
}

/// The agent with its tags, what its evidence claims and the labels that it was registered with, and its groups. Of a claim and a
/// label of one name the label counts: that is the operator's word.
pub(super) fn agent(
    id: &SpiffeId,
    profile: &AgentProfile,
    claims: &Claims,
    groups: &Groups,
) -> Result<Vec<Entity>, Untranslatable> {
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let parents: HashSet<_> = groups.of(id).map(names::group).collect();
    let labels = profile.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let tags: BTreeMap<_, _> = claims.iter().chain(labels).collect();
    let tenant = tags.get("tenant").copied().unwrap_or_default();
    let attributes =
        [("trust_domain".to_owned(), text(id.trust_domain())), ("tenant".to_owned(), text(tenant))];
    let tags = tags.into_iter().map(|(name, value)| (name.to_owned(), text(value)));
    let groups: Vec<_> = parents.iter().cloned().map(Entity::with_uid).collect();
    let agent = Entity::new_with_tags(names::agent(id.as_str()), attributes, parents, tags).map_err(unfit)?;
    Ok(std::iter::once(agent).chain(groups).collect())
}
