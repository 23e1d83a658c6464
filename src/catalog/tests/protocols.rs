//! GraphQL, AWS, gRPC, SOAP, SQL, batches, `WebDAV`, git, OAuth.

use std::fs;

use tempfile::TempDir;

use crate::call::Class::{self, Act, Delegate, Read};

use super::super::{Catalog, graphql, sql};
use super::{CATALOG, ask_with, brief, class_of, head, with_header};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn document(text: &str) -> Class {
    class_of("POST api.example.test/graphql", "application/graphql", text)
}

#[test]
fn graphql_documents_are_as_strong_as_their_root_fields() {
    for (text, class) in [
        ("{viewer{id}}", Read),
        ("query Q($id: ID!) @live { node(id: $id) { id } }", Read),
        ("subscription { issueChanged { id } }", Read),
        ("mutation { addComment { id } }", Act),
        ("# query\nmutation M { x: searchThings { id } }", Act),
        ("query A{a} mutation B{b}", Act),
        ("mutation { ...F } fragment F on Mutation { createApiKey { id } }", Delegate),
        (
            "mutation { ... { ...F } } fragment F on Mutation { ... on Mutation { createApiKey { id } } }",
            Delegate,
        ),
        ("query { ...F } fragment F on Query { ...F a }", Read),
        ("query { ...Nowhere }", Act),
        ("mutation {", Delegate),
        ("type Query { a: Int }", Delegate),
        ("nonsense", Delegate),
    ] {
        assert_eq!(document(text), class, "{text}");
    }
}

