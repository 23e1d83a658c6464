//! What all providers share: where secrets may be sent, what errors may say.

use super::super::ask::{self, Ask, Effect};
use super::super::endpoint::Endpoint;
use super::super::narrow::{ByClass, Width};
use super::*;

#[test]
fn secrets_go_over_tls_or_stay_on_this_machine() {
    for good in [
        "https://as.example/token",
        "https://as.example:8443/t?x=1",
        "http://127.0.0.1:8200",
        "http://[::1]:1/",
        "http://localhost:1/",
    ] {
        assert!(Endpoint::parse(good).is_ok(), "{good}");
    }
    for (bad, why) in [
        ("http://as.example/token", "TLS"),
        ("http://127.0.0.1.as.example/", "TLS"),
        ("http://10.0.0.1/", "TLS"),
        ("https://user:hunter2@as.example/", "no place"),
        ("https://as.example/#x", "fragment"),
        ("ftp://as.example/", "https"),
        ("as.example", "URL"),
    ] {
        let error = Endpoint::parse(bad).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_is_joined_to_an_address_cannot_leave_its_segment() {
    let at = Endpoint::parse("https://v.example/base/?q=1").unwrap().join(["v1", "a/b", "..%2f", "c d"]);
    assert_eq!(at.as_str(), "https://v.example/base/v1/a%2Fb/..%252f/c%20d");
}

#[tokio::test]
async fn what_a_server_says_of_an_error_shows_no_secret() {
    let to = Endpoint::parse("https://as.example/token?key=k3y").unwrap();
    let said_back = "bad secret hunter2, key gho_16C7e42F292c6912E7710c838347Ae178B4a\r\nSet-Cookie: x "
        .to_owned()
        + &"y".repeat(4000);
    let server = Server::new().answers(400, json!({}));
    let ask = Ask::form(&to, "the token endpoint", Effect::Gives, &[]).unwrap().hiding([secret("hunter2")]);
    let answer = ask.send(&server).await.unwrap();
    let error = answer.refused(&said_back, "do this").to_string();
    assert!(
        error.starts_with(
            "the token endpoint (https://as.example/token) answered 400 and said `bad secret …, key ~"
        ),
        "{error}"
    );
    assert!(error.ends_with("…`; do this") && error.len() < 400 && !error.contains(['\r', '\n']), "{error}");
    assert!(!error.contains("k3y") && !error.contains("292c6912"), "{error}");
}

#[tokio::test]
async fn what_is_lost_is_told_by_what_the_request_did() {
    let to = Endpoint::parse("https://as.example/token").unwrap();
    for (effect, reached, unknown) in
        [(Effect::Gives, true, true), (Effect::Gives, false, false), (Effect::Repeatable, true, false)]
    {
        let server = Server::new().next(move |_| lost(reached));
        let error = Ask::form(&to, "it", effect, &[]).unwrap().send(&server).await.unwrap_err();
        assert_eq!(matches!(error, MintError::Unknown(_)), unknown, "{error:?}");
        assert_eq!(matches!(error, MintError::Unavailable(_)), !unknown, "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_no_json_is_not_looked_at() {
    let to = Endpoint::parse("https://as.example/token").unwrap();
    let long = Bytes::from(vec![b' '; ask::MAX_ANSWER_BYTES + 1]);
    let server = Server::new()
        .next(move |_| Ok(Response::new(long)))
        .next(|_| Ok(Response::new(Bytes::from_static(b"{\"access_token\": \"s3cr3t-and-broken"))));
    let ask = || Ask::form(&to, "it", Effect::Gives, &[]).unwrap();
    let error = ask().send(&server).await.unwrap_err();
    assert!(matches!(&error, MintError::Unknown(text) if text.contains("65536")), "{error:?}");
    let error = ask().send(&server).await.unwrap().json::<Value>().unwrap_err();
    assert!(
        matches!(&error, MintError::Unknown(text) if text.contains("line 1") && !text.contains("s3cr3t")),
        "{error:?}"
    );
}

#[test]
fn a_line_end_in_a_secret_is_told_and_not_sent() {
    let to = Endpoint::parse("https://as.example/token").unwrap();
    let ask = Ask::form(&to, "the vault", Effect::Gives, &[]).unwrap();
    let error = ask.with("x-vault-token", "hvs.abc\nx: y").err().unwrap().to_string();
    assert!(
        error.contains("x-vault-token") && error.contains("line ends") && !error.contains("hvs"),
        "{error}"
    );
}

#[test]
fn tokens_and_lifetimes_have_to_make_sense() {
    assert!(ask::token("a.b-c~+/=".to_owned(), "it").is_ok());
    for bad in ["", "a b", "a\n", "ä", &"x".repeat(ask::MAX_TOKEN_BYTES + 1)] {
        assert!(ask::token(bad.to_owned(), "it").is_err(), "{bad:?}");
    }
    let now = Timestamp::from_unix_s(NOW_S);
    assert_eq!(ask::ends(now, 60).ok(), after_s(60));
    assert!(ask::ends(now, 0).is_err() && ask::ends(now, u64::MAX).is_err());
}

#[test]
fn a_class_without_its_own_is_refused_unless_the_operator_says_wide() {
    let each = ByClass::Each([(Class::Read, "r")].into());
    assert_eq!(each.of(Class::Read, Width::Narrow, "scopes"), Ok(Some(&"r")));
    let error = each.of(Class::Act, Width::Narrow, "scopes").unwrap_err();
    assert!(
        matches!(&error, MintError::TooWide(text) if text.contains("`scopes = { act = … }`") && text.contains("wide"))
    );
    assert_eq!(each.of(Class::Act, Width::Wide, "scopes"), Ok(None));
    assert!(ByClass::Same("x").of(Class::Read, Width::Narrow, "scopes").is_err());
    assert_eq!(ByClass::Same("x").of(Class::Read, Width::Wide, "scopes"), Ok(Some(&"x")));
    assert!(ByClass::<&str>::Unsaid.of(Class::Act, Width::Narrow, "scopes").is_err());
}
