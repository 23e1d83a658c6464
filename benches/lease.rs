//! What a lease adds to a call: `cargo bench --bench lease`.
//!
//! A warm lease found and its token put into a header, signing with AWS version 4 and a body of 4 KB that is hashed here, signing with the hash that the agent sent, and the look for
//! keys that an agent brought, each again and again on one core. Method and figures: benches/README.md.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench that cannot run says why by panicking, and its figures are no exact ones"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, pending, ready};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use remit::call::task::IntentName;
use remit::call::{
    CallId, Class, Clock, Entropy, Facts, Head, Lease, LeaseId, Operation, OperationId, Operations, Origin,
    Recognition, Scheme, Secret, ServiceName, SpanId, SpiffeId, Target, Task, TaskId, Terms, Timestamp,
    TraceContext, TraceId,
};
use remit::lease::sign::{Payload, Sent, sign};
use remit::lease::{
    Answers, Broker, Entry, Kept, LeaseBook, LeaseBookError, Look, Material, MintError, Minted, Need,
    Outgoing, Place, Ports, Provider, Returned, Row, TaskEnds, Told, Witness, formats,
};

const LEAST: Duration = Duration::from_secs(2);

fn head(method: Method, host: &str, target: &str, headers: &[(&str, &str)]) -> Head {
    let (host, port) = Origin::parse_authority(host, Some(443)).expect("a host");
    let header = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().expect("a field name");
        (name, HeaderValue::from_str(value).expect("a field value"))
    };
    Head {
        id: "00000000000000000000000000".parse::<CallId>().expect("an id"),
        at: Timestamp::default(),
        origin: Origin { scheme: Scheme::Https, host, port },
        method,
        target: Target::parse(target).expect("a target"),
        version: Version::HTTP_11,
        headers: headers.iter().map(header).collect::<HeaderMap>(),
        trace: TraceContext { trace: TraceId([1; 16]), parent: None, span: SpanId([1; 8]), flags: 0 },
        upgrade: None,
    }
}

fn measured(name: &str, mut once: impl FnMut()) {
    let mut each: Vec<Duration> = Vec::new();
    let began = Instant::now();
    while began.elapsed() < LEAST {
        let now = Instant::now();
        once();
        each.push(now.elapsed());
    }
    tell(name, each);
}

fn tell(name: &str, mut each: Vec<Duration>) {
    each.sort_unstable();
    let at = |percent: usize| each[(each.len() - 1) * percent / 100].as_nanos() as f64 / 1e3;
    println!("lease {name:<40} p50 {:>7.2} µs   p99 {:>7.2} µs", at(50), at(99));
}

/// A world in which nothing is kept and no task ends.
struct Nothing;

impl Clock for Nothing {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(1_767_225_600)
    }
}

impl Entropy for Nothing {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

impl LeaseBook for Nothing {
    fn keep(&self, _: Row) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        ready(Ok(())).boxed()
    }
    fn forget(&self, _: LeaseId) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        ready(Ok(())).boxed()
    }
    fn keep_own(&self, _: Arc<str>, _: Vec<u8>) -> BoxFuture<'_, Result<(), LeaseBookError>> {
        ready(Ok(())).boxed()
    }
    fn load(&self, _: Timestamp) -> Result<Kept, LeaseBookError> {
        Ok(Kept::default())
    }
}

impl Witness for Nothing {
    fn tell<'a>(&'a self, _: &'a Lease, _: Told) -> BoxFuture<'a, Result<(), String>> {
        ready(Ok(())).boxed()
    }
}

impl TaskEnds for Nothing {
    fn ended(&self, _: TaskId) -> Option<BoxFuture<'static, ()>> {
        Some(pending().boxed())
    }
}

impl Provider for Nothing {
    fn kind(&self) -> &'static str {
        "bench"
    }
    fn scope(&self, need: &Need<'_>) -> Result<String, MintError> {
        Ok(need.class.as_str().to_owned())
    }
    fn mint<'a>(&'a self, _: &'a Need<'a>) -> BoxFuture<'a, Result<Minted, MintError>> {
        let material = Material::Token(Secret::new("ghs_0123456789abcdefghijklmnopqrstuvwxyz".to_owned()));
        let expires = Some(self.now().plus(Duration::from_secs(3_600)));
        ready(Ok(Minted { material, expires, handle: None })).boxed()
    }
    fn revoke<'a>(&'a self, _: &'a Secret<String>) -> BoxFuture<'a, Result<Returned, MintError>> {
        ready(Ok(Returned::Revoked)).boxed()
    }
}

