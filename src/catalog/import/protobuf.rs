//! Protocol buffers' descriptor sets (`protoc --descriptor_set_out`), for the services that gRPC serves.

use prost::Message as _;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;

use super::{Described, Description};
use crate::call::Class;
use crate::catalog::manifest::Protocol;

pub(super) fn read(bytes: &[u8]) -> Result<Description, String> {
    let set = FileDescriptorSet::decode(bytes).map_err(|error| error.to_string())?;
    let mut description = Description { protocol: Some(Protocol::Grpc), ..Description::default() };
    for file in &set.file {
        for service in &file.service {
            let package = file.package();
            let dot = if package.is_empty() { "" } else { "." };
            for method in &service.method {
                let level = method.options.as_ref().map(prost_types::MethodOptions::idempotency_level);
                let published = (level == Some(IdempotencyLevel::NoSideEffects))
                    .then(|| (Class::Read, "declared without side effects".to_owned()));
                description.operations.push(Described {
                    verb: "GRPC".to_owned(),
                    template: format!("/{package}{dot}{}/{}", service.name(), method.name()),
                    name: format!("{}.{}", service.name(), method.name()),
                    published,
                    floor: None,
                });
            }
        }
    }
    if description.operations.is_empty() {
        Err("it describes no service".to_owned())
    } else {
        Ok(description)
    }
}
