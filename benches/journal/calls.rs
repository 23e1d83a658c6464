//! Calls as the walk makes them, up to the decision, of many agents, tasks, operations and hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderValue, Method, Version, header};
use remit::call::principal::Entrance;
use remit::call::task::IntentName;
use remit::call::{
    Call, CallId, Claims, Class, Clock, Decided, Entropy, Evidence, Head, History, Operation, OperationId,
    Operations, Origin, Presented, Principal, Recognition, Resource, Ruled, Ruling, Scheme, ServiceName,
    SpiffeId, Target, Task, TaskId, Timestamp, TraceContext,
};
use remit::judge::{PolicySource, Rules, SourceFile, Vocabulary};

pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp::from_unix_ns(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// splitmix64: ids must differ, not be unguessable.
struct Mixed(AtomicU64);

impl Entropy for Mixed {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (x ^ (x >> 31)).to_le_bytes();
            chunk.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
    }
}

struct NoWords;

impl Vocabulary for NoWords {
    fn operation(&self, _id: &str) -> Option<(ServiceName, Class)> {
        None
    }
    fn services(&self) -> Vec<ServiceName> {
        Vec::new()
    }
    fn operation_ids(&self) -> Vec<String> {
        Vec::new()
    }
}

/// How many of each there are.
pub(crate) const TASKS: usize = 500;
const AGENTS: usize = 50;
const SERVICES: usize = 20;
const VERBS: usize = 25;

/// Makes calls.
pub(crate) struct Calls {
    entropy: Mixed,
    tasks: Vec<Arc<Task>>,
    ruling: Ruling,
    made: AtomicU64,
}

impl Calls {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let entropy = Mixed(AtomicU64::new(SystemClock.now().unix_ns()));
        let now = SystemClock.now();
        let task = |number: usize| -> anyhow::Result<Arc<Task>> {
            Ok(Arc::new(Task {
                id: TaskId::fresh(&SystemClock, &entropy),
                agent: SpiffeId::parse(&format!("spiffe://example.org/agent/agent-{}", number % AGENTS))?,
                intent: IntentName::parse("triage")?,
                labels: [("team".to_owned(), "blue".to_owned())].into(),
                opened: now,
                deadline: now.plus(std::time::Duration::from_secs(900)),
                terms: remit::call::Terms::default(),
            }))
        };
        let tasks: Vec<_> = (0..TASKS).map(task).collect::<anyhow::Result<_>>()?;
        let text = "@id(\"all\")\npermit (principal, action, resource);\n".to_owned();
        let source =
            PolicySource::of_files(vec![SourceFile { name: "all.cedar".to_owned(), text }], "bench")?;
        let rules = Rules::load(&source, &NoWords)?;
        let first = tasks.first().context("there are no tasks")?;
        let ruling = rules.rule(&attributed(&entropy, 0, Class::Read, first)?);
        Ok(Self { entropy, tasks, ruling, made: AtomicU64::new(0) })
    }

    /// The next call. What Cedar says is asked once, for all.
    pub(crate) fn call(&self, class: Class) -> Call<Decided> {
        match self.try_call(class) {
            Ok(call) => call,
            Err(error) => unreachable!("the same worked at the beginning: {error}"),
        }
    }

    /// A name of each kind that is there.
    pub(crate) fn samples(&self) -> (String, String, String, String) {
        let task = self.tasks.get(7).map_or(String::new(), |task| task.id.to_string());
        (
            "agent-7".to_owned(),
            task,
            "service-3:things/verb-3".to_owned(),
            "service-3.example.test".to_owned(),
        )
    }

    fn try_call(&self, class: Class) -> anyhow::Result<Call<Decided>> {
        let number = usize::try_from(self.made.fetch_add(1, Ordering::Relaxed))?;
        let task = self.tasks.get(number % TASKS).context("no task")?;
        match attributed(&self.entropy, number, class, task)?.decide(self.ruling.clone()) {
            Ruled::Allowed(call) => Ok(call),
            Ruled::Denied(_) | Ruled::Held(_) => bail!("the policy permits everything"),
        }
    }
}

fn attributed(
    entropy: &Mixed,
    number: usize,
    class: Class,
    task: &Arc<Task>,
) -> anyhow::Result<Call<remit::call::Attributed>> {
    let service = number % SERVICES;
    let id = CallId::fresh(&SystemClock, entropy);
    let (host, port) = Origin::parse_authority(&format!("service-{service}.example.test"), Some(443))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static("bench/1.0"));
    let head = Head {
        id,
        at: SystemClock.now(),
        origin: Origin { scheme: Scheme::Https, host, port },
        method: if class == Class::Read { Method::GET } else { Method::POST },
        target: Target::parse(&format!("/v1/things/{number}?page=2&limit=100"))?,
        version: Version::HTTP_11,
        headers,
        trace: TraceContext::of(id, None, entropy),
        upgrade: None,
    };
    let presented = Presented {
        peer: "127.0.0.1:50000".parse()?,
        by: Entrance::Proxy,
        token: None,
        certificates: None,
        chain: None,
        process: None,
    };
    let operation = Operation {
        id: OperationId(format!("service-{service}:things/verb-{}", number % VERBS).into()),
        service: ServiceName(format!("service-{service}").into()),
        class,
        resource: Some(Resource { kind: "thing".into(), id: number.to_string() }),
        how: Recognition::Exact,
        because: "catalog".into(),
        facts: remit::call::Facts::default(),
        ai: None,
    };
    let principal =
        Principal { agent: task.agent.clone(), evidence: Evidence::TaskToken, claims: Claims::default() };
    let call = Call::intercepted(head, presented).recognise(Operations::one(operation));
    Ok(call.attribute(principal, Arc::clone(task), History { reads: 3, ..History::default() }))
}
