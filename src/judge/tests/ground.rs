//! What the tests stand on: a small vocabulary, and calls through the public stages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Version};

use crate::call::principal::Entrance;
use crate::call::{
    Attributed, Call, CallId, Claims, Class, Clock, Entropy, Evidence, Facts, Head, History, Host,
    IntentName, Operation, OperationId, Operations, Origin, Presented, Principal, Recognition, Resource,
    Scheme, ServiceName, SpiffeId, Target, Task, TaskId, Terms, Timestamp, TraceContext,
};
use crate::judge::{LoadErrors, PolicySource, Rules, SourceFile, Vocabulary};

/// Three services with a few operations each.
pub(super) struct Small;

pub(super) const OPERATIONS: [(&str, &str, Class); 9] = [
    ("github:issues/list", "github", Class::Read),
    ("github:issues/get", "github", Class::Read),
    ("github:issues/create", "github", Class::Act),
    ("github:issues/create-comment", "github", Class::Act),
    ("github:orgs/invite", "github", Class::Delegate),
    ("slack:chat.postMessage", "slack", Class::Act),
    ("slack:conversations.list", "slack", Class::Read),
    ("slack:users.admin.invite", "slack", Class::Delegate),
    ("stripe:charges/create", "stripe", Class::Act),
];

impl Vocabulary for Small {
    fn operation(&self, id: &str) -> Option<(ServiceName, Class)> {
        OPERATIONS
            .iter()
            .find(|(name, _, _)| *name == id)
            .map(|(_, service, class)| (ServiceName((*service).into()), *class))
    }

    fn services(&self) -> Vec<ServiceName> {
        ["github", "slack", "stripe"].map(|name| ServiceName(name.into())).into()
    }

    fn operation_ids(&self) -> Vec<String> {
        OPERATIONS.iter().map(|(id, _, _)| (*id).to_owned()).collect()
    }
}

pub(super) fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.into(), text: text.into() }
}

pub(super) fn load_files(files: &[(&str, &str)]) -> Result<Rules, LoadErrors> {
    let files = files.iter().map(|(name, text)| file(name, text)).collect();
    Rules::load(&PolicySource::of_files(files, "policies")?, &Small)
}

pub(super) fn load(text: &str) -> Result<Rules, LoadErrors> {
    load_files(&[("p.cedar", text)])
}

/// Rules of one file; the test ends if they do not load.
pub(super) fn rules(text: &str) -> Rules {
    load(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is wrong with one file.
pub(super) fn wrong(text: &str) -> String {
    load(text).map(|_| ()).expect_err("it loaded").to_string()
}

/// An operation by name and class; what the vocabulary does not have is of the service before the colon.
pub(super) fn operation(id: &str, class: Class) -> Operation {
    let service = id.split(':').next().unwrap_or(id);
    Operation {
        id: OperationId(id.into()),
        service: ServiceName(service.into()),
        class,
        resource: None,
        how: Recognition::Exact,
        facts: Facts::default(),
        because: "test".into(),
        ai: None,
    }
}

/// A call that the catalog cannot name, to a service or a host.
pub(super) fn unknown(service: &str, class: Class) -> Operation {
    Operation {
        id: OperationId::unknown(class),
        service: ServiceName(service.into()),
        how: Recognition::Inferred,
        ..operation("unknown:", class)
    }
}

pub(super) fn on(mut operation: Operation, kind: &str, id: &str) -> Operation {
    operation.resource = Some(Resource { kind: kind.into(), id: id.into() });
    operation
}

/// A call, with what a test wants otherwise.
pub(super) struct Given {
    pub agent: &'static str,
    pub evidence: Evidence,
    pub host: &'static str,
    pub path: String,
    pub intent: &'static str,
    pub labels: BTreeMap<String, String>,
    pub history: History,
    pub terms: Terms,
    pub claims: Claims,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            agent: "spiffe://example.org/agent/coder",
            evidence: Evidence::TaskToken,
            host: "api.example.test",
            path: "/".into(),
            intent: "test",
            labels: BTreeMap::new(),
            history: History::default(),
            terms: Terms::default(),
            claims: Claims::default(),
        }
    }
}

/// The id of another task than those that are made here.
pub(super) const OTHER: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

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

impl Given {
    pub(super) fn call(self, operations: Operations) -> Call<Attributed> {
        let id = CallId::fresh(&Still, &Still);
        let head = Head {
            id,
            at: Still.now(),
            origin: Origin { scheme: Scheme::Https, host: Host::parse(self.host).unwrap(), port: 443 },
            method: Method::POST,
            target: Target::parse(&self.path).unwrap(),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            trace: TraceContext::of(id, None, &Still),
            upgrade: None,
        };
        let peer = "127.0.0.1:40000".parse().unwrap();
        let agent = SpiffeId::parse(self.agent).unwrap();
        let task = Task {
            id: TaskId::fresh(&Still, &Still),
            agent: agent.clone(),
            intent: IntentName::parse(self.intent).unwrap(),
            labels: self.labels,
            opened: Still.now(),
            deadline: Still.now().plus(Duration::from_secs(300)),
            terms: self.terms,
        };
        let principal = Principal { agent, evidence: self.evidence, claims: self.claims };
        Call::intercepted(
            head,
            Presented {
                peer,
                by: Entrance::Proxy,
                token: None,
                certificates: None,
                chain: None,
                process: None,
            },
        )
        .recognise(operations)
        .attribute(principal, Arc::new(task), self.history)
    }
}

/// An ordinary call with one operation.
pub(super) fn call(operation: Operation) -> Call<Attributed> {
    Given::default().call(Operations::one(operation))
}
