use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use serde_json::Value;
use url::form_urlencoded;

use super::policy::Narrowing;
use super::{AwsSts, Settings, Who};
use crate::call::grant::Pattern;
use crate::call::port::Fetched;
use crate::call::{
    Class, Clock, Entropy, Facts, Fetch, FetchError, Grant, IntentName, Operation, OperationId, Operations,
    Recognition, Secret, ServiceName, SpiffeId, Task, Terms, Timestamp,
};
use crate::lease::provider::endpoint::Endpoint;
use crate::lease::provider::{Given, Ports};
use crate::lease::{Material, MintError, Need, Provider, Returned};

const ROLE: &str = "arn:aws:iam::123456789012:role/agents";
const NOW: Timestamp = Timestamp::from_unix_s(1_795_500_000);
const GIVEN: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
    <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/agents/x</Arn></AssumedRoleUser>\
    <Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret/with+signs</SecretAccessKey>\
    <SessionToken>token&amp;more==</SessionToken><Expiration>2026-11-24T07:00:00Z</Expiration></Credentials>\
    </AssumeRoleResult></AssumeRoleResponse>";

/// Answers always the same, and remembers what it was asked.
struct Sts {
    answer: Result<(u16, &'static str), FetchError>,
    asked: Mutex<Vec<Request<Bytes>>>,
}

impl Fetch for Sts {
    fn fetch(&self, request: Request<Bytes>) -> Fetched<'_> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answer.clone().map(|(status, text)| {
            Response::builder().status(status).body(Bytes::from_static(text.as_bytes())).unwrap()
        });
        Box::pin(std::future::ready(answer))
    }
}

fn ports(fetch: Arc<Sts>, now: Timestamp) -> Ports {
    Ports { fetch, clock: Arc::new(Still(now)), entropy: Arc::new(Zeroes), svids: None, keeper: None }
}

struct Zeroes;

impl Entropy for Zeroes {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn task(resources: &[&str], seconds: u64) -> Task {
    let resources: BTreeSet<_> = resources.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    Task {
        id: "01KB0000000000000000000000".parse().unwrap(),
        agent: SpiffeId::parse("spiffe://example.org/agent/coder").unwrap(),
        intent: IntentName::parse("triage").unwrap(),
        labels: std::collections::BTreeMap::new(),
        opened: NOW,
        deadline: NOW.plus(Duration::from_secs(seconds)),
        terms: Terms { grant: Grant { resources, ..Grant::default() }, ..Terms::default() },
    }
}

fn operations(service: &str, class: Class) -> Operations {
    Operations::one(Operation {
        id: OperationId(format!("{service}:Something").into()),
        service: ServiceName(service.into()),
        class,
        resource: None,
        how: Recognition::Exact,
        facts: Facts::default(),
        because: "catalog".into(),
        ai: None,
    })
}

fn settings() -> Settings<Given> {
    Settings {
        who: Who::Key {
            id: "AKIAOPERATOR".to_owned(),
            secret: Given(Secret::new("operators-own-secret".to_owned())),
        },
        role_arn: ROLE.to_owned(),
        sts_url: Endpoint::parse("https://sts.test/").unwrap(),
        region: "us-east-1".to_owned(),
        external_id: None,
        duration: None,
        narrowing: Narrowing::default(),
    }
}

struct Asked {
    result: Result<crate::lease::Minted, MintError>,
    request: Option<Request<Bytes>>,
    scope: Result<String, MintError>,
}

impl Asked {
    fn field(&self, name: &str) -> Option<String> {
        let body = self.request.as_ref()?.body();
        form_urlencoded::parse(body).find(|(each, _)| each == name).map(|(_, value)| value.into_owned())
    }

