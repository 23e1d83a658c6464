//! An operation of a call as Cedar's request: the only translator.

use std::sync::{Arc, LazyLock};

use cedar_policy::{Entities, EntityUid, Request};

use crate::call::{AgentProfile, Attributed, Call, Claims, History, Link, Operation, Task};

use super::context::{self, Shape};
use super::footprint::Footprint;
use super::scene::Scene;
use super::schema::{Actions, ClassDiffers};
use super::slice::Unspecific;

/// Why a call cannot be put before the policies. The texts name no values: they go to the agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untranslatable {
    #[error(transparent)]
    Class(#[from] ClassDiffers),
    #[error(transparent)]
    Slice(#[from] Unspecific),
    #[error("what is known of the call does not fit the schema")]
    Unfit(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub(super) fn unfit(error: impl std::error::Error + Send + Sync + 'static) -> Untranslatable {
    Untranslatable::Unfit(Box::new(error))
}

/// Whether a person is taken to have approved the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Approved {
    /// Nobody has.
    No,
    /// As if somebody had: what would be ruled then.
    AsIf,
}

/// One operation, put as a question.
#[derive(Debug)]
pub(super) struct Question {
    pub request: Request,
    pub entities: Entities,
}

static NO_CLAIMS: LazyLock<Claims> = LazyLock::new(Claims::default);

/// In whose place a call is judged: in that of the agent that makes it, or of one that delegated to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub task: &'a Task,
    pub history: &'a History,
    pub profile: &'a Arc<AgentProfile>,
    /// What its evidence says of it.
    pub claims: &'a Claims,
    /// The tasks above, nearest first.
    pub above: &'a [Link],
}

impl<'a> Asker<'a> {
    /// Who makes the call.
    pub(super) fn own(call: &'a Call<Attributed>) -> Self {
        let stage = call.stage();
        let claims = &stage.principal.claims;
        Asker {
            task: &stage.task,
            history: &stage.history,
            profile: &stage.profile,
            claims,
            above: &stage.links,
        }
    }

    /// Who makes the call, then everybody that it was delegated by, nearest first.
    pub(super) fn all(call: &'a Call<Attributed>) -> impl Iterator<Item = Self> {
        let mut rest = call.stage().links.as_slice();
        let above = std::iter::from_fn(move || {
            let (link, above) = rest.split_first()?;
            rest = above;
            // Those above showed what they are when they made their own calls.
            let claims = &*NO_CLAIMS;
            Some(Asker { task: &link.task, history: &link.history, profile: &link.profile, claims, above })
        });
        std::iter::once(Self::own(call)).chain(above)
    }
}

/// The request whether `operation` of `call` may go on in the place of `asker`: `scene`, with what of the context `read` tells.
pub(super) fn request(
    call: &Call<Attributed>,
    asker: Asker<'_>,
    operation: &Operation,
    approved: Approved,
    scene: &Scene,
    read: &Footprint,
    actions: &Actions,
) -> Result<Request, Untranslatable> {
    let context = |read: &Footprint| context::of(call, asker, operation, approved, read).map_err(unfit);
    let put = |action: &EntityUid, context, schema| {
        let (principal, resource) = (scene.principal().clone(), scene.resource().clone());
        Request::new(principal, action.clone(), resource, context, schema).map_err(unfit)
    };
    // What the schema says of an action's requests it says of all like it, and it lists one of them; and what it says of
    // one request it says of all of the same shape.
    let shape = Shape::of(scene.like(), scene.resource(), asker.task, &operation.facts.args);
    if !actions.fits(&shape) {
        put(scene.like(), context(&Footprint::whole())?, Some(actions.schema()))?;
        actions.note_fit(shape);
    }
    put(scene.action(), context(read)?, None)
}
