use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::{FORMATS, Place, brought};
use crate::call::{CallId, Head, Origin, Scheme, SpanId, Target, Timestamp, TraceContext, TraceId};

fn call(target: &str, headers: &[(&str, &str)]) -> Head {
    let (host, port) = Origin::parse_authority("api.test", Some(443)).unwrap();
    let each = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    Head {
        id: "00000000000000000000000000".parse::<CallId>().unwrap(),
        at: Timestamp::default(),
        origin: Origin { scheme: Scheme::Https, host, port },
        method: Method::GET,
        target: Target::parse(target).unwrap(),
        version: Version::HTTP_11,
        headers: headers.iter().map(each).collect::<HeaderMap>(),
        trace: TraceContext { trace: TraceId([1; 16]), parent: None, span: SpanId([1; 8]), flags: 0 },
        upgrade: None,
    }
}

/// A key of a format, made here: no such text may stand in a repository.
fn key(name: &str) -> String {
    let format = FORMATS.formats.iter().find(|format| format.name == name).unwrap();
    let filler = b"7aB3dE5fA2b4C6d7".iter().cycle().filter(|byte| format.goes_on.has(**byte));
    let tail: String = filler.take(format.least).map(|byte| char::from(*byte)).collect();
    match format.holds {
        Some(piece) => format!("{}{piece}{}", format.begins, &tail[piece.len()..]),
        None => format!("{}{tail}", format.begins),
    }
}

fn none(_: &str) -> bool {
    false
}

#[test]
fn every_row_of_the_table_is_read_and_finds_its_key() {
    let rows = include_str!("../formats.tsv").lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(FORMATS.formats.len(), rows);
    assert!(rows > 50 && FORMATS.finder.is_some());
    for format in &FORMATS.formats {
        let key = key(format.name);
        let bearer = call("/", &[("authorization", &format!("Bearer {key}"))]);
        assert_eq!(brought(&bearer, b"", none), Some(format.name), "{key}");
        let basic = STANDARD.encode(format!("user:{key}"));
        let basic = call("/", &[("authorization", &format!("Basic {basic}"))]);
        assert_eq!(brought(&basic, b"", none), Some(format.name), "{key}");
        let elsewhere = (format.place == Place::Anywhere).then_some(format.name);
        for head in [
            call("/", &[("x-api-key", &key)]),
            call("/", &[("cookie", &format!("a=b; session={key}; c=d"))]),
            call(&format!("/?a=b&key={key}"), &[]),
            call(&format!("/{key}/x"), &[]),
        ] {
            assert_eq!(brought(&head, b"", none), elsewhere, "{key}");
        }
        let body = format!("{{\"token\":\"{key}\"}}");
        assert_eq!(brought(&call("/", &[]), body.as_bytes(), none), elsewhere, "{key}");
    }
}

#[test]
fn ids_of_keys_count_where_they_sign() {
    let key = key("aws");
    let signed = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    );
    assert_eq!(brought(&call("/", &[("authorization", &signed)]), b"", none), Some("aws"));
    let url = format!("/?X-Amz-Credential={key}%2F20260101%2Fus-east-1%2Fs3%2Faws4_request");
    assert_eq!(brought(&call(&url, &[]), b"", none), Some("aws"));
    let body = format!("Action=DeleteAccessKey&AccessKeyId={key}");
    assert_eq!(brought(&call("/", &[]), body.as_bytes(), none), None);
}

#[test]
fn placeholders_and_look_alikes_are_no_keys() {
    let real = key("github");
    let bearer = format!("Bearer {real}");
    let ours = |text: &str| text == real;
    assert_eq!(brought(&call("/", &[("authorization", &bearer)]), b"", ours), None);
    let longer = format!("Bearer {real}{}", "a".repeat(300));
    for text in [
        "Bearer ghp_short",
        "Bearer sk-test-000",
        "Bearer ghs_aB3dE5fA2b4C6d7aB3dE5fA2b4C6d7aB3dE5",
        "Bearer sk_test_aB3dE5fA2b4C6d7aB3dE5fA2b4",
        "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
        longer.as_str(),
        "Bearer xghp_aB3dE5fA2b4C6d7aB3dE5fA2b4C6d7aB3dE5f",
    ] {
        assert_eq!(brought(&call("/", &[("authorization", text)]), b"", none), None, "{text}");
    }
}

#[test]
fn a_key_is_found_however_a_body_spells_it() {
    let key = key("github");
    let each = |write: fn(u8) -> String| key.bytes().map(write).collect::<Vec<_>>().concat();
    let spelt = each(|byte| format!("\\u{byte:04X}"));
    let first = format!("\\u{:04x}{}", key.as_bytes()[0], &key[1..]);
    let percent = each(|byte| format!("%{byte:02x}"));
    let azure = super::tests::key("azure-storage").replacen("dE", "/+", 1);
    for (body, name) in [
        (format!(r#"{{"token":"{spelt}"}}"#), "github"),
        (format!(r#"{{"token":"{first}"}}"#), "github"),
        (format!(r#"{{"text":"line\n{key}\n"}}"#), "github"),
        (serde_json::json!({ "inner": format!(r#"{{"token":"{spelt}"}}"#) }).to_string(), "github"),
        (format!("a=b&token={percent}&c=d"), "github"),
        (format!(r#"{{"connection":"{}"}}"#, azure.replace('/', "\\/")), "azure-storage"),
    ] {
        assert_eq!(brought(&call("/", &[]), body.as_bytes(), none), Some(name), "{body}");
        assert_eq!(super::brought_in(body.as_bytes(), none), Some(name), "{body}");
    }
    for body in [r#"{"path":"C:\\users\\u00"}"#, "\\", "\\u", "\\u00", "100%", "%"] {
        assert_eq!(brought(&call("/", &[]), body.as_bytes(), none), None, "{body}");
    }
}
