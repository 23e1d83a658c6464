//! The operator's own services.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::call::Recognition;

use super::super::{Catalog, Own};
use super::{ask, ask_with, brief, head, resource, some, with_header};

fn service(name: &str, hosts: &str) -> String {
    format!(
        "format = 1\nname = \"{name}\"\ntitle = \"T\"\nprotocol = \"rest\"\nhosts = {hosts}\n[provenance]\n\
         source = \"us\"\nversion = \"1\"\ndate = \"2026-01-01\"\nlicence = \"none\"\n"
    )
}

fn put(dir: &Path, folder: &str, toml: &str, lines: &str) {
    let folder = dir.join(folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("service.toml"), toml).unwrap();
    fs::write(folder.join("operations.tsv"), format!("#remit-operations 1\n{lines}")).unwrap();
}

fn found(catalog: &Catalog, method: &str, host: &str, path: &str) -> String {
    brief(ask(catalog, &head(method, host, path)).strongest())
}

#[test]
fn an_own_service_is_known_without_a_rebuild() {
    let dir = TempDir::new().unwrap();
    let toml = service("billing", "[\"*.billing.acme.example\", \"a.*.acme.example\"]");
    put(dir.path(), "billing", &toml, "POST\t/v1/invoices:search\tinvoices.search\tread\t-\n");
    let catalog = Catalog::load(&[dir.path().to_owned()]).unwrap();
    for host in ["eu.billing.acme.example", "a.eu.acme.example"] {
        assert_eq!(
            found(&catalog, "POST", host, "/v1/invoices:search"),
            "billing:invoices.search read exact"
        );
    }
    for host in ["billing.acme.example", "a.eu.billing.acme.example", "b.eu.acme.example"] {
        assert_eq!(
            found(&catalog, "POST", host, "/v1/invoices:search"),
            "unknown:read read inferred",
            "{host}"
        );
    }
    // The shipped ones are still there.
    assert!(catalog.operation("github:issues/create").is_some());
}

#[test]
fn an_own_service_replaces_the_shipped_one_of_its_name() {
    let dir = TempDir::new().unwrap();
    put(dir.path(), "stripe", &service("stripe", "[\"pay.acme.example\"]"), "POST\t/pay\tpay\tact\t-\n");
    let catalog = Catalog::load(&[dir.path().to_owned()]).unwrap();
    assert_eq!(found(&catalog, "POST", "pay.acme.example", "/pay"), "stripe:pay act exact");
    assert_eq!(catalog.operation("stripe:customers.create"), None);
    assert_eq!(found(&catalog, "GET", "api.stripe.com", "/v1/charges"), "unknown:read read inferred");
}

#[test]
fn an_own_service_is_asked_before_a_shipped_one_at_the_same_host() {
    let dir = TempDir::new().unwrap();
    let toml = service("strict-github", "[\"api.github.com\"]");
    put(dir.path(), "strict-github", &toml, "POST\t/repos/{o}/{r}/issues\tfile-issue\tdelegate\t-\n");
    let catalog = Catalog::load(&[dir.path().to_owned()]).unwrap();
    assert_eq!(
        found(&catalog, "POST", "api.github.com", "/repos/a/b/issues"),
        "strict-github:file-issue delegate exact"
    );
    // What it does not know, the shipped one may know.
    assert_eq!(
        found(&catalog, "GET", "api.github.com", "/repos/a/b/issues"),
        "github:issues/list-for-repo read exact"
    );
}

#[test]
fn mistakes_name_file_and_line_at_load() {
    let dir = TempDir::new().unwrap();
    let load = || Catalog::load(&[dir.path().to_owned()]).unwrap_err().to_string();
    put(dir.path(), "acme", &service("acme", "[\"a.example.com\"]"), "GET\t/a\tx\tnothing\t-\n");
    assert!(load().contains("acme/operations.tsv:2: `nothing` is no class"), "{}", load());
    put(dir.path(), "acme", &service("other", "[\"a.example.com\"]"), "");
    assert!(load().contains("acme/service.toml:1: the service is `other`"), "{}", load());
    fs::remove_file(dir.path().join("acme/operations.tsv")).unwrap();
    put(dir.path(), "acme", "format = ", "");
    assert!(load().contains("acme/service.toml:1: "), "{}", load());
    fs::remove_file(dir.path().join("acme/service.toml")).unwrap();
    assert!(load().contains("acme/service.toml` cannot be read"), "{}", load());
    let missing = Catalog::load(&[dir.path().join("nowhere")]).unwrap_err().to_string();
    assert!(missing.contains("nowhere` cannot be read") && missing.contains("catalog.dirs"), "{missing}");
}

#[test]
fn one_service_in_two_own_folders_is_a_mistake() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for dir in [&one, &two] {
        put(dir.path(), "acme", &service("acme", "[\"a.example.com\"]"), "");
    }
    let error = Catalog::load(&[one.path().to_owned(), two.path().to_owned()]).unwrap_err().to_string();
    assert!(error.starts_with("service `acme` is described in"), "{error}");
}

