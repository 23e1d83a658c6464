//! Who looks at a page, and what the page's forms have to send along.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use maud::{Markup, html};

use super::super::{Csrf, Problem, Shared};
use crate::call::{Operator, Role};

/// An operator at a page.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) operator: Operator,
    /// What tells this session's forms from those of others; none without a session.
    csrf: Option<Arc<str>>,
}

impl FromRequestParts<Arc<Shared>> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Shared>) -> Result<Self, Problem> {
        let operator = parts.extensions.get::<Operator>().cloned();
        // The guard lets nobody get here; should it, this is no way in.
        let nobody = || Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "nobody is known to ask");
        let csrf = parts.extensions.get::<Csrf>().map(|csrf| Arc::clone(&csrf.0));
        Ok(Self { operator: operator.ok_or_else(nobody)?, csrf })
    }
}

impl Visitor {
    #[cfg(test)]
    pub(super) fn of(operator: Operator) -> Self {
        Self { operator, csrf: None }
    }

    pub(super) fn may(&self, role: Role) -> bool {
        self.operator.may(role)
    }

    /// A form that changes something: one button, and what it stands for. Nothing for those who may not.
    pub(super) fn button(
        &self,
        role: Role,
        action: &str,
        fields: &[(&str, &str)],
        label: &str,
        ask: &str,
    ) -> Markup {
        html! {
            @if self.may(role) {
                form.change method="post" action=(action) data-ask=(ask) {
                    (self.token())
                    @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                    button.danger { (label) }
                }
            }
        }
    }

    /// The same for what script sends: the value of htmx's `hx-headers`.
    pub(super) fn headers(&self) -> Option<String> {
        self.csrf.as_deref().map(|csrf| serde_json::json!({ "remit-csrf": csrf }).to_string())
    }

    /// Whether there is a session to be ended.
    pub(super) fn has_session(&self) -> bool {
        self.csrf.is_some()
    }

    /// The hidden field of every form that changes something.
    pub(super) fn token(&self) -> Markup {
        html! { @if let Some(csrf) = &self.csrf { input type="hidden" name="csrf" value=(csrf); } }
    }
}
