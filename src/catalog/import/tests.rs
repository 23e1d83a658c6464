//! Each form of description, from a file to classes that a catalog answers with.

use std::path::PathBuf;

use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions, ServiceDescriptorProto,
};

use super::{Doubt, ImportError, Wanted, import, write};
use crate::catalog::{Catalog, Provenance};

/// Imports files as the service `own`, loads what was written, and gives back a way to ask for classes.
struct Own {
    catalog: Catalog,
    doubts: Vec<Doubt>,
    seen: Vec<usize>,
}

fn wanted() -> Wanted {
    Wanted {
        service: "own".into(),
        title: String::new(),
        hosts: vec!["own.example".into()],
        more_hosts: Vec::new(),
        label_hosts: Vec::new(),
        endpoints: Vec::new(),
        form: None,
        levels: None,
        provenance: Provenance {
            source: "a test".into(),
            version: "1".into(),
            date: "2026-11-25".into(),
            licence: "own".into(),
            digest: None,
        },
    }
}

fn own(bytes: &[u8], wanted: &Wanted) -> Own {
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("description");
    std::fs::write(&file, bytes).unwrap();
    let mut seen = Vec::new();
    let imported = import(&[file], wanted, &mut |_, _, operations| seen.push(operations)).unwrap();
    let out = dir.path().join("services");
    write(&imported, &out).unwrap();
    Own { catalog: Catalog::load(&[out]).unwrap(), doubts: imported.doubts, seen }
}

impl Own {
    fn class(&self, name: &str) -> &'static str {
        let id = format!("own:{name}");
        self.catalog.operation(&id).unwrap_or_else(|| panic!("no `{id}`")).1.as_str()
    }
}

#[test]
fn openapi_3_0_by_scope_then_method_then_name() {
    let text = r#"{"openapi": "3.0.3", "info": {"title": "Own", "version": "7"}, "servers": [{"url": "https://own.example/v1"}],
        "paths": {
            "/things": {"get": {"operationId": "listThings"}, "post": {"operationId": "createThing"}},
            "/things/search": {"post": {"operationId": "searchThings"}},
            "/things/export": {"post": {"operationId": "things.page", "security": [{"o": ["things:read"]}]}},
            "/things/{id}/permissions": {"post": {"operationId": "grantPermission"}},
            "/things/{id}/purge": {"get": {"operationId": "purgeThing"}}}}"#;
    let own = own(text.as_bytes(), &wanted());
    assert_eq!(own.class("listThings"), "read");
    assert_eq!(own.class("createThing"), "act");
    assert_eq!(own.class("searchThings"), "read");
    assert_eq!(own.class("things.page"), "read");
    assert_eq!(own.class("grantPermission"), "delegate");
    assert_eq!(own.class("purgeThing"), "act");
    let doubtful: Vec<&str> = own.doubts.iter().map(|doubt| doubt.operation.as_str()).collect();
    assert!(doubtful.contains(&"searchThings") && doubtful.contains(&"purgeThing"), "{doubtful:?}");
    assert!(!doubtful.contains(&"listThings"), "{doubtful:?}");
    assert_eq!(own.seen, [6], "progress tells how many operations a file has");
}

#[test]
fn openapi_3_1_in_yaml() {
    let text = "openapi: 3.1.0\ninfo: {title: Own, version: '1'}\nservers:\n  - url: https://own.example\npaths:\n  /webhooks:\n    post: {operationId: createWebhook}\n  /ping:\n    get: {}\n";
    let own = own(text.as_bytes(), &wanted());
    assert_eq!(own.class("createWebhook"), "delegate");
    assert_eq!(own.class("ping.get"), "read");
}

#[test]
fn swagger_2_0_with_its_base_path() {
    let text = r#"{"swagger": "2.0", "info": {"title": "Own", "version": "1"}, "host": "own.example", "basePath": "/api",
        "paths": {"/keys": {"post": {"operationId": "createApiKey"}}, "/rows": {"delete": {"operationId": "deleteRows"}}}}"#;
    let own = own(text.as_bytes(), &wanted());
    assert_eq!(own.class("createApiKey"), "delegate");
    assert_eq!(own.class("deleteRows"), "act");
    let places: Vec<_> =
        own.catalog.operations("own").into_iter().map(|entry| entry.id.to_string()).collect();
    assert_eq!(places.len(), 2);
}

