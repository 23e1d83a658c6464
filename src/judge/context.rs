//! What policies see of a call beside who, what and where: `CallContext` of the schema.
//!
//! Made of Cedar's values and not of its expressions: everything here is known, and evaluating some sixty constants anew
//! for each call took several times what deciding it does.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cedar_policy::{Context, EntityUid};
use cedar_policy_core::ast::{self, ExtensionFunction, Literal, PartialValue, Value};
use cedar_policy_core::extensions::Extensions;

use crate::call::{AgentProfile, Args, Attributed, Call, History, Operation, Task, Timestamp};

use super::footprint::{Footprint, Leaves};
use super::names;
use super::request::{Approved, Asker};

/// A time that Cedar does not take for one. Out of reach: ours are all RFC 3339.
#[derive(Debug, thiserror::Error)]
#[error("the time of the call is none to Cedar")]
pub(super) struct NoTime;

/// What of a request the schema can be told apart by: each of our attributes has the same type always, so two requests of
/// one shape both fit or both do not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    like: EntityUid,
    at_object: bool,
    /// Which of the attributes that may be absent are there, a bit each.
    there: u16,
}

impl Shape {
    /// The shape of a request for an action that is `like` one of the schema, on `resource`.
    pub(super) fn of(like: &EntityUid, resource: &EntityUid, task: &Task, args: &Args) -> Self {
        let Args { amount, currency, recipients, external, domains: _, visibility, branch, rows, unclear: _ } =
            args;
        let there = [
            amount.is_some(),
            currency.is_some(),
            recipients.is_some(),
            external.is_some(),
            visibility.is_some(),
            branch.is_some(),
            rows.is_some(),
            task.terms.on_behalf_of.is_some(),
        ];
        let there = there.into_iter().fold(0, |bits, there| (bits << 1) | u16::from(there));
        Self { like: like.clone(), at_object: names::is_object(resource), there }
    }
}

/// The context of `operation` of `call`, judged for `asker`, and as if approved or not: as much of it as `read` tells. What no
/// policy looks at cannot change what is said, and making it took longer than asking.
pub(super) fn of(
    call: &Call<Attributed>,
    asker: Asker<'_>,
    operation: &Operation,
    approved: Approved,
    read: &Footprint,
) -> Result<Context, NoTime> {
    let (head, stage) = (call.head(), call.stage());
    let Asker { task, history, profile, .. } = asker;
    let http = |leaves: &Leaves| {
        record(
            leaves,
            [
                ("scheme", &|| text(head.origin.scheme.as_str())),
                ("host", &|| text(&head.origin.host.to_string())),
                ("port", &|| long(head.origin.port.into())),
                ("method", &|| text(head.method.as_str())),
                ("path", &|| text(head.target.path())),
            ],
        )
    };
    let whole: [Part<'_>; 11] = [
        ("agent", &|leaves| agent_record(leaves, profile, history)),
        ("task", &|leaves| task_record(leaves, task)),
        ("history", &|leaves| history_record(leaves, history)),
        ("http", &http),
        ("recognition", &|_| text(operation.how.as_str())),
        ("direction", &|_| text(operation.direction().as_str())),
        ("drifted", &|_| Value::from(operation.facts.drifted)),
        ("brought_key", &|_| Value::from(operation.facts.brought_key.is_some())),
        ("args", &|leaves| args_record(leaves, &operation.facts.args)),
        ("evidence", &|_| text(stage.principal.evidence.as_str())),
        ("approved", &|_| Value::from(approved == Approved::AsIf)),
    ];
    let wanted = whole.into_iter().filter_map(|(name, value)| Some((name, value(read.leaves(name)?))));
    let time = read.reads("time").then(|| time(head.at)).transpose()?;
    let all = wanted.chain(time.map(|time| ("time", time)));
    let context = all.map(|(name, value)| (name.into(), value)).collect();
    Ok(ast::Context::Value(Arc::new(context)).into())
}

fn task_record(leaves: &Leaves, task: &Task) -> Value {
    let terms = &task.terms;
    let depth = u64::try_from(task.depth()).unwrap_or(u64::MAX);
    let user = terms.on_behalf_of.as_ref();
    let entity = |uid: EntityUid| Value::from(uid.as_ref().clone());
    let user = user.map(|user| ("user", entity(names::user(user))));
    let user = user.filter(|_| leaves.has("user"));
    let always: [Field<'_>; 8] = [
        ("id", &|| text(&task.id.to_string())),
        ("intent", &|| text(task.intent.as_str())),
        ("labels", &|| labels(&task.labels)),
        ("on_behalf_of", &|| text(terms.on_behalf_of.as_ref().map_or("", |subject| subject.as_str()))),
        ("depth", &|| long(depth)),
        ("delegated_by", &|| texts(terms.actors.iter().map(crate::call::SpiffeId::as_str))),
        ("granted", &|| texts(terms.grant.classes.iter().map(|class| class.as_str()))),
        ("entity", &|| entity(names::task(task.id))),
    ];
    Value::record(asked(leaves, always).chain(user), None)
}

