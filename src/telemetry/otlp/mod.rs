//! OTLP 1.x: what is sent, where to, and what an answer means.
//!
//! A span is given up only where the collector says that this one span will never do. A collector that says no to us
//! (401, 404, a wrong port) is asked again later: the journal keeps the spans, and an operator will mend it.

pub(super) mod grpc;
mod http;

use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use url::Url;

use super::error::TelemetryError;
use super::semconv;
use crate::call::Secret;

/// Where spans go, and how.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// Where to.
    pub endpoint: Endpoint,
    /// Headers, or gRPC metadata, for the collector: its API key, most often.
    pub headers: Vec<(String, Secret<String>)>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Whether requests are compressed.
    pub compression: Compression,
    /// Resource attributes, as `OTEL_RESOURCE_ATTRIBUTES` gives them. `service.name` and `service.version` are added
    /// where they are missing; anything else, `openinference.project.name` for one, goes through.
    pub resource: Vec<(String, String)>,
    /// Spans in one request, at most.
    pub batch_spans: usize,
    /// How long the first span of a batch waits for others.
    pub batch_delay: Duration,
    /// The first pause after a failure; it doubles, less up to half by chance.
    pub retry_first: Duration,
    /// The longest pause.
    pub retry_longest: Duration,
    /// PEM certificates that a gRPC collector's certificate may lead to; empty: no TLS is possible. OTLP/HTTP trusts
    /// what its [`Post`] trusts.
    pub trust_pem: Vec<u8>,
}

impl Otlp {
    /// 512 spans or a second a batch, 10 seconds a request, gzip off, pauses from half a second to half a minute.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            compression: Compression::None,
            resource: Vec::new(),
            batch_spans: 512,
            batch_delay: Duration::from_secs(1),
            retry_first: Duration::from_millis(500),
            retry_longest: Duration::from_secs(30),
            trust_pem: Vec::new(),
        }
    }
}

/// A collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// OTLP/HTTP with protobuf; the whole URL, `/v1/traces` included.
    Http(Url),
    /// OTLP/gRPC. `grpc:` and `http:` are plain, `grpcs:` and `https:` are TLS; the path is not looked at.
    Grpc(Url),
}

impl Endpoint {
    /// OTLP/HTTP at a base URL: `/v1/traces` is put behind its path, as `OTEL_EXPORTER_OTLP_ENDPOINT` wants it.
    pub fn http_base(mut base: Url) -> Self {
        let path = format!("{}/v1/traces", base.path().trim_end_matches('/'));
        base.set_path(&path);
        Self::Http(base)
    }
}

/// Compression of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
}

/// An HTTP client, as far as OTLP/HTTP needs one. `runtime` makes it from what it has.
pub trait Post: Send + Sync {
    /// Sends one POST and reads the whole answer, up to a bound of its own. It MUST NOT follow redirects. The future
    /// may be dropped half-way.
    fn post<'a>(
        &'a self,
        url: &'a Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> BoxFuture<'a, Result<Posted, String>>;
}

/// An answer to a [`Post`].
#[derive(Clone, Debug, Default)]
pub struct Posted {
    /// Its status.
    pub status: u16,
    /// `Retry-After`, if it is given in seconds.
    pub retry_after: Option<Duration>,
    /// Its body.
    pub body: Bytes,
}

/// What a collector made of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has the spans, but for `rejected` of them, which it will never take.
    Taken { rejected: u64, why: String },
    /// Not now.
    Later { after: Option<Duration>, why: String },
    /// It is too much at once.
    TooMuch { why: String },
    /// There is something in it that will never do.
    Unfit { why: String },
}

impl Verdict {
    fn taken(response: ExportTraceServiceResponse) -> Self {
        let partial = response.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0);
        Self::Taken { rejected, why: partial.error_message }
    }
}

/// The connection to a collector.
pub(super) enum Wire {
    Http(Box<http::Sender>),
    Grpc(Box<grpc::Sender>),
}

impl Wire {
    /// Nothing is connected yet; gRPC needs a Tokio runtime to be there.
    pub(super) fn new(otlp: &Otlp, post: std::sync::Arc<dyn Post>) -> Result<Self, TelemetryError> {
        let headers = headers(&otlp.headers)?;
        Ok(match &otlp.endpoint {
            Endpoint::Http(url) => Self::Http(Box::new(http::Sender::new(url.clone(), headers, otlp, post)?)),
            Endpoint::Grpc(url) => Self::Grpc(Box::new(grpc::Sender::new(url, headers, otlp)?)),
        })
    }

    pub(super) async fn send(&mut self, request: ExportTraceServiceRequest) -> Verdict {
        match self {
            Self::Http(sender) => sender.send(&request).await,
            Self::Grpc(sender) => sender.send(request).await,
        }
    }

    pub(super) async fn send_metrics(&mut self, request: ExportMetricsServiceRequest) -> Verdict {
        match self {
            Self::Http(sender) => sender.send(&request).await,
            Self::Grpc(sender) => sender.send_metrics(request).await,
        }
    }
}

fn headers(given: &[(String, Secret<String>)]) -> Result<HeaderMap, TelemetryError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let bad = |why| TelemetryError::Header { name: name.clone(), why };
        let key = HeaderName::try_from(name.as_str())
            .map_err(|_| bad("the name has a character that no header name has"))?;
        let mut value = HeaderValue::try_from(value.reveal().as_str())
            .map_err(|_| bad("the value has a character that no header value has"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

/// Puts spans into an envelope that says who sends them.
pub(super) fn request(resource: &[(String, String)], spans: Vec<Span>) -> ExportTraceServiceRequest {
    let (resource, scope) = sender(resource);
    let schema_url = semconv::SCHEMA_URL.to_owned();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: schema_url.clone() }];
    let of = ResourceSpans { resource: Some(resource), scope_spans, schema_url };
    ExportTraceServiceRequest { resource_spans: vec![of] }
}

/// Who sends.
pub(super) fn sender(resource: &[(String, String)]) -> (Resource, InstrumentationScope) {
    let version = env!("CARGO_PKG_VERSION");
    let own = [(semconv::SERVICE_NAME, "remit"), (semconv::SERVICE_VERSION, version)];
    let missing = own.into_iter().filter(|(key, _)| resource.iter().all(|(given, _)| given != key));
    let given = resource.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let attributes = missing.chain(given).map(|(key, value)| text(key, value)).collect();
    let scope = InstrumentationScope {
        name: "remit".to_owned(),
        version: version.to_owned(),
        ..InstrumentationScope::default()
    };
    (Resource { attributes, ..Resource::default() }, scope)
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// How remit names itself to a collector.
fn user_agent() -> String {
    format!("remit/{} OTLP-Exporter", env!("CARGO_PKG_VERSION"))
}
