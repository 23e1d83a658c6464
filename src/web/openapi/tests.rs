use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::web::routes;

fn served() -> Value {
    serde_json::from_slice(&document(&routes::table())).unwrap()
}

#[test]
fn every_route_of_the_api_is_described_and_nothing_else_is() {
    let document = served();
    assert_eq!(document["openapi"], "3.1.0");
    let of_table = |says: bool| -> BTreeSet<_> {
        let all = routes::table().into_iter().filter(|route| route.says.is_some() == says);
        all.map(|route| (route.path.to_owned(), route.method.as_str().to_lowercase())).collect()
    };
    let mut told = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        told.extend(item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
    }
    assert_eq!(told, of_table(true));
    let silent = of_table(false);
    assert!(silent.iter().all(|(path, _)| !path.starts_with("/v1/")), "{silent:?}");
    let ids: BTreeSet<_> = operations(&document).map(|(_, one)| one["operationId"].to_string()).collect();
    assert_eq!(ids.len(), told.len(), "operation ids are unique");
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| item.as_object().unwrap().values().map(move |one| (path, one)))
}

#[test]
fn each_operation_says_who_may_what_it_gives_and_how_it_fails() {
    let document = served();
    for (path, one) in operations(&document) {
        assert!(one["summary"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
        let answers = one["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{path}");
        let problem = &answers["default"]["content"]["application/problem+json"]["schema"]["$ref"];
        assert_eq!(problem, "#/components/schemas/ProblemBody", "{path}");
        let names = path.split('/').filter(|part| part.starts_with('{')).count();
        let told =
            one["parameters"].as_array().map_or(0, |all| all.iter().filter(|p| p["in"] == "path").count());
        assert_eq!(names, told, "{path}");
        let needs = one["security"].as_array().unwrap();
        let open = ["/healthz", "/readyz", "/metrics", "/v1/slack/interactions"].contains(&path.as_str());
        assert_eq!(needs.len(), if open { 1 } else { 3 }, "{path}");
    }
}

/// What is searched has a query, and what comes back a form: a client could not be made of anything-at-all.
#[test]
fn only_the_document_itself_is_of_any_form() {
    let document = served();
    for (path, one) in operations(&document).filter(|(path, _)| *path != "/v1/openapi.json") {
        let answers = one["responses"].as_object().unwrap().iter();
        for (status, answer) in answers.filter(|(status, _)| status.starts_with('2')) {
            for content in answer["content"].as_object().into_iter().flat_map(|kinds| kinds.values()) {
                let schema = &content["schema"];
                let told = schema.get("$ref").or_else(|| schema.get("type"));
                assert!(told.is_some(), "{path} {status}: {schema}");
            }
        }
    }
    let query = |path: &str| -> BTreeSet<_> {
        let all = document["paths"][path]["get"]["parameters"].as_array().unwrap().iter();
        all.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str()).collect()
    };
    assert!(query("/v1/calls").is_superset(&BTreeSet::from(["agent", "since", "before", "limit"])));
    assert_eq!(query("/v1/events"), BTreeSet::from(["from", "kind"]));
}

/// Two types of one name would be one in the document.
#[test]
fn no_two_types_have_one_name() {
    let mut known = std::collections::BTreeMap::new();
    for says in routes::table().into_iter().filter_map(|route| route.says) {
        for (name, schema) in says.parts().flat_map(|part| part.all.clone()) {
            let schema = serde_json::to_string(&schema).unwrap();
            assert_eq!(*known.entry(name.clone()).or_insert_with(|| schema.clone()), schema, "{name}");
        }
    }
}

#[test]
fn whatever_is_referred_to_is_there() {
    fn walk<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(to)) => drop(found.insert(to)),
                _ => walk(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let document = served();
    let mut found = BTreeSet::new();
    walk(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for to in found {
        assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
    }
}
