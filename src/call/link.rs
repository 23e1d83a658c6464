//! A link of a policy template, as a task's grant names it: which template, and for what.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::grant::{BadGrant, MAX_NAME_BYTES};

/// A template of the policies, filled in for one service or object: `repo-writer=github/repo/octo/hello`. In the other slot
/// stands the agent of the task, always.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateLink {
    template: Arc<str>,
    resource: Arc<str>,
}

impl TemplateLink {
    /// `TEMPLATE=SERVICE` or `TEMPLATE=SERVICE/KIND/ID`. A link names one thing: no `*`.
    pub fn parse(text: &str) -> Result<Self, BadGrant> {
        let bad = || BadGrant::Link(text.chars().take(80).collect());
        let (template, resource) = text.split_once('=').ok_or_else(bad)?;
        let sound = |part: &str| {
            (1..=MAX_NAME_BYTES).contains(&part.len())
                && !part.chars().any(|c| c.is_control() || matches!(c, ' ' | '*'))
        };
        let mut parts = resource.splitn(3, '/');
        let parts = [parts.next(), parts.next(), parts.next()];
        let whole = match parts {
            [Some(_), None, None] => true,
            [Some(service), Some(kind), Some(id)] => ![service, kind, id].contains(&""),
            _ => false,
        };
        if sound(template) && sound(resource) && whole {
            Ok(Self { template: template.into(), resource: resource.into() })
        } else {
            Err(bad())
        }
    }

    /// The `@id` of the template.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// What it is for: `service`, or `service/kind/id`.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Whether `narrower` is the same template for the same thing, or for one in this service.
    pub fn contains(&self, narrower: &Self) -> bool {
        let inside = || {
            let service = narrower.resource.split('/').next();
            !self.resource.contains('/') && service == Some(&*self.resource)
        };
        self.template == narrower.template && (self.resource == narrower.resource || inside())
    }
}

impl TryFrom<String> for TemplateLink {
    type Error = BadGrant;
    fn try_from(text: String) -> Result<Self, BadGrant> {
        Self::parse(&text)
    }
}

impl From<TemplateLink> for String {
    fn from(link: TemplateLink) -> Self {
        link.to_string()
    }
}

impl fmt::Display for TemplateLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.template, self.resource)
    }
}
