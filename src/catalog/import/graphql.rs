//! GraphQL schemas in the schema definition language (October 2021, §3).

use apollo_parser::Parser;
use apollo_parser::cst::{Definition, FieldsDefinition, OperationType};

use super::{Described, Description};
use crate::call::Class;
use crate::catalog::manifest::Protocol;

/// Deeper nesting than this is no schema.
const DEEPEST: usize = 64;

pub(super) fn read(sdl: &str) -> Result<Description, String> {
    let tree = Parser::new(sdl).recursion_limit(DEEPEST).parse();
    let document = tree.document();
    let mut roots =
        Roots { query: "Query".into(), mutation: "Mutation".into(), subscription: "Subscription".into() };
    for definition in document.definitions() {
        if let Definition::SchemaDefinition(schema) = definition {
            schema.root_operation_type_definitions().for_each(|root| {
                let name =
                    root.named_type().and_then(|named| named.name()).map(|name| name.text().to_string());
                if let (Some(kind), Some(name)) = (root.operation_type(), name) {
                    roots.set(&kind, name);
                }
            });
        }
    }
    // A schema does not say where it is served; this is what "GraphQL over HTTP" recommends.
    let endpoints = vec!["/graphql".to_owned()];
    let mut description =
        Description { protocol: Some(Protocol::Graphql), endpoints, ..Description::default() };
    for definition in document.definitions() {
        let (name, fields) = match definition {
            Definition::ObjectTypeDefinition(object) => (object.name(), object.fields_definition()),
            Definition::ObjectTypeExtension(object) => (object.name(), object.fields_definition()),
            _ => continue,
        };
        let Some((verb, floor)) = name.and_then(|name| roots.verb(&name.text())) else { continue };
        description.operations.extend(fields.into_iter().flat_map(|all| operations(&all, verb, floor)));
    }
    if description.operations.is_empty() {
        let first = tree.errors().next().map(|error| error.message().to_owned());
        return Err(first.unwrap_or_else(|| "it has no root type with fields".to_owned()));
    }
    Ok(description)
}

fn operations(fields: &FieldsDefinition, verb: &str, floor: Class) -> Vec<Described> {
    let fields =
        fields.field_definitions().filter_map(|field| field.name()).map(|name| name.text().to_string());
    let one = |name: String| Described {
        verb: verb.to_owned(),
        template: format!("#{name}"),
        published: (floor == Class::Read)
            .then(|| (Class::Read, format!("root type of {}", verb.to_ascii_lowercase()))),
        name: if verb == "MUTATION" { name } else { format!("{}.{name}", verb.to_ascii_lowercase()) },
        floor: Some(floor),
    };
    fields.map(one).collect()
}

struct Roots {
    query: String,
    mutation: String,
    subscription: String,
}

impl Roots {
    fn set(&mut self, kind: &OperationType, name: String) {
        if kind.query_token().is_some() {
            self.query = name;
        } else if kind.mutation_token().is_some() {
            self.mutation = name;
        } else {
            self.subscription = name;
        }
    }

    fn verb(&self, name: &str) -> Option<(&'static str, Class)> {
        match name {
            _ if name == self.query => Some(("QUERY", Class::Read)),
            _ if name == self.mutation => Some(("MUTATION", Class::Act)),
            _ if name == self.subscription => Some(("SUBSCRIPTION", Class::Read)),
            _ => None,
        }
    }
}