    fn policy(&self) -> Value {
        serde_json::from_str(&self.field("Policy").unwrap()).unwrap()
    }
}

fn ask(
    settings: Settings<Given>,
    task: &Task,
    class: Class,
    answer: Result<(u16, &'static str), FetchError>,
) -> Asked {
    let sts = Arc::new(Sts { answer, asked: Mutex::default() });
    let provider = AwsSts::new(settings, ports(sts.clone(), NOW));
    let service = ServiceName("aws-s3".into());
    let operations = operations("aws-s3", class);
    let need =
        Need { task, service: &service, class, operations: &operations, until: task.deadline, now: NOW };
    let scope = provider.scope(&need);
    let result = provider.mint(&need).now_or_never().unwrap();
    let request = sts.asked.lock().unwrap().pop();
    Asked { result, request, scope }
}

#[test]
fn a_role_is_assumed_for_the_task_and_no_longer() {
    let settings = Settings { duration: Some(Duration::from_secs(3600)), ..settings() };
    let asked = ask(settings, &task(&[], 1800), Class::Read, Ok((200, GIVEN)));
    let request = asked.request.as_ref().unwrap();
    let signed = request.headers()["authorization"].to_str().unwrap();
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIAOPERATOR/20261124/us-east-1/sts/aws4_request"),
        "{signed}"
    );
    let body = String::from_utf8_lossy(request.body()).into_owned();
    assert!(!body.contains("operators-own-secret") && !signed.contains("operators-own-secret"));
    assert_eq!(asked.field("Action").as_deref(), Some("AssumeRole"));
    assert_eq!(asked.field("RoleSessionName").as_deref(), Some("01KB0000000000000000000000"));
    assert_eq!(asked.field("DurationSeconds").as_deref(), Some("1800"));
    assert_eq!(asked.scope.as_deref(), Ok("read on aws-s3 as arn:aws:iam::123456789012:role/agents"));
    let minted = asked.result.unwrap();
    // The keys hold longer than the task; their policy does not.
    assert_eq!(minted.expires, Some(NOW.plus(Duration::from_secs(1800))));
    let Material::Aws { access_key_id, secret_access_key, session_token } = minted.material else { panic!() };
    assert_eq!(access_key_id, "ASIAEXAMPLE");
    assert_eq!(secret_access_key.reveal(), "secret/with+signs");
    assert_eq!(session_token.unwrap().reveal(), "token&more==");
}

#[test]
fn terms_are_within_what_sts_gives() {
    for (seconds, own, asked_for) in [
        (60, None, "900"),
        (1000, None, "900"),
        (1000, Some(3600), "1000"),
        (90_000, None, "900"),
        (90_000, Some(7200), "7200"),
    ] {
        let settings = Settings { duration: own.map(Duration::from_secs), ..settings() };
        let asked = ask(settings, &task(&[], seconds), Class::Read, Ok((200, GIVEN)));
        assert_eq!(asked.field("DurationSeconds").as_deref(), Some(asked_for), "{seconds}");
        let until = asked.policy()["Statement"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(until["Effect"], "Deny");
        let end = until["Condition"]["DateGreaterThanEquals"]["aws:CurrentTime"].as_str().unwrap().to_owned();
        let end: jiff::Timestamp = end.parse().unwrap();
        assert_eq!(end.as_second(), i64::try_from(NOW.unix_s() + seconds).unwrap());
    }
}

#[test]
fn a_web_identity_needs_no_key() {
    let token = Given(Secret::new("operators-own-secret".to_owned()));
    let settings = Settings { who: Who::Token(token), ..settings() };
    let asked = ask(settings, &task(&[], 900), Class::Act, Ok((200, GIVEN)));
    assert_eq!(asked.field("Action").as_deref(), Some("AssumeRoleWithWebIdentity"));
    assert_eq!(asked.field("WebIdentityToken").as_deref(), Some("operators-own-secret"));
    assert!(!asked.request.unwrap().headers().contains_key("authorization"));
}

#[test]
fn a_read_cannot_act_and_an_act_cannot_hand_on() {
    let allowed = |asked: &Asked| asked.policy()["Statement"][0].clone();
    let read = ask(settings(), &task(&[], 900), Class::Read, Ok((200, GIVEN)));
    let actions = allowed(&read)["Action"].to_string();
    assert!(actions.contains("\"s3:Get*\"") && actions.contains("\"s3:List*\""), "{actions}");
    assert!(
        !actions.contains("\"s3:*\"") && !actions.contains("Put") && !actions.contains("Delete"),
        "{actions}"
    );
    let act = ask(settings(), &task(&[], 900), Class::Act, Ok((200, GIVEN)));
    assert_eq!(allowed(&act)["Action"].to_string(), "[\"s3:*\"]");
    let denied = act.policy()["Statement"][1].to_string();
    assert!(
        denied.contains("\"Deny\"")
            && denied.contains("\"s3:*Policy*\"")
            && denied.contains("\"s3:Put*Acl\""),
        "{denied}"
    );
    let delegate = ask(settings(), &task(&[], 900), Class::Delegate, Ok((200, GIVEN)));
    assert_eq!(delegate.policy()["Statement"].as_array().unwrap().len(), 2);
}

#[test]
fn resources_of_the_grant_are_arns() {
    let with = |resources: &[&str]| ask(settings(), &task(resources, 900), Class::Read, Ok((200, GIVEN)));
    let arns = |asked: &Asked| asked.policy()["Statement"][0]["Resource"].to_string();
    let asked = with(&["aws-s3/bucket/reports", "aws-s3/object/reports/2026/*", "github/repo/octo/hello"]);
    assert_eq!(arns(&asked), "[\"arn:aws:s3:::reports\",\"arn:aws:s3:::reports/2026/*\"]");
    let scope = asked.scope.unwrap();
    assert!(
        scope.starts_with("read on aws-s3: aws-s3/bucket/reports, aws-s3/object/reports/2026/*"),
        "{scope}"
    );
    assert_eq!(arns(&with(&["aws-*"])), "[\"*\"]");
    assert_eq!(arns(&with(&["aws-s3/*"])), "[\"*\"]");
    // Nothing is asked for what cannot be said, or is of another service.
    for resources in [&["aws-s3/key/1"][..], &["github/repo/octo/hello"], &["aws-s3/object/a?b"]] {
        let asked = with(resources);
        assert!(matches!(asked.result, Err(MintError::TooWide(_))), "{resources:?}: {:?}", asked.result);
        assert!(matches!(asked.scope, Err(MintError::TooWide(_))));
        assert!(asked.request.is_none());
    }
    let many: Vec<String> =
        (0..60).map(|n| format!("aws-s3/object/a-bucket-with-a-long-name-{n}/and/a/key")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(with(&many).result, Err(MintError::TooWide(_))));
    // The operator's own policy says what cannot be said; a read cannot act all the same.
    let own = "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::x\"}}"
        .to_owned();
    let narrowing = Narrowing { session_policy: Some(own), ..Narrowing::default() };
    let settings = Settings { narrowing, ..settings() };
    let asked = ask(settings, &task(&["aws-s3/key/1"], 900), Class::Read, Ok((200, GIVEN)));
    let policy = asked.policy();
    assert_eq!(policy["Statement"][0]["Resource"], "arn:aws:s3:::x");
    assert_eq!(policy["Statement"][1]["Effect"], "Deny");
    assert!(policy["Statement"][1]["NotAction"].to_string().contains("s3:Get*"));
}

#[test]
fn refusals_say_why() {
    let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorised to perform \
                  sts:AssumeRole</Message></Error></ErrorResponse>";
    let slow = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
    let with = |answer| ask(settings(), &task(&[], 900), Class::Read, answer).result.unwrap_err();
    let refused = with(Ok((403, denied)));
    assert!(matches!(&refused, MintError::Refused(why) if why.contains("trust policy")), "{refused}");
    assert!(matches!(with(Ok((400, slow))), MintError::Unavailable(_)));
    assert!(matches!(with(Ok((503, ""))), MintError::Unavailable(_)));
    assert!(matches!(with(Ok((200, "<html>"))), MintError::Unknown(_)));
    let lost = |reached| Err(FetchError { why: "reset".to_owned(), reached });
    assert!(matches!(with(lost(true)), MintError::Unknown(_)));
    assert!(matches!(with(lost(false)), MintError::Unavailable(_)));
}

#[test]
fn keys_are_not_taken_back_and_it_is_told_until_when() {
    let minted = ask(settings(), &task(&[], 900), Class::Read, Ok((200, GIVEN))).result.unwrap();
    let handle = minted.handle.unwrap();
    for (now, returned) in
        [(NOW, Returned::Until(minted.expires)), (NOW.plus(Duration::from_secs(900)), Returned::Revoked)]
    {
        let sts = Arc::new(Sts { answer: Ok((500, "")), asked: Mutex::default() });
        let provider = AwsSts::new(settings(), ports(sts, now));
        assert_eq!(provider.revoke(&handle).now_or_never().unwrap(), Ok(returned));
    }
}

#[test]
fn settings_are_checked() {
    let wrong = |change: &dyn Fn(&mut Settings<Given>)| {
        let mut settings = settings();
        change(&mut settings);
        settings.check().unwrap_err()
    };
    settings().check().unwrap();
    assert!(wrong(&|s| s.role_arn = "agents".to_owned()).contains("role_arn"));
    assert!(wrong(&|s| s.sts_url = Endpoint::parse("https://sts.test/?a").unwrap()).contains("query"));
    assert!(wrong(&|s| s.duration = Some(Duration::from_secs(60))).contains("900"));
    assert!(wrong(&|s| s.narrowing.session_policy = Some("{".to_owned())).contains("JSON"));
    assert!(wrong(&|s| s.narrowing.iam_prefix = Some("s3:*".to_owned())).contains("iam_prefix"));
}
