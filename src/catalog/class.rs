//! The class of what nobody can name: never weaker than what it could be (INVARIANT I7).

use crate::call::{Class, Facts, Operation, OperationId, Recognition, ServiceName};

/// What a request is that asks to be more things than anyone can follow, or whose entry cannot be read.
pub(super) fn opaque(service: ServiceName, because: &str) -> Operation {
    let class = Class::Delegate;
    let (id, how) = (OperationId::unknown(class), Recognition::Unknown);
    Operation {
        id,
        service,
        class,
        resource: None,
        how,
        facts: Facts::default(),
        because: because.into(),
        ai: None,
    }
}
