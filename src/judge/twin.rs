//! Policy templates, and their links: what a task's grant names becomes a policy for that task alone.
//!
//! A template permits nothing. Linked (with the agent of the task as `?principal`, with a service or an object as `?resource`) it
//! becomes a **static twin**, a policy like any other with the slots filled in, because Cedar takes linked policies neither into
//! sets that are made of policies nor into proofs. A twin is in no index: it is weighed whole, beside the slice, in the place of
//! the task that has the link, and of no other.
//!
//! Templates are permits and have `?resource`. A forbid that holds where a task names it would be missing where none does; and
//! without `?resource` a link would bound nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{Effect, EntityUid, Policy, PolicyId, PolicySet, SlotId, Template, pst};
use moka::sync::Cache;

use super::names;
use super::weigh::Weight;
use crate::call::{SpiffeId, Task, TemplateLink};

/// Twins that are kept; those used least go first and are made anew when they are wanted again.
const KEPT_TWINS: u64 = 8_192;

/// The templates of a generation.
#[derive(Debug)]
pub(super) struct Templates {
    all: BTreeMap<PolicyId, Linkable>,
    twins: Cache<(SpiffeId, TemplateLink), Arc<Weight>>,
}

#[derive(Debug)]
struct Linkable {
    template: Template,
    /// With nothing in the place of the slots.
    general: Arc<Weight>,
}

/// What the links of one task come to.
#[derive(Debug, Default)]
pub(super) struct Twins {
    weights: Vec<Arc<Weight>>,
    /// Those whose template is not in force: they permit nothing.
    unlinked: Vec<TemplateLink>,
}

impl Templates {
    /// Of templates, each with its general form. Their names have to differ.
    pub(super) fn of(all: impl Iterator<Item = (Template, Arc<Weight>)>) -> Self {
        let all = all.map(|(template, general)| (template.id().clone(), Linkable { template, general }));
        Self { all: all.collect(), twins: Cache::new(KEPT_TWINS) }
    }

    /// With nothing in the place of their slots: they permit all that any link of them could.
    pub(super) fn general(&self) -> impl Iterator<Item = &Weight> {
        self.all.values().map(|linkable| &*linkable.general)
    }

    /// The twins of a task.
    pub(super) fn twins(&self, task: &Task) -> Twins {
        let mut twins = Twins::default();
        for link in &task.terms.grant.links {
            let key = (task.agent.clone(), link.clone());
            let twin = self.twins.get(&key).or_else(|| {
                let made = Arc::new(self.link(&task.agent, link)?);
                self.twins.insert(key, made.clone());
                Some(made)
            });
            match twin {
                Some(twin) => twins.weights.push(twin),
                None => twins.unlinked.push(link.clone()),
            }
        }
        twins
    }

    /// Those of these policies that are templates, as if they were linked to whatever a request is about.
    pub(super) fn supposed(&self, policies: &[Policy]) -> Twins {
        let ids: HashSet<_> = policies.iter().map(Policy::id).collect();
        let supposed = self.all.iter().filter(|(id, _)| ids.contains(id));
        let weights = supposed.map(|(_, linkable)| linkable.general.clone()).collect();
        Twins { weights, unlinked: Vec::new() }
    }

    /// Whether the slots of a template are the same here and there.
    pub(super) fn takes_what(&self, others: &Self, id: &PolicyId) -> bool {
        let (Some(one), Some(other)) = (self.all.get(id), others.all.get(id)) else { return false };
        let (one, other) = (&one.template, &other.template);
        one.principal_constraint() == other.principal_constraint()
            && one.resource_constraint() == other.resource_constraint()
    }

    fn link(&self, agent: &SpiffeId, link: &TemplateLink) -> Option<Weight> {
        let Linkable { template, general } = self.all.get(&PolicyId::new(link.template()))?;
        let filled = template.slots().map(|slot| {
            let principal = *slot == SlotId::principal();
            let with = if principal { names::agent(agent.as_str()) } else { names::linked(link.resource()) };
            (slot.clone(), with)
        });
        let twin = twin(template, &PolicyId::new(name(link)), filled.collect());
        if twin.is_none() {
            tracing::error!(%link, "a template cannot be linked; the link permits nothing");
        }
        Some(Weight::whole(twin?, general.reason().clone()))
    }
}

/// What the twin of a link is called.
pub(super) fn name(link: &TemplateLink) -> String {
    format!("{}:{}", link.template(), link.resource())
}

fn twin(template: &Template, id: &PolicyId, filled: HashMap<SlotId, EntityUid>) -> Option<Policy> {
    let mut set = PolicySet::new();
    set.add_template(template.clone()).ok()?;
    set.link(template.id().clone(), id.clone(), filled).ok()?;
    let twin = Policy::from_pst(set.policy(id)?.to_pst().ok()?).ok()?;
    twin.is_static().then_some(twin)
}

impl Twins {
    /// To be weighed.
    pub(super) fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.weights.iter().map(|weight| &**weight)
    }

    /// The links that come to nothing.
    pub(super) fn unlinked(&self) -> impl Iterator<Item = &TemplateLink> {
        self.unlinked.iter()
    }

    /// What is to be said of them.
    pub(super) fn missing(&self) -> Option<String> {
        let names: Vec<_> = self.unlinked.iter().map(|link| format!("`{}`", link.template())).collect();
        let names = (!names.is_empty()).then(|| names.join(", "))?;
        Some(format!("the task's grant links {names}, and no template of that name is in force"))
    }
}

/// A template with nothing in the place of its slots: what it is checked as, and what proofs take it for. Or why no task could be
/// linked to it, and what to do.
pub(super) fn general(template: &Template) -> Result<Policy, (String, &'static str)> {
    use pst::EntityOrSlot::Slot;
    use pst::{PrincipalConstraint as Who, ResourceConstraint as What};

    if template.effect() == Effect::Forbid {
        let remedy = "write the principal and the resource out in place of ?principal and ?resource";
        return Err(("is a forbid, which would not hold for tasks that do not name it".to_owned(), remedy));
    }
    if !template.slots().any(|slot| *slot == SlotId::resource()) {
        let remedy = "write `resource in ?resource`, and the principal out if it is not that of the task";
        return Err(("has no ?resource: a link would bound nothing".to_owned(), remedy));
    }
    let unfit = |why: pst::PstConstructionError| (format!("cannot be read: {why}"), "write it more simply");
    let mut tree = template.to_pst().map_err(unfit)?;
    tree.principal = match tree.principal {
        Who::Eq(Slot(_)) | Who::In(Slot(_)) => Who::Any,
        Who::IsIn(of, Slot(_)) => Who::Is(of),
        other => other,
    };
    tree.resource = match tree.resource {
        What::Eq(Slot(_)) | What::In(Slot(_)) => What::Any,
        What::IsIn(of, Slot(_)) => What::Is(of),
        other => other,
    };
    let body = pst::StaticPolicy::try_from(tree).map_err(|why| unfit(why.into()))?;
    Policy::from_pst(body.into()).map_err(unfit)
}
