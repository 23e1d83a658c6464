//! Anything at all, and the worst of it: no panic, bounded time.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::call::{Class, Peek};

use super::super::sql;
use super::{CATALOG, ask_with, class_of, head, with_header};

/// Debug builds on a loaded machine included.
const SOON: Duration = Duration::from_secs(10);

fn refused_soon(request: &str, media: &str, body: &[u8]) {
    let begun = Instant::now();
    assert!(class_of(request, media, body) > Class::Read, "{request}");
    assert!(begun.elapsed() < SOON, "{request} took {:?}", begun.elapsed());
}

#[test]
fn large_and_deep_bodies_end_soon_and_are_no_read() {
    let deep = "{a".repeat(5 << 20);
    refused_soon("POST x.example.test/graphql", "application/graphql", deep.as_bytes());
    refused_soon("POST x.example.test/graphql", "application/graphql", &deep.as_bytes()[..1 << 20]);
    let mut fragments = String::from("{...F0}");
    for n in 0..10_000 {
        write!(fragments, "fragment F{n} on Q{{...F{} ...F{}}}", n + 1, n / 2).unwrap();
    }
    refused_soon("POST x.example.test/graphql", "application/graphql", fragments.as_bytes());
    let json = "[".repeat(1 << 20);
    refused_soon("POST x.example.test/mcp", "application/json", json.as_bytes());
    let wide = format!("[{}1]", "1,".repeat(500_000));
    refused_soon("POST x.example.test/rpc", "application/json", wide.as_bytes());
    let pairs = "_method=A&".repeat(90_000) + "_method=DELETE";
    refused_soon("POST x.example.test/search", "application/x-www-form-urlencoded", pairs.as_bytes());
    let parts = "--b\r\n\r\nx\r\n".repeat(90_000);
    refused_soon("POST x.example.test/batch", "multipart/mixed; boundary=b", parts.as_bytes());
    let xml = "<a>".repeat(300_000);
    refused_soon("POST x.example.test/soap", "text/xml", xml.as_bytes());
}

#[test]
fn long_statements_end_soon() {
    for text in [
        "SELECT ".to_owned() + &"(".repeat(100_000),
        "SELECT ".to_owned() + &"1+".repeat(50_000),
        ";".repeat(100_000),
        "/*".repeat(50_000),
    ] {
        let begun = Instant::now();
        let _class = sql::class(&text);
        assert!(begun.elapsed() < SOON);
    }
    assert_eq!(sql::class(&"SELECT 1;".repeat(100_000)).0, Class::Delegate);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_have_an_answer(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        magic in prop::sample::select(vec![&b""[..], b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xff\xfe", b"{\"query\":\"", b"[{\"jsonrpc\":", b"--b\r\n", b"<Envelope><Body>", b"Action="]),
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PROPFIND"]),
        path in prop::sample::select(vec!["/", "/graphql", "/mcp", "/v1/things", "/$batch", "/oauth/token", "/service/x/operation/y", "/a.B/C"]),
        media in prop::sample::select(vec!["application/json", "application/grpc", "multipart/mixed; boundary=b", "application/x-www-form-urlencoded", "application/soap+xml; action=x", ""]),
        coding in prop::sample::select(vec!["", "gzip", "br", "zstd", "deflate", "gzip, br", "?"]),
        whole in any::<bool>(),
    ) {
        let asked = with_header(with_header(head(method, "nobody.example", path), "content-type", media), "content-encoding", coding);
        let body = [magic, &bytes].concat();
        let found = CATALOG.with(|catalog| catalog.recognise(&asked, &Peek { bytes: body.into(), whole }));
        prop_assert!(found.iter().all(|one| !one.because.is_empty()));
    }

    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,200}", path in prop::sample::select(vec!["/graphql", "/mcp", "/sql", "/x"])) {
        let asked = with_header(head("POST", "nobody.example", path), "content-type", "text/plain");
        let found = CATALOG.with(|catalog| ask_with(catalog, &asked, text.as_bytes()));
        prop_assert!(!found.strongest().because.is_empty());
        let _class = sql::class(&text);
    }
}
