//! Bodies that look weaker than they are: content types that lie, codings, encodings, fields twice.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use crate::call::{Class, Peek, Recognition};

use super::super::Catalog;
use super::{CATALOG, ask_with, class_of, head, with_header};

const MUTATION: &str = r#"{"query":"mutation{addComment(input:{}){clientMutationId}}"}"#;
const QUERY: &str = r#"{"query":"{viewer{login}}"}"#;
const GRAPHQL: &str = "POST api.example.test/graphql";
const JSON: &str = "application/json";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn coded(coding: &str, body: &[u8]) -> Class {
    let asked = with_header(head("POST", "api.example.test", "/graphql"), "content-encoding", coding);
    CATALOG.with(|catalog| ask_with(catalog, &asked, body).class())
}

#[test]
fn a_content_type_that_lies_hides_nothing() {
    for media in [
        "",
        JSON,
        "text/plain",
        "image/png",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/xml",
    ] {
        assert_eq!(class_of(GRAPHQL, media, MUTATION), Class::Act, "{media}");
    }
    for media in [JSON, "text/plain", ""] {
        assert_eq!(class_of(GRAPHQL, media, QUERY), Class::Read, "{media}");
    }
    let form = "grant_type=client_credentials&client_id=a&client_secret=b";
    for media in [JSON, "", "text/plain", "application/x-www-form-urlencoded"] {
        assert_eq!(class_of("POST auth.example.test/session", media, form), Class::Delegate, "{media}");
    }
}

#[test]
fn codings_are_undone_before_a_body_is_read() {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(MUTATION.as_bytes()).unwrap();
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
    bare.write_all(QUERY.as_bytes()).unwrap();
    assert_eq!(coded("gzip", &gzip(MUTATION.as_bytes())), Class::Act);
    assert_eq!(coded("gzip", &gzip(QUERY.as_bytes())), Class::Read);
    assert_eq!(coded("deflate", &zlib.finish().unwrap()), Class::Act);
    assert_eq!(coded("deflate", &bare.finish().unwrap()), Class::Read);
    // `{"query":"{viewer{login}}"}` by brotli (RFC 7932) and zstd, each with nothing compressed.
    let mut brotli = vec![0x0b, 0x0d, 0x80];
    brotli.extend(QUERY.as_bytes());
    brotli.push(0x03);
    assert_eq!(coded("br", &brotli), Class::Read);
    let length = u8::try_from(QUERY.len()).unwrap();
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, length, 1 | (length << 3), 0, 0];
    zstd.extend(QUERY.as_bytes());
    assert_eq!(coded("zstd", &zstd), Class::Read);
}

#[test]
fn codings_that_are_not_declared_or_nested_are_undone_too() {
    let once = gzip(MUTATION.as_bytes());
    assert_eq!(class_of(GRAPHQL, JSON, &once), Class::Act);
    assert_eq!(class_of(GRAPHQL, JSON, gzip(QUERY.as_bytes())), Class::Read);
    assert_eq!(coded("gzip, gzip", &gzip(&once)), Class::Act);
    assert_eq!(coded("gzip", &gzip(&gzip(QUERY.as_bytes()))), Class::Read);
    // Declared and not there: a server that ignores the field reads the text.
    assert_eq!(coded("br", MUTATION.as_bytes()), Class::Act);
    assert_eq!(coded("deflate", QUERY.as_bytes()), Class::Read);
}

#[test]
fn a_body_that_cannot_be_unpacked_is_the_strongest_unknown() {
    let bomb = gzip(&vec![b' '; 20 << 20]);
    let deep = (0..5).fold(QUERY.as_bytes().to_vec(), |body, _| gzip(&body));
    for body in [&bomb, &deep, &gzip(QUERY.as_bytes())[..20].to_vec()] {
        assert_eq!(class_of(GRAPHQL, JSON, body), Class::Delegate);
        assert_eq!(class_of("POST nobody.example/things", JSON, body), Class::Delegate);
    }
    assert_eq!(coded("rot13", QUERY.as_bytes()), Class::Delegate);
}