#[test]
fn broken_data_of_a_shipped_service_is_the_strongest_unknown() {
    let mut catalog = Catalog::shipped().unwrap();
    let broken = catalog.services.iter_mut().find(|service| service.about.name == "slack").unwrap();
    broken.break_for_test();
    let operations = ask(&catalog, &head("GET", "slack.com", "/api/users.list"));
    let answer = operations.strongest();
    assert_eq!(brief(answer), "unknown:delegate delegate unknown");
    assert_eq!(answer.how, Recognition::Unknown);
}

/// A catalog with services at hosts of the operator's own.
fn with_own(own: &[(&str, &str)]) -> Catalog {
    let own: Vec<Own> = own.iter().map(|(place, service)| Own::parse(place, service).unwrap()).collect();
    Catalog::load_at(&[], &own).unwrap()
}

#[test]
fn a_shipped_service_answers_at_hosts_of_the_operator_s_own() {
    let catalog = with_own(&[
        ("es.corp.example", "elasticsearch"),
        ("*.k8s.corp.example", "kubernetes"),
        ("git.corp.example/api/v3", "github"),
        ("git.corp.example/api", "github-graphql"),
        ("wiki.corp.example", "confluence/wiki"),
        ("10.0.0.5", "gitlab"),
    ]);
    for (method, host, path, told) in [
        ("POST", "es.corp.example", "/logs/_search", "elasticsearch:search read exact"),
        (
            "GET",
            "a.k8s.corp.example",
            "/api/v1/namespaces/x/pods",
            "kubernetes:core_v1.list_namespaced_pod read exact",
        ),
        ("POST", "git.corp.example", "/api/v3/repos/octo/hello/issues", "github:issues/create act exact"),
        (
            "PUT",
            "GIT.corp.example",
            "/API/V3/repos/o/r/collaborators/eve",
            "github:repos/add-collaborator delegate exact",
        ),
        ("POST", "wiki.corp.example", "/rest/api/content", "confluence:createContent act exact"),
        ("POST", "10.0.0.5", "/api/v4/projects/7/issues", "gitlab:api/v4/projects/id/issues.post act exact"),
        // Elsewhere nothing changes, and nothing is known beside the base.
        ("POST", "git.corp.example", "/repos/octo/hello/issues", "unknown:act act inferred"),
        ("POST", "es.corp.example.evil.test", "/logs/_search", "unknown:read read inferred"),
        ("POST", "api.github.com", "/repos/octo/hello/issues", "github:issues/create act exact"),
    ] {
        assert_eq!(found(&catalog, method, host, path), told, "{method} {host}{path}");
    }
    let issue = ask(&catalog, &head("POST", "git.corp.example", "/api/v3/repos/octo/hello/issues"));
    assert_eq!(resource(issue.strongest()), some("repo", "octo/hello"));
    // What the service does not know is still the service's.
    let other = ask(&catalog, &head("POST", "git.corp.example", "/api/v3/brand/new"));
    assert_eq!(
        (other.strongest().service.0.as_ref(), other.strongest().how),
        ("github", Recognition::Inferred)
    );
}

#[test]
fn protocols_are_spoken_at_the_operator_s_own_hosts_too() {
    let catalog =
        with_own(&[("git.corp.example/api", "github-graphql"), ("dynamo.corp.example", "aws-dynamodb")]);
    let asked =
        with_header(head("POST", "git.corp.example", "/api/graphql"), "content-type", "application/json");
    let told = ask_with(&catalog, &asked, br#"{"query":"mutation{createIssue(input:{}){issue{id}}}"}"#);
    assert_eq!(brief(told.strongest()), "github-graphql:createIssue act exact");
    let asked =
        with_header(head("POST", "dynamo.corp.example", "/"), "x-amz-target", "DynamoDB_20120810.PutItem");
    assert_eq!(brief(ask_with(&catalog, &asked, b"{}").strongest()), "aws-dynamodb:PutItem act exact");
}

#[test]
fn a_lenient_reading_of_a_moved_path_counts_as_well() {
    let catalog = with_own(&[("git.corp.example/api/v3", "github")]);
    let told = ask(&catalog, &head("PUT", "git.corp.example", "/api;v=1/v3/repos/o/r/collaborators/eve"));
    assert!(told.iter().any(|one| brief(one) == "github:repos/add-collaborator delegate exact"), "{told:?}");
}

#[test]
fn a_host_of_a_service_that_is_not_there_is_a_mistake() {
    let own = [Own::parse("git.corp.example", "githob").unwrap()];
    let error = Catalog::load_at(&[], &own).unwrap_err().to_string();
    assert!(error.contains("git.corp.example") && error.contains("did you mean `github`?"), "{error}");
}
