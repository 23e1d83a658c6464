//! What a call would do: its operations, each in exactly one class.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::facts::{Direction, Facts};

/// What an operation does to the world. Ordered: a call with several operations has the class of the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Only retrieves or computes.
    Read,
    /// Creates, changes, deletes, or sets something off.
    Act,
    /// Hands authority or a task to someone else.
    Delegate,
}

impl Class {
    /// All, weakest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Act, Self::Delegate];

    /// `read`, `act` or `delegate`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Act => "act",
            Self::Delegate => "delegate",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How sure the catalog is. Policies can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recognition {
    /// A catalog entry names this operation.
    Exact,
    /// Concluded from the shape of the request: the verb, a naming rule.
    Inferred,
    /// Not understood; classed as the most powerful thing that it could be.
    Unknown,
}

impl Recognition {
    /// `exact`, `inferred` or `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Inferred => "inferred",
            Self::Unknown => "unknown",
        }
    }
}

/// A service's name in the catalog (`github`), or the host itself where the catalog does not know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceName(pub Arc<str>);

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `<service>:<operation>`, for example `github:issues/create`; `unknown:<class>` where the catalog does not know the call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub Arc<str>);

impl OperationId {
    /// The id of calls that the catalog cannot name.
    pub fn unknown(class: Class) -> Self {
        Self(match class {
            Class::Read => "unknown:read".into(),
            Class::Act => "unknown:act".into(),
            Class::Delegate => "unknown:delegate".into(),
        })
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The thing that an operation touches, as the catalog took it from the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// What it is, in the service's own word: `repo`, `channel`, `calendar`.
    pub kind: Arc<str>,
    /// Which one, percent-decoded: `octo/hello`, `C024BE91L`.
    pub id: String,
}

/// One operation of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its name.
    pub id: OperationId,
    /// Whose it is.
    pub service: ServiceName,
    /// What it does.
    pub class: Class,
    /// What it touches, where the catalog says how to tell.
    pub resource: Option<Resource>,
    /// How sure the catalog is.
    pub how: Recognition,
    /// What is known of it beside its name.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
    /// What led to the class, in a few words: `catalog`, `verb GET`, `method override header`. For people.
    pub because: Arc<str>,
    /// What a model or a tool is asked, where it is one that is asked. It tells, and decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ai: Option<Box<Ai>>,
}

/// What a model or a tool is asked, in the words of OpenTelemetry's conventions for generative AI and MCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ai {
    /// `chat`, `embeddings`, `execute_tool` (`gen_ai.operation.name`); none for MCP's other messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Arc<str>>,
    /// Whose models they are, from the catalog (`gen_ai.provider.name`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Arc<str>>,
    /// Which model is asked for, as the request names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Which tool is called, as the request names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The method of an MCP message (`mcp.method.name`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_method: Option<Arc<str>>,
}

impl Operation {
    /// Which way it moves data.
    pub fn direction(&self) -> Direction {
        self.facts.direction.unwrap_or(Direction::of(self.class))
    }
}

/// At least one operation: a batch is one call with several, allowed whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operations {
    first: Operation,
    rest: Vec<Operation>,
}

impl Operations {
    /// A call with one operation.
    pub fn one(operation: Operation) -> Self {
        Self { first: operation, rest: Vec::new() }
    }

    /// A batch, in the order of the request.
    pub fn batch(first: Operation, rest: Vec<Operation>) -> Self {
        Self { first, rest }
    }

    /// These, of a call that carries a key of the agent's own.
    #[must_use]
    pub fn bringing(mut self, format: Option<&str>) -> Self {
        let format: Option<Arc<str>> = format.map(Into::into);
        for operation in std::iter::once(&mut self.first).chain(&mut self.rest) {
            operation.facts.brought_key.clone_from(&format);
        }
        self
    }

    /// All of them, in the order of the request.
    pub fn iter(&self) -> impl Iterator<Item = &Operation> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The strongest one (the first of them, where several are equally strong): it names the call.
    pub fn strongest(&self) -> &Operation {
        self.rest.iter().fold(&self.first, |best, next| if next.class > best.class { next } else { best })
    }

    /// The class of the call.
    pub fn class(&self) -> Class {
        self.strongest().class
    }
}
