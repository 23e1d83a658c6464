//! What of a request stays the same from call to call: who does what to what, the entities that policies can walk through, and the
//! policies that can have a say in it. Made once for each agent, action and object, and kept while rules are in force.
//!
//! MUST put beside each request every entity that a policy can walk through: the action with its groups, the agent with its groups,
//! the service, the object and, where policies ask for them, the task and on whose behalf it is worked on. Cedar takes an absent
//! one for one that is in no group.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};

use crate::call::{AgentProfile, Operation, Resource, ServiceName, SpiffeId, Subject, TaskId};

use super::footprint::Footprint;
use super::groups::Groups;
use super::names;
use super::request::{Asker, Untranslatable, unfit};
use super::schema::{Actions, Judged};
use super::slice::{Index, Slice};

/// The unchanging part of a request.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) principal: EntityUid,
    pub(super) action: EntityUid,
    /// The action of the schema that is like it.
    pub(super) like: EntityUid,
    /// The object if the catalog told one, else the service.
    pub(super) resource: EntityUid,
    pub(super) entities: Entities,
    /// The policies that can have a say.
    pub(super) slice: Slice,
}

/// All that a scene is made of.
#[derive(Clone, Debug)]
pub(super) struct Cast {
    agent: SpiffeId,
    profile: Arc<AgentProfile>,
    action: EntityUid,
    service: ServiceName,
    resource: Option<Resource>,
    ancestors: Vec<Resource>,
    labels: BTreeSet<Arc<str>>,
    task: Option<Errand>,
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
            && self.action == other.action
            && self.service == other.service
            && self.resource == other.resource
            && self.ancestors == other.ancestors
            && self.labels == other.labels
            && self.task == other.task
    }
}

impl Eq for Cast {}

impl Hash for Cast {
    /// Of the profile nothing: what is equal has to have one hash, and agents are told apart by their names.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.agent.hash(state);
        self.action.hash(state);
        self.service.hash(state);
        self.resource.hash(state);
        self.task.hash(state);
    }
}

/// Whether policies walk through tasks, their intents or those on whose behalf they are worked on.
pub(super) fn asks_for_tasks(footprint: &Footprint) -> bool {
    footprint.reads_leaf("task", "entity") || footprint.reads_leaf("task", "user")
}

impl Cast {
    /// Of an operation that is judged in the place of `asker`.
    pub(super) fn of<'r>(
        asker: Asker<'_>,
        operation: &Operation,
        actions: &'r Actions,
        with_task: bool,
    ) -> Result<(Self, Judged<'r>), Untranslatable> {
        let judged = actions.of(operation)?;
        let errand = || {
            let above = asker.above.iter().map(|link| &*link.task);
            let tasks = std::iter::once(asker.task).chain(above);
            let tasks = tasks.map(|task| (task.id, Arc::from(task.intent.as_str()))).collect();
            Errand { tasks, user: asker.task.terms.on_behalf_of.clone() }
        };
        let cast = Self {
            agent: asker.task.agent.clone(),
            profile: asker.profile.clone(),
            action: judged.entity.uid(),
            service: operation.service.clone(),
            resource: operation.resource.clone(),
            ancestors: operation.facts.ancestors.clone(),
            labels: operation.facts.labels.clone(),
            task: with_task.then(errand),
        };
        Ok((cast, judged))
    }

    /// Sets the scene. What the operation is judged as came with the cast.
    pub(super) fn scene(
        &self,
        judged: Judged<'_>,
        groups: &Groups,
        actions: &Actions,
        index: &Index,
    ) -> Result<Scene, Untranslatable> {
        let principal = names::agent(self.agent.as_str());
        let mut entities = agent(&self.agent, &self.profile, groups)?;
        entities.push(judged.entity.clone());
        let resource = self.things(actions, &mut entities)?;
        if let Some(errand) = &self.task {
            errand.people(groups, &mut entities);
        }
        // A group may hold an agent and a user.
        let mut known = HashSet::new();
        entities.retain(|entity| known.insert(entity.uid()));
        let entities = Entities::from_entities(entities, None).map_err(unfit)?;
        let slice = index.slice_of([&principal, &self.action, &resource], &entities);
        let (action, like) = (self.action.clone(), judged.like.clone());
        Ok(Scene { principal, action, like, resource, entities, slice })
    }

    /// The service, and the object if the catalog told one: the more exact of the two is the resource.
    fn things(&self, actions: &Actions, things: &mut Vec<Entity>) -> Result<EntityUid, Untranslatable> {
        let service = names::service(&self.service);
        let catalogued = RestrictedExpression::new_bool(actions.catalogues(&self.service));
        let none = || RestrictedExpression::new_set([]);
        let attributes = HashMap::from([
            ("service".to_owned(), text(&self.service.0)),
            ("catalogued".to_owned(), catalogued),
            ("labels".to_owned(), none()),
        ]);
        things.push(Entity::new(service.clone(), attributes.clone(), HashSet::new()).map_err(unfit)?);
        let Some(object) = &self.resource else { return Ok(service) };
        // Outermost first: what lies in something lies in all that this lies in.
        let (mut parents, mut known) = (HashSet::from([service]), HashSet::new());
        let labels = RestrictedExpression::new_set(self.labels.iter().map(|label| text(label)));
        let ancestors = self.ancestors.iter().rev().filter(|outer| *outer != object);
        let ancestors = ancestors.map(|object| (object, none()));
        let uid = names::resource(&self.service, object);
        for (object, labels) in ancestors.chain([(object, labels)]) {
            let is = names::resource(&self.service, object);
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
        Ok(uid)
    }
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

/// The agent, with the labels that it was registered with as its tags, and its groups.
pub(super) fn agent(
    id: &SpiffeId,
    profile: &AgentProfile,
    groups: &Groups,
) -> Result<Vec<Entity>, Untranslatable> {
    let parents: HashSet<_> = groups.of(id).map(names::group).collect();
    let tenant = profile.labels.get("tenant").map_or("", String::as_str);
    let attributes =
        [("trust_domain".to_owned(), text(id.trust_domain())), ("tenant".to_owned(), text(tenant))];
    let tags = profile.labels.iter().map(|(key, value)| (key.clone(), text(value)));
    let groups: Vec<_> = parents.iter().cloned().map(Entity::with_uid).collect();
    let agent = Entity::new_with_tags(names::agent(id.as_str()), attributes, parents, tags).map_err(unfit)?;
    Ok(std::iter::once(agent).chain(groups).collect())
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}
