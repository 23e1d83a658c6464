//! Which operations ask a model, and which messages call a tool: what tracing tools want to be told of a call.
//!
//! OpenTelemetry semantic conventions for generative AI and MCP. Nothing here has a part in the class of a call. Which
//! operations of which service ask a model is data: `[models]` in a service's `overrides.toml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::call::{Ai, Operation, Recognition};

use super::content::Content;
use super::error::Fault;
use super::reading::Place;
use super::{Catalog, rpc};

/// The kind of resource that names a model in a path.
const MODEL: &str = "model";

/// `[models]` of `overrides.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Models {
    /// `gen_ai.provider.name`.
    provider: Arc<str>,
    /// By the operation's name: `gen_ai.operation.name`.
    operations: BTreeMap<String, Arc<str>>,
}

impl Models {
    /// Each name is an operation's.
    pub(super) fn check(&self, known: impl Fn(&str) -> bool) -> Result<(), Fault> {
        match self.operations.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let why = format!("`[models]`: there is no operation `{name}`");
                Err(Fault::new(1, why, "take the name from `operations.tsv`"))
            }
        }
    }
}

impl Catalog {
    /// What is asked of a model, if this operation asks one.
    fn asked(&self, operation: &Operation) -> Option<Ai> {
        if operation.how != Recognition::Exact {
            return None;
        }
        let (service, name) = operation.id.0.split_once(':')?;
        let models = self.named(service)?.table()?.models.as_ref()?;
        let asked = models.operations.get(name)?;
        let in_path = operation.resource.as_ref().filter(|resource| resource.kind.as_ref() == MODEL);
        Some(Ai {
            operation: Some(Arc::clone(asked)),
            provider: Some(Arc::clone(&models.provider)),
            model: in_path.map(|resource| resource.id.clone()),
            ..Ai::default()
        })
    }

    /// Tells which model is asked.
    pub(super) fn tell_model(&self, operation: &mut Operation, content: &Content) {
        if let Some(mut ai) = self.asked(operation) {
            ai.model = ai.model.or_else(|| content.said(MODEL).into_iter().next());
            operation.ai = Some(Box::new(ai));
        }
    }
}

/// Whether a model is asked that stands in the body.
pub(super) fn names_model_in_body(place: &Place<'_>) -> bool {
    let Some((service, entry)) = place.known() else { return false };
    let models = service.table().and_then(|table| table.models.as_ref());
    let name = entry.id.0.split_once(':').map_or("", |(_, name)| name);
    let in_path = entry.resource.as_ref().is_some_and(|(text, _)| text.starts_with("model="));
    !in_path && models.is_some_and(|models| models.operations.contains_key(name))
}

/// What a message of MCP says. A2A has methods of its own, and its tasks are no tools.
pub(super) fn of_mcp(method: &str, tool: Option<&str>) -> Option<Box<Ai>> {
    let families =
        ["tools/", "prompts/", "resources/", "notifications/", "roots/", "completion/", "logging/"];
    let is_mcp = matches!(method, "initialize" | "ping" | "sampling/createMessage" | "elicitation/create")
        || families.iter().any(|family| method.starts_with(family)) && rpc::is_known(method);
    is_mcp.then(|| {
        Box::new(Ai {
            operation: tool.map(|_| "execute_tool".into()),
            tool: tool.map(str::to_owned),
            mcp_method: Some(method.into()),
            ..Ai::default()
        })
    })
}
