//! The operator's own services.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::call::Recognition;

use super::super::Catalog;
use super::{ask, brief, head};

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
