//! OTLP/HTTP with binary protobuf (OTLP specification, "OTLP/HTTP").

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use url::Url;

use super::{Compression, Otlp, Post, Posted, Verdict};
use crate::telemetry::TelemetryError;

pub(in crate::telemetry) struct Sender {
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    compression: Compression,
    post: Arc<dyn Post>,
}

impl Sender {
    pub(super) fn new(
        url: Url,
        mut headers: HeaderMap,
        otlp: &Otlp,
        post: Arc<dyn Post>,
    ) -> Result<Self, TelemetryError> {
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            let why = "it is not http(s)://host".to_owned();
            return Err(TelemetryError::Endpoint { url: shown(&url), why });
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if let Ok(agent) = HeaderValue::try_from(super::user_agent()) {
            headers.insert(header::USER_AGENT, agent);
        }
        if otlp.compression == Compression::Gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self { url, headers, timeout: otlp.timeout, compression: otlp.compression, post })
    }

    pub(super) async fn send(&self, request: &impl prost::Message) -> Verdict {
        let body = match self.body(request) {
            Ok(body) => body,
            Err(e) => return Verdict::Later { after: None, why: format!("cannot compress: {e}") },
        };
        let posting = self.post.post(&self.url, self.headers.clone(), body);
        match tokio::time::timeout(self.timeout, posting).await {
            Ok(Ok(posted)) => verdict(&posted),
            Ok(Err(why)) => Verdict::Later { after: None, why },
            Err(_) => Verdict::Later {
                after: None,
                why: format!("no answer within {} ms", self.timeout.as_millis()),
            },
        }
    }

    fn body(&self, request: &impl prost::Message) -> std::io::Result<Bytes> {
        let plain = request.encode_to_vec();
        match self.compression {
            Compression::None => Ok(plain.into()),
            Compression::Gzip => {
                let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(&plain)?;
                Ok(gzip.finish()?.into())
            }
        }
    }
}

fn verdict(posted: &Posted) -> Verdict {
    let why = || format!("the collector answered {}{}", posted.status, said(&posted.body));
    match posted.status {
        // The answers of all signals have one form. Some backends answer with JSON or with nothing; the status alone says that they have it.
        200..=299 => {
            Verdict::taken(ExportTraceServiceResponse::decode(posted.body.clone()).unwrap_or_default())
        }
        400 | 422 => Verdict::Unfit { why: why() },
        413 => Verdict::TooMuch { why: why() },
        _ => Verdict::Later { after: posted.retry_after, why: why() },
    }
}

/// The beginning of an error's text, if it is one. Protobuf and HTML are not for people.
fn said(body: &Bytes) -> String {
    let text: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(200).collect();
    if text.is_empty() || text.contains('\u{fffd}') || text.starts_with('<') {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// User and password are not for anybody's eyes.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _cannot_have_one = url.set_password(None).and_then(|()| url.set_username(""));
    url.to_string()
}
