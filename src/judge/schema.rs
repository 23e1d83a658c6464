//! The schema: types and groups from the file, and as few actions as will do.
//!
//! A catalog has tens of thousands of operations at hundreds of services. As actions of a schema each would cost at
//! load (every policy is checked against every action) and at each request. But a policy learns of an action in two ways
//! only: by its name (`==`, `in [..]`), and by the groups that it is in. An operation that no policy names has no name that
//! matters, and a service whose group no policy names has no group that matters. So policies can tell apart the
//! operations that some policy names; for each service that some policy names, one **representative** of each class
//! (`github:*act`) for its other operations; and one of each class (`*:*act`) for all operations of all other services.
//!
//! All of these take the same principals and resources and the same context. So the schema that requests are held against
//! has the last three alone, and each action stands for itself in the entities. The vocabulary refuses policies that name
//! a representative, and nothing in the context carries an operation's name, or this would not hold. (Services are told
//! apart by the resource as well, which is each call's own.)
//!
//! A policy is checked against a schema with what *it* names and no more ([`Types::with`]).

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{Entities, Entity, EntityId, EntityUid, Schema, SchemaFragment};

use crate::call::{Class, Operation, OperationId, ServiceName};

use super::context::Shape;
use super::draft::point;
use super::error::{Cause, Problem};
use super::names;
use super::source::SourceFile;
use super::vocabulary::Named;

const APPLIES: &str = "appliesTo { principal: Agent, resource: [Service, Resource], context: CallContext }";

/// One value for each class.
#[derive(Clone, Debug)]
pub(super) struct ByClass<T> {
    read: T,
    act: T,
    delegate: T,
}

impl<T> ByClass<T> {
    fn try_from<E>(mut make: impl FnMut(Class) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self { read: make(Class::Read)?, act: make(Class::Act)?, delegate: make(Class::Delegate)? })
    }

    fn of(&self, class: Class) -> &T {
        match class {
            Class::Read => &self.read,
            Class::Act => &self.act,
            Class::Delegate => &self.delegate,
        }
    }
}

/// The action entities, each with its ancestors, ready to be put beside a request. `action in Action::"act"` is
/// decided from these and not from the schema: without them a `forbid` on a group is silently passed by.
#[derive(Clone, Debug)]
pub(super) struct Actions {
    schema: Schema,
    /// What the schema says of all actions of a class, but for the unknown ones.
    like: ByClass<EntityUid>,
    named: HashMap<String, (Class, Entity)>,
    /// Those that policies name.
    services: HashMap<Arc<str>, OfService>,
    /// At services of the catalog that no policy names.
    others: ByClass<Entity>,
    /// At hosts that the catalog does not know, and what it cannot name at the services of `others`.
    strangers: ByClass<(Entity, EntityUid)>,
    /// All services of the catalog.
    catalogued: HashSet<Arc<str>>,
    /// The shapes of requests that were held against the schema, and fit.
    fitting: Arc<RwLock<HashSet<Shape>>>,
}

#[derive(Clone, Debug)]
struct OfService {
    /// Stands for what no policy names.
    unnamed: ByClass<Entity>,
    /// `unknown:<class>`, in this service's group too.
    unknown: ByClass<Entity>,
}

/// Why an operation has no action: this call makes of it something else than policies that name it were told.
#[derive(Debug, thiserror::Error)]
#[error("policies name `{operation}` as {named}, but this call makes it {called} ({because})")]
pub(super) struct ClassDiffers {
    operation: OperationId,
    named: Class,
    called: Class,
    because: Arc<str>,
}

/// What an operation is judged as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged<'a> {
    /// The action, with its ancestors.
    pub entity: &'a Entity,
    /// The action of the schema that is like it.
    pub like: &'a EntityUid,
}