#[test]
fn marks_and_wide_encodings_are_read() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    for (text, class) in [(MUTATION, Class::Act), (QUERY, Class::Read)] {
        assert_eq!(class_of(GRAPHQL, JSON, format!("\u{feff}{text}")), class);
        assert_eq!(class_of(GRAPHQL, JSON, wide(text)), class);
        assert_eq!(class_of(GRAPHQL, JSON, big(text)), class);
        assert_eq!(class_of(GRAPHQL, JSON, wide(&format!("\u{feff}{text}"))), class);
    }
    assert_eq!(class_of(GRAPHQL, "application/json; charset=ibm037", QUERY), Class::Delegate);
}

#[test]
fn of_two_fields_with_one_name_both_count() {
    let twice = r#"{"query":"{viewer{login}}","query":"mutation{deleteRef{id}}"}"#;
    let swapped = r#"{"query":"mutation{deleteRef{id}}","Query":"{viewer{login}}"}"#;
    assert_eq!(class_of(GRAPHQL, JSON, twice), Class::Act);
    assert_eq!(class_of(GRAPHQL, JSON, swapped), Class::Act);
    let form = "query=%7Bviewer%7Bid%7D%7D&query=mutation%7Bx%7Bid%7D%7D";
    assert_eq!(class_of(GRAPHQL, "application/x-www-form-urlencoded", form), Class::Act);
}

#[test]
fn a_method_in_the_body_counts_as_well() {
    for (media, body) in [
        ("application/x-www-form-urlencoded", "_method=PUT&x=1"),
        ("application/x-www-form-urlencoded", "%5fmethod=put"),
        (JSON, r#"{"_method":"PUT"}"#),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nPUT\r\n--b--\r\n",
        ),
    ] {
        let asked = with_header(head("POST", "nobody.example", "/repos/o/r/search"), "content-type", media);
        let found = CATALOG.with(|catalog| ask_with(catalog, &asked, body.as_bytes()));
        assert!(found.iter().any(|one| one.because.starts_with("method override")), "{body}");
        assert_eq!(found.class(), Class::Act, "{body}");
    }
}

#[test]
fn a_body_longer_than_what_is_read_is_unknown_where_it_could_decide() {
    let long = format!("{}{}", QUERY.trim_end_matches('}'), " ".repeat(2 << 20));
    for place in [GRAPHQL, "POST mcp.example.test/mcp", "POST nobody.example/search"] {
        assert_eq!(class_of(place, JSON, &long), Class::Delegate, "{place}");
    }
    // A picture is no protocol: its place decides.
    let picture = [&[0x89, b'P', b'N', b'G', 0xff, 0xd8, 0xff][..], &vec![7; 2 << 20]].concat();
    assert_eq!(class_of("POST nobody.example/pictures", "image/png", picture), Class::Act);
}

#[test]
fn a_body_is_asked_for_only_where_it_can_decide() {
    let catalog = Catalog::shipped().unwrap();
    let wants = |method: &str, host: &str, path: &str, media: &str| {
        catalog.wants_body(&with_header(head(method, host, path), "content-type", media)).is_some()
    };
    assert!(!wants("POST", "api.github.com", "/repos/octo/hello/issues", JSON));
    assert!(!wants("GET", "api.github.com", "/repos/octo/hello/issues", JSON));
    assert!(!wants(
        "PUT",
        "api.github.com",
        "/repos/o/r/collaborators/eve",
        "application/x-www-form-urlencoded"
    ));
    assert!(!wants("POST", "nobody.example", "/pkg.Service/Method", "application/grpc"));
    assert!(wants("POST", "api.github.com", "/graphql", JSON));
    assert!(wants("POST", "nobody.example", "/things", JSON));
    assert!(wants("GET", "mcp.example.test", "/mcp", JSON));
    assert!(wants("POST", "slack.com", "/api/chat.postMessage", "application/x-www-form-urlencoded"));
}

#[test]
fn broken_json_at_an_unknown_place_is_no_read() {
    let asked = with_header(head("POST", "nobody.example", "/search"), "content-type", JSON);
    let found = CATALOG.with(|catalog| ask_with(catalog, &asked, b"{'method': 'x',}"));
    assert_eq!((found.class(), found.strongest().how), (Class::Delegate, Recognition::Unknown));
    let nothing = CATALOG.with(|catalog| catalog.recognise(&asked, &Peek::default()));
    assert_eq!(nothing.class(), Class::Read);
}
