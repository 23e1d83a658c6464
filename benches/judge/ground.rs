//! Policies as an operator with many teams would have them, a catalog of 500 services, and calls.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cedar_policy::{Context, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression};
use http::{HeaderMap, Method, Version};
use remit::call::principal::Entrance;
use remit::call::{
    Attributed, Call, CallId, Claims, Class, Clock, Entropy, Evidence, Facts, Head, History, Host,
    IntentName, Operation, OperationId, Operations, Origin, Presented, Principal, Recognition, Resource,
    Scheme, ServiceName, SpiffeId, Target, Task, TaskId, Timestamp, TraceContext,
};
use remit::judge::{PolicySource, SourceFile, Vocabulary};

/// Services of the catalog.
const SERVICES: usize = 500;
/// Operations of each.
const EACH: usize = 50;
/// All operations.
pub(crate) const OPERATIONS: usize = SERVICES * EACH;
/// Groups of agents.
const GROUPS: usize = 200;

/// The catalog: `s7:op3`; of each five operations three read, one acts, one delegates.
pub(crate) struct Many;

fn class(operation: usize) -> Class {
    match operation % 5 {
        0..=2 => Class::Read,
        3 => Class::Act,
        _ => Class::Delegate,
    }
}

impl Vocabulary for Many {
    fn operation(&self, id: &str) -> Option<(ServiceName, Class)> {
        let (service, operation) = id.split_once(":op")?;
        Some((ServiceName(service.into()), class(operation.parse().ok()?)))
    }
    fn services(&self) -> Vec<ServiceName> {
        (0..SERVICES).map(|at| ServiceName(format!("s{at}").into())).collect()
    }
    fn operation_ids(&self) -> Vec<String> {
        (0..OPERATIONS).map(|at| format!("s{}:op{}", at / EACH, at % EACH)).collect()
    }
}

