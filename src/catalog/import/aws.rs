//! Service models of AWS as botocore has them, with the access levels of the service authorization reference.
//!
//! Protocols: <https://smithy.io/2.0/aws/protocols/index.html>.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

use super::classify::shape;
use super::document::{items, members, text};
use super::{Described, Description, template};
use crate::call::Class;
use crate::catalog::manifest::Protocol;
use crate::catalog::template::HEADER;

/// Where AWS's partitions answer; `*` is the region.
const SUFFIXES: [&str; 3] = ["*.amazonaws.com", "*.amazonaws.com.cn", "*.api.aws"];

pub(super) fn read(document: &Value, levels: Option<&[u8]>) -> Result<Description, String> {
    let about = document.get("metadata").ok_or("it has no `metadata`")?;
    let levels = levels.map(Levels::parse).transpose()?.unwrap_or_default();
    let protocol = protocol(text(about, "protocol"))?;
    let prefix = text(about, "endpointPrefix").to_ascii_lowercase();
    let own = |key| Some(text(about, key)).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut description = Description {
        title: own("serviceFullName").unwrap_or_default(),
        version: text(about, "apiVersion").into(),
        protocol: Some(protocol),
        hosts: hosts(&prefix, document),
        target_prefix: own("targetPrefix"),
        api_version: own("apiVersion"),
        signing_name: own("signingName").or_else(|| own("endpointPrefix")),
        ..Description::default()
    };
    let scope = Scope {
        levels: &levels,
        names: [text(about, "signingName"), text(about, "endpointPrefix"), text(about, "serviceId")]
            .map(|name| name.to_ascii_lowercase().replace(' ', "")),
    };
    // What is deprecated goes last: of two that nothing tells apart the first has the name.
    let mut operations: Vec<(&String, &Value)> = members(document, "operations").collect();
    operations.sort_by_key(|(_, operation)| operation.get("deprecated").is_some());
    for (name, operation) in operations {
        let one = Described { name: name.clone(), published: scope.published(name), ..Described::default() };
        for (verb, template) in places(name, operation, protocol) {
            description.operations.push(Described { verb, template, ..one.clone() });
        }
    }
    tell_apart(document, &mut description.operations);
    Ok(description)
}

/// Gives operations that share method and path conditions: what each must be sent with in query and header fields, less what
/// all of them must. S3 tells `PutObject`, `UploadPart` and `CopyObject` apart by nothing else.
fn tell_apart(document: &Value, operations: &mut [Described]) {
    let mut shared: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for (at, one) in operations.iter().enumerate().filter(|(_, one)| one.template.starts_with('/')) {
        shared.entry((one.verb.clone(), shape(&one.template))).or_default().push(at);
    }
    for places in shared.into_values().filter(|places| places.len() > 1) {
        let names = places.iter().filter_map(|at| operations.get(*at));
        let asked: Vec<BTreeSet<String>> = names.map(|one| required(document, &one.name)).collect();
        let by_all = |condition: &&String| !asked.iter().all(|one| one.contains(*condition));
        let own: Vec<Vec<&String>> = asked.iter().map(|one| one.iter().filter(by_all).collect()).collect();
        for (at, conditions) in places.into_iter().zip(own) {
            let Some(one) = operations.get_mut(at) else { continue };
            for condition in conditions {
                one.template.push(if one.template.contains('?') { '&' } else { '?' });
                one.template.push_str(condition);
            }
        }
    }
}

/// The query parameters and header fields without which an operation cannot be asked for, as conditions of a template.
fn required(document: &Value, operation: &str) -> BTreeSet<String> {
    let input = document.pointer(&format!("/operations/{operation}/input/shape")).and_then(Value::as_str);
    let shape = input.and_then(|name| document.get("shapes")?.get(name)).unwrap_or(&Value::Null);
    let must: Vec<&str> = items(shape, "required").filter_map(Value::as_str).collect();
    let member = |(name, member): (&String, &Value)| {
        let place = text(member, "locationName");
        let condition = match text(member, "location") {
            "querystring" => format!("{place}="),
            "header" => format!("{HEADER}{}=", place.to_ascii_lowercase()),
            _ => return None,
        };
        (must.contains(&name.as_str()) && !place.is_empty()).then_some(condition)
    };
    members(shape, "members").filter_map(member).collect()
}

