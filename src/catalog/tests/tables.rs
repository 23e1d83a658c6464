//! The data format: what matches, and what is refused with its line.

use http::{HeaderMap, HeaderValue};

use crate::call::{Class, Operation, Recognition, ServiceName};

use super::super::index::Asked;
use super::super::manifest::About;
use super::super::request::{Query, segments};
use super::super::table::{File, Table};

const SERVICE: &str = r#"
format = 1
name = "acme"
title = "Acme"
protocol = "rest"
hosts = ["api.acme.example"]
other_hosts = ["up.acme.example"]
[provenance]
source = "by hand"
version = "1"
date = "2026-01-01"
licence = "CC0-1.0"
"#;

fn table(lines: &str) -> Table {
    Table::parse(&About::parse(SERVICE).unwrap(), &format!("#remit-operations 1\n{lines}"), "").unwrap()
}

fn fault(lines: &str, overrides: &str) -> String {
    let about = About::parse(SERVICE).unwrap();
    let (file, fault) =
        Table::parse(&about, &format!("#remit-operations 1\n{lines}"), overrides).unwrap_err();
    let file = if file == File::Operations { "operations.tsv" } else { "overrides.toml" };
    fault.in_file(file).to_string()
}

fn found(
    table: &Table,
    host: Option<&str>,
    verb: &str,
    target: &str,
    field: &[&'static str],
) -> Option<Operation> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut headers = HeaderMap::new();
    for name in field {
        headers.insert(*name, HeaderValue::from_static("x"));
    }
    let asked = Asked { verb, query: Query(query), headers: &headers };
    Some(table.find(host, &segments(path), &asked)?.operation(&ServiceName("acme".into()), None))
}

/// The operation's name, without the service.
fn find(table: &Table, verb: &str, target: &str) -> Option<String> {
    find_with(table, verb, target, &[])
}

