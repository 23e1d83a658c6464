//! Cedar's words for our things. Ids are built from type and text, never by parsing: what an agent puts into a host,
//! a path or an object's id stays one id, whatever quotes and backslashes it has.

use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use crate::call::{Class, Resource, ServiceName, Subject, TaskId};

static ACTION: LazyLock<EntityTypeName> = LazyLock::new(|| constant("Action"));
static AGENT: LazyLock<EntityTypeName> = LazyLock::new(|| constant("Agent"));
static GROUP: LazyLock<EntityTypeName> = LazyLock::new(|| constant("Group"));
static INTENT: LazyLock<EntityTypeName> = LazyLock::new(|| constant("Intent"));
static RESOURCE: LazyLock<EntityTypeName> = LazyLock::new(|| constant("Resource"));
static SERVICE: LazyLock<EntityTypeName> = LazyLock::new(|| constant("Service"));
static TASK: LazyLock<EntityTypeName> = LazyLock::new(|| constant("Task"));
static USER: LazyLock<EntityTypeName> = LazyLock::new(|| constant("User"));

#[expect(clippy::expect_used, reason = "eight constants, each of them parsed by every test of this room")]
fn constant(name: &str) -> EntityTypeName {
    name.parse().expect("an identifier is a type name")
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

/// `Action::"id"`: an operation, or a group of them.
pub(super) fn action(id: &str) -> EntityUid {
    uid(&ACTION, id)
}

/// `Agent::"id"`.
pub(super) fn agent(id: &str) -> EntityUid {
    uid(&AGENT, id)
}

/// `Group::"name"`.
pub(super) fn group(name: &str) -> EntityUid {
    uid(&GROUP, name)
}

/// `Intent::"name"`.
pub(super) fn intent(name: &str) -> EntityUid {
    uid(&INTENT, name)
}

/// `Task::"id"`.
pub(super) fn task(id: TaskId) -> EntityUid {
    uid(&TASK, &id.to_string())
}

/// `User::"name"`: on whose behalf a task is worked on.
pub(super) fn user(name: &Subject) -> EntityUid {
    uid(&USER, name.as_str())
}

/// `Service::"name"`.
pub(super) fn service(name: &ServiceName) -> EntityUid {
    uid(&SERVICE, &name.0)
}

/// `Resource::"service/kind/id"`. Neither of the first two has a slash in it, so the parts cannot run into each other.
pub(super) fn resource(service: &ServiceName, resource: &Resource) -> EntityUid {
    uid(&RESOURCE, &format!("{service}/{}/{}", resource.kind, resource.id))
}

/// What a link of a template names: `Service::"service"`, or `Resource::"service/kind/id"`.
pub(super) fn linked(text: &str) -> EntityUid {
    uid(if text.contains('/') { &RESOURCE } else { &SERVICE }, text)
}

/// Whether this is an object in a service, and not the service itself.
pub(super) fn is_object(uid: &EntityUid) -> bool {
    *uid.type_name() == *RESOURCE
}

/// In the place of a service: all that no policy names.
pub(super) const OTHERS: &str = "*";

/// The action that stands for all operations of a service and class that no policy names.
pub(super) fn representative(service: &str, class: Class) -> String {
    format!("{service}:*{class}")
}

/// What an entity literal in a policy is.
pub(super) enum Literal<'a> {
    Action(&'a str),
    Agent(&'a str),
    Group(&'a str),
    Intent(&'a str),
    Service(&'a str),
    Task(&'a str),
    User(&'a str),
    /// A type of the operator's own, or an object: nothing to check it against.
    Other,
}

impl<'a> Literal<'a> {
    /// Sorts a literal by its type.
    pub(super) fn of(uid: &'a EntityUid) -> Self {
        let (name, id) = (uid.type_name(), uid.id().unescaped());
        if *name == *ACTION {
            Self::Action(id)
        } else if *name == *AGENT {
            Self::Agent(id)
        } else if *name == *GROUP {
            Self::Group(id)
        } else if *name == *INTENT {
            Self::Intent(id)
        } else if *name == *SERVICE {
            Self::Service(id)
        } else if *name == *TASK {
            Self::Task(id)
        } else if *name == *USER {
            Self::User(id)
        } else {
            Self::Other
        }
    }
}
