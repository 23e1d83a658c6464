//! Providers against a server that checks what it is asked. The main paths run against real servers in `tests/e2e`.

mod dpop;
mod github_app;
mod google;
mod oauth;
mod shared;
mod vault;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use serde_json::{Value, json};

use super::*;
use crate::call::port::Fetched;
use crate::call::{
    FetchError, Grant, IntentName, Operation, OperationId, Recognition, Resource, SpiffeId, Subject, TaskId,
    Terms,
};

const NOW_S: u64 = 1_800_000_000;

/// A clock that stands, and a generator that counts.
struct World(Mutex<u8>);

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(0)))
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(NOW_S)
    }
}

impl Entropy for World {
    fn fill(&self, buffer: &mut [u8]) {
        let mut drawn = self.0.lock().unwrap();
        for byte in buffer {
            *drawn = drawn.wrapping_mul(29).wrapping_add(41);
            *byte = *drawn;
        }
    }
}

/// This world, with a Workload API that gives the name of the audience.
fn ports(server: &Arc<Server>) -> Ports {
    let world = World::new();
    Ports {
        fetch: Arc::clone(server) as _,
        clock: Arc::clone(&world) as _,
        entropy: world,
        svids: Some(Arc::new(Svids)),
        keeper: None,
    }
}

struct Svids;

impl SvidSource for Svids {
    fn jwt_svid<'a>(&'a self, audience: &'a str) -> BoxFuture<'a, Result<Secret<String>, MintError>> {
        Box::pin(std::future::ready(Ok(secret(&format!("svid-for-{audience}")))))
    }
}

type Answering = Box<dyn FnOnce(&Asked) -> Result<Response<Bytes>, FetchError> + Send>;

/// A server that expects these requests and no others, in this order.
struct Server {
    expected: Mutex<Vec<Answering>>,
    asked: Mutex<Vec<Asked>>,
}

/// A request, taken apart.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    url: String,
    headers: HeaderMap,
    body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The fields of a form, each of which may come once but those that may repeat.
    fn form(&self) -> BTreeMap<String, String> {
        assert_eq!(self.header("content-type"), "application/x-www-form-urlencoded");
        let mut fields = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(self.body.as_bytes()) {
            let name = name.into_owned();
            let value = match fields.remove(&name) {
                Some(before) => format!("{before} {value}"),
                None => value.into_owned(),
            };
            fields.insert(name, value);
        }
        fields
    }

    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Server {
    fn new() -> Self {
        Self { expected: Mutex::default(), asked: Mutex::default() }
    }

    /// Answers the next request, after a look at it.
    fn next(
        self,
        answer: impl FnOnce(&Asked) -> Result<Response<Bytes>, FetchError> + Send + 'static,
    ) -> Self {
        self.expected.lock().unwrap().push(Box::new(answer));
        self
    }

    fn answers(self, status: u16, body: Value) -> Self {
        self.next(move |_| said(status, &body))
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// That nothing more was expected.
    fn done(&self) -> Vec<Asked> {
        assert_eq!(
            self.expected.lock().unwrap().len(),
            0,
            "requests that did not come; asked: {:?}",
            self.asked()
        );
        self.asked()
    }
}

impl Fetch for Server {
    fn fetch(&self, request: Request<Bytes>) -> Fetched<'_> {
        let (head, body) = request.into_parts();
        let asked = Asked {
            method: head.method.to_string(),
            url: head.uri.to_string(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        assert_eq!(asked.header("accept").split('/').next(), Some("application"));
        self.asked.lock().unwrap().push(asked.clone());
        let answer = {
            let mut expected = self.expected.lock().unwrap();
            assert!(!expected.is_empty(), "nobody expected {asked:?}");
            expected.remove(0)
        };
        Box::pin(std::future::ready(answer(&asked)))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where something may also be missing")]
fn said(status: u16, body: &Value) -> Result<Response<Bytes>, FetchError> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Ok(Response::builder().status(status).body(body.into()).unwrap())
}

fn lost(reached: bool) -> Result<Response<Bytes>, FetchError> {
    Err(FetchError { why: "the connection broke".to_owned(), reached })
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn given(text: &str) -> Arc<dyn SecretSource> {
    Arc::new(Given(secret(text)))
}

fn agent(name: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://example.org/agent/{name}")).unwrap()
}

fn id(n: u8) -> TaskId {
    format!("0000000000000000000000000{n}").parse().unwrap()
}

/// Ada works for a person, and got the work from Root.
fn task(resources: &[&str]) -> Task {
    Task {
        id: id(1),
        agent: agent("ada"),
        intent: IntentName::parse("tidy").unwrap(),
        labels: BTreeMap::new(),
        opened: Timestamp::from_unix_s(NOW_S - 10),
        deadline: Timestamp::from_unix_s(NOW_S + 600),
        terms: Terms {
            on_behalf_of: Some(Subject::parse("user:grace@example.org").unwrap()),
            actors: vec![agent("root")],
            grant: Grant {
                resources: resources
                    .iter()
                    .map(|text| crate::call::grant::Pattern::parse(text).unwrap())
                    .collect(),
                ..Grant::default()
            },
            ..Terms::default()
        },
    }
}

fn operation(id: &str, class: Class, repository: Option<&str>) -> Operation {
    Operation {
        id: OperationId(id.into()),
        service: ServiceName(id.split(':').next().unwrap().into()),
        class,
        resource: repository.map(|id| Resource { kind: "repo".into(), id: id.to_owned() }),
        how: Recognition::Exact,
        facts: crate::call::Facts::default(),
        because: "catalog".into(),
        ai: None,
    }
}

/// A task and a call of it, to make needs of.
struct Wanted {
    task: Task,
    service: ServiceName,
    operations: Operations,
}

impl Wanted {
    fn of(class: Class) -> Self {
        Self::to(task(&[]), operation("github:issues/get", class, Some("octo/hello")))
    }

    fn to(task: Task, operation: Operation) -> Self {
        Self { task, service: operation.service.clone(), operations: Operations::one(operation) }
    }

    fn need(&self) -> Need<'_> {
        Need {
            task: &self.task,
            service: &self.service,
            class: self.operations.class(),
            operations: &self.operations,
            until: self.task.deadline,
            now: Timestamp::from_unix_s(NOW_S),
        }
    }
}

fn token_of(minted: &Minted) -> &str {
    match &minted.material {
        Material::Token(token) | Material::Dpop { token, .. } => token.reveal(),
        other => panic!("{other:?} is no token"),
    }
}

/// The header and the claims of a JWT, its signature not looked at.
fn jwt_parts(token: &str) -> (Value, Value) {
    use base64::Engine as _;
    let part = |n: usize| {
        let text = token.split('.').nth(n).unwrap();
        serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap())
            .unwrap()
    };
    (part(0), part(1))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where something may also be missing")]
fn after_s(seconds: u64) -> Option<Timestamp> {
    Some(Timestamp::from_unix_s(NOW_S + seconds))
}

/// Ed25519, made for these tests.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const KEY_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