/// Everything that a lease adds to a call but its minting: the look for placeholders, the entry, the lease, the header field.
fn header() {
    let world = Arc::new(Nothing);
    let entry = Entry {
        name: "github/bench".into(),
        service: "github".into(),
        hosts: Vec::new(),
        classes: Vec::new(),
        place: Place::default(),
        signing_name: None,
        scheme: None,
        untaken: Vec::new(),
        look: Look::of("ghp_"),
        env: Vec::new(),
        observed: true,
        provider: world.clone(),
    };
    let ports = Ports {
        clock: world.clone(),
        entropy: world.clone(),
        book: world.clone(),
        witness: world.clone(),
        tasks: world.clone(),
    };
    let key = Secret::new(vec![7; 32]);
    let broker = Broker::new(vec![entry], &key, ports).expect("a key that is long enough");
    let task = Arc::new(Task {
        id: TaskId::fresh(&Nothing, &Nothing),
        agent: SpiffeId::parse("spiffe://example.org/agent/a").expect("an agent"),
        intent: IntentName::parse("bench").expect("an intent"),
        labels: BTreeMap::new(),
        opened: Nothing.now(),
        deadline: Nothing.now().plus(Duration::from_secs(3_600)),
        terms: Terms::default(),
    });
    let operations = Operations::one(Operation {
        id: OperationId("github:issues/create".into()),
        service: ServiceName("github".into()),
        class: Class::Act,
        resource: None,
        how: Recognition::Exact,
        facts: Facts::default(),
        ai: None,
        because: "bench".into(),
    });
    let dummy = broker.dummies(task.id).remove(0).placeholder;
    let bearer = format!("Bearer {dummy}");
    let fields = [
        ("user-agent", "octokit/5.0 node/24"),
        ("accept", "application/vnd.github+json"),
        ("authorization", bearer.as_str()),
        ("x-github-api-version", "2022-11-28"),
    ];
    let call = head(Method::POST, "api.github.com", "/repos/octo/hello/issues?per_page=100", &fields);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut each = Vec::new();
        let began = Instant::now();
        while began.elapsed() < LEAST {
            let now = Instant::now();
            broker
                .examine(&call, b"", task.id, (&operations, Answers::Otherwise))
                .expect("it stands where it belongs");
            let grip = broker.grip(&call, &task, &operations).await.expect("a lease").expect("an entry");
            let (mut headers, mut target) = (call.headers.clone(), call.target.clone());
            let outgoing = Outgoing {
                origin: &call.origin,
                method: &call.method,
                headers: &mut headers,
                target: &mut target,
            };
            grip.put(outgoing, Payload::Whole(b"")).expect("a place");
            each.push(now.elapsed());
            black_box((headers, target));
        }
        tell("header, a warm lease", each);
    });
}

fn main() {
    header();
    let keys = Material::Aws {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        session_token: Some(Secret::new(
            "IQoJb3JpZ2luX2VjEPT//////////wEaCXVzLWVhc3QtMSJIMEYCIQD".repeat(12),
        )),
    };
    let scope = "20260101/us-east-1/dynamodb/aws4_request";
    let signed = format!(
        "AWS4-HMAC-SHA256 Credential=AKIARMIT234567ABCDEF/{scope}, SignedHeaders=content-type;host;x-amz-date;x-amz-target, Signature=00"
    );
    let shared = [
        ("user-agent", "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11"),
        ("content-type", "application/x-amz-json-1.0"),
        ("accept-encoding", "identity"),
        ("x-amz-date", "20260101T000000Z"),
        ("x-amz-target", "DynamoDB_20120810.PutItem"),
        ("authorization", signed.as_str()),
    ];
    let body = vec![b'x'; 4096];
    let now = Timestamp::from_unix_s(1_767_225_600);
    let hashed = head(Method::POST, "dynamodb.us-east-1.amazonaws.com", "/", &shared);
    measured("SigV4, a body of 4 KB hashed", || {
        let (mut headers, mut target) = (hashed.headers.clone(), hashed.target.clone());
        let sent = Sent { payload: Payload::Whole(&body), signing_name: Some("dynamodb"), now };
        sign(&keys, &hashed.origin, &hashed.method, &mut headers, &mut target, sent).expect("a signature");
        black_box((headers, target));
    });
    let hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let with_hash: Vec<_> = shared.iter().copied().chain([("x-amz-content-sha256", hash)]).collect();
    let told = head(Method::PUT, "dynamodb.us-east-1.amazonaws.com", "/", &with_hash);
    measured("SigV4, the agent's hash", || {
        let (mut headers, mut target) = (told.headers.clone(), told.target.clone());
        let sent = Sent { payload: Payload::Streaming, signing_name: None, now };
        sign(&keys, &told.origin, &told.method, &mut headers, &mut target, sent).expect("a signature");
        black_box((headers, target));
    });
    let bearer = [
        ("user-agent", "octokit/5.0 node/24"),
        ("accept", "application/vnd.github+json"),
        ("authorization", "Bearer ghp_rem1t01k4000000000000000000000001234567890abc"),
        ("x-github-api-version", "2022-11-28"),
    ];
    let call = head(Method::POST, "api.github.com", "/repos/octo/hello/issues?per_page=100", &bearer);
    let ours = |text: &str| text.contains("rem1t");
    measured("keys brought, a head", || {
        black_box(formats::brought(black_box(&call), b"", ours));
    });
    let json =
        "{\"title\":\"Found a bug\",\"body\":\"I am having a problem with this.\",\"labels\":[\"bug\"]}"
            .repeat(48);
    measured("keys brought, a head and a body of 4 KB", || {
        black_box(formats::brought(black_box(&call), json.as_bytes(), ours));
    });
}
