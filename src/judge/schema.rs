//! The schema in force: types and groups from the file, and as few actions as policies can tell apart.
//!
//! A catalog has tens of thousands of operations at hundreds of services. As actions of the schema each would cost at
//! load (every policy is checked against every action) and at each request. So the schema holds the operations that
//! some policy names; for each service that some policy names, one **representative** of each class (`github:*act`)
//! for its other operations; and one of each class (`*:*act`) for all operations of all other services.
//!
//! That is sound because a policy learns of an action in two ways only: by its name (`==`, `in [..]`), and by the
//! groups it is in. An operation that no policy names has no name that matters, and a service whose group no policy
//! names has no group that matters. All operations that share a representative are in the same groups of those that
//! matter, and take the same principals and resources and the same context. So every policy says the same of each of
//! them, and what it says of one, it says of all. The vocabulary refuses policies that name a representative, and
//! nothing in the context carries an operation's name, or this would not hold. (Services are told apart by the resource
//! as well, which is each call's own.)

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use cedar_policy::{Entities, Entity, EntityId, Schema, SchemaFragment};

use crate::call::{Class, Operation, OperationId, ServiceName};

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
    named: HashMap<String, (Class, Entity)>,
    /// Those that policies name.
    services: HashMap<Arc<str>, OfService>,
    /// At services of the catalog that no policy names.
    others: ByClass<Entity>,
    /// At hosts that the catalog does not know, and what it cannot name at the services of `others`.
    strangers: ByClass<Entity>,
    /// All services of the catalog.
    catalogued: HashSet<Arc<str>>,
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

impl Actions {
    /// The action that `operation` is judged as.
    pub(super) fn of(&self, operation: &Operation) -> Result<&Entity, ClassDiffers> {
        let Operation { id, class, .. } = operation;
        if let Some((named, entity)) = self.named.get(&*id.0) {
            if named == class {
                return Ok(entity);
            }
            let (operation, because) = (id.clone(), operation.because.clone());
            return Err(ClassDiffers { operation, named: *named, called: *class, because });
        }
        let unknown = Class::ALL.map(OperationId::unknown).contains(id);
        let alike = match self.services.get(&operation.service.0) {
            Some(service) if unknown => &service.unknown,
            Some(service) => &service.unnamed,
            None if unknown || !self.catalogues(&operation.service) => &self.strangers,
            None => &self.others,
        };
        Ok(alike.of(*class))
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

/// Puts file and actions together.
pub(super) fn build(
    file: &SourceFile,
    services: &[ServiceName],
    named: &Named,
) -> Result<(Schema, Actions), Problem> {
    let schema = |why: &dyn std::fmt::Display| Cause::Schema(why.to_string());
    let (types, _warnings) = SchemaFragment::from_cedarschema_str(&file.text)
        .map_err(|error| point(file, &error, schema(&error)))?;
    // From here on what is wrong is wrong with both together: a type that the actions need and the file lacks.
    let remedy = "keep the types, groups and the context of the schema in the binary; add to them only";
    let wrong = |why: &dyn std::fmt::Display| Problem::in_file(&file.name, schema(why)).remedy(remedy);
    let (actions, _warnings) =
        SchemaFragment::from_cedarschema_str(&declare(named)).map_err(|error| wrong(&error))?;
    let built = Schema::from_schema_fragments([types, actions]).map_err(|error| wrong(&error))?;
    let entities = built.action_entities().map_err(|error| wrong(&error))?;
    let actions = collect(&entities, services, named).map_err(|missing| wrong(&missing))?;
    Ok((built, actions))
}

fn declare(named: &Named) -> String {
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

fn collect(entities: &Entities, services: &[ServiceName], named: &Named) -> Result<Actions, Unfit> {
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
    let representatives =
        |service: &str| ByClass::try_from(|class| find(&names::representative(service, class), class));
    let of_service = |service: &ServiceName| -> Result<_, Unfit> {
        let unnamed = representatives(&service.0)?;
        let unknown = ByClass::try_from(|class| Ok(within(&unknown(class)?, entities, service)))?;
        Ok((service.0.clone(), OfService { unnamed, unknown }))
    };
    let name = |(id, (_, class)): (&String, &(_, Class))| Ok((id.clone(), (*class, find(id, *class)?)));
    Ok(Actions {
        named: named.operations.iter().map(name).collect::<Result<_, _>>()?,
        services: named.services().into_iter().map(of_service).collect::<Result<_, _>>()?,
        others: representatives(names::OTHERS)?,
        strangers: ByClass::try_from(unknown)?,
        catalogued: services.iter().map(|service| service.0.clone()).collect(),
    })
}

/// `unknown:act` as it happens at a service that the catalog knows: in that service's group too, so that
/// `action in Action::"github"` means all of GitHub. The schema cannot say this, since the action has one name for all
/// services; it need not, because groups of actions are looked up in the entities.
fn within(unknown: &Entity, entities: &Entities, service: &ServiceName) -> Entity {
    let uid = unknown.uid();
    let mut parents: HashSet<_> = entities.ancestors(&uid).into_iter().flatten().cloned().collect();
    parents.insert(names::action(&service.0));
    Entity::new_no_attrs(uid, parents)
}
