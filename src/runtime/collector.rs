//! From what the configuration says of a collector to how `telemetry` reaches it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::config::{self, Config};
use super::{StartError, wire};
use crate::call::Entropy;
use crate::origin::{self, ResolveTable, Upstream};
use crate::telemetry::{self, Endpoint, Post, Posted};

/// The collector of spans, if one is wanted.
pub(super) fn spans(config: &Config) -> Result<Option<telemetry::Otlp>, StartError> {
    config.telemetry.otlp.as_ref().map(|wanted| otlp(config, wanted)).transpose()
}

pub(super) fn otlp(config: &Config, wanted: &config::Otlp) -> Result<telemetry::Otlp, StartError> {
    let endpoint = match wanted.protocol {
        config::OtlpProtocol::Grpc => Endpoint::Grpc(wanted.endpoint.clone()),
        config::OtlpProtocol::HttpProtobuf => Endpoint::Http(wanted.endpoint.clone()),
    };
    let compression = match wanted.compression {
        config::Compression::Gzip => telemetry::Compression::Gzip,
        config::Compression::None => telemetry::Compression::None,
    };
    let is_secure_grpc = wanted.protocol == config::OtlpProtocol::Grpc && wanted.endpoint.scheme() == "https";
    let resource = config.telemetry.resource.iter().map(|(name, value)| (name.clone(), value.clone()));
    Ok(telemetry::Otlp {
        headers: wanted.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        timeout: wanted.timeout,
        compression,
        resource: resource.collect(),
        batch_spans: wanted.batch_spans,
        batch_delay: wanted.batch_delay,
        trust_pem: if is_secure_grpc {
            trust_pem(config, wanted.certificate.as_deref())?
        } else {
            Vec::new()
        },
        ..telemetry::Otlp::new(endpoint)
    })
}

/// All that a collector's certificate may lead to: the system's anchors, the operator's, the collector's own.
fn trust_pem(config: &Config, certificate: Option<&Path>) -> Result<Vec<u8>, StartError> {
    let mut anchors = rustls_native_certs::load_native_certs().certs;
    anchors.extend(wire::trust(&config.upstream.trust)?);
    if let Some(path) = certificate {
        anchors.extend(wire::trust(&[path.to_owned()])?);
    }
    let mut pem = String::new();
    for anchor in anchors {
        // RFC 7468; readers take lines of any length.
        let text = STANDARD.encode(&anchor);
        let _infallible = writeln!(pem, "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----");
    }
    Ok(pem.into_bytes())
}

/// What `telemetry` may ask of the world. A collector with trust of its own gets a way of its own, so that agents'
/// calls do not trust what the collector leads to.
pub(super) fn ports(
    config: &Config,
    wanted: Option<&config::Otlp>,
    upstream: &Upstream,
    entropy: &Arc<dyn Entropy>,
) -> Result<telemetry::Ports, StartError> {
    let way = match wanted.and_then(|wanted| wanted.certificate.clone()) {
        None => upstream.clone(),
        Some(path) => {
            let mut trust = wire::trust(&config.upstream.trust)?;
            trust.extend(wire::trust(&[path])?);
            let limits = wire::origin_limits(config);
            let resolve = ResolveTable::default();
            Upstream::new(origin::Settings { trust, resolve, own: Vec::new(), limits })?
        }
    };
    Ok(telemetry::Ports { post: Arc::new(Poster(way)), entropy: entropy.clone() })
}

/// The way to a collector.
struct Poster(Upstream);

impl Post for Poster {
    fn post<'a>(
        &'a self,
        url: &'a url::Url,
        headers: http::HeaderMap,
        body: bytes::Bytes,
    ) -> BoxFuture<'a, Result<Posted, String>> {
        async move {
            let answer = self.0.post(url, headers, body).await.map_err(|error| error.to_string())?;
            let seconds = answer.headers().get(http::header::RETRY_AFTER);
            let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
            let retry_after = seconds.map(Duration::from_secs);
            Ok(Posted { status: answer.status().as_u16(), retry_after, body: answer.into_body() })
        }
        .boxed()
    }
}