#[test]
fn the_operation_that_is_named_is_the_one_that_runs() {
    let body = |name: &str| format!(r#"{{"query":"query A{{a}} mutation B{{b}}"{name}}}"#);
    let class = |name: &str| class_of("POST api.example.test/graphql", JSON, body(name));
    assert_eq!(class(r#","operationName":"A""#), Read);
    assert_eq!(class(r#","operationName":"B""#), Act);
    assert_eq!(class(r#","operationName":"C""#), Act);
    assert_eq!(class(r#","operationName":"A","operationName":"B""#), Act);
    assert_eq!(class(""), Act);
    let both = r#"{"query":"query A{a} mutation A{b}","operationName":"A"}"#;
    assert_eq!(class_of("POST api.example.test/graphql", JSON, both), Act);
    let split =
        class_of("POST api.example.test/graphql?operationName=B", JSON, body(r#","operationName":"A""#));
    assert_eq!(split, Act);
}

#[test]
fn graphql_is_read_wherever_a_server_looks_for_it() {
    for (request, media, body, class) in [
        ("GET api.example.test/graphql?query=%7Ba%7D", "", "", Read),
        ("GET api.example.test/graphql?query=mutation%7Ba%7D", "", "", Act),
        ("GET api.example.test/graphql", JSON, r#"{"query":"mutation{a}"}"#, Act),
        ("POST api.example.test/graphql", FORM, "query=mutation%7Ba%7D", Act),
        ("POST api.example.test/graphql", JSON, r#"[{"query":"{a}"},{"query":"mutation{a}"}]"#, Act),
        ("POST api.example.test/graphql", JSON, r#"[{"query":"{a}"},{"query":"{b}"}]"#, Read),
        (
            "POST api.example.test/graphql",
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"mutation{a}\"}\r\n--b--",
            Act,
        ),
        (
            "POST api.example.test/graphql",
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n[{\"query\":\"{a}\"}]\r\n--b--",
            Read,
        ),
        // Known by its hash alone.
        (
            "POST api.example.test/graphql",
            JSON,
            r#"{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}"#,
            Act,
        ),
        ("GET api.example.test/graphql?extensions=%7B%7D", "", "", Act),
        ("POST api.example.test/graphql", JSON, "{}", Act),
        ("POST api.github.com/graphql", JSON, r#"{"query":"{viewer{id}}"}"#, Read),
        // A field called `query` elsewhere weakens nothing.
        ("POST pay.example.test/v1/payments", JSON, r#"{"query":"{viewer{id}}"}"#, Act),
        ("POST api.example.test/v1/search", JSON, r#"{"query":"mutation{createApiKey{id}}"}"#, Delegate),
    ] {
        assert_eq!(class_of(request, media, body), class, "{request} {body}");
    }
}

#[test]
fn aliases_are_not_names() {
    let names = graphql::root_fields("{ search: createApiKey { id } }", &[]).unwrap();
    assert_eq!(format!("{names:?}"), r#"[RootField { kind: "QUERY", name: Some("createApiKey") }]"#);
}

#[test]
fn actions_of_aws_are_read_from_header_query_and_form() {
    let target = |target: &str, media: &str| {
        let asked = with_header(head("POST", "db.example.test", "/"), "x-amz-target", target);
        let asked = with_header(asked, "content-type", media);
        CATALOG.with(|catalog| ask_with(catalog, &asked, b"{}").class())
    };
    assert_eq!(target("Db_2012.DescribeTable", "application/x-amz-json-1.0"), Read);
    assert_eq!(target(" Db_2012.DeleteTable ", "application/x-amz-json-1.0"), Act);
    assert_eq!(target("Kms.CreateGrant", "application/x-amz-json-1.1"), Delegate);
    // The header alone makes no read.
    assert_eq!(target("Db_2012.DescribeTable", "application/json"), Act);
    for (request, body, class) in [
        ("POST iam.example.test/", "Action=ListUsers&Version=2010-05-08", Read),
        ("POST iam.example.test/", "Version=1&Action=Create%41ccessKey", Delegate),
        ("POST iam.example.test/", "Version=1&%41ction=DeleteUser", Act),
        ("POST iam.example.test/?Action=TerminateInstances", "Action=DescribeInstances&Version=1", Act),
        ("POST iam.example.test/?Action=DescribeInstances", "Action=TerminateInstances&Version=1", Act),
        ("POST iam.example.test/?Action=DescribeInstances", "Action=DescribeImages&Version=1", Read),
        ("GET iam.example.test/", "Action=CreateAccessKey&Version=1", Delegate),
        ("GET iam.example.test/?Action=AssumeRole&Version=1", "", Delegate),
    ] {
        assert_eq!(class_of(request, FORM, body), class, "{request} {body}");
    }
    assert_eq!(
        class_of("POST db.example.test/service/Db/operation/DeleteTable", "application/cbor", ""),
        Act
    );
}

#[test]
fn grpc_is_told_by_its_path() {
    for (path, class) in [
        ("acme.v1.Invoices/ListInvoices", Read),
        ("acme.v1.Invoices/DeleteInvoice", Act),
        ("acme.v1.Keys/CreateApiKey", Delegate),
        ("grpc.health.v1.Health/Check", Read),
    ] {
        for media in ["application/grpc", "application/grpc-web+proto"] {
            assert_eq!(class_of(&format!("POST api.example.test/{path}"), media, [0; 5]), class, "{path}");
        }
    }
}

#[test]
fn soap_is_told_by_header_and_envelope() {
    let envelope = |name: &str| {
        format!(
            "<?xml version=\"1.0\"?><s:Envelope><s:Header/><s:Body><m:{name} xmlns:m=\"u\"><a/></m:{name}></s:Body></s:Envelope>"
        )
    };
    let class = |action: &str, body: &str| {
        let asked = with_header(head("POST", "soap.example.test", "/service"), "soapaction", action);
        CATALOG.with(|catalog| {
            ask_with(catalog, &with_header(asked, "content-type", "text/xml"), body.as_bytes()).class()
        })
    };
    assert_eq!(class("\"urn:acme#GetInvoice\"", &envelope("GetInvoice")), Read);
    assert_eq!(class("\"urn:acme#GetInvoice\"", &envelope("DeleteInvoice")), Act);
    assert_eq!(class("\"urn:acme#CreateApiKey\"", &envelope("GetInvoice")), Delegate);
    assert_eq!(class("\"GetInvoice\"", ""), Act);
    let entity = envelope("GetInvoice").replace("<s:Env", "<!DOCTYPE x [<!ENTITY a 'b'>]><s:Env");
    assert_eq!(class("\"GetInvoice\"", &entity), Delegate);
}

#[test]
fn statements_are_judged_by_what_they_do() {
    for (text, class) in [
        ("SELECT 1", Read),
        ("select * from acme.f(delete_flag)", Read),
        ("-- x\nWITH a AS (SELECT 1) SELECT * FROM a", Read),
        ("SELECT ';DROP TABLE t;--'", Read),
        ("SELECT a FROM b WHERE c=\"UPDATE x\"", Read),
        ("SHOW TABLES; DESCRIBE t", Read),
        ("EXPLAIN SELECT 1", Read),
        ("EXPLAIN ANALYZE DELETE FROM t", Act),
        ("/* SELECT */ DROP TABLE t", Act),
        ("DELETE/**/FROM t", Act),
        ("SELECT 1; DELETE FROM t", Act),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", Act),
        ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", Act),
        ("SELECT * INTO t FROM u", Act),
        ("SELECT nextval('s')", Act),
        ("SELECT 1 /*! INTO OUTFILE 'x' */", Delegate),
        ("SELECT 'a\\'; DELETE FROM t; --'", Act),
        ("SELECT 'unclosed", Act),
        ("EXPORT DATA OPTIONS(uri='x') AS SELECT 1", Act),
        ("REVOKE SELECT ON t FROM eve", Act),
        ("GRANT `roles/x` ON SCHEMA s TO \"user:eve\"", Delegate),
        ("SELECT 1;GRANT SELECT ON t TO eve", Delegate),
        ("CREATE USER eve", Delegate),
        ("CREATE OR REPLACE ROLE r", Delegate),
        ("ALTER TABLE t OWNER TO eve", Delegate),
        ("CREATE ROW ACCESS POLICY p ON t GRANT TO ('eve') FILTER USING (TRUE)", Delegate),
        ("EXECUTE IMMEDIATE 'GRANT x TO y'", Delegate),
        ("frobnicate everything", Act),
    ] {
        assert_eq!(sql::class(text).0, class, "{text}");
    }
}

#[test]
fn a_call_that_runs_a_statement_does_what_the_statement_does() {
    for (request, body, class) in [
        ("POST db.example.test/v2/projects/p/queries", r#"{"query":"SELECT 1"}"#, Read),
        ("POST db.example.test/v2/projects/p/queries", r#"{"query":"DELETE FROM t"}"#, Act),
        ("POST db.example.test/v2/projects/p/queries", r#"{"query":"GRANT a ON b TO c"}"#, Delegate),
        ("POST db.example.test/v2/projects/p/queries", r#"{"query":"DELETE FROM t","dryRun":true}"#, Read),
        (
            "POST db.example.test/v2/projects/p/queries",
            r#"{"query":"DELETE FROM t","dryRun":true,"dryRun":false}"#,
            Act,
        ),
        (
            "POST db.example.test/v2/projects/p/jobs",
            r#"{"configuration":{"query":{"query":"SELECT 1"}}}"#,
            Read,
        ),
        (
            "POST db.example.test/v2/projects/p/jobs",
            r#"{"configuration":{"query":{"query":"SELECT 1"},"load":{}}}"#,
            Act,
        ),
        ("POST db.example.test/v1/sessions/s:executeSql", r#"{"sql":"SELECT 1"}"#, Read),
        ("POST db.example.test/v1/sessions/s:executeSql", r#"{"sql":"DROP TABLE t"}"#, Act),
        (
            "POST db.example.test/v1/sessions/s:executeBatchDml",
            r#"{"statements":[{"sql":"UPDATE t SET a=1"}]}"#,
            Act,
        ),
        ("POST db.example.test/v1/views", r#"{"query":"SELECT 1"}"#, Act),
        ("POST db.example.test/v1/search", r#"{"query":"delete old invoices"}"#, Read),
    ] {
        assert_eq!(class_of(request, JSON, body), class, "{request} {body}");
    }
    let target = |action: &str, body: &str| {
        let asked = with_header(head("POST", "athena.example.test", "/"), "x-amz-target", action);
        let asked = with_header(asked, "content-type", "application/x-amz-json-1.1");
        CATALOG.with(|catalog| ask_with(catalog, &asked, body.as_bytes()).class())
    };
    assert_eq!(target("A.StartQueryExecution", r#"{"QueryString":"SELECT 1"}"#), Read);
    assert_eq!(target("A.StartQueryExecution", r#"{"QueryString":"DROP TABLE t"}"#), Act);
    assert_eq!(target("A.ExecuteStatement", r#"{"Sql":"CREATE USER eve"}"#), Delegate);
    assert_eq!(
        target(
            "A.BatchExecuteStatement",
            r#"{"Statements":[{"Statement":"SELECT 1"},{"Statement":"DELETE FROM t"}]}"#
        ),
        Act
    );
    assert_eq!(target("A.UpdateNamedQuery", r#"{"QueryString":"SELECT 1"}"#), Act);
}

#[test]
fn a_batch_is_as_strong_as_what_is_in_it() {
    let mixed = |inner: &str| format!("--b\r\nContent-Type: application/http\r\n\r\n{inner}\r\n--b--\r\n");
    let media = "multipart/mixed; boundary=b";
    for (inner, class) in [
        ("GET /drive/v3/files/1 HTTP/1.1\r\n\r\n", Read),
        ("GET /drive/v3/files/1", Read),
        ("DELETE /drive/v3/files/1 HTTP/1.1\r\n\r\n", Act),
        ("POST /drive/v3/files/1/permissions HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{}", Delegate),
        ("GET /drive/v3/files/1/permissions HTTP/1.1\r\nX-HTTP-Method-Override: POST\r\n\r\n", Delegate),
        ("POST /drive/v3/files/1/comments/../permissions HTTP/1.1\r\n\r\n", Delegate),
        ("garbage", Delegate),
    ] {
        assert_eq!(class_of("POST www.googleapis.com/batch/drive/v3", media, mixed(inner)), class, "{inner}");
    }
    let nested = "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: application/http\r\n\r\nDELETE /things/1 HTTP/1.1\r\n\r\n\r\n--c--\r\n--b--";
    assert_eq!(class_of("POST odata.example.test/service/$batch", media, nested), Act);
    for (body, class) in [
        (r#"{"requests":[{"id":"1","method":"GET","url":"/me/messages"}]}"#, Read),
        (
            r#"{"requests":[{"id":"1","method":"GET","url":"/me"},{"id":"2","method":"DELETE","url":"/me/messages/1"}]}"#,
            Act,
        ),
        (r#"{"requests":[{"id":"1","method":"GET","method":"DELETE","url":"/me"}]}"#, Act),
        (r#"{"requests":[{"method":"POST","url":"/oauth/token"}]}"#, Delegate),
    ] {
        assert_eq!(class_of("POST graph.example.test/v1.0/$batch", JSON, body), class, "{body}");
    }
}

#[test]
fn git_and_its_large_files_are_told_by_place_and_body() {
    let lfs = "POST git.example.test/o/r.git/info/lfs/objects/batch";
    assert_eq!(class_of(lfs, JSON, r#"{"operation":"download","objects":[]}"#), Read);
    assert_eq!(class_of(lfs, JSON, r#"{"operation":"upload","objects":[]}"#), Act);
    assert_eq!(class_of(lfs, JSON, r#"{"operation":"download","operation":"upload"}"#), Act);
    assert_eq!(class_of("POST git.example.test/o/r.git/git-upload-pack", "", "0032want"), Read);
    assert_eq!(class_of("POST git.example.test/o/r.git/git-receive-pack", "", "00a0old"), Act);
}

#[test]
fn token_endpoints_are_told_by_place() {
    for (request, class) in [
        ("POST idp.example.test/oauth/token", Delegate),
        ("GET idp.example.test/oauth2/authorize?client_id=x", Delegate),
        ("POST idp.example.test/oauth2/par", Delegate),
        ("POST idp.example.test/connect/register", Delegate),
        ("POST idp.example.test/oauth2/introspect", Read),
        ("GET idp.example.test/oauth2/v1/keys", Read),
        ("GET idp.example.test/.well-known/openid-configuration", Read),
        ("POST idp.example.test/oauth2/revoke", Act),
    ] {
        assert_eq!(class_of(request, FORM, ""), class, "{request}");
    }
}

fn own(protocol_lines: &str) -> (TempDir, Catalog) {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("acme");
    fs::create_dir_all(&folder).unwrap();
    let about = "format = 1\nname = \"acme\"\ntitle = \"Acme\"\nprotocol = \"rest\"\nhosts = [\"api.acme.example\"]\n[provenance]\n\
                 source = \"us\"\nversion = \"1\"\ndate = \"2026-01-01\"\nlicence = \"none\"\n";
    fs::write(folder.join("service.toml"), about).unwrap();
    fs::write(folder.join("operations.tsv"), format!("#remit-operations 1\n{protocol_lines}")).unwrap();
    let catalog = Catalog::load(&[dir.path().to_owned()]).unwrap();
    (dir, catalog)
}

#[test]
fn names_that_a_protocol_gives_are_looked_up_in_the_catalog() {
    let (_dir, catalog) =
        own("POST\t#MintWidget\tMintWidget\tdelegate\t-\nPOST\t#RunStatement\tRunStatement\tact\t-\n\
         QUERY\t#secrets\tsecrets\tdelegate\t-\nMUTATION\t#poke\tpoke\tact\t-\nCALL\t#look\tlook\tread\t-\n\
         GRPC\t/acme.Widgets/Mint\twidgets.mint\tdelegate\t-\n");
    let found = |path: &str, media: &str, body: &str| {
        let asked = with_header(head("POST", "api.acme.example", path), "content-type", media);
        brief(ask_with(&catalog, &asked, body.as_bytes()).strongest())
    };
    assert_eq!(found("/", FORM, "Action=MintWidget"), "acme:MintWidget delegate exact");
    assert_eq!(found("/graphql", JSON, r#"{"query":"{secrets}"}"#), "acme:secrets delegate exact");
    assert_eq!(found("/graphql", JSON, r#"{"query":"mutation{poke}"}"#), "acme:poke act exact");
    let tool = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look"}}"#;
    assert_eq!(found("/mcp", JSON, tool), "acme:look read exact");
    assert_eq!(found("/acme.Widgets/Mint", "application/grpc", ""), "acme:widgets.mint delegate exact");
    // The class of what it runs is no longer the class in the table: the id says so.
    assert_eq!(found("/", FORM, "Action=RunStatement&Sql=SELECT+1"), "acme:RunStatement act exact");
    assert_eq!(catalog.operation("acme:poke").unwrap().1, Act);
}
