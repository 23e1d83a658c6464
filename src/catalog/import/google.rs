//! Google API discovery documents (<https://developers.google.com/discovery/v1/reference/apis>).

use serde_json::Value;

use super::document::{items, members, text};
use super::{Described, Description, template};
use crate::call::Class;

/// Resources within resources deeper than this are not read.
const DEEPEST: usize = 16;

pub(super) fn read(document: &Value) -> Result<Description, String> {
    let root = text(document, "rootUrl").strip_prefix("https://").ok_or("it has no `rootUrl`")?;
    let (host, before) = root.split_once('/').unwrap_or((root, ""));
    let base = format!("/{before}{}", text(document, "servicePath")).trim_end_matches('/').to_owned();
    let mut description = Description {
        title: text(document, "title").into(),
        version: format!("{} revision {}", text(document, "version"), text(document, "revision")),
        hosts: vec![host.to_ascii_lowercase()],
        ..Description::default()
    };
    let mutual = text(document, "mtlsRootUrl").trim_start_matches("https://").trim_end_matches('/');
    description.hosts.extend(Some(mutual).filter(|host| host.contains('.')).map(str::to_owned));
    for endpoint in items(document, "endpoints") {
        let url = text(endpoint, "endpointUrl").trim_start_matches("https://");
        description.hosts.extend(url.split('/').next().filter(|host| host.contains('.')).map(str::to_owned));
    }
    let shared = host.starts_with("www.");
    let mut reader = Reader { base: &base, api: text(document, "name"), shared, description };
    reader.walk(document, 0);
    Ok(reader.description)
}

struct Reader<'a> {
    base: &'a str,
    api: &'a str,
    /// Other services answer at the host.
    shared: bool,
    description: Description,
}

impl Reader<'_> {
    fn walk(&mut self, value: &Value, depth: usize) {
        for (_, method) in members(value, "methods") {
            self.add(method);
        }
        if depth < DEEPEST {
            members(value, "resources").for_each(|(_, resource)| self.walk(resource, depth + 1));
        }
    }

    fn add(&mut self, method: &Value) {
        let path =
            Some(text(method, "flatPath")).filter(|path| !path.is_empty()).unwrap_or(text(method, "path"));
        let id = text(method, "id");
        let name = id.strip_prefix(&format!("{}.", self.api)).unwrap_or(id);
        let published = items(method, "scopes").filter_map(Value::as_str).find(|scope| {
            scope
                .rsplit('/')
                .next()
                .is_some_and(|last| last.split('.').any(|word| word == "readonly" || word == "read"))
        });
        let published = published
            .map(|scope| (Class::Read, format!("scope {}", scope.rsplit('/').next().unwrap_or(scope))));
        let upload = method.pointer("/mediaUpload/protocols").and_then(Value::as_object);
        let uploads = upload.into_iter().flat_map(|all| all.values()).map(|one| text(one, "path").to_owned());
        let places: Vec<String> = std::iter::once(format!("{}/{path}", self.base)).chain(uploads).collect();
        for place in places {
            let Some(template) = template::ours(&place) else { continue };
            if self.shared {
                self.note_prefix(&template);
            }
            let verb = text(method, "httpMethod").to_owned();
            let (name, published) = (name.to_owned(), published.clone());
            self.description.operations.push(Described { verb, template, name, published, floor: None });
        }
    }

    /// The first two literal segments: `/calendar/v3`, `/upload/drive/v3`.
    fn note_prefix(&mut self, template: &str) {
        let base: Vec<&str> = self.base.split('/').filter(|segment| !segment.is_empty()).collect();
        let literal =
            template.split('/').filter(|segment| !segment.is_empty()).take_while(|s| !s.contains('{'));
        let literal: Vec<&str> = literal.collect();
        let before = literal.iter().position(|segment| Some(segment) == base.first()).unwrap_or(0);
        let take = if base.is_empty() { 1 } else { before + base.len() };
        let prefix = format!("/{}", literal.get(..take.min(literal.len())).unwrap_or_default().join("/"));
        if prefix != "/" && !self.description.paths.contains(&prefix) {
            self.description.paths.push(prefix);
        }
    }
}
