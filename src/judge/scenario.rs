//! A call made of a few keys: what test cases are written in, and what a schema is tried with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use serde::Deserialize;

use crate::call::principal::Entrance;
use crate::call::{
    AgentHistory, AgentKind, AgentProfile, Args, Attributed, Call, CallId, Claims, Class, Clock, Entropy,
    Evidence, Facts, Grant, Head, History, Host, IntentName, Operation, OperationId, Operations, Origin,
    Peek, Presented, Principal, Recognition, Resource, Scheme, ServiceName, SpiffeId, Subject, Target, Task,
    TaskId, TemplateLink, Terms, Timestamp, TraceContext, TrustDomain,
};

use super::vocabulary::Vocabulary;

/// The trust domain of short names in cases.
const TRUST_DOMAIN: &str = "example.org";
/// When the calls of cases come in, seconds since the epoch: a Tuesday in November 2026.
const AT_S: u64 = 1_795_500_000;

/// A call in a few keys. All have a default, and each thing that is not said is the ordinary one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Scenario {
    agent: String,
    evidence: Evidence,
    intent: String,
    labels: BTreeMap<String, String>,
    on_behalf_of: Option<Subject>,
    /// The classes that the task's grant names.
    granted: BTreeSet<Class>,
    /// The links of policy templates that it names.
    links: BTreeSet<TemplateLink>,
    /// What its JWT-SVID says of it.
    claims: BTreeMap<String, String>,
    /// What the agent is.
    who: Who,
    operation: Option<String>,
    service: Option<String>,
    class: Option<Class>,
    recognition: Recognition,
    resource: Option<Resource>,
    facts: Facts,
    scheme: String,
    host: Option<String>,
    port: Option<u16>,
    method: String,
    path: String,
    /// Of a request as it goes over the wire, which the catalog is to read.
    headers: BTreeMap<String, String>,
    body: Option<String>,
    history: Past,
}

/// The history of the task; what is not said is nought.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts, each by itself, and no state")]
struct Past {
    reads: u64,
    acts: u64,
    delegates: u64,
    denials: u64,
    holds: u64,
    service_seen: bool,
    operation_seen: bool,
    resource_seen: bool,
    resource_read: bool,
    labels: BTreeSet<Arc<str>>,
    external: u64,
    bytes_out: u64,
}

/// What the agent is, and what it did in all its tasks; what is not said is that of an agent that nobody put down.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Who {
    registered: bool,
    kind: AgentKind,
    owner: String,
    environment: String,
    labels: BTreeMap<String, String>,
    acts: u64,
    denials: u64,
    drift: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            agent: "coder".into(),
            evidence: Evidence::TaskToken,
            intent: "test".into(),
            labels: BTreeMap::new(),
            on_behalf_of: None,
            granted: BTreeSet::new(),
            links: BTreeSet::new(),
            claims: BTreeMap::new(),
            who: Who::default(),
            operation: None,
            service: None,
            class: None,
            recognition: Recognition::Exact,
            resource: None,
            facts: Facts::default(),
            scheme: "https".into(),
            host: None,
            port: None,
            method: "GET".into(),
            path: "/".into(),
            headers: BTreeMap::new(),
            body: None,
            history: Past::default(),
        }
    }
}

/// What makes keys no call.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadScenario {
    #[error("`{operation}` is {class} in the catalog, not what `class` says")]
    ClassDiffers { operation: String, class: Class },
    #[error(
        "`operation`, or `service` and `class`, or the `host` that a request goes to as it is sent, are missing"
    )]
    NoOperation,
    #[error(
        "the catalog reads what a request does from the request: leave `resource`, `facts` and `recognition` out"
    )]
    ReadFromRequest,
    #[error(
        "`headers` and `body` are of a request that the catalog reads: leave `operation`, `service` and `class` out"
    )]
    NotRead,
    #[error("the catalog has no operation `{0}`")]
    UnknownOperation(String),
    #[error("`{0}` is not `http` or `https`")]
    Scheme(String),
    #[error(transparent)]
    Value(Box<dyn std::error::Error + Send + Sync>),
}

impl Scenario {
    /// An ordinary call to a host.
    pub(super) fn at_service() -> Self {
        let operation = Some(OperationId::unknown(Class::Read).to_string());
        let labels = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
        Self { operation, labels, service: Some("trial.example".into()), ..Self::default() }
    }

    /// An ordinary call to an object there.
    pub(super) fn at_object() -> Self {
        let thing = |id: &str| Resource { kind: "thing".into(), id: id.into() };
        let args = Args {
            amount: Some(1),
            currency: Some("eur".into()),
            recipients: Some(1),
            external: Some(1),
            domains: ["example.org".to_owned()].into(),
            visibility: Some("public".into()),
            branch: Some("main".into()),
            rows: Some(1),
            unclear: false,
        };
        let labels = ["pii".into()].into();
        let facts =
            Facts { ancestors: vec![thing("outer"), thing("outermost")], labels, args, ..Facts::default() };
        Self { resource: Some(thing("one")), facts, ..Self::at_service() }
    }

    /// The call. With a vocabulary, an operation has to be in it.
    pub(super) fn call(&self, vocabulary: Option<&dyn Vocabulary>) -> Result<Call<Attributed>, BadScenario> {
        let (head, operations) = if let Some(request) = self.request(vocabulary)? {
            request
        } else {
            let operation = self.operation(vocabulary)?;
            // The host of a catalogued service is the catalog's business; a case that cares says it.
            let host = self.host.as_deref().unwrap_or(&operation.service.0);
            (self.head(host).map_err(BadScenario::Value)?, Operations::one(operation))
        };
        let (principal, task) = self.whose(head.at).map_err(BadScenario::Value)?;
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
        let presented = Presented {
            peer,
            by: Entrance::Proxy,
            token: None,
            certificates: None,
            chain: None,
            process: None,
        };
        let recognised = Call::intercepted(head, presented).recognise(operations);
        let attributed = recognised.attribute(principal, Arc::new(task), self.history());
        Ok(attributed.standing_in(Arc::new(self.who.profile()), Vec::new()))
    }