fn protocol(name: &str) -> Result<Protocol, String> {
    Ok(match name {
        "rest-json" => Protocol::AwsRestJson,
        "rest-xml" => Protocol::AwsRestXml,
        "json" => Protocol::AwsJson,
        "smithy-rpc-v2-cbor" => Protocol::AwsCbor,
        "query" => Protocol::AwsQuery,
        "ec2" => Protocol::AwsEc2,
        other => return Err(format!("the protocol `{other}` is not known")),
    })
}

/// All forms of the service's host, and those with a label that some operations put before it.
fn hosts(prefix: &str, document: &Value) -> Vec<String> {
    let mut names = vec![prefix.to_owned()];
    for (_, operation) in members(document, "operations") {
        let before = operation.pointer("/endpoint/hostPrefix").and_then(Value::as_str).unwrap_or_default();
        let before = if before.contains('{') { "*." } else { before };
        let name = format!("{before}{prefix}");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut hosts = Vec::new();
    for name in &names {
        hosts.push(format!("{name}.amazonaws.com"));
        hosts.extend(SUFFIXES.iter().map(|suffix| format!("{name}.{suffix}")));
        let fips = ["*.amazonaws.com", "*.api.aws"];
        hosts.extend(fips.iter().map(|suffix| format!("{name}-fips.{suffix}")));
    }
    hosts
}

/// Where an operation is: by name, by path, or both.
fn places(name: &str, operation: &Value, protocol: Protocol) -> Vec<(String, String)> {
    let by_name = || ("POST".to_owned(), format!("#{name}"));
    match protocol {
        Protocol::AwsRestJson | Protocol::AwsRestXml => {
            let http = operation.get("http").unwrap_or(&Value::Null);
            let verb = text(http, "method").to_owned();
            // `x-id` only tells people which operation it is: servers do not look at it.
            let uri = text(http, "requestUri").replace(&format!("x-id={name}"), "");
            let uri = uri.trim_end_matches(['?', '&']);
            template::ours(uri).map(|path| (verb, path)).into_iter().collect()
        }
        // RPC v2 CBOR, "Requests": the operation is in the path; clients that are older speak JSON to the same service.
        Protocol::AwsCbor => {
            vec![by_name(), ("POST".to_owned(), format!("/service/{{service}}/operation/{name}"))]
        }
        _ => vec![by_name()],
    }
}

/// Access level by service prefix and action.
#[derive(Debug, Default)]
struct Levels(HashMap<String, HashMap<String, String>>);

#[derive(Deserialize)]
struct Service {
    privileges: HashMap<String, Privilege>,
}

#[derive(Deserialize)]
struct Privilege {
    access_level: String,
}

impl Levels {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let all: HashMap<String, Value> = serde_json::from_slice(bytes)
            .map_err(|error| format!("the access levels are no JSON: {error}"))?;
        let services = all.into_iter().filter_map(|(prefix, value)| {
            let service: Service = serde_json::from_value(value).ok()?;
            Some((prefix, service.privileges.into_iter().map(|(name, p)| (name, p.access_level)).collect()))
        });
        Ok(Self(services.collect()))
    }
}

/// The levels that may be meant for one service.
struct Scope<'a> {
    levels: &'a Levels,
    /// What the service's prefix may be.
    names: [String; 3],
}

impl Scope<'_> {
    fn published(&self, operation: &str) -> Option<(Class, String)> {
        // Where no action has the operation's name, the one that AWS asks for instead: `PutBucketAcl` for what puts an
        // ACL, and for what deletes a setting the action that puts it.
        let rest = operation.strip_prefix("Delete").or_else(|| operation.strip_prefix("Put"));
        let others = rest.map(|rest| [format!("Put{rest}"), format!("PutBucket{rest}")]);
        let actions = std::iter::once(operation).chain(others.iter().flatten().map(String::as_str));
        let services = || self.names.iter().filter_map(|name| self.levels.0.get(name));
        let level =
            actions.flat_map(|action| services().filter_map(move |service| service.get(action))).next()?;
        let class = match level.as_str() {
            "Read" | "List" => Class::Read,
            "Write" | "Tagging" => Class::Act,
            "Permissions management" => Class::Delegate,
            _ => return None,
        };
        Some((class, format!("access level {level}")))
    }
}