impl Actions {
    /// The action that `operation` is judged as.
    pub(super) fn of(&self, operation: &Operation) -> Result<Judged<'_>, ClassDiffers> {
        let Operation { id, class, .. } = operation;
        let like = self.like.of(*class);
        if let Some((named, entity)) = self.named.get(&*id.0) {
            if named == class {
                return Ok(Judged { entity, like });
            }
            let (operation, because) = (id.clone(), operation.because.clone());
            return Err(ClassDiffers { operation, named: *named, called: *class, because });
        }
        let unknown = Class::ALL.map(OperationId::unknown).contains(id);
        let service = self.services.get(&operation.service.0);
        if unknown || (service.is_none() && !self.catalogues(&operation.service)) {
            let stranger = self.strangers.of(*class);
            let entity = service.map_or(&stranger.0, |service| service.unknown.of(*class));
            return Ok(Judged { entity, like: &stranger.1 });
        }
        let entity = service.map_or(&self.others, |service| &service.unnamed).of(*class);
        Ok(Judged { entity, like })
    }

    /// What requests are held against.
    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether a request of this shape was found to fit the schema.
    pub(super) fn fits(&self, shape: &Shape) -> bool {
        self.fitting.read().unwrap_or_else(PoisonError::into_inner).contains(shape)
    }

    /// A request of this shape fits the schema. There are six actions, two types of resource and eight optional fields.
    pub(super) fn note_fit(&self, shape: Shape) {
        self.fitting.write().unwrap_or_else(PoisonError::into_inner).insert(shape);
    }

    /// Whether the catalog knows this service.
    pub(super) fn catalogues(&self, service: &ServiceName) -> bool {
        self.catalogued.contains(&service.0)
    }

    /// How many actions there are.
    pub(super) fn len(&self) -> usize {
        self.named.len() + Class::ALL.len() * (self.services.len() + 2)
    }
}

/// The operator's file, parsed.
#[derive(Debug)]
pub(super) struct Types {
    /// Its name.
    pub(super) file: String,
    fragment: SchemaFragment,
}

impl Types {
    /// Parses it.
    pub(super) fn parse(file: &SourceFile) -> Result<Self, Problem> {
        let (fragment, _warnings) = SchemaFragment::from_cedarschema_str(&file.text)
            .map_err(|error| point(file, 0..file.text.len(), &error, Cause::Schema(error.to_string())))?;
        Ok(Self { file: file.name.clone(), fragment })
    }

    /// With the actions that policies can tell apart who name `named`.
    pub(super) fn with(&self, named: &Named) -> Result<Schema, Problem> {
        let (actions, _warnings) =
            SchemaFragment::from_cedarschema_str(&declare(named)).map_err(|error| self.wrong(&error))?;
        Schema::from_schema_fragments([self.fragment.clone(), actions]).map_err(|error| self.wrong(&error))
    }

    /// The same as it is at `service`, one of those that are named: what the catalog cannot name there is in the service's group
    /// too. For one service it can be said, which for all of them at once no schema can (see [`within`]).
    pub(super) fn with_unknown_at(&self, named: &Named, service: &ServiceName) -> Result<Schema, Problem> {
        let mut file = self.fragment.clone().to_json_value().map_err(|error| self.wrong(&error))?;
        for class in Class::ALL {
            let id = OperationId::unknown(class);
            let groups = file.pointer_mut(&format!("//actions/{}/memberOf", id.0));
            let groups = groups.and_then(serde_json::Value::as_array_mut);
            let groups = groups.ok_or_else(|| self.wrong(&Unfit::Missing(id.to_string())))?;
            groups.push(serde_json::json!({"id": &*service.0}));
        }
        let file = SchemaFragment::from_json_value(file).map_err(|error| self.wrong(&error))?;
        let (actions, _warnings) =
            SchemaFragment::from_cedarschema_str(&declare(named)).map_err(|error| self.wrong(&error))?;
        Schema::from_schema_fragments([file, actions]).map_err(|error| self.wrong(&error))
    }

    /// What calls are judged as: `services` are the catalog's.
    pub(super) fn actions(&self, services: &[ServiceName], named: &Named) -> Result<Actions, Problem> {
        let schema = self.with(&Named::default())?;
        let entities = schema.action_entities().map_err(|error| self.wrong(&error))?;
        collect(schema, &entities, services, named).map_err(|unfit| self.wrong(&unfit))
    }

    /// Wrong with file and actions together: a type that the actions need and the file lacks.
    fn wrong(&self, why: &dyn std::fmt::Display) -> Problem {
        let remedy = "keep the types, groups and the context of the schema in the binary; add to them only";
        Problem::in_file(&self.file, Cause::Schema(why.to_string())).remedy(remedy)
    }
}