/// Spreads numbers over choices (Fibonacci hashing).
fn spread(at: usize, over: usize) -> usize {
    (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % over
}

/// Half name a group, an operation and its service, with a condition; a fifth an agent and two operations; the rest a group and
/// its reads, or forbid acts. Five more are for everybody.
fn text(at: usize) -> String {
    let (service, operation) = (spread(at, SERVICES), spread(at / 3 + 7, EACH));
    let (group, agent) = (spread(at + 3, GROUPS), spread(at + 5, 1_000));
    let op = format!("Action::\"s{service}:op{operation}\"");
    let scope = match at % 20 {
        0..10 => format!(
            "permit (principal in Group::\"g{group}\", action == {op}, resource in Service::\"s{service}\") \
             when {{ context.history.acts < 100 && context.task.intent != \"x{at}\" }}"
        ),
        10..14 => format!(
            "permit (principal == Agent::\"spiffe://example.org/agent/a{agent}\", action in [{op}, \
             Action::\"s{service}:op{}\"], resource)",
            (operation + 1) % EACH
        ),
        14..17 => format!("permit (principal in Group::\"g{group}\", action in Action::\"read\", resource)"),
        17..19 => format!(
            "forbid (principal in Group::\"g{group}\", action in Action::\"act\", resource in \
             Service::\"s{service}\") unless {{ context.approved }}"
        ),
        _ => format!("forbid (principal, action == {op}, resource) when {{ context.history.denials > 10 }}"),
    };
    format!("@id(\"p{at}\") {scope};\n")
}

const FOR_ALL: &str = "\
@id(\"all-1\") permit (principal, action in Action::\"read\", resource);
@id(\"all-2\") forbid (principal, action, resource) when { context.recognition == \"unknown\" };
@id(\"all-3\") forbid (principal, action, resource) unless { resource.catalogued };
@id(\"all-4\") forbid (principal, action in Action::\"delegate\", resource) unless { context.approved };
@id(\"all-5\") forbid (principal, action, resource) when { context.history.denials > 1000 };
";

fn texts(size: usize) -> String {
    let mut all = FOR_ALL.to_owned();
    (0..size).for_each(|at| all.push_str(&text(at)));
    all
}

/// A set of `size` policies and five. With `changed`, one of them is another.
pub(crate) fn policies(size: usize, changed: Option<usize>) -> PolicySource {
    let mut text = texts(size);
    if let Some(by) = changed {
        text = text.replace("!= \"x42\"", &format!("!= \"changed{by}\""));
    }
    let mut groups = String::new();
    for group in 0..GROUPS {
        let _ = writeln!(groups, "g{group} = [\"spiffe://example.org/agent/a{group}\"]");
    }
    let file = |name: &str, text: String| SourceFile { name: name.into(), text };
    PolicySource::of_files(vec![file("all.cedar", text), file("groups.toml", groups)], "bench").unwrap()
}

/// The same for Cedar alone.
pub(crate) fn whole(size: usize) -> PolicySet {
    texts(size).parse().unwrap()
}

/// A call, and the same put before Cedar with the least that there has to be.
pub(crate) struct Asked {
    /// For remit.
    pub(crate) call: Call<Attributed>,
    /// For Cedar.
    pub(crate) request: Request,
    /// For Cedar.
    pub(crate) entities: Entities,
}

struct Still;
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(1_795_500_000)
    }
}
impl Entropy for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl Asked {
    /// Agents, services and operations in turn.
    pub(crate) fn nth(at: usize) -> Self {
        let (service, operation) = (spread(at, SERVICES), spread(at / 3 + 7, EACH));
        let agent = format!("spiffe://example.org/agent/a{}", spread(at + 3, GROUPS));
        let operation = Operation {
            id: OperationId(format!("s{service}:op{operation}").into()),
            service: ServiceName(format!("s{service}").into()),
            class: class(operation),
            resource: at.is_multiple_of(2).then(|| thing("thing", at)),
            how: Recognition::Exact,
            facts: Facts { ancestors: vec![thing("shelf", at / 10)], ..Facts::default() },
            ai: None,
            because: "bench".into(),
        };
        let (request, entities) = bare(&agent, &operation, spread(at + 3, GROUPS));
        Self { call: call(&agent, operation), request, entities }
    }
}

fn thing(kind: &str, at: usize) -> Resource {
    Resource { kind: kind.into(), id: at.to_string() }
}

fn call(agent: &str, operation: Operation) -> Call<Attributed> {
    let id = CallId::fresh(&Still, &Still);
    let head = Head {
        id,
        at: Still.now(),
        origin: Origin { scheme: Scheme::Https, host: Host::parse("api.example.test").unwrap(), port: 443 },
        method: Method::POST,
        target: Target::parse("/v1/things/42?x=1").unwrap(),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        trace: TraceContext::of(id, None, &Still),
        upgrade: None,
    };
    let agent = SpiffeId::parse(agent).unwrap();
    let task = Task {
        id: TaskId::fresh(&Still, &Still),
        agent: agent.clone(),
        intent: IntentName::parse("answer-ticket").unwrap(),
        labels: [("team".to_owned(), "support".to_owned())].into(),
        opened: Still.now(),
        deadline: Still.now().plus(Duration::from_secs(300)),
        terms: remit::call::Terms::default(),
    };
    let principal = Principal { agent, evidence: Evidence::TaskToken, claims: Claims::default() };
    let peer = "127.0.0.1:40000".parse().unwrap();
    Call::intercepted(
        head,
        Presented { peer, by: Entrance::Proxy, token: None, certificates: None, chain: None, process: None },
    )
    .recognise(Operations::one(operation))
    .attribute(principal, Arc::new(task), History::default())
}

fn bare(agent: &str, operation: &Operation, group: usize) -> (Request, Entities) {
    let uid = |of: &str, id: &str| -> EntityUid { format!("{of}::\"{id}\"").parse().unwrap() };
    let number = |value| RestrictedExpression::new_long(value);
    let history = [("acts", number(0)), ("denials", number(0))].map(|(name, value)| (name.to_owned(), value));
    let task = [("intent".to_owned(), RestrictedExpression::new_string("answer-ticket".into()))];
    let context = Context::from_pairs([
        ("history".to_owned(), RestrictedExpression::new_record(history).unwrap()),
        ("task".to_owned(), RestrictedExpression::new_record(task).unwrap()),
        ("recognition".to_owned(), RestrictedExpression::new_string("exact".into())),
        ("approved".to_owned(), RestrictedExpression::new_bool(false)),
    ])
    .unwrap();
    let (action, service) = (uid("Action", &operation.id.0), uid("Service", &operation.service.0));
    let agent = uid("Agent", agent);
    let catalogued = [("catalogued".to_owned(), RestrictedExpression::new_bool(true))].into();
    let groups = [uid("Action", operation.class.as_str()), uid("Action", &operation.service.0)];
    let entities = Entities::from_entities(
        [
            Entity::new_no_attrs(agent.clone(), [uid("Group", &format!("g{group}"))].into()),
            Entity::new_no_attrs(action.clone(), groups.into()),
            Entity::new(service.clone(), catalogued, std::collections::HashSet::new()).unwrap(),
        ],
        None,
    )
    .unwrap();
    (Request::new(agent, action, service, context, None).unwrap(), entities)
}
