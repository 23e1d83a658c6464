//! `remit catalog list`, `show` and `classify`: what the catalog knows, and what it would say of a request.
//!
//! All of it is offline: no node is asked, nothing is sent. `classify` MUST call the same [`Catalog::recognise`] as the
//! walk, so that a measured accuracy is the proxy's own.

#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::call::{
    CallId, Class, Head, Host, Operation, OperationId, Operations, Origin, Peek, Recognition, Resource,
    Scheme, SpanId, Target, Timestamp, TraceContext, TraceId,
};
use crate::catalog::{About, Catalog};

/// How a verb prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For machines: `--json`.
    Json,
    /// For people.
    Text,
}

/// Why a verb of `remit catalog` ends without its result.
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// There is no such service or operation.
    #[error("there is no {what} `{wanted}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    NotFound {
        /// `service` or `operation`.
        what: &'static str,
        /// What was asked for.
        wanted: String,
        /// What is spelt alike.
        nearest: Option<String>,
    },
    /// A line of `classify`'s input is no request.
    #[error(
        "line {line} is not a request: {source}; write one JSON object a line with `method`, `host` and `path`"
    )]
    NotARequest {
        /// From 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Reading or writing failed.
    #[error("standard input or output broke: {0}")]
    Broken(#[from] io::Error),
}

impl From<serde_json::Error> for VerbError {
    /// Our own values always serialise: only the writer can fail.
    fn from(error: serde_json::Error) -> Self {
        Self::Broken(error.into())
    }
}

/// `remit catalog list [SERVICE]`: the services, or the operations of one.
pub fn list(
    catalog: &Catalog,
    service: Option<&str>,
    format: Format,
    out: &mut impl Write,
) -> Result<(), VerbError> {
    match service {
        None => list_services(catalog, format, out),
        Some(service) => list_operations(catalog, service, format, out),
    }
}

fn list_services(catalog: &Catalog, format: Format, out: &mut impl Write) -> Result<(), VerbError> {
    let mut services: Vec<_> = catalog.services().filter_map(|name| catalog.about(&name.0)).collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    if format == Format::Json {
        let with_count =
            |about: &About| json!({ "service": about, "operations": catalog.operations(&about.name).len() });
        let all: Vec<_> = services.into_iter().map(with_count).collect();
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?);
    }
    writeln!(out, "{:<18} {:>10}  HOSTS", "SERVICE", "OPERATIONS")?;
    for about in services {
        let hosts: Vec<&str> = about.hosts.iter().chain(&about.other_hosts).map(String::as_str).collect();
        writeln!(
            out,
            "{:<18} {:>10}  {}",
            about.name,
            catalog.operations(&about.name).len(),
            hosts.join(", ")
        )?;
    }
    Ok(())
}

fn list_operations(
    catalog: &Catalog,
    service: &str,
    format: Format,
    out: &mut impl Write,
) -> Result<(), VerbError> {
    if catalog.about(service).is_none() {
        let nearest = catalog.nearest_service(service);
        return Err(VerbError::NotFound { what: "service", wanted: service.to_owned(), nearest });
    }
    let entries = catalog.operations(service);
    if format == Format::Json {
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&entries)?)?);
    }
    for entry in entries {
        writeln!(out, "{:<9} {}", entry.class.as_str(), entry.id)?;
    }
    Ok(())
}

/// `remit catalog show OP`: all that the catalog says of one operation.
pub fn show(catalog: &Catalog, id: &str, format: Format, out: &mut impl Write) -> Result<(), VerbError> {
    let service = id.split_once(':').map_or(id, |(service, _)| service);
    let entry = catalog.operations(service).into_iter().find(|entry| entry.id.0.as_ref() == id);
    let (Some(about), Some(entry)) = (catalog.about(service), entry) else {
        let nearest = catalog.nearest(id);
        return Err(VerbError::NotFound { what: "operation", wanted: id.to_owned(), nearest });
    };
    if format == Format::Json {
        let all = json!({ "operation": entry, "service": about });
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?);
    }
    writeln!(out, "{}", entry.id)?;
    writeln!(out, "  class     {} ({})", entry.class, entry.because)?;
    for place in &entry.places {
        writeln!(out, "  request   {place}")?;
    }
    writeln!(
        out,
        "  resource  {}",
        entry.resource.as_deref().unwrap_or("none that the request's head names")
    )?;
    let hosts: Vec<&str> = about.hosts.iter().chain(&about.other_hosts).map(String::as_str).collect();
    writeln!(out, "  hosts     {}", hosts.join(", "))?;
    let source = &about.provenance;
    writeln!(
        out,
        "  source    {}, {}, read {}, {}",
        source.source, source.version, source.date, source.licence
    )?;
    Ok(())
}