#[test]
fn google_discovery_by_read_only_scope() {
    let text = r#"{"discoveryVersion": "v1", "name": "own", "version": "v1", "title": "Own", "rootUrl": "https://own.example/", "servicePath": "",
        "resources": {"things": {"methods": {
            "query": {"id": "own.things.query", "path": "v1/things:query", "httpMethod": "POST", "scopes": ["https://x.example/auth/own", "https://x.example/auth/own.readonly"]},
            "insert": {"id": "own.things.insert", "path": "v1/things", "httpMethod": "POST", "scopes": ["https://x.example/auth/own"]}}}}}"#;
    let own = own(text.as_bytes(), &wanted());
    assert_eq!(own.class("things.query"), "read");
    assert_eq!(own.class("things.insert"), "act");
}

#[test]
fn aws_models_by_access_level_but_what_mints_is_a_delegation() {
    let model = r#"{"metadata": {"protocol": "json", "endpointPrefix": "own", "targetPrefix": "Own", "apiVersion": "1", "serviceId": "Own"},
        "operations": {"ListThings": {}, "PutThing": {}, "PutThingPolicy": {}, "DeleteThingPolicy": {}, "GetSessionToken": {}, "AssumeThing": {}}}"#;
    let levels = r#"{"own": {"privileges": {"ListThings": {"access_level": "List"}, "PutThing": {"access_level": "Write"},
        "PutThingPolicy": {"access_level": "Permissions management"}, "GetSessionToken": {"access_level": "Read"},
        "AssumeThing": {"access_level": "Write"}}}}"#;
    let own = own(model.as_bytes(), &Wanted { levels: Some(levels.into()), ..wanted() });
    assert_eq!(own.class("ListThings"), "read");
    assert_eq!(own.class("PutThing"), "act");
    assert_eq!(own.class("PutThingPolicy"), "delegate");
    // No action has its name: it asks for the one that puts.
    assert_eq!(own.class("DeleteThingPolicy"), "delegate");
    assert_eq!(own.class("GetSessionToken"), "delegate");
    assert_eq!(own.class("AssumeThing"), "delegate");
    assert!(own.doubts.iter().any(|doubt| doubt.operation == "GetSessionToken"));
}

#[test]
fn aws_operations_at_one_place_are_told_apart_by_what_they_must_be_sent_with() {
    let model = r#"{"metadata": {"protocol": "rest-xml", "endpointPrefix": "own", "apiVersion": "1", "serviceId": "Own"},
        "operations": {
            "AbortUpload": {"http": {"method": "DELETE", "requestUri": "/{Bucket}/{Key+}"}, "input": {"shape": "Part"}},
            "CopyThing": {"http": {"method": "PUT", "requestUri": "/{Bucket}/{Key+}"}, "input": {"shape": "Copy"}},
            "DeleteThing": {"http": {"method": "DELETE", "requestUri": "/{Bucket}/{Key+}"}, "input": {"shape": "Thing"}},
            "OldPutThing": {"http": {"method": "PUT", "requestUri": "/{Bucket}/{Key+}"}, "input": {"shape": "Thing"}, "deprecated": true},
            "PutThing": {"http": {"method": "PUT", "requestUri": "/{Bucket}/{Key+}"}, "input": {"shape": "Thing"}}},
        "shapes": {
            "Thing": {"required": ["Bucket", "Key"], "members": {"Bucket": {"location": "uri", "locationName": "Bucket"},
                "Key": {"location": "uri", "locationName": "Key"}, "Note": {"location": "header", "locationName": "x-note"}}},
            "Part": {"required": ["UploadId"], "members": {"UploadId": {"location": "querystring", "locationName": "uploadId"}}},
            "Copy": {"required": ["Source"], "members": {"Source": {"location": "header", "locationName": "X-Copy-Source"}}}}}"#;
    let label = Wanted { label_hosts: vec!["*.own.example".into()], ..wanted() };
    let own = own(model.as_bytes(), &label);
    let places = |name: &str| {
        let all = own.catalog.operations("own");
        all.into_iter().find(|entry| entry.id.0.as_ref() == format!("own:{name}")).unwrap().places
    };
    assert!(
        places("AbortUpload").contains(&"DELETE /{Bucket}/{Key...}?uploadId=".to_owned()),
        "{:?}",
        places("AbortUpload")
    );
    assert!(places("DeleteThing").contains(&"DELETE /{Bucket}/{Key...}".to_owned()));
    assert!(places("CopyThing").contains(&"PUT //*.own.example/{Key...}?header:x-copy-source=".to_owned()));
    assert!(places("PutThing").contains(&"PUT /{Bucket}/{Key...}".to_owned()));
    assert!(own.doubts.iter().any(|doubt| doubt.operation == "OldPutThing"));
    // A host is no kind of thing.
    let all = own.catalog.operations("own");
    assert!(
        all.iter().all(|entry| entry.resource.as_ref().is_none_or(|resource| !resource.starts_with('-')))
    );
}

