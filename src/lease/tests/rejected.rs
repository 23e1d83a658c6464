//! Which answers say that a credential was not taken.

use http::{HeaderMap, HeaderValue, StatusCode};

use crate::lease::rejected::{in_aws_error, in_head, in_success, may_be_in_body};

fn challenged(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::WWW_AUTHENTICATE, HeaderValue::from_static(value))])
}

#[test]
fn an_answer_that_is_no_word_on_the_credential_is_none() {
    let none = HeaderMap::new();
    assert_eq!(in_head(StatusCode::UNAUTHORIZED, &none).as_deref(), Some("it answered 401"));
    let invalid = challenged("Bearer realm=\"x\", error=\"invalid_token\"");
    let told = in_head(StatusCode::BAD_REQUEST, &invalid);
    assert_eq!(told.as_deref(), Some("it answered 400: invalid_token"));
    assert_eq!(in_head(StatusCode::FORBIDDEN, &challenged("Bearer error=\"insufficient_scope\"")), None);
    assert_eq!(in_head(StatusCode::OK, &invalid), None);
    assert_eq!(in_head(StatusCode::FORBIDDEN, &none), None, "it is known, and may not");
}

#[test]
fn aws_says_it_in_the_code_of_an_error() {
    let none = HeaderMap::new();
    let s3 = b"<Error><Code>InvalidAccessKeyId</Code><Message>..</Message></Error>";
    let told = in_aws_error(StatusCode::FORBIDDEN, &none, s3);
    assert_eq!(told.as_deref(), Some("it answered 403: InvalidAccessKeyId"));
    let named = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-amzn-errortype"),
        HeaderValue::from_static("UnrecognizedClientException:http://internal/"),
    )]);
    assert!(in_aws_error(StatusCode::BAD_REQUEST, &named, b"{}").is_some());
    let denied = b"<Error><Code>AccessDenied</Code></Error>";
    assert_eq!(in_aws_error(StatusCode::FORBIDDEN, &none, denied), None, "its session policy says no");
    assert!(may_be_in_body(StatusCode::FORBIDDEN) && !may_be_in_body(StatusCode::NOT_FOUND));
}

#[test]
fn some_services_say_it_with_a_success() {
    let untaken = ["invalid_auth".to_owned(), "token_revoked".to_owned()];
    let said = |body: &str| in_success(&untaken, body.as_bytes());
    assert_eq!(
        said(r#"{"ok":false,"error":"invalid_auth"}"#).as_deref(),
        Some("it answered 200: invalid_auth")
    );
    for none in [
        r#"{"ok":true}"#,
        r#"{"ok":false,"error":"channel_not_found"}"#,
        r#"{"messages":[{"error":"invalid_auth"}]}"#,
        r#"{"error":"invalid_auth""#,
        "",
    ] {
        assert_eq!(said(none), None, "{none}");
    }
}