/// A line of `classify`'s input.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    id: serde_json::Value,
    method: String,
    host: String,
    path: String,
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    body: Option<String>,
    /// The body where it is no UTF-8 text.
    #[serde(default)]
    body_base64: Option<String>,
    /// What the server's `tools/list` says of the tool that is called (MCP): the proxy has seen that before the call.
    #[serde(default)]
    tool_annotations: serde_json::Value,
}

/// A line of `classify`'s output.
#[derive(Debug, Serialize)]
struct Answer {
    id: serde_json::Value,
    label: Class,
    operation: String,
    service: String,
    recognition: &'static str,
    resource: Option<Resource>,
}

/// `remit catalog classify`: JSON Lines in, JSON Lines out, one for one.
pub fn classify(catalog: &Catalog, input: impl BufRead, out: &mut impl Write) -> Result<(), VerbError> {
    for (at, line) in input.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Row =
            serde_json::from_str(&line).map_err(|source| VerbError::NotARequest { line: at + 1, source })?;
        serde_json::to_writer(&mut *out, &answer(catalog, row))?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

fn answer(catalog: &Catalog, row: Row) -> Answer {
    let reading = row.read();
    let recognised = reading.head.map(|head| {
        if let Some(answer) = row.tool_answer() {
            catalog.forget_tools();
            drop(catalog.remember_tools(&head, &HeaderMap::new(), answer.as_bytes()));
        }
        let peek = catalog.wants_body(&head).map_or_else(Peek::default, |limit_bytes| row.peek(limit_bytes));
        catalog.recognise(&head, &peek)
    });
    // What the proxy would refuse to read is `act` at least: it might have been anything.
    let floor = if reading.odd { Class::Act } else { Class::Read };
    match recognised.as_ref().map(Operations::strongest) {
        Some(Operation { id, service, class, resource, how, .. }) if *class >= floor => Answer {
            id: row.id,
            label: *class,
            operation: id.to_string(),
            service: service.to_string(),
            recognition: how.as_str(),
            resource: resource.clone(),
        },
        weaker => Answer {
            id: row.id,
            label: Class::Act,
            operation: OperationId::unknown(Class::Act).to_string(),
            service: weaker.map_or(row.host, |operation| operation.service.to_string()),
            recognition: Recognition::Unknown.as_str(),
            resource: None,
        },
    }
}

/// A row as a request.
struct Reading {
    head: Option<Head>,
    /// It is not a request that the proxy would let pass as it stands.
    odd: bool,
}

impl Row {
    fn read(&self) -> Reading {
        match self.plain() {
            Some(head) => Reading { head: Some(head), odd: false },
            None => Reading { head: self.mended(), odd: true },
        }
    }

    /// The row as it stands.
    fn plain(&self) -> Option<Head> {
        let (host, port) = Origin::parse_authority(&self.host, Some(Scheme::Https.default_port())).ok()?;
        self.head(host, port, Target::parse(&self.path).ok()?)
    }

    /// The row as a lenient server would take it: absolute form, dot segments resolved, blanks encoded.
    fn mended(&self) -> Option<Head> {
        let text = if self.path.contains("://") {
            self.path.clone()
        } else {
            format!("https://{}/{}", self.host, self.path.trim_start_matches('/'))
        };
        let url = url::Url::parse(&text).ok()?;
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host = Host::parse(url.host_str()?).ok()?;
        self.head(host, url.port_or_known_default()?, Target::parse(&target).ok()?)
    }

    fn head(&self, host: Host, port: u16, target: Target) -> Option<Head> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            headers.append(name, HeaderValue::from_str(&value).ok()?);
        }
        Some(Head {
            id: NOBODY.parse::<CallId>().ok()?,
            at: Timestamp::default(),
            origin: Origin { scheme: Scheme::Https, host, port },
            method: Method::from_bytes(self.method.as_bytes()).ok()?,
            target,
            version: Version::HTTP_11,
            headers,
            trace: TraceContext { trace: TraceId([0; 16]), parent: None, span: SpanId([0; 8]), flags: 0 },
            upgrade: None,
        })
    }

    /// The annotations as the server would have told them.
    fn tool_answer(&self) -> Option<String> {
        let call: serde_json::Value = serde_json::from_str(self.body.as_deref()?).ok()?;
        let name = call.get("params")?.get("name")?.as_str()?;
        let annotations = self.tool_annotations.as_object()?;
        Some(json!({ "result": { "tools": [{ "name": name, "annotations": annotations }] } }).to_string())
    }

    fn peek(&self, limit_bytes: usize) -> Peek {
        let coded = self
            .body_base64
            .as_ref()
            .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
        let bytes = coded.or_else(|| self.body.as_ref().map(|body| body.clone().into_bytes()));
        let bytes = Bytes::from(bytes.unwrap_or_default());
        // As `Body::peek` has it: more than the limit may be there, and then it is not all.
        let whole = bytes.len() <= limit_bytes;
        Peek { bytes, whole }
    }
}

/// The id of a call that never takes place.
const NOBODY: &str = "00000000000000000000000000";