#[test]
fn graphql_schemas_by_root_type() {
    let text = "type Query { things: [String] }\ntype Mutation { thingCreate(name: String): String  organizationInviteCreate: String }\n";
    let own = own(text.as_bytes(), &wanted());
    assert_eq!(own.class("query.things"), "read");
    assert_eq!(own.class("thingCreate"), "act");
    assert_eq!(own.class("organizationInviteCreate"), "delegate");
}

#[test]
fn mcp_tools_read_only_where_the_server_says_so() {
    let text = r#"{"jsonrpc": "2.0", "id": 1, "result": {"tools": [
        {"name": "look", "annotations": {"readOnlyHint": true}}, {"name": "get_everything"},
        {"name": "both", "annotations": {"readOnlyHint": true, "destructiveHint": true}}]}}"#;
    let own = own(text.as_bytes(), &wanted());
    assert_eq!(own.class("look"), "read");
    assert_eq!(own.class("get_everything"), "act");
    assert_eq!(own.class("both"), "act");
    assert!(own.doubts.iter().any(|doubt| doubt.operation == "both"));
}

#[test]
fn a2a_cards_have_the_methods_of_the_protocol() {
    let text = r#"{"name": "Own", "version": "1", "url": "https://own.example/a2a", "skills": []}"#;
    let own = own(text.as_bytes(), &wanted());
    assert_eq!(own.class("message/send"), "delegate");
    assert_eq!(own.class("tasks/get"), "read");
    assert_eq!(own.class("tasks/cancel"), "act");
}

#[test]
fn descriptor_sets_by_declared_effect_then_name() {
    let method = |name: &str, level: Option<IdempotencyLevel>| MethodDescriptorProto {
        name: Some(name.into()),
        options: level
            .map(|level| MethodOptions { idempotency_level: Some(level.into()), ..MethodOptions::default() }),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Things".into()),
        method: vec![
            method("Ponder", Some(IdempotencyLevel::NoSideEffects)),
            method("ListThings", None),
            method("MakeThing", None),
        ],
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("own.proto".into()),
        package: Some("own.v1".into()),
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    let own = own(&FileDescriptorSet { file: vec![file] }.encode_to_vec(), &wanted());
    assert_eq!(own.class("Things.Ponder"), "read");
    assert_eq!(own.class("Things.ListThings"), "read");
    assert_eq!(own.class("Things.MakeThing"), "act");
}

#[test]
fn what_is_no_description_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    std::fs::write(&file, "nothing of the kind").unwrap();
    let error = import(&[file], &wanted(), &mut |_, _, _| {}).unwrap_err();
    assert!(matches!(error, ImportError::Unknown(_)), "{error}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
}
