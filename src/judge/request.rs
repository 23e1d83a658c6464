//! An operation of a call as Cedar's request and entities: the only translator.
//!
//! MUST put beside each request every entity that a policy can walk through: the action with its groups, the agent
//! with its groups, the service, the object. Cedar takes an absent one for one that is in no group.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};

use crate::call::{AgentProfile, Args, Attributed, Call, History, Operation, SpiffeId, Task};

use super::groups::Groups;
use super::names;
use super::schema::{Actions, ClassDiffers};
use super::slice::NoSlice;

/// Why a call cannot be put before the policies. The texts name no values: they go to the agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Untranslatable {
    #[error(transparent)]
    Class(#[from] ClassDiffers),
    #[error("the policies that it falls under cannot be put together")]
    Slice(#[from] NoSlice),
    #[error("what is known of the call does not fit the schema")]
    Unfit(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn unfit(error: impl std::error::Error + Send + Sync + 'static) -> Untranslatable {
    Untranslatable::Unfit(Box::new(error))
}

/// One operation, put as a question.
#[derive(Debug)]
pub(super) struct Question {
    pub request: Request,
    pub entities: Entities,
}

/// In whose place a call is judged: in that of the agent that makes it, or of one that delegated to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub task: &'a Task,
    pub history: &'a History,
    pub profile: &'a AgentProfile,
}

impl<'a> Asker<'a> {
    /// Who makes the call.
    pub(super) fn own(call: &'a Call<Attributed>) -> Self {
        let stage = call.stage();
        Asker { task: &stage.task, history: &stage.history, profile: &stage.profile }
    }

    /// Who makes the call, then everybody that it was delegated by, nearest first.
    pub(super) fn all(call: &'a Call<Attributed>) -> impl Iterator<Item = Self> {
        let stage = call.stage();
        let own = Asker { task: &stage.task, history: &stage.history, profile: &stage.profile };
        let above = stage.links.iter();
        let above =
            above.map(|link| Asker { task: &link.task, history: &link.history, profile: &link.profile });
        std::iter::once(own).chain(above)
    }
}

/// The question whether `operation` of `call` may go on for `asker`. `agent` is what [`agent`] makes.
pub(super) fn question(
    call: &Call<Attributed>,
    asker: Asker<'_>,
    operation: &Operation,
    agent: Entities,
    actions: &Actions,
) -> Result<Question, Untranslatable> {
    let judged = actions.of(operation)?;
    let action = judged.entity.clone();
    let (resource, things) = things(operation, actions)?;
    let principal = names::agent(asker.task.agent.as_str());
    let context = context(call, asker, operation)?;
    // What the schema says of an action's requests it says of all like it, and it lists one of them.
    let like = Request::new(
        principal.clone(),
        judged.like.clone(),
        resource.clone(),
        context.clone(),
        Some(actions.schema()),
    );
    like.map_err(unfit)?;
    let request = Request::new(principal, action.uid(), resource, context, None).map_err(unfit)?;
    let entities = agent.upsert_entities(std::iter::once(action).chain(things), None).map_err(unfit)?;
    Ok(Question { request, entities })
}

/// The agent and its groups. The same for all its calls under one set of rules.
pub(super) fn agent(id: &SpiffeId, groups: &Groups) -> Result<Entities, Untranslatable> {
    let parents: Vec<_> = groups.of(id).map(names::group).collect();
    let attributes = [("trust_domain".to_owned(), text(id.trust_domain()))];
    let agent =
        Entity::new_with_tags(names::agent(id.as_str()), attributes, parents.clone(), []).map_err(unfit)?;
    let groups = parents.into_iter().map(Entity::with_uid);
    Entities::from_entities(std::iter::once(agent).chain(groups), None).map_err(unfit)
}

/// The service, and the object if the catalog told one: the more exact of the two is the resource.
fn things(operation: &Operation, actions: &Actions) -> Result<(EntityUid, Vec<Entity>), Untranslatable> {
    let service = names::service(&operation.service);
    let catalogued = RestrictedExpression::new_bool(actions.catalogues(&operation.service));
    let none = || RestrictedExpression::new_set([]);
    let attributes = HashMap::from([
        ("service".to_owned(), text(&operation.service.0)),
        ("catalogued".to_owned(), catalogued),
        ("labels".to_owned(), none()),
    ]);
    let mut things = vec![Entity::new(service.clone(), attributes.clone(), HashSet::new()).map_err(unfit)?];
    let Some(object) = &operation.resource else { return Ok((service, things)) };
    // Outermost first: what lies in something lies in all that this lies in.
    let (mut parents, mut known) = (HashSet::from([service]), HashSet::new());
    let labels = RestrictedExpression::new_set(operation.facts.labels.iter().map(|label| text(label)));
    let ancestors = operation.facts.ancestors.iter().rev().filter(|outer| *outer != object);
    let ancestors = ancestors.map(|object| (object, none()));
    let uid = names::resource(&operation.service, object);
    for (object, labels) in ancestors.chain([(object, labels)]) {
        let is = names::resource(&operation.service, object);
        if !known.insert(is.clone()) {
            continue;
        }
        let mut attributes = attributes.clone();
        attributes.insert("kind".to_owned(), text(&object.kind));
        attributes.insert("id".to_owned(), text(&object.id));
        attributes.insert("labels".to_owned(), labels);
        things.push(Entity::new(is.clone(), attributes, parents.clone()).map_err(unfit)?);
        parents.insert(is);
    }
    Ok((uid, things))
}

/// What the request says, as far as the catalog can tell.
fn args(args: &Args) -> Result<RestrictedExpression, Untranslatable> {
    let mut fields = vec![
        ("domains".to_owned(), RestrictedExpression::new_set(args.domains.iter().map(|domain| text(domain)))),
        ("unclear".to_owned(), RestrictedExpression::new_bool(args.unclear)),
    ];
    let texts = [("currency", &args.currency), ("visibility", &args.visibility), ("branch", &args.branch)];
    for (name, value) in texts {
        fields.extend(value.iter().map(|value| (name.to_owned(), text(value))));
    }
    let counts = [("recipients", args.recipients), ("external", args.external), ("rows", args.rows)];
    for (name, value) in counts {
        fields.extend(value.map(|value| (name.to_owned(), long(value))));
    }
    fields.extend(args.amount.map(|amount| ("amount".to_owned(), RestrictedExpression::new_long(amount))));
    RestrictedExpression::new_record(fields).map_err(unfit)
}

fn context(
    call: &Call<Attributed>,
    asker: Asker<'_>,
    operation: &Operation,
) -> Result<Context, Untranslatable> {
    let (head, stage) = (call.head(), call.stage());
    let Asker { task, history, profile } = asker;
    let agent = agent_record(profile, history)?;
    let on_behalf_of = task.terms.on_behalf_of.as_ref().map_or("", |subject| subject.as_str());
    let depth = u64::try_from(task.depth()).unwrap_or(u64::MAX);
    let task = record([
        ("id", text(&task.id.to_string())),
        ("intent", text(task.intent.as_str())),
        ("labels", labels(&task.labels)),
        ("on_behalf_of", text(on_behalf_of)),
        ("depth", long(depth)),
        (
            "delegated_by",
            RestrictedExpression::new_set(task.terms.actors.iter().map(|who| text(who.as_str()))),
        ),
    ])?;
    let history = record([
        ("reads", long(history.reads)),
        ("acts", long(history.acts)),
        ("delegates", long(history.delegates)),
        ("denials", long(history.denials)),
        ("service_seen", RestrictedExpression::new_bool(history.service_seen)),
        ("operation_seen", RestrictedExpression::new_bool(history.operation_seen)),
        ("resource_seen", RestrictedExpression::new_bool(history.resource_seen)),
        ("resource_read", RestrictedExpression::new_bool(history.resource_read)),
        ("labels", RestrictedExpression::new_set(history.labels.iter().map(|label| text(label)))),
        ("external", long(history.external)),
        ("bytes_out", long(history.bytes_out)),
    ])?;
    let http = record([
        ("scheme", text(head.origin.scheme.as_str())),
        ("host", text(&head.origin.host.to_string())),
        ("port", long(head.origin.port.into())),
        ("method", text(head.method.as_str())),
        ("path", text(head.target.path())),
    ])?;
    Context::from_pairs([
        ("agent".to_owned(), agent),
        ("task".to_owned(), task),
        ("history".to_owned(), history),
        ("http".to_owned(), http),
        ("recognition".to_owned(), text(operation.how.as_str())),
        ("direction".to_owned(), text(operation.direction().as_str())),
        ("drifted".to_owned(), RestrictedExpression::new_bool(operation.facts.drifted)),
        ("args".to_owned(), args(&operation.facts.args)?),
        ("evidence".to_owned(), text(stage.principal.evidence.as_str())),
        ("approved".to_owned(), RestrictedExpression::new_bool(false)),
        ("time".to_owned(), RestrictedExpression::new_datetime(head.at.to_string())),
    ])
    .map_err(unfit)
}

fn agent_record(profile: &AgentProfile, history: &History) -> Result<RestrictedExpression, Untranslatable> {
    let past = &history.agent;
    record([
        ("registered", RestrictedExpression::new_bool(profile.registered)),
        ("kind", text(profile.kind.as_str())),
        ("owner", text(&profile.owner)),
        ("environment", text(&profile.environment)),
        ("labels", labels(&profile.labels)),
        ("reads", long(past.reads)),
        ("acts", long(past.acts)),
        ("delegates", long(past.delegates)),
        ("denials", long(past.denials)),
        ("service_seen", RestrictedExpression::new_bool(past.service_seen)),
        ("operation_seen", RestrictedExpression::new_bool(past.operation_seen)),
        ("drift", RestrictedExpression::new_bool(past.drift)),
    ])
}

fn labels(labels: &BTreeMap<String, String>) -> RestrictedExpression {
    RestrictedExpression::new_set(labels.iter().map(|(key, value)| text(&format!("{key}={value}"))))
}

fn record<const N: usize>(
    fields: [(&str, RestrictedExpression); N],
) -> Result<RestrictedExpression, Untranslatable> {
    RestrictedExpression::new_record(fields.map(|(name, value)| (name.to_owned(), value))).map_err(unfit)
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// Cedar's integers are signed; a count beyond their range stays at its end.
fn long(value: u64) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(value).unwrap_or(i64::MAX))
}