/// The actions that policies can tell apart who name `named`, as a schema says it.
pub(super) fn declare(named: &Named) -> String {
    let quoted = |id: &str| format!("\"{}\"", EntityId::new(id).escaped());
    let mut text = String::new();
    let mut action = |id: &str, service: &str, class: Class| {
        let (id, service) = (quoted(id), quoted(service));
        let _ = writeln!(text, "action {id} in [\"{class}\", {service}] {APPLIES};");
    };
    for (id, (service, class)) in &named.operations {
        action(id, &service.0, *class);
    }
    let services = named.services();
    for service in services.iter().map(|service| &*service.0).chain([names::OTHERS]) {
        for class in Class::ALL {
            action(&names::representative(service, class), service, class);
        }
    }
    for group in services.iter().map(|service| &*service.0).chain([names::OTHERS]) {
        let _ = writeln!(text, "action {};", quoted(group));
    }
    text
}

/// A file whose actions are not what the engine relies on.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("`{0}` has to be in the class `{1}` and in no other")]
    Class(String, Class),
    #[error("it has no action `{0}`")]
    Missing(String),
}

fn collect(
    schema: Schema,
    entities: &Entities,
    services: &[ServiceName],
    named: &Named,
) -> Result<Actions, Unfit> {
    let classes = Class::ALL.map(|class| names::action(class.as_str()));
    let find = |id: &str, class: Class| {
        let uid = names::action(id);
        let found = entities.get(&uid).cloned().ok_or_else(|| Unfit::Missing(id.to_owned()))?;
        let groups = entities.ancestors(&uid).into_iter().flatten();
        let within: Vec<_> = groups.filter(|group| classes.contains(group)).collect();
        let single = within == [&names::action(class.as_str())];
        if single { Ok(found) } else { Err(Unfit::Class(id.to_owned(), class)) }
    };
    let unknown = |class| find(&OperationId::unknown(class).0, class);
    let others = ByClass::try_from(|class| find(&names::representative(names::OTHERS, class), class))?;
    let like = |id: &str, service: &ServiceName, class| {
        within(others.of(class), names::action(id), entities, service)
    };
    let of_service = |service: &ServiceName| -> Result<_, Unfit> {
        let representative = |class| like(&names::representative(&service.0, class), service, class);
        let unnamed = ByClass::try_from(|class| Ok::<_, Unfit>(representative(class)))?;
        let unknown = ByClass::try_from(|class| {
            let unknown = unknown(class)?;
            Ok::<_, Unfit>(within(&unknown, unknown.uid(), entities, service))
        })?;
        Ok((service.0.clone(), OfService { unnamed, unknown }))
    };
    let name =
        |(id, (service, class)): (&String, &(_, Class))| (id.clone(), (*class, like(id, service, *class)));
    Ok(Actions {
        like: ByClass::try_from(|class| Ok::<_, Unfit>(others.of(class).uid()))?,
        named: named.operations.iter().map(name).collect(),
        services: named.services().into_iter().map(of_service).collect::<Result<_, _>>()?,
        strangers: ByClass::try_from(|class| unknown(class).map(|unknown| (unknown.clone(), unknown.uid())))?,
        catalogued: services.iter().map(|service| service.0.clone()).collect(),
        fitting: Arc::default(),
        others,
        schema,
    })
}

/// An action in all groups that `alike` is in, and in that of `service`. So is `unknown:act` as it happens at a service that
/// the catalog knows, so that `action in Action::"github"` means all of GitHub. No schema can say this, since the action
/// has one name for all services; none need, because groups of actions are looked up in the entities.
fn within(alike: &Entity, uid: EntityUid, entities: &Entities, service: &ServiceName) -> Entity {
    let others = names::action(names::OTHERS);
    let groups = entities.ancestors(&alike.uid()).into_iter().flatten().filter(|group| **group != others);
    let mut parents: HashSet<_> = groups.cloned().collect();
    parents.insert(names::action(&service.0));
    Entity::new_no_attrs(uid, parents)
}
