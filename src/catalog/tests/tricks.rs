//! Ways to make a call look weaker than it is. Each is read as the most liberal server would: none may come out below what
//! that server would do.

use std::io::Write as _;

use super::*;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

struct Trick {
    what: &'static str,
    request: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    least: Class,
}

fn trick(
    what: &'static str,
    request: &'static str,
    media: &str,
    body: impl Into<Vec<u8>>,
    least: Class,
) -> Trick {
    let headers = if media.is_empty() { Vec::new() } else { vec![("content-type", media.to_owned())] };
    Trick { what, request, headers, body: body.into(), least }
}

impl Trick {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn class(&self) -> Class {
        let (method, place) = self.request.split_once(' ').unwrap();
        let (host, path) = place.split_once('/').unwrap();
        let mut asked = head(method, host, &format!("/{path}"));
        for (name, value) in &self.headers {
            asked = with_header(asked, name, value);
        }
        CATALOG.with(|catalog| ask_with(catalog, &asked, &self.body).class())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

const MUTATION: &str = r#"{"query":"mutation { deleteIssue(id: 1) { id } }"}"#;
const SEND: &str = r#"{"jsonrpc":"2.0","id":1,"method":"message/send"}"#;

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn tricks() -> Vec<Trick> {
    use Class::{Act, Delegate};
    let gql = "POST x.test/graphql";
    let padded = format!("{{\"pad\":\"{}\",{}", "x".repeat(1 << 20), &MUTATION[1..]);
    let mut all = vec![
        // Ids that look like verbs.
        trick("a document called _search", "POST es.test/logs/_doc/_search", JSON, "{}", Act),
        trick("a document called _count", "POST es.test/a/_create/_count", JSON, "{}", Act),
        trick("a document called _mget", "PUT es.test/logs/_doc/_mget", JSON, "{}", Act),
        trick("an update of one called _explain", "POST es.test/logs/_update/_explain", JSON, "{}", Act),
        // Another method.
        trick("override in a header", "GET api.github.com/repos/o/r/issues/1", "", "", Act)
            .with("x-http-method-override", "PATCH"),
        trick("override in odd case", "GET api.github.com/repos/o/r/issues/1", "", "", Act)
            .with("x-method-override", "pAtCh"),
        trick("override in a list", "POST nobody.test/search", "", "", Act)
            .with("x-http-method", "GET, DELETE"),
        trick("override in the query", "GET nobody.test/things/1?_method=delete", "", "", Act),
        trick("override, its name encoded", "GET nobody.test/things/1?%5Fmethod=delete", "", "", Act),
        trick("override in a form", "POST nobody.test/search", FORM, "q=1&_method=DELETE", Act),
        trick(
            "override in a part",
            "POST nobody.test/search",
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--b--",
            Act,
        ),
        trick("override in JSON", "POST nobody.test/search", JSON, r#"{"_method":"DELETE"}"#, Act),
        trick(
            "override in a form that is called JSON",
            "POST nobody.test/search",
            JSON,
            "_method=DELETE",
            Act,
        ),
        trick("a method in lower case", "delete nobody.test/things/1", "", "", Act),
        // Another path.
        trick("double encoding", "GET slack.com/api/%2563onversations.invite", "", "", Delegate),
        trick("an encoded slash", "POST slack.com/api%2Fconversations.invite", "", "", Delegate),
        trick("matrix parameters", "GET slack.com/api;v=1/conversations.invite;x", "", "", Delegate),
        trick("doubled slashes", "GET slack.com//api///conversations.invite", "", "", Delegate),
        trick("a trailing slash", "GET slack.com/api/conversations.invite/", "", "", Delegate),
        trick("upper case", "GET SLACK.COM/API/Conversations.Invite", "", "", Delegate),
        trick("a dot behind the host", "GET slack.com./api/conversations.invite", "", "", Delegate),
        trick("a path in a header", "GET slack.com/api/conversations.list", "", "", Delegate)
            .with("x-original-url", "/api/conversations.invite"),
        trick("an encoded letter", "POST api.github.com/%67raphql", JSON, MUTATION, Act),
        // GraphQL.
        trick(
            "two queries in one object",
            gql,
            JSON,
            r#"{"query":"{ a }","query":"mutation { deleteIssue { id } }"}"#,
            Act,
        ),
        trick(
            "a key in another case",
            gql,
            JSON,
            r#"{"query":"{ a }","QUERY":"mutation { deleteIssue { id } }"}"#,
            Act,
        ),
        trick(
            "an escaped key",
            gql,
            JSON,
            r#"{"query":"{ a }","qu\u0065ry":"mutation { deleteIssue { id } }"}"#,
            Act,
        ),
        trick(
            "one in the query, one in the body",
            "POST x.test/graphql?query=mutation{deleteIssue{id}}",
            JSON,
            r#"{"query":"{ a }"}"#,
            Act,
        ),
        trick(
            "a GET that changes",
            "GET x.test/graphql?query=mutation%20%7BdeleteIssue%7Bid%7D%7D",
            "",
            "",
            Act,
        ),
        trick(
            "a name that picks nothing",
            gql,
            JSON,
            r#"{"query":"query A { a } mutation B { deleteIssue { id } }","operationName":"C"}"#,
            Act,
        ),
        trick(
            "an alias like a read",
            gql,
            JSON,
            r#"{"query":"mutation { getIssue: deleteIssue(id: 1) { id } }"}"#,
            Act,
        ),
        trick(
            "a mutation behind comments",
            gql,
            JSON,
            "{\"query\":\"# query { a }\\nmutation { deleteIssue { id } }\"}",
            Act,
        ),
        trick(
            "a mutation in a fragment",
            gql,
            JSON,
            r#"{"query":"mutation { ...F } fragment F on Mutation { deleteIssue { id } }"}"#,
            Act,
        ),
        trick("a batch", gql, JSON, format!(r#"[{{"query":"{{ a }}"}},{MUTATION}]"#), Act),
        trick("called text", gql, "text/plain", MUTATION, Act),
        trick("called a form", gql, FORM, MUTATION, Act),
        trick("called nothing", gql, "", MUTATION, Act),
        trick("an image", gql, "image/png", MUTATION, Act),
        // Encodings.
        trick("a mark before", gql, JSON, ["\u{feff}", MUTATION].concat(), Act),
        trick("UTF-16 without a word", gql, JSON, utf16(MUTATION), Act),
        trick("UTF-7", gql, "application/json; charset=utf-7", MUTATION, Delegate),
        trick("gzip, labelled", gql, JSON, gzip(MUTATION.as_bytes()), Act).with("content-encoding", "gzip"),
        trick("gzip, unlabelled", gql, JSON, gzip(MUTATION.as_bytes()), Act),
        trick("gzip twice", gql, JSON, gzip(&gzip(MUTATION.as_bytes())), Act)
            .with("content-encoding", "gzip"),
        trick("deflate called br", gql, JSON, deflate(MUTATION.as_bytes()), Act)
            .with("content-encoding", "br"),
        trick("plain, called gzip", gql, JSON, MUTATION, Act).with("content-encoding", "gzip"),
        trick("a coding of nobody's", gql, JSON, MUTATION, Delegate).with("content-encoding", "rot13"),
        trick("a bomb", gql, JSON, gzip(&vec![b' '; 8 << 20]), Delegate),
        trick("longer than what is read", gql, JSON, padded, Delegate),
        // JSON-RPC.
        trick(
            "two methods",
            "POST x.test/mcp",
            JSON,
            r#"{"jsonrpc":"2.0","method":"tools/list","method":"message/send"}"#,
            Delegate,
        ),
        trick("a message in a list in a list", "POST x.test/mcp", JSON, format!("[[{SEND}]]"), Delegate),
        trick(
            "two messages without a list",
            "POST x.test/mcp",
            JSON,
            format!("{{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}}\n{SEND}"),
            Delegate,
        ),
        trick("JSON in a text", "POST x.test/mcp", JSON, serde_json::to_string(SEND).unwrap(), Delegate),
        trick(
            "a read-only name that nobody vouches for",
            "POST x.test/mcp",
            JSON,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather"}}"#,
            Act,
        ),
        // AWS.
        trick(
            "an action in query and form",
            "POST iam.amazonaws.com/?Action=ListUsers",
            FORM,
            "Action=DeleteUser&Version=2010-05-08",
            Act,
        ),
        trick(
            "an action in an encoded key",
            "POST iam.amazonaws.com/",
            FORM,
            "Action=ListUsers&%41ction=DeleteUser&Version=2010-05-08",
            Act,
        ),
        trick(
            "two targets",
            "POST dynamodb.eu-west-1.amazonaws.com/",
            "application/x-amz-json-1.0",
            "{}",
            Act,
        )
        .with("x-amz-target", "DynamoDB_20120810.GetItem")
        .with("x-amz-target", "DynamoDB_20120810.DeleteItem"),
        trick(
            "a target with blanks",
            "POST dynamodb.eu-west-1.amazonaws.com/",
            "application/x-amz-json-1.0",
            "{}",
            Act,
        )
        .with("x-amz-target", " DynamoDB_20120810.DeleteItem "),
        // SQL.
        trick(
            "a change behind a query",
            "POST x.test/v1/statements",
            JSON,
            r#"{"statement":"SELECT 1; DROP TABLE t"}"#,
            Act,
        ),
        trick(
            "a change in a WITH",
            "POST x.test/v1/sql",
            JSON,
            r#"{"sql":"WITH d AS (DELETE FROM t RETURNING 1) SELECT 1 FROM d"}"#,
            Act,
        ),
        trick(
            "a comment that runs",
            "POST x.test/v1/sql",
            JSON,
            r#"{"sql":"SELECT 1 /*! ; GRANT ALL ON t TO evil */"}"#,
            Act,
        ),
        trick(
            "a right that is given",
            "POST x.test/v1/sql",
            JSON,
            r#"{"sql":"/* SELECT */ GRANT ALL ON t TO evil"}"#,
            Delegate,
        ),
        // Batches.
        trick(
            "a change in a batch",
            "POST graph.microsoft.com/v1.0/$batch",
            JSON,
            r#"{"requests":[{"id":"1","method":"GET","url":"/me"},{"id":"2","method":"DELETE","url":"/me/messages/1"}]}"#,
            Act,
        ),
        trick(
            "a change in multipart",
            "POST www.googleapis.com/batch",
            "multipart/mixed; boundary=b",
            "--b\r\nContent-Type: application/http\r\n\r\nDELETE /calendar/v3/calendars/c/events/e HTTP/1.1\r\n\r\n--b--",
            Act,
        ),
        trick(
            "a boundary that is not the one",
            "POST www.googleapis.com/batch",
            "multipart/mixed; boundary=zzz",
            "--b\r\nContent-Type: application/http\r\n\r\nDELETE /calendar/v3/calendars/c/events/e HTTP/1.1\r\n\r\n--b--",
            Act,
        ),
        // The rest.
        trick("a verb of nobody's", "FROB nobody.test/things", "", "", Act),
        trick("WebDAV's rights", "ACL dav.test/file", "", "", Delegate),
        trick("a push", "POST git.test/octo/hello.git/git-receive-pack", "", "", Act),
        trick(
            "a token asked for at an odd place",
            "POST nobody.test/session/search",
            FORM,
            "grant_type=client_credentials",
            Delegate,
        ),
        trick(
            "SOAP whose header says another thing",
            "POST x.test/ws",
            "text/xml",
            "<Envelope><Body><DeleteUser/></Body></Envelope>",
            Act,
        )
        .with("soapaction", "\"urn:GetUser\""),
    ];
    let nested = trick("three codings deep", gql, JSON, gzip(&gzip(&gzip(MUTATION.as_bytes()))), Act);
    all.push(nested.with("content-encoding", "gzip, gzip, gzip"));
    all
}

#[test]
fn no_trick_makes_a_call_look_weaker() {
    let all = tricks();
    assert!(all.len() > 60, "{}", all.len());
    let fooled: Vec<String> = all
        .iter()
        .filter(|trick| trick.class() < trick.least)
        .map(|trick| format!("{}: {} instead of {}", trick.what, trick.class(), trick.least))
        .collect();
    assert!(fooled.is_empty(), "{fooled:#?}");
}

#[test]
fn what_only_looks_like_a_trick_is_no_more_than_it_is() {
    for (request, media, body) in [
        ("POST es.test/logs/_search", JSON, "{}"),
        ("POST es.test/logs,other/_count", JSON, "{}"),
        ("GET es.test/logs/_doc/7", "", ""),
        ("POST x.test/graphql", JSON, r#"{"query":"query { mutation: viewer { id } }"}"#),
        (
            "POST x.test/graphql",
            JSON,
            r#"{"query":"query A { a } mutation B { deleteIssue { id } }","operationName":"A"}"#,
        ),
        ("POST x.test/v1/sql", JSON, r#"{"sql":"SELECT 'DROP TABLE t' AS text"}"#),
    ] {
        let plain = trick("", request, media, body, Class::Read);
        assert_eq!(plain.class(), Class::Read, "{request} {body}");
    }
}
