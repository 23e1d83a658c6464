//! Where rulings have force, and where they are only observed.

use std::collections::BTreeMap;

use crate::call::{Mode, Operations, ServiceName};

/// The mode of the node, and of the services that have one of their own.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    /// Where nothing else is said.
    pub node: Mode,
    /// By service.
    pub services: BTreeMap<ServiceName, Mode>,
}

impl Modes {
    /// The mode of a call. One that could be of several services is observed only if all of them are: what is to be enforced
    /// at one must not go out under the name of another.
    pub(super) fn of(&self, operations: &Operations) -> Mode {
        let of = |service| self.services.get(service).copied().unwrap_or(self.node);
        let enforced = operations.iter().any(|operation| of(&operation.service) == Mode::Enforce);
        if enforced { Mode::Enforce } else { Mode::Observe }
    }

    /// Whether any call is only observed.
    pub fn observes(&self) -> bool {
        std::iter::once(&self.node).chain(self.services.values()).any(|mode| *mode == Mode::Observe)
    }
}

#[cfg(test)]
mod tests;
