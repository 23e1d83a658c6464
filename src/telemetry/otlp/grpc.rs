//! OTLP/gRPC (OTLP specification, "OTLP/gRPC").

use std::time::Duration;

use ::http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use url::Url;

use super::{Compression, Otlp, Verdict};
use crate::telemetry::TelemetryError;

pub(in crate::telemetry) struct Sender {
    traces: TraceServiceClient<Channel>,
    metrics: MetricsServiceClient<Channel>,
    metadata: MetadataMap,
    timeout: Duration,
}

impl Sender {
    pub(super) fn new(url: &Url, headers: HeaderMap, otlp: &Otlp) -> Result<Self, TelemetryError> {
        let channel = endpoint(url, otlp)?.connect_lazy();
        let mut traces = TraceServiceClient::new(channel.clone());
        let mut metrics = MetricsServiceClient::new(channel);
        if otlp.compression == Compression::Gzip {
            traces = traces.send_compressed(CompressionEncoding::Gzip);
            metrics = metrics.send_compressed(CompressionEncoding::Gzip);
        }
        Ok(Self { traces, metrics, metadata: MetadataMap::from_headers(headers), timeout: otlp.timeout })
    }

    pub(super) async fn send(&mut self, spans: ExportTraceServiceRequest) -> Verdict {
        let request = self.request(spans);
        // tonic's own limit covers the request but not the wait for a connection.
        match tokio::time::timeout(self.timeout, self.traces.export(request)).await {
            Ok(Ok(response)) => Verdict::taken(response.into_inner()),
            Ok(Err(status)) => verdict(&status),
            Err(_) => self.silent(),
        }
    }

    pub(super) async fn send_metrics(&mut self, metrics: ExportMetricsServiceRequest) -> Verdict {
        let request = self.request(metrics);
        match tokio::time::timeout(self.timeout, self.metrics.export(request)).await {
            Ok(Ok(response)) => {
                let partial = response.into_inner().partial_success.unwrap_or_default();
                let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
                Verdict::Taken { rejected, why: partial.error_message }
            }
            Ok(Err(status)) => verdict(&status),
            Err(_) => self.silent(),
        }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        request
    }

    fn silent(&self) -> Verdict {
        Verdict::Later { after: None, why: format!("no answer within {} ms", self.timeout.as_millis()) }
    }
}

fn endpoint(url: &Url, otlp: &Otlp) -> Result<Endpoint, TelemetryError> {
    let bad = |why: String| TelemetryError::Endpoint { url: super::http::shown(url), why };
    let secure = match url.scheme() {
        "grpc" | "http" => false,
        "grpcs" | "https" => true,
        other => return Err(bad(format!("`{other}` is not grpc, grpcs, http or https"))),
    };
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| bad("the host is missing".to_owned()))?;
    let scheme = if secure { "https" } else { "http" };
    let address = format!("{scheme}://{host}:{}", url.port().unwrap_or(4317));
    let endpoint = Endpoint::from_shared(address)
        .and_then(|endpoint| endpoint.user_agent(super::user_agent()))
        .map_err(|e| bad(e.to_string()))?
        .connect_timeout(otlp.timeout)
        .timeout(otlp.timeout);
    if !secure {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&otlp.trust_pem));
    endpoint.tls_config(tls).map_err(|e| bad(e.to_string()))
}

/// `RESOURCE_EXHAUSTED` with [`RetryInfo`] is a request to come later; without, most often, the message is too large.
pub(in crate::telemetry) fn verdict(status: &Status) -> Verdict {
    let why = format!("the collector answered {:?}: {}", status.code(), printable(status.message()));
    match (status.code(), retry_after(status.details())) {
        (Code::InvalidArgument, _) => Verdict::Unfit { why },
        (Code::ResourceExhausted, None) => Verdict::TooMuch { why },
        (_, after) => Verdict::Later { after, why },
    }
}

/// `google.rpc.Status`, which gRPC sends in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, prost::Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo` (OTLP specification, "OTLP/gRPC Throttling").
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

fn retry_after(details: &[u8]) -> Option<Duration> {
    let details = Details::decode(details).ok()?.details;
    let info = details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
    Duration::try_from(delay).ok()
}

fn printable(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(200).collect()
}
