//! OTLP/gRPC (OTLP specification, "OTLP/gRPC").

use std::time::Duration;

use ::http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use url::Url;

use super::{Compression, Otlp, Verdict};
use crate::telemetry::TelemetryError;

pub(in crate::telemetry) struct Sender {
    client: TraceServiceClient<Channel>,
    metadata: MetadataMap,
    timeout: Duration,
}

impl Sender {
    pub(super) fn new(url: &Url, headers: HeaderMap, otlp: &Otlp) -> Result<Self, TelemetryError> {
        let channel = endpoint(url, otlp)?.connect_lazy();
        let mut client = TraceServiceClient::new(channel);
        if otlp.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        Ok(Self { client, metadata: MetadataMap::from_headers(headers), timeout: otlp.timeout })
    }

    pub(super) async fn send(&mut self, spans: ExportTraceServiceRequest) -> Verdict {
        let mut request = Request::new(spans);
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        // tonic's own limit covers the request but not the wait for a connection.
        match tokio::time::timeout(self.timeout, self.client.export(request)).await {
            Ok(Ok(response)) => Verdict::taken(response.into_inner()),
            Ok(Err(status)) => verdict(&status),
            Err(_) => Verdict::Later {
                after: None,
                why: format!("no answer within {} ms", self.timeout.as_millis()),
            },
        }
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

/// `RESOURCE_EXHAUSTED` with details says when to come again; without, most often, that the message is too large.
fn verdict(status: &Status) -> Verdict {
    let why = format!("the collector answered {:?}: {}", status.code(), printable(status.message()));
    match status.code() {
        Code::InvalidArgument => Verdict::Unfit { why },
        Code::ResourceExhausted if status.details().is_empty() => Verdict::TooMuch { why },
        _ => Verdict::Later { after: None, why },
    }
}

fn printable(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(200).collect()
}
