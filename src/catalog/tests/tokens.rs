//! Which answers have tokens, and where.

use std::time::Duration;

use super::{CATALOG, ask_with, head};
use crate::call::Timestamp;
use crate::catalog::tokens::TokenPlaces;

fn places(method: &str, host: &str, target: &str) -> Option<TokenPlaces> {
    CATALOG.with(|catalog| catalog.tokens(&ask_with(catalog, &head(method, host, target), b"")))
}

/// Token and seconds to its end.
fn found(places: &TokenPlaces, answer: &str) -> Result<Vec<(String, Option<Duration>)>, String> {
    let now = Timestamp::from_unix_s(1_800_000_000);
    let given = places.find(answer.as_bytes(), now).map_err(|untold| untold.to_string())?;
    Ok(given.iter().map(|one| (one.what.texts().join(" "), one.expires.map(|end| end.since(now)))).collect())
}

#[test]
fn tokens_of_installations_are_found_with_their_end() {
    let github = places("POST", "api.github.com", "/app/installations/7/access_tokens").unwrap();
    let services: Vec<_> = github.services.iter().map(|one| &*one.0).collect();
    assert_eq!(services, ["github", "github-graphql"]);
    let hour = Some(Duration::from_secs(3_600));
    let answer = r#"{"token":"ghs_abcdefgh","expires_at":"2027-01-15T09:00:00Z","permissions":{}}"#;
    assert_eq!(found(&github, answer), Ok(vec![("ghs_abcdefgh".into(), hour)]));
    let twice = r#"{"token":"ghs_abcdefgh","Token":"ghs_ijklmnop"}"#;
    assert_eq!(found(&github, twice).map(|all| all.len()), Ok(2), "clients differ in which they take");
    assert_eq!(found(&github, r#"{"message":"Bad credentials","token":null}"#), Ok(vec![]));
    for unclear in ["token=ghs_abcdefgh", r#"{"token":"ghs"}"#, r#"{"token":{"value":"ghs_abcdefgh"}}"#, ""] {
        assert!(found(&github, unclear).is_err(), "{unclear}");
    }
    assert_eq!(places("GET", "api.github.com", "/app/installations"), None);
    assert_eq!(places("POST", "nobody.test", "/oauth/token"), None);
}

#[test]
fn what_oauth_says_of_the_life_of_one_token_is_not_said_of_the_other() {
    let slack = places("POST", "slack.com", "/api/oauth.v2.access").unwrap();
    let answer = r#"{"ok":true,"access_token":"xoxe.xoxb-1","expires_in":43200,"refresh_token":"xoxe-1-abc",
        "authed_user":{"id":"U1","access_token":"xoxp-1-abc","expires_in":"600"}}"#;
    let told = found(&slack, answer).unwrap();
    let life = |token: &str| told.iter().find(|(text, _)| text == token).unwrap().1;
    assert_eq!(told.len(), 3);
    assert_eq!(life("xoxe.xoxb-1"), Some(Duration::from_secs(43_200)));
    assert_eq!(life("xoxe-1-abc"), None);
    assert_eq!(life("xoxp-1-abc"), Some(Duration::from_secs(600)));
}

#[test]
fn tokens_of_google_are_for_all_its_services() {
    for (host, target) in [("oauth2.googleapis.com", "/token"), ("sts.googleapis.com", "/v1/token")] {
        let google = places("POST", host, target).unwrap_or_else(|| panic!("{host}"));
        assert!(google.services.iter().any(|one| &*one.0 == "google-drive"), "{host}");
    }
    let target = "/v1/projects/-/serviceAccounts/worker@project.iam.gserviceaccount.com:generateAccessToken";
    let made = places("POST", "iamcredentials.googleapis.com", target).unwrap();
    let answer = r#"{"accessToken":"ya29.c.abcdefgh","expireTime":"2027-01-15T08:10:00Z"}"#;
    assert_eq!(found(&made, answer), Ok(vec![("ya29.c.abcdefgh".into(), Some(Duration::from_secs(600)))]));
}

#[test]
fn the_shipped_tables_name_services_that_there_are() {
    CATALOG.with(|catalog| {
        let mut declared = 0;
        for service in &catalog.services {
            let Some(tokens) = service.table().and_then(|table| table.tokens.as_ref()) else { continue };
            declared += 1;
            for other in &tokens.also {
                let known = catalog.services().any(|known| match other.strip_suffix('*') {
                    Some(begins) => known.0.starts_with(begins),
                    None => *known.0 == **other,
                });
                assert!(known, "{}: `{other}`", service.name.0);
            }
        }
        assert!(declared > 5, "{declared}");
    });
}

const ASSUMED: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <Credentials>
      <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
      <SessionToken>AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQW==</SessionToken>
      <Expiration>2027-01-15T09:00:00Z</Expiration>
    </Credentials>
  </AssumeRoleResult>
</AssumeRoleResponse>"#;

fn sts(action: &str) -> TokenPlaces {
    let body = format!("Action={action}&Version=2011-06-15&RoleArn=x&RoleSessionName=y");
    let mut head = head("POST", "sts.eu-central-1.amazonaws.com", "/");
    let form = http::HeaderValue::from_static("application/x-www-form-urlencoded");
    head.headers.insert(http::header::CONTENT_TYPE, form);
    CATALOG.with(|catalog| catalog.tokens(&ask_with(catalog, &head, body.as_bytes()))).unwrap()
}

#[test]
fn keys_of_sts_are_found_in_xml_and_in_json_and_are_for_all_of_aws() {
    let places = sts("AssumeRole");
    assert!(places.services.iter().any(|one| &*one.0 == "aws-s3"));
    let key = "ASIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY \
               AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQW==";
    let hour = Some(Duration::from_secs(3_600));
    assert_eq!(found(&places, ASSUMED), Ok(vec![(key.into(), hour)]));
    let json = r#"{"AssumeRoleResponse":{"AssumeRoleResult":{"Credentials":{"AccessKeyId":"ASIAIOSFODNN7EXAMPLE",
        "SecretAccessKey":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY","SessionToken":null,"Expiration":1.8000006E9}}}}"#;
    let (short, _) = key.rsplit_once(' ').unwrap();
    assert_eq!(found(&places, json), Ok(vec![(short.into(), Some(Duration::from_secs(600)))]));
}

#[test]
fn an_answer_whose_keys_cannot_be_told_is_none_that_is_passed_on() {
    let places = sts("AssumeRole");
    for (from, to) in [
        ("<Credentials>", "<Credentials><SecretAccessKey>another-one</SecretAccessKey>"),
        (
            "</AssumeRoleResult>",
            "<More><SecretAccessKey>another-one</SecretAccessKey></More></AssumeRoleResult>",
        ),
        ("AccessKeyId>", "KeyId>"),
        ("AssumeRoleResult>", "Result>"),
        ("</AssumeRoleResponse>", ""),
    ] {
        let unclear = ASSUMED.replace(from, to);
        assert!(found(&places, &unclear).is_err(), "{unclear}");
    }
    let without = "<AssumeRoleResponse><AssumeRoleResult/></AssumeRoleResponse>";
    assert_eq!(found(&places, without), Ok(vec![]));
}

#[test]
fn other_services_of_aws_hand_out_keys_too_and_that_is_to_delegate() {
    CATALOG.with(|catalog| {
        let mut head = head("POST", "codepipeline.us-east-1.amazonaws.com", "/");
        let target = http::HeaderValue::from_static("CodePipeline_20150709.PollForJobs");
        head.headers.insert("x-amz-target", target);
        let operations = ask_with(catalog, &head, b"{}");
        assert_eq!(operations.class(), crate::call::Class::Delegate);
        let places = catalog.tokens(&operations).unwrap();
        let key = |n: u8| format!(r#"{{"data":{{"artifactCredentials":{{"accessKeyId":"ASIAEXAMPLE{n}","secretAccessKey":"secret-{n}","sessionToken":"token-{n}-"}}}}}}"#);
        let answer = format!(r#"{{"jobs":[{},{},{{"data":{{}}}}]}}"#, key(1), key(2));
        let told = found(&places, &answer).unwrap();
        let texts: Vec<_> = told.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["ASIAEXAMPLE1 secret-1 token-1-", "ASIAEXAMPLE2 secret-2 token-2-"]);
    });
}
