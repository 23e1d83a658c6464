//! Where spans go: `[telemetry]` and the standard variables, which win.
//!
//! OpenTelemetry specification 1.4x, *OTLP Exporter Configuration* and *Environment Variable Specification*. One thing is
//! stricter: a variable that cannot be read is a mistake, not a warning, because spans that go nowhere are found out late.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use super::Variables;
use super::problem::Problems;
use super::read::{self, Section};
use crate::call::Secret;

/// What a collector is told about this node, and which collector.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// The collector of spans; none: spans are not sent.
    pub otlp: Option<Otlp>,
    /// The collector of metrics, and how often it is told; none: metrics are not pushed. `/metrics` has them always.
    pub metrics: Option<(Otlp, Duration)>,
    /// Attributes of the resource, `service.name` among them.
    pub resource: BTreeMap<String, String>,
    /// Where a trace is shown; `{trace_id}` and `{span_id}` stand for its ids.
    pub trace_url: Option<String>,
}

/// How a collector is reached.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// For HTTP the whole URL of the signal (`…/v1/traces`); for gRPC scheme (`http`: plain, `https`: TLS), host and port.
    pub endpoint: Url,
    /// What is spoken.
    pub protocol: OtlpProtocol,
    /// Sent with every export; values are often keys.
    pub headers: BTreeMap<String, Secret<String>>,
    /// For one export.
    pub timeout: Duration,
    /// Of one export's bytes.
    pub compression: Compression,
    /// A PEM file of what the collector's certificate may lead to, beside `upstream.trust` and the system's.
    pub certificate: Option<PathBuf>,
    /// Spans in one export, at most.
    pub batch_spans: usize,
    /// How long the first span of a batch waits for others.
    pub batch_delay: Duration,
}

/// The two transports of OTLP that remit speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// `grpc`.
    Grpc,
    /// `http/protobuf`.
    HttpProtobuf,
}

/// What is done to an export's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// Nothing.
    None,
}

/// `folder` is where relative paths of the file begin.
pub(super) fn telemetry(
    mut section: Section<'_>,
    folder: &Path,
    variables: &Variables,
    problems: &Problems<'_>,
) -> Telemetry {
    let endpoint = section.take("otlp_endpoint", |value| match value.text()? {
        "" => Ok(None),
        text => Endpoint::parse(text).map(Some),
    });
    let said = Said {
        endpoint: endpoint.flatten(),
        headers: section
            .section("headers")
            .entries(|name, value| Ok((header_name(name)?, Secret::new(value.text()?.to_owned()))))
            .into_iter()
            .collect(),
        timeout: section.take("timeout_s", |value| value.integer(1, 600, "seconds")).map(Duration::from_secs),
        compression: section.take("compression", |value| compression(value.text()?)),
        certificate: section
            .take("certificate", |value| Ok(Some(value.text()?.to_owned()).filter(|text| !text.is_empty())))
            .flatten()
            .map(|path| folder.join(path)),
        metrics_interval_s: section.take("metrics_interval_s", |value| value.integer(0, 86_400, "seconds")),
    };
    let trace_url = section.take("trace_url", |value| match value.text()? {
        "" => Ok(None),
        text => trace_url(text).map(Some),
    });
    section.finish();
    let variables = Standard { variables, problems, told: RefCell::default() };
    Telemetry {
        otlp: variables.otlp(&said, Signal::Traces),
        metrics: variables.metrics(&said),
        resource: variables.resource(),
        trace_url: trace_url.flatten(),
    }
}

/// An address for a browser, with a place for the trace.
fn trace_url(text: &str) -> Result<String, String> {
    let filled = text.replace("{trace_id}", "0").replace("{span_id}", "0");
    let is_web = Url::parse(&filled).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_web && text.contains("{trace_id}") {
        Ok(text.to_owned())
    } else {
        Err("wants an http(s) address with `{trace_id}` in it".to_owned())
    }
}

