//! A collector that does what it is told, and a journal to follow.

use std::collections::VecDeque;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::sync::watch;
use url::Url;

use crate::call::{CallId, Class, Closing, Entropy, Opened, Outcome, SpanId};
use crate::record::Journal;
use crate::record::tests::fixture::decided;
use crate::telemetry::{Endpoint, Followers, Otlp, Ports, Post, Posted, Settings};

pub(super) type Answer = Box<dyn Fn(&[Span]) -> Result<Posted, String> + Send + Sync>;

/// Answers as scripted, afterwards with 200, and keeps what it took.
#[derive(Default)]
pub(super) struct Collector {
    script: Mutex<VecDeque<Answer>>,
    /// Answers everything once the script is over.
    standing: Mutex<Option<Answer>>,
    pub(super) taken: Mutex<Vec<Span>>,
    pub(super) requests: Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>,
    count: watch::Sender<usize>,
}

pub(super) fn status(status: u16) -> Answer {
    Box::new(move |_| Ok(Posted { status, ..Posted::default() }))
}

impl Collector {
    pub(super) fn new(script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let collector = Self::default();
        collector.script.lock().unwrap().extend(script);
        Arc::new(collector)
    }

    pub(super) fn always(answer: Answer) -> Arc<Self> {
        let collector = Self::default();
        *collector.standing.lock().unwrap() = Some(answer);
        Arc::new(collector)
    }

    /// Waits until there have been this many requests.
    pub(super) async fn asked(&self, count: usize) {
        let mut seen = self.count.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(20), seen.wait_for(|seen| *seen >= count)).await;
        waited.expect("the collector was not asked in time").unwrap();
    }

    pub(super) fn ids(&self) -> Vec<Vec<u8>> {
        self.taken.lock().unwrap().iter().map(|span| span.span_id.clone()).collect()
    }

    fn answer(&self, headers: &HeaderMap, body: &Bytes) -> Result<Posted, String> {
        let mut plain = body.to_vec();
        if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip") {
            plain.clear();
            flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
        }
        let request = ExportTraceServiceRequest::decode(&plain[..]).unwrap();
        let spans = request.resource_spans[0].scope_spans[0].spans.clone();
        self.requests.lock().unwrap().push((headers.clone(), request));
        let scripted = self.script.lock().unwrap().pop_front();
        let posted = match (scripted, &*self.standing.lock().unwrap()) {
            (Some(answer), _) => answer(&spans),
            (None, Some(answer)) => answer(&spans),
            (None, None) => Ok(Posted { status: 200, ..Posted::default() }),
        };
        if posted.as_ref().is_ok_and(|posted| posted.status == 200) {
            self.taken.lock().unwrap().extend(spans);
        }
        self.count.send_modify(|count| *count += 1);
        posted
    }
}

impl Post for Collector {
    fn post<'a>(
        &'a self,
        url: &'a Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Posted, String>> {
        assert_eq!(url.as_str(), "http://collector.test:4318/v1/traces");
        std::future::ready(self.answer(&headers, &body)).boxed()
    }
}

pub(super) struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

pub(super) fn otlp() -> Otlp {
    Otlp {
        batch_delay: Duration::from_millis(1),
        retry_first: Duration::from_millis(1),
        retry_longest: Duration::from_millis(4),
        ..Otlp::new(Endpoint::http_base("http://collector.test:4318".parse().unwrap()))
    }
}

pub(super) fn follow_with(journal: &Journal, otlp: Otlp, post: &Arc<Collector>) -> Followers {
    let ports = Ports { post: Arc::clone(post) as Arc<dyn Post>, entropy: Arc::new(Zeros) };
    Followers::start(journal, Settings { otlp: Some(otlp), tree: None }, ports).unwrap()
}

pub(super) fn follow(journal: &Journal, post: &Arc<Collector>) -> Followers {
    follow_with(journal, otlp(), post)
}

/// Calls that are answered; their span ids.
pub(super) async fn answered(journal: &Journal, count: usize) -> Vec<Vec<u8>> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let (id, opened) = opened(journal).await;
        opened.close(Closing { status: Some(200), ..Closing::bare(Outcome::Answered) });
        ids.push(id);
    }
    ids
}

pub(super) async fn opened(journal: &Journal) -> (Vec<u8>, Opened) {
    let call = decided(Class::Read);
    let opened = journal.open(&call).await.unwrap();
    (span_id(call.head().id), opened)
}

pub(super) fn span_id(call: CallId) -> Vec<u8> {
    SpanId::of_call(call).0.to_vec()
}

pub(super) const LONG: Duration = Duration::from_secs(20);

/// What the cursor says comes next.
pub(super) fn cursor(dir: &Path) -> u64 {
    let text = std::fs::read_to_string(dir.join("journal/otlp.cursor")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["next"].as_u64().unwrap()
}

/// An attribute as text.
pub(super) fn attribute(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::ArrayValue(list) => format!("{:?}", list.values),
        other => format!("{other:?}"),
    })
}
