//! Who looks after the node: the people, and the programs of people, that the admin API lets in.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who an operator is, for the record and for comparing: `local:admin` (the token of the state directory), the name that an
/// identity provider gives (`oidc:alice@example.org`), or a SPIFFE ID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperatorId(pub Arc<str>);

impl OperatorId {
    /// Whoever has the token of the state directory.
    pub fn local() -> Self {
        Self("local:admin".into())
    }

    /// The id as others write it: without the kind of evidence before it.
    pub fn bare(&self) -> &str {
        self.0.strip_prefix("oidc:").unwrap_or(&self.0)
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person's name as it is compared: `user:Ada@example.org`, `oidc:ada@example.org` and `cert:ada@example.org` are one.
pub fn person(name: &str) -> String {
    let kinds = ["user:", "oidc:", "cert:"];
    let bare = kinds.iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name);
    bare.to_lowercase()
}

/// What an operator may do. None implies another, but that whoever may do anything may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Changes the node: tasks, agents, policies.
    Admin,
    /// Votes on held calls.
    Approver,
    /// Looks.
    Viewer,
}

impl Role {
    /// All.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Approver, Self::Viewer];

    /// `admin`, `approver` or `viewer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Approver => "approver",
            Self::Viewer => "viewer",
        }
    }
}

/// The groups that an operator is of, which `@hold` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Every group: whoever has the token of the state directory could write the policies anew.
    All,
    /// These.
    Of(BTreeSet<Arc<str>>),
}

impl Membership {
    /// Whether it is of a group.
    pub fn has(&self, group: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of(groups) => groups.contains(group),
        }
    }
}

/// An operator, as a request to the admin API showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Who.
    pub id: OperatorId,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// What it is of.
    pub groups: Membership,
    /// Which person that is, where one is known by several kinds of evidence: they have one vote, and may not approve what is
    /// done for themselves.
    pub person: Option<Arc<str>>,
}

impl Operator {
    /// Whoever has the token of the state directory.
    pub fn local() -> Self {
        Self { id: OperatorId::local(), roles: Role::ALL.into(), groups: Membership::All, person: None }
    }

    /// The person, as it is compared: in small letters, without the kind of evidence.
    pub fn person(&self) -> String {
        person(self.person.as_deref().unwrap_or(&self.id.0))
    }

    /// Whether it may do what asks for a role.
    pub fn may(&self, role: Role) -> bool {
        self.roles.contains(&role) || (role == Role::Viewer && !self.roles.is_empty())
    }
}