fn history_record(leaves: &Leaves, history: &History) -> Value {
    record(
        leaves,
        [
            ("reads", &|| long(history.reads)),
            ("acts", &|| long(history.acts)),
            ("delegates", &|| long(history.delegates)),
            ("denials", &|| long(history.denials)),
            ("holds", &|| long(history.holds)),
            ("service_seen", &|| Value::from(history.service_seen)),
            ("operation_seen", &|| Value::from(history.operation_seen)),
            ("resource_seen", &|| Value::from(history.resource_seen)),
            ("resource_read", &|| Value::from(history.resource_read)),
            ("labels", &|| texts(history.labels.iter().map(|label| &**label))),
            ("external", &|| long(history.external)),
            ("bytes_out", &|| long(history.bytes_out)),
        ],
    )
}

fn agent_record(leaves: &Leaves, profile: &AgentProfile, history: &History) -> Value {
    let past = &history.agent;
    record(
        leaves,
        [
            ("registered", &|| Value::from(profile.registered)),
            ("kind", &|| text(profile.kind.as_str())),
            ("owner", &|| text(&profile.owner)),
            ("environment", &|| text(&profile.environment)),
            ("labels", &|| labels(&profile.labels)),
            ("reads", &|| long(past.reads)),
            ("acts", &|| long(past.acts)),
            ("delegates", &|| long(past.delegates)),
            ("denials", &|| long(past.denials)),
            ("holds", &|| long(past.holds)),
            ("service_seen", &|| Value::from(past.service_seen)),
            ("operation_seen", &|| Value::from(past.operation_seen)),
            ("drift", &|| Value::from(past.drift)),
        ],
    )
}

/// What the request says, as far as the catalog can tell.
fn args_record(leaves: &Leaves, args: &Args) -> Value {
    let string = |value: &Option<String>| value.as_deref().map(text);
    let fields: [(&str, &dyn Fn() -> Option<Value>); 9] = [
        ("domains", &|| Some(texts(args.domains.iter().map(|domain| &**domain)))),
        ("unclear", &|| Some(Value::from(args.unclear))),
        ("currency", &|| string(&args.currency)),
        ("visibility", &|| string(&args.visibility)),
        ("branch", &|| string(&args.branch)),
        ("recipients", &|| args.recipients.map(long)),
        ("external", &|| args.external.map(long)),
        ("rows", &|| args.rows.map(long)),
        ("amount", &|| args.amount.map(Value::from)),
    ];
    let said = fields.into_iter().filter(|(name, _)| leaves.has(name));
    Value::record(said.filter_map(|(name, value)| Some((name, value()?))), None)
}

/// Looking up Cedar's constructor means parsing its name.
static DATETIME: LazyLock<Option<&'static ExtensionFunction>> = LazyLock::new(|| {
    let all = Extensions::all_available();
    all.func(&"datetime".parse().ok()?).ok()
});

fn time(at: Timestamp) -> Result<Value, NoTime> {
    match DATETIME.ok_or(NoTime)?.call(&[text(&at.to_string())]) {
        Ok(PartialValue::Value(value)) => Ok(value),
        Ok(PartialValue::Residual(_)) | Err(_) => Err(NoTime),
    }
}

fn labels(labels: &BTreeMap<String, String>) -> Value {
    Value::set_of_lits(labels.iter().map(|(key, value)| Literal::from(format!("{key}={value}"))), None)
}

/// An attribute of the context itself, and how it is made of what is wanted of it.
type Part<'a> = (&'static str, &'a dyn Fn(&Leaves) -> Value);

/// An attribute, and how it is made if it is wanted.
type Field<'a> = (&'static str, &'a dyn Fn() -> Value);

fn record<const N: usize>(leaves: &Leaves, fields: [Field<'_>; N]) -> Value {
    Value::record(asked(leaves, fields), None)
}

fn asked<'a, const N: usize>(
    leaves: &'a Leaves,
    fields: [Field<'a>; N],
) -> impl Iterator<Item = (&'static str, Value)> + 'a {
    let wanted = fields.into_iter().filter(|(name, _)| leaves.has(name));
    wanted.map(|(name, value)| (name, value()))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Value {
    Value::set_of_lits(values.map(Literal::from), None)
}

fn text(value: &str) -> Value {
    Value::from(value)
}

/// Cedar's integers are signed; a count beyond their range stays at its end.
fn long(value: u64) -> Value {
    Value::from(i64::try_from(value).unwrap_or(i64::MAX))
}