fn find_with(table: &Table, verb: &str, target: &str, fields: &[&'static str]) -> Option<String> {
    let found = found(table, None, verb, target, fields)?;
    Some(found.id.0.strip_prefix("acme:").unwrap_or(&found.id.0).to_owned())
}

#[test]
fn the_longest_literal_wins() {
    let table = table(
        "GET\t/a/{x}\tparam\tread\t-\n\
         GET\t/a/b\tliteral\tread\t-\n\
         GET\t/a/{x}:run\tsuffix\tread\t-\n\
         GET\t/a/v{x}:run\tboth\tread\t-\n\
         GET\t/a/{x}.json\tjson\tread\t-\n\
         GET\t/a/{all...}\trest\tread\t-\n\
         GET\t/a/b/{x}/d\tdeep\tread\t-\n\
         POST\t/a/{x}\tpost\tact\t-\n",
    );
    for (path, name) in [
        ("/a/b", "literal"),
        ("/a/B", "literal"),
        ("/a/c", "param"),
        ("/a/c:run", "suffix"),
        ("/a/c:RUN", "suffix"),
        ("/a/c%3Arun", "suffix"),
        ("/a/v1:run", "both"),
        ("/a/:run", "param"),
        ("/a/x.json", "json"),
        ("/a/b/c/d", "deep"),
        ("/a/b/c/e", "rest"),
        ("/a/c/d", "rest"),
    ] {
        assert_eq!(find(&table, "GET", path).as_deref(), Some(name), "{path}");
    }
    // A literal without this verb does not hide the parameter that has it.
    assert_eq!(find(&table, "POST", "/a/b").as_deref(), Some("post"));
    assert_eq!(find(&table, "GET", "/a"), None);
    assert_eq!(find(&table, "GET", "/"), None);
}

#[test]
fn the_query_tells_operations_apart() {
    let table = table(
        "POST\t/x\tplain\tact\t-\nPOST\t/x?op=look\tlook\tread\t-\nPOST\t/x?op=look&deep=1\tdeep\tread\t-\n",
    );
    assert_eq!(find(&table, "POST", "/x").as_deref(), Some("plain"));
    assert_eq!(find(&table, "POST", "/x?op=look").as_deref(), Some("look"));
    assert_eq!(find(&table, "POST", "/x?deep=1&op=look").as_deref(), Some("deep"));
    assert_eq!(find(&table, "POST", "/x?op=look&op=smash").as_deref(), Some("plain"));
}

#[test]
fn a_query_that_asks_for_two_things_gets_the_stronger() {
    let table = table(
        "PUT\t/{k...}\tput\tact\t-\nPUT\t/{k...}?acl=\tacl\tdelegate\t-\nPUT\t/{k...}?part=&upload=\tpart\tact\t-\n",
    );
    assert_eq!(find(&table, "PUT", "/a").as_deref(), Some("put"));
    assert_eq!(find(&table, "PUT", "/a?part=1&upload=2").as_deref(), Some("part"));
    assert_eq!(find(&table, "PUT", "/a?part=1&upload=2&acl").as_deref(), Some("acl"));
}

#[test]
fn a_header_field_tells_operations_apart_and_never_weakens() {
    let table = table(
        "PUT\t/x\tput\tact\t-\nPUT\t/x?header:X-Source=\tcopy\tact\t-\nPUT\t/x?header:x-peek=\tpeek\tread\t-\n\
         PUT\t/x?header:x-grant=\tgrant\tdelegate\t-\n",
    );
    assert_eq!(find_with(&table, "PUT", "/x", &[]).as_deref(), Some("put"));
    assert_eq!(find_with(&table, "PUT", "/x", &["x-source"]).as_deref(), Some("copy"));
    assert_eq!(find_with(&table, "PUT", "/x", &["x-peek"]).as_deref(), Some("put"));
    assert_eq!(find_with(&table, "PUT", "/x", &["x-grant", "x-source", "x-peek"]).as_deref(), Some("grant"));
    assert!(fault("PUT\t/x?header:x-source=1\tcopy\tact\t-\n", "").contains("header:field-name="));
}

#[test]
fn a_template_with_a_host_counts_at_that_host_alone() {
    let table = table("POST\t//up.acme.example/x\tupload\tact\t-\n");
    let at = |other| found(&table, other, "POST", "/x", &[]).map(|o| o.class);
    assert_eq!(at(Some("up.acme.example")), Some(Class::Act));
    assert_eq!(at(None), None);
    assert_eq!(at(Some("other.example")), None);
}

#[test]
fn a_correction_wins_and_says_so() {
    let about = About::parse(SERVICE).unwrap();
    let overrides = "[[override]]\noperation = \"search\"\nclass = \"read\"\nreason = \"only asks\"\n";
    let table =
        Table::parse(&about, "#remit-operations 1\nPOST\t/search\tsearch\tact\t-\n", overrides).unwrap();
    let found = found(&table, None, "POST", "/search", &[]).unwrap();
    assert_eq!((found.class, found.how), (Class::Read, Recognition::Exact));
    assert_eq!(found.because.as_ref(), "catalog, corrected: only asks");
}

#[test]
fn mistakes_in_operations_name_the_line() {
    for (lines, says) in [
        (
            "GET\t/a\tx\tread\t-\n\n# c\nGET\t/A/\ty\tread\t-\n",
            "operations.tsv:5: `/A/` is the same template as in line 2",
        ),
        (
            "GET,POST\t/a/{x}\tx\tact\t-\nPOST\t/a/{y}\ty\tact\t-\n",
            "operations.tsv:3: `/a/{y}` is the same template",
        ),
        ("GET\t/a\tx\tread\n", "operations.tsv:2: it has 4 columns; five are wanted"),
        ("GET /a x read -\n", "operations.tsv:2: it has 1 columns"),
        ("GET\t/a\tx\twrite\t-\n", "operations.tsv:2: `write` is no class"),
        ("get\t/a\tx\tread\t-\n", "operations.tsv:2: `get` is no method"),
        ("GET\ta\tx\tread\t-\n", "operations.tsv:2: the template does not begin with `/`"),
        ("GET\t/{a\tx\tread\t-\n", "operations.tsv:2: the segment `{a` lacks a `}`"),
        ("GET\t/{a...}/b\tx\tread\t-\n", "operations.tsv:2: `{name...}` stands before the end"),
        ("GET\t/{a}/{a}\tx\tread\t-\n", "operations.tsv:2: the parameter `a` occurs twice"),
        ("GET\t/{a}\tx\tread\tthing={b}\n", "operations.tsv:2: the template has no parameter `{b}`"),
        ("GET\t/{a}\tx\tread\tthing\n", "operations.tsv:2: the resource is not of the form"),
        (
            "GET\t/a\tx\tread\t-\nPOST\t/a\tx\tact\t-\n",
            "operations.tsv:3: `x` is `act` here and `read` in line 2",
        ),
        (
            "POST\t/a\t-\tread\t-\n",
            "operations.tsv:2: a call whose head does not tell what it is cannot be `read`",
        ),
        (
            "GET\t//evil.example/a\tx\tread\t-\n",
            "operations.tsv:2: `evil.example` is not among the `other_hosts`",
        ),
    ] {
        let got = fault(lines, "");
        assert!(got.starts_with(says), "wanted {says}\n   got {got}");
        assert!(got.contains("; "), "there is no remedy in {got}");
    }
    let about = About::parse(SERVICE).unwrap();
    let (_, fault) = Table::parse(&about, "#remit-operations 2\n", "").unwrap_err();
    assert!(fault.in_file("f").to_string().contains("begin with `#remit-operations 1`"));
}

#[test]
fn mistakes_in_overrides_name_the_line() {
    let lines = "GET\t/a\tx\tread\t-\n";
    for (overrides, says) in [
        (
            "\n[[override]]\noperation = \"y\"\nclass = \"read\"\nreason = \"r\"\n",
            "overrides.toml:3: there is no operation `y`",
        ),
        (
            "[[override]]\noperation = \"x\"\nclass = \"read\"\nreason = \" \"\n",
            "overrides.toml:2: `x` is corrected without",
        ),
        (
            "[[override]]\noperation = \"x\"\nclass = \"big\"\nreason = \"r\"\n",
            "overrides.toml:3: unknown variant `big`",
        ),
        ("[[overide]]\n", "overrides.toml:1: unknown field `overide`"),
        (
            "[[override]]\noperation = \"x\"\nclass = \"act\"\nreason = \"r\"\n[[override]]\noperation = \"x\"\nclass = \"act\"\nreason = \"r\"\n",
            "overrides.toml:6: `x` was corrected in line 2",
        ),
    ] {
        let got = fault(lines, overrides);
        assert!(got.starts_with(says), "wanted {says}\n   got {got}");
    }
}

#[test]
fn mistakes_in_service_toml_name_the_line() {
    for (from, to, says) in [
        ("format = 1", "format = 9", "s:2: format 9 is not known"),
        ("\"acme\"", "\"Acme Inc\"", "s:3: `Acme Inc` is no service name"),
        ("\"acme\"", "\"unknown\"", "s:3: `unknown` is no service name"),
        ("api.acme.example", "*.example", "s:6: `*.example` is too wide"),
        ("api.acme.example", "a*.acme.example", "s:6: `a*.acme.example` is no host"),
        ("api.acme.example", "api.acme.example:443", "s:6: `api.acme.example:443` is no host"),
        ("title", "titel", "s:4: unknown field `titel`"),
        ("\"rest\"", "\"soap\"", "s:5: unknown variant `soap`"),
    ] {
        let got = About::parse(&SERVICE.replace(from, to)).unwrap_err().in_file("s").to_string();
        assert!(got.starts_with(says), "wanted {says}\n   got {got}");
    }
}

#[test]
fn a_template_outside_of_the_service_s_paths_is_a_mistake() {
    let about = About::parse(&SERVICE.replace("[provenance]", "paths = [\"/v1\"]\n[provenance]")).unwrap();
    let (_, fault) = Table::parse(&about, "#remit-operations 1\nGET\t/v2/a\tx\tread\t-\n", "").unwrap_err();
    assert!(fault.in_file("f").to_string().contains("begins with none of the `paths`"));
}
