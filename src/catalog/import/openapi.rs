//! `OpenAPI` 3.0 and 3.1 (<https://spec.openapis.org/oas/v3.1.1>) and Swagger 2.0.

use serde_json::Value;

use super::document::{items, members, text};
use super::{Described, Description, Doubt, template};
use crate::call::Class;

const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

pub(super) fn read(document: &Value) -> Result<Description, String> {
    let info = document.get("info").unwrap_or(&Value::Null);
    let mut description = Description {
        title: text(info, "title").into(),
        version: text(info, "version").into(),
        ..Description::default()
    };
    let servers = servers(document);
    description.hosts = servers.iter().filter_map(|server| server.host.clone()).collect();
    description.hosts.dedup();
    let paths = document.get("paths").and_then(Value::as_object).ok_or("it has no `paths`")?;
    for (path, item) in paths {
        let own_place = if item.get("servers").is_some() { servers_in(item) } else { Vec::new() };
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let place =
                if operation.get("servers").is_some() { servers_in(operation) } else { own_place.clone() };
            description.add(document, &Found { path, method, operation, place: &place, servers: &servers });
        }
    }
    Ok(description)
}

/// An operation and where it stands.
struct Found<'a> {
    path: &'a str,
    method: &'a str,
    operation: &'a Value,
    /// Servers of its own.
    place: &'a [Server],
    servers: &'a [Server],
}

impl Description {
    fn add(&mut self, document: &Value, found: &Found<'_>) {
        let default = [Server::default()];
        let elsewhere =
            found.place.iter().any(|server| !found.servers.iter().any(|have| have.host == server.host));
        let servers = match (found.place, found.servers) {
            ([], []) => &default[..],
            ([], servers) => servers,
            (place, _) => place,
        };
        let mut bases: Vec<&str> = Vec::new();
        for server in servers {
            let Some(path) =
                template::ours(&format!("{}/{}", server.base, found.path.trim_start_matches('/')))
            else {
                self.doubts.push(Doubt {
                    operation: format!("{} {}", found.method.to_uppercase(), found.path),
                    class: None,
                    why: "left out: the path cannot be written as a template".to_owned(),
                });
                continue;
            };
            let template = match &server.host {
                Some(host) if elsewhere => {
                    if !self.other_hosts.contains(host) {
                        self.other_hosts.push(host.clone());
                    }
                    format!("//{host}{path}")
                }
                _ if bases.contains(&server.base.as_str()) => continue,
                _ => path,
            };
            bases.push(&server.base);
            self.operations.push(Described {
                verb: found.method.to_uppercase(),
                template,
                name: text(found.operation, "operationId").to_owned(),
                published: published(document, found.operation),
                floor: None,
            });
        }
    }
}

/// Where a description says that its service is.
#[derive(Clone, Debug, Default)]
struct Server {
    host: Option<String>,
    /// The beginning of all paths, without the last `/`.
    base: String,
}

fn servers(document: &Value) -> Vec<Server> {
    if document.get("swagger").is_none() {
        return servers_in(document);
    }
    let host = Some(text(document, "host").split(':').next().unwrap_or_default());
    let host = host.filter(|host| !host.is_empty()).map(str::to_ascii_lowercase);
    vec![Server { host, base: text(document, "basePath").trim_end_matches('/').to_owned() }]
}

fn servers_in(value: &Value) -> Vec<Server> {
    let mut all: Vec<Server> = Vec::new();
    for server in items(value, "servers").take(16).filter_map(server) {
        if !all.iter().any(|have| have.host == server.host && have.base == server.base) {
            all.push(server);
        }
    }
    all
}

fn server(server: &Value) -> Option<Server> {
    let mut url = text(server, "url").to_owned();
    for (name, variable) in members(server, "variables") {
        let pattern = format!("{{{name}}}");
        // A label of the host that the customer chooses is any label; anything else is its default.
        let whole_label =
            [format!("//{pattern}."), format!(".{pattern}.")].iter().any(|label| url.contains(label));
        let fixed = items(variable, "enum").count() == 1;
        let value = if whole_label && !fixed { "*" } else { text(variable, "default") };
        url = url.replace(&pattern, value);
    }
    let Some((_, rest)) = url.split_once("://") else {
        return Some(Server { host: None, base: url.trim_end_matches('/').to_owned() });
    };
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let host = authority.rsplit('@').next()?.split(':').next()?.to_ascii_lowercase();
    let base = if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) };
    (!host.is_empty() && host.contains('.')).then_some(Server { host: Some(host), base })
}

/// The OAuth scopes that an operation asks for, where they say whether it reads. Several requirements are alternatives:
/// one that only needs to read is enough.
fn published(document: &Value, operation: &Value) -> Option<(Class, String)> {
    let holder = if operation.get("security").is_some() { operation } else { document };
    for requirement in items(holder, "security").filter_map(Value::as_object) {
        let scopes: Vec<&str> =
            requirement.values().filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
        if !scopes.is_empty() && scopes.iter().all(|scope| reads(scope)) {
            return Some((Class::Read, format!("scope {}", scopes.join(" "))));
        }
    }
    None
}

/// `read:jira-work`, `files.read`, `ORDERS_READ`, `…/auth/drive.readonly`.
fn reads(scope: &str) -> bool {
    let lower = scope.to_ascii_lowercase();
    let mut words = lower.split([':', '.', '_', '-', '/']);
    let read = words.clone().any(|word| matches!(word, "read" | "readonly" | "view" | "viewer"));
    read && !words.any(|word| matches!(word, "write" | "manage" | "admin" | "readwrite" | "delete" | "full"))
}
