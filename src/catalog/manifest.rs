//! `service.toml`: what a service is, where it answers, and where the description comes from.

use serde::{Deserialize, Serialize};

use crate::call::JsonError;

use super::error::Fault;
use super::hosts::HostPattern;
use super::request;

/// The version of the data format that this remit reads: of `service.toml` and of the first line of `operations.tsv`.
pub(super) const FORMAT: u32 = 1;

/// What a service is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The version of the format.
    pub format: u32,
    /// The name in operation ids and policies: `[a-z0-9-]+`.
    pub name: String,
    /// The name as people write it.
    pub title: String,
    /// How operations are told apart.
    pub protocol: Protocol,
    /// Where it answers. A label may be `*`, which stands for one label.
    pub hosts: Vec<String>,
    /// Hosts where only those operations are found whose template names the host.
    #[serde(default)]
    pub other_hosts: Vec<String>,
    /// Path prefixes of this service where it shares its `hosts` with others; empty: all paths.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Kinds of resources whose ids the service takes in any letter case.
    #[serde(default)]
    pub ignore_case: Vec<String>,
    /// Paths at which a protocol that has operations in its bodies is spoken; empty: any path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// What stands before the dot in `X-Amz-Target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_prefix: Option<String>,
    /// `Version` of AWS's query protocols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The service in the scope of AWS's signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_name: Option<String>,
    /// How errors are told, where the protocol leaves it open and it is no problem document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<JsonError>,
    /// Where the description comes from.
    pub provenance: Provenance,
}

/// How a service's operations are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// By method and path.
    Rest,
    /// AWS, by method and path, bodies in JSON.
    AwsRestJson,
    /// AWS, by method and path, bodies in XML.
    AwsRestXml,
    /// AWS, by `X-Amz-Target`.
    AwsJson,
    /// AWS, by the path of Smithy's RPC v2, or as `aws-json`.
    AwsCbor,
    /// AWS, by `Action` in query or form.
    AwsQuery,
    /// AWS, as `aws-query`.
    AwsEc2,
    /// By the root fields of a document.
    Graphql,
    /// By service and method in the path.
    Grpc,
    /// Model Context Protocol: by the tool.
    Mcp,
    /// A2A, agent to agent: by the JSON-RPC method.
    A2a,
}

/// Where a description comes from.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// What was read.
    pub source: String,
    /// Which version of it.
    pub version: String,
    /// When, as `YYYY-MM-DD`.
    pub date: String,
    /// The source's licence.
    pub licence: String,
    /// SHA-256 of what was read, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl About {
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let remedy = "see `service.toml` of a shipped service for the keys";
        let about: Self = toml::from_str(text).map_err(|error| Fault::toml(text, &error, remedy))?;
        about.check().map_err(|(key, why, remedy)| Fault::new(line_of(text, key), why, remedy))?;
        Ok(about)
    }

    /// The key at fault, why, and what to do.
    fn check(&self) -> Result<(), (&'static str, String, String)> {
        if self.format != FORMAT {
            let why = format!("format {} is not known", self.format);
            return Err((
                "format",
                why,
                format!("write it in format {FORMAT}, or use another version of remit"),
            ));
        }
        let name = self.name.as_str();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(("name", format!("`{name}` is no service name"), "use a-z, 0-9 and `-`".to_owned()));
        }
        if name == "unknown" {
            let remedy = "choose another name: that one stands for calls that no entry names";
            return Err(("name", "`unknown` is no service name".to_owned(), remedy.to_owned()));
        }
        if self.hosts.is_empty() && self.other_hosts.is_empty() {
            return Err(("hosts", "there is no host".to_owned(), "name at least one".to_owned()));
        }
        for (key, hosts) in [("hosts", &self.hosts), ("other_hosts", &self.other_hosts)] {
            for host in hosts {
                HostPattern::parse(host).map_err(|why| (key, why, "write `api.example.com`".to_owned()))?;
            }
        }
        if let Some(path) =
            self.paths.iter().find(|path| !path.starts_with('/') || path.contains(['{', '%', '?']))
        {
            let why = format!("`{path}` is no path prefix");
            return Err(("paths", why, "write literal segments that begin with `/`".to_owned()));
        }
        Ok(())
    }

    /// Whether its errors in XML have no root of their own: S3's (Smithy: `restXml` with `noErrorWrapping`).
    pub(super) fn is_bare_xml(&self) -> bool {
        self.signing_name.as_deref() == Some("s3") && self.hosts.iter().any(|host| host.starts_with("s3."))
    }

    /// The path prefixes in segments, lower case; one empty prefix where all paths are this service's.
    pub(super) fn prefixes(&self) -> Vec<Vec<Box<str>>> {
        let split =
            |path: &String| request::segments(path).iter().map(|s| s.to_ascii_lowercase().into()).collect();
        if self.paths.is_empty() { vec![Vec::new()] } else { self.paths.iter().map(split).collect() }
    }
}

/// Where `key` stands at the top level of a TOML text; 1 where it does not.
fn line_of(text: &str, key: &str) -> usize {
    let is_it = |line: &str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().position(is_it).map_or(1, |at| at + 1)
}