    fn history(&self) -> History {
        let Past { reads, acts, delegates, denials, service_seen, operation_seen, .. } = self.history;
        let Past { resource_seen, resource_read, bytes_out, external, holds, .. } = self.history;
        let Who { acts: all_acts, denials: all_denials, drift, .. } = self.who;
        let agent = AgentHistory { acts: all_acts, denials: all_denials, drift, ..AgentHistory::default() };
        History {
            reads,
            acts,
            delegates,
            denials,
            holds,
            service_seen,
            operation_seen,
            resource_seen,
            resource_read,
            labels: Arc::new(self.history.labels.clone()),
            external,
            bytes_out,
            agent,
        }
    }

    fn operation(&self, vocabulary: Option<&dyn Vocabulary>) -> Result<Operation, BadScenario> {
        let (id, service, class) = match &self.operation {
            None => {
                let (Some(service), Some(class)) = (&self.service, self.class) else {
                    return Err(BadScenario::NoOperation);
                };
                // Some operation that no policy names.
                (format!("{service}:any-{class}"), service.clone(), class)
            }
            Some(id) => {
                let (service, class) = self.look_up(id, vocabulary)?;
                (id.clone(), service, class)
            }
        };
        if let (Some(operation), true) = (&self.operation, self.class.is_some_and(|said| said != class)) {
            return Err(BadScenario::ClassDiffers { operation: operation.clone(), class });
        }
        Ok(Operation {
            id: OperationId(id.into()),
            service: ServiceName(service.into()),
            class,
            resource: self.resource.clone(),
            how: self.recognition,
            facts: self.facts.clone(),
            because: "the case says so".into(),
            ai: None,
        })
    }

    fn look_up(&self, id: &str, vocabulary: Option<&dyn Vocabulary>) -> Result<(String, Class), BadScenario> {
        if let Some(class) = Class::ALL.into_iter().find(|class| *OperationId::unknown(*class).0 == *id) {
            let service =
                self.service.clone().or_else(|| self.host.clone()).ok_or(BadScenario::NoOperation)?;
            return Ok((service, class));
        }
        let found = vocabulary.and_then(|vocabulary| vocabulary.operation(id));
        let (service, class) = found.ok_or_else(|| BadScenario::UnknownOperation(id.to_owned()))?;
        Ok((self.service.clone().unwrap_or_else(|| service.to_string()), class))
    }

    /// The request as it goes over the wire, and what it would do; none: the keys say what it does.
    fn request(
        &self,
        vocabulary: Option<&dyn Vocabulary>,
    ) -> Result<Option<(Head, Operations)>, BadScenario> {
        let told = self.operation.is_some() || self.service.is_some() || self.class.is_some();
        let Some(host) = self.host.as_deref().filter(|_| !told) else {
            let sent = !self.headers.is_empty() || self.body.is_some();
            return if told && sent { Err(BadScenario::NotRead) } else { Ok(None) };
        };
        let ordinary = Self::default();
        if self.resource.is_some() || self.facts != ordinary.facts || self.recognition != ordinary.recognition
        {
            return Err(BadScenario::ReadFromRequest);
        }
        let head = self.head(host).map_err(BadScenario::Value)?;
        let bytes = self.body.clone().unwrap_or_default().into();
        let read =
            vocabulary.and_then(|vocabulary| vocabulary.recognise(&head, &Peek { bytes, whole: true }));
        Ok(Some((head, read.ok_or(BadScenario::NoOperation)?)))
    }

    fn head(&self, host: &str) -> Result<Head, Box<dyn std::error::Error + Send + Sync>> {
        let scheme = match self.scheme.as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(Box::new(BadScenario::Scheme(other.to_owned()))),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        let port = self.port.unwrap_or(scheme.default_port());
        let id = CallId::fresh(&Still, &Still);
        Ok(Head {
            id,
            at: Still.now(),
            origin: Origin { scheme, host: Host::parse(host)?, port },
            method: Method::from_bytes(self.method.as_bytes())?,
            target: Target::parse(&self.path)?,
            version: Version::HTTP_11,
            headers,
            trace: TraceContext::of(id, None, &Still),
            upgrade: None,
        })
    }

    fn whose(&self, now: Timestamp) -> Result<(Principal, Task), Box<dyn std::error::Error + Send + Sync>> {
        let agent = SpiffeId::parse_or_name(&self.agent, &TrustDomain::parse(TRUST_DOMAIN)?)?;
        let task = Task {
            id: TaskId::fresh(&Still, &Still),
            agent: agent.clone(),
            intent: IntentName::parse(&self.intent)?,
            labels: self.labels.clone(),
            opened: now,
            deadline: now.plus(Duration::from_secs(900)),
            terms: Terms {
                on_behalf_of: self.on_behalf_of.clone(),
                grant: Grant { classes: self.granted.clone(), links: self.links.clone(), ..Grant::default() },
                ..Terms::default()
            },
        };
        Ok((Principal { agent, evidence: self.evidence, claims: Claims::of(self.claims.clone()) }, task))
    }
}

impl Who {
    fn profile(&self) -> AgentProfile {
        let Self { registered, kind, owner, environment, labels, .. } = self.clone();
        AgentProfile { registered, kind, owner, environment, purpose: String::new(), labels }
    }
}

/// A world in which nothing moves: a case says the same each time.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(AT_S)
    }
}

impl Entropy for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(1);
    }
}