/// What the file says.
struct Said {
    endpoint: Option<Endpoint>,
    headers: BTreeMap<String, Secret<String>>,
    timeout: Option<Duration>,
    compression: Option<Compression>,
    certificate: Option<PathBuf>,
    metrics_interval_s: Option<u64>,
}

/// What is exported.
#[derive(Clone, Copy, PartialEq)]
enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    /// In variables.
    const fn upper(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    /// In paths.
    const fn lower(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

/// A base address: of a collector, before the path of a signal.
#[derive(Clone)]
struct Endpoint {
    url: Url,
    protocol: OtlpProtocol,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, String> {
        let wanted = "`http://HOST:4318`, `https://…`, `grpc://HOST:4317` or `grpcs://…` is wanted";
        let (text, protocol) = if let Some(rest) = text.strip_prefix("grpc://") {
            (format!("http://{rest}"), OtlpProtocol::Grpc)
        } else if let Some(rest) = text.strip_prefix("grpcs://") {
            (format!("https://{rest}"), OtlpProtocol::Grpc)
        } else {
            (text.to_owned(), OtlpProtocol::HttpProtobuf)
        };
        let url = Url::parse(&text).map_err(|error| format!("`{text}` is not a URL ({error}); {wanted}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!("`{text}`: {wanted}"));
        }
        Ok(Self { url, protocol })
    }

    /// The path of the signal is added to a base address (specification: *Endpoint URLs for OTLP/HTTP*).
    fn with_signal_path(mut self, signal: Signal) -> Self {
        if self.protocol == OtlpProtocol::HttpProtobuf {
            let path = format!("{}/v1/{}", self.url.path().trim_end_matches('/'), signal.lower());
            self.url.set_path(&path);
        }
        self
    }
}

/// The `OTEL_*` variables. An empty value is an absent one.
struct Standard<'v> {
    variables: &'v Variables,
    problems: &'v Problems<'v>,
    /// Variables whose mistake is told: both signals may read one.
    told: RefCell<BTreeSet<String>>,
}

impl Standard<'_> {
    /// What is set for a collector that is not there, or not wanted, is not looked at.
    fn otlp(&self, said: &Said, signal: Signal) -> Option<Otlp> {
        if self.is_off(signal) {
            return None;
        }
        let endpoint = self.endpoint(said.endpoint.clone(), signal)?;
        let timeout = self.read(signal, "TIMEOUT", milliseconds);
        let compression = self.read(signal, "COMPRESSION", compression);
        let certificate = self.read(signal, "CERTIFICATE", |text| Ok(PathBuf::from(text)));
        for key in ["CLIENT_CERTIFICATE", "CLIENT_KEY"] {
            let unknown =
                "a client certificate for the collector is not available in this version".to_owned();
            let _told: Option<()> = self.read(signal, key, |_| Err(unknown.clone()));
        }
        let count = |text: &str| text.parse().ok().filter(|count| *count > 0);
        let batch_spans = self.named("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", |text| {
            count(text).ok_or_else(|| format!("`{text}` is not a number of spans"))
        });
        let batch_delay = self.named("OTEL_BSP_SCHEDULE_DELAY", milliseconds);
        Some(Otlp {
            endpoint: endpoint.url,
            protocol: endpoint.protocol,
            headers: self.headers(said.headers.clone(), signal),
            timeout: timeout.or(said.timeout).unwrap_or(Duration::from_secs(10)),
            compression: compression.or(said.compression).unwrap_or(Compression::None),
            certificate: certificate.or_else(|| said.certificate.clone()),
            batch_spans: batch_spans.unwrap_or(512),
            batch_delay: batch_delay.unwrap_or(Duration::from_secs(1)),
        })
    }

    fn metrics(&self, said: &Said) -> Option<(Otlp, Duration)> {
        let asked = self.named("OTEL_METRIC_EXPORT_INTERVAL", milliseconds);
        let every = asked.unwrap_or(Duration::from_secs(said.metrics_interval_s.unwrap_or(60)));
        if every.is_zero() {
            return None;
        }
        Some((self.otlp(said, Signal::Metrics)?, every))
    }

    fn is_off(&self, signal: Signal) -> bool {
        let exporter = self.text(&format!("OTEL_{}_EXPORTER", signal.upper()));
        self.text("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || exporter == Some("none")
            // Prometheus comes for them, and need not be pushed to.
            || signal == Signal::Metrics && exporter == Some("prometheus")
    }

    /// The signal's own address is used as it is; a base address gets the signal's path.
    fn endpoint(&self, said: Option<Endpoint>, signal: Signal) -> Option<Endpoint> {
        let named = |name: &str| self.named(name, Endpoint::parse);
        let whole = named(&format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.upper()));
        let is_whole = whole.is_some();
        let mut endpoint = whole.or_else(|| named("OTEL_EXPORTER_OTLP_ENDPOINT").or(said))?;
        let protocol = self.read(signal, "PROTOCOL", |text| match text {
            "grpc" => Ok(OtlpProtocol::Grpc),
            "http/protobuf" => Ok(OtlpProtocol::HttpProtobuf),
            other => Err(read::not_one_of(other, &["grpc", "http/protobuf"])),
        });
        endpoint.protocol = protocol.unwrap_or(endpoint.protocol);
        Some(if is_whole { endpoint } else { endpoint.with_signal_path(signal) })
    }

    fn headers(
        &self,
        mut headers: BTreeMap<String, Secret<String>>,
        signal: Signal,
    ) -> BTreeMap<String, Secret<String>> {
        let given: Option<Vec<_>> = self.read(signal, "HEADERS", |text| {
            pairs(text)?
                .into_iter()
                .map(|(name, value)| Ok((header_name(&name)?, Secret::new(value))))
                .collect()
        });
        headers.extend(given.unwrap_or_default());
        headers
    }

    fn resource(&self) -> BTreeMap<String, String> {
        let mut resource = BTreeMap::from([("service.name".to_owned(), "remit".to_owned())]);
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        resource.extend(self.text(name).and_then(|text| self.kept(name, pairs(text))).unwrap_or_default());
        if let Some(service) = self.text("OTEL_SERVICE_NAME") {
            resource.insert("service.name".to_owned(), service.to_owned());
        }
        resource
    }

    /// `OTEL_EXPORTER_OTLP_<signal>_<what>`, else `OTEL_EXPORTER_OTLP_<what>`.
    fn read<T>(&self, signal: Signal, what: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.upper());
        let names = [own, format!("OTEL_EXPORTER_OTLP_{what}")];
        let (name, text) = names.iter().find_map(|name| Some((name, self.text(name)?)))?;
        self.kept(name, parse(text))
    }

    fn named<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.kept(name, parse(self.text(name)?))
    }

    fn kept<T>(&self, name: &str, parsed: Result<T, String>) -> Option<T> {
        let tell = |why| {
            if self.told.borrow_mut().insert(name.to_owned()) {
                self.problems.anywhere(format!("environment variable `{name}`: {why}"));
            }
        };
        parsed.map_err(tell).ok()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

/// `a=1,b=2` with percent-encoded values (the W3C Baggage form without properties).
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |item: &str| {
        // The item may hold a key, so the message does not repeat it.
        let (name, value) = item.split_once('=').ok_or("a list `name=value,name=value` is wanted")?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| "a value is not UTF-8")?;
        Ok((name.trim().to_owned(), value.into_owned()))
    };
    text.split(',').filter(|item| !item.trim().is_empty()).map(pair).collect()
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| format!("`{text}` is not a number of milliseconds"))
}

fn header_name(name: &str) -> Result<String, String> {
    http::HeaderName::try_from(name)
        .map(|name| name.as_str().to_owned())
        .map_err(|_| format!("`{name}` is not the name of a header"))
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        other => Err(read::not_one_of(other, &["none", "gzip"])),
    }
}
