use std::collections::BTreeSet;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::call::card::{Deed, ShownBody};
use crate::call::port::Fetched;
use crate::call::{CallDigest, Class, Fetch, FetchError, OperationId, OperatorId, Secret, SpiffeId};

const NOW_S: u64 = 1_800_000_000;

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_s(NOW_S)
    }
}

/// Answers as it is told, and keeps what it is asked.
struct Far {
    asked: Mutex<Vec<http::Request<Bytes>>>,
    answer: Result<(u16, &'static str), &'static str>,
}

impl Far {
    fn saying(answer: Result<(u16, &'static str), &'static str>) -> Arc<Self> {
        Arc::new(Self { asked: Mutex::default(), answer })
    }

    fn asked(&self) -> http::Request<Bytes> {
        self.asked.lock().unwrap().pop().unwrap()
    }
}

impl Fetch for Far {
    fn fetch(&self, request: http::Request<Bytes>) -> Fetched<'_> {
        self.asked.lock().unwrap().push(request);
        let answer = match self.answer {
            Ok((status, body)) => {
                Ok(http::Response::builder().status(status).body(Bytes::from(body)).unwrap())
            }
            Err(why) => Err(FetchError { why: why.to_owned(), reached: false }),
        };
        Box::pin(std::future::ready(answer))
    }
}

pub(crate) fn hold() -> Hold {
    let at = Timestamp::from_unix_s(NOW_S);
    Hold {
        id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        digest: CallDigest([0xab; 32]),
        call: "01ARZ3NDEKTSV4RRFFQ69G5FAA".parse().unwrap(),
        asks: 1,
        task: "01ARZ3NDEKTSV4RRFFQ69G5FAB".parse().unwrap(),
        agent: SpiffeId::parse("spiffe://example.org/agent/coder").unwrap(),
        operation: OperationId("github:issues/create".into()),
        class: Class::Act,
        rules: "sha256:00".to_owned(),
        policies: Vec::new(),
        wants: [("owners".into(), 1)].into(),
        barred: Vec::new(),
        asked: at,
        until: at.plus(Duration::from_secs(600)),
        state: HoldState::Waiting,
        since: at,
        votes: Vec::new(),
    }
}

fn notice(occasion: Occasion) -> Notice {
    let deed = Deed {
        sentence: "Open an issue in octo/<hello> (GitHub)".into(),
        operation: "github:issues/create".into(),
        class: Class::Act,
        resource: "repo octo/hello".into(),
    };
    let body = ShownBody { text: Some("title: \"a & b\"\n```\n*Approved*".into()), ..ShownBody::default() };
    let card = Card {
        does: vec![deed],
        body,
        method: "POST".into(),
        chain: vec!["a".into(), "b".into()],
        ..Card::default()
    };
    Notice {
        id: "hold_opened-01ARZ3NDEKTSV4RRFFQ69G5FAV-7".into(),
        occasion,
        at: Timestamp::from_unix_s(NOW_S),
        hold: Arc::new(hold()),
        card: Arc::new(card),
        url: "https://remit.example.org/console/holds/01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
    }
}

fn both() -> BTreeSet<Occasion> {
    Occasion::ALL.into()
}

fn webhook(far: &Arc<Far>, secret: &str) -> Result<Webhook, BadSecret> {
    let url = "https://hooks.example.org/remit".parse().unwrap();
    Webhook::new("w".into(), url, &Secret::new(secret.to_owned()), both(), (far.clone(), Arc::new(Now)))
}

#[tokio::test]
async fn a_webhook_is_signed_as_standard_webhooks_says() {
    // Computed with another HMAC; the reference library checks the whole in the end-to-end tests.
    let key = Secret::new(b"0123456789abcdef0123456789abcdef".to_vec());
    let signed = super::webhook::sign(&key, "msg_1", 1_614_265_330, r#"{"test": 2432232314}"#).unwrap();
    assert_eq!(signed, "aTF4+pE6A/FmvKM0YSVBBUfRhLIlBiaBUR+EjGls6Mc=");

    let far = Far::saying(Ok((204, "")));
    let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    webhook(&far, secret).unwrap().tell(&notice(Occasion::HoldOpened)).await.unwrap();
    let asked = far.asked();
    let header = |name: &str| asked.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("webhook-id"), "hold_opened-01ARZ3NDEKTSV4RRFFQ69G5FAV-7");
    assert_eq!(header("webhook-timestamp"), NOW_S.to_string());
    let body = std::str::from_utf8(asked.body()).unwrap();
    let expected = super::webhook::sign(&key, &header("webhook-id"), NOW_S, body).unwrap();
    assert_eq!(header("webhook-signature"), format!("v1,{expected}"));
    let told: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&told["type"], &told["data"]["class"]), (&json!("hold.opened"), &json!("act")));
    assert!(!body.contains("a & b"), "what would be sent is not in it");
}

#[tokio::test]
async fn what_is_not_taken_is_told_later() {
    let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    for answer in [Ok((500, "")), Ok((302, "")), Err("connection refused")] {
        let told = webhook(&Far::saying(answer), secret).unwrap().tell(&notice(Occasion::HoldOpened)).await;
        assert!(matches!(told, Err(Untold::Later(_))), "{answer:?}: {told:?}");
    }
    let told =
        webhook(&Far::saying(Ok((403, ""))), secret).unwrap().tell(&notice(Occasion::HoldOpened)).await;
    assert!(matches!(told, Err(Untold::Never(_))), "others wait behind it: {told:?}");
    for bad in ["", "hunter2", "whsec_", "whsec_c2hvcnQ="] {
        assert!(webhook(&Far::saying(Ok((200, ""))), bad).is_err(), "{bad}");
    }
}

const SIGNING: &str = "8f742231b10e8888abcd99yyyzzz85a5";

fn slack(far: &Arc<Far>) -> Slack {
    let settings = SlackSettings {
        api: "https://slack.example.org/api".into(),
        token: Secret::new("xoxb-1".into()),
        signing: Some(Secret::new(SIGNING.into())),
        channel: "C01".into(),
        occasions: both(),
    };
    Slack::new("s".into(), settings, far.clone(), Arc::new(Now))
}

#[tokio::test]
async fn a_message_in_slack_has_buttons_and_no_markup_of_the_agents() {
    let far = Far::saying(Ok((200, r#"{"ok":true}"#)));
    slack(&far).tell(&notice(Occasion::HoldOpened)).await.unwrap();
    let asked = far.asked();
    assert_eq!(asked.uri(), "https://slack.example.org/api/chat.postMessage");
    assert_eq!(asked.headers()["authorization"], "Bearer xoxb-1");
    let message: Value = serde_json::from_slice(asked.body()).unwrap();
    let text = message["blocks"].to_string();
    assert!(text.contains("octo/&lt;hello&gt;") && text.contains("a &amp; b"), "{text}");
    let fences = text.matches("```").count();
    assert_eq!(fences, 2, "the body's own fence does not end ours: {text}");
    let actions = message["blocks"].as_array().unwrap().last().unwrap();
    let value = format!("01ARZ3NDEKTSV4RRFFQ69G5FAV {}", hold().digest);
    assert_eq!(actions["elements"][0]["value"], value);
    assert_eq!(actions["elements"][1]["action_id"], "remit_refuse");
    let mut long = notice(Occasion::HoldOpened);
    let card = Arc::make_mut(&mut long.card);
    card.url = "&".repeat(2_000);
    slack(&far).tell(&long).await.unwrap();
    let told = String::from_utf8_lossy(far.asked().body()).into_owned();
    assert!(
        !told.contains("remit_approve") && told.contains("Not all of it fits"),
        "nobody approves what they do not see: {told}"
    );
    let mut many = notice(Occasion::HoldOpened);
    let card = Arc::make_mut(&mut many.card);
    card.does = vec![card.does[0].clone(); 30];
    slack(&far).tell(&many).await.unwrap();
    assert!(!String::from_utf8_lossy(far.asked().body()).contains("remit_approve"));
    slack(&far).tell(&notice(Occasion::HoldSettled)).await.unwrap();
    assert!(
        !String::from_utf8_lossy(far.asked().body()).contains("remit_approve"),
        "nothing to press any more"
    );
}

#[tokio::test]
async fn what_slack_will_never_take_is_given_up() {
    for (answer, never) in [
        (Ok((200, r#"{"ok":false,"error":"channel_not_found"}"#)), true),
        (Ok((200, r#"{"ok":false,"error":"ratelimited"}"#)), false),
        (Ok((429, "")), false),
        (Ok((200, "<html>")), false),
        (Err("no route"), false),
    ] {
        let told = slack(&Far::saying(answer)).tell(&notice(Occasion::HoldOpened)).await.unwrap_err();
        assert_eq!(matches!(told, Untold::Never(_)), never, "{answer:?}: {told}");
    }
}

fn pressed(at: u64, signing: &str, action: &str) -> (HeaderMap, Vec<u8>) {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let payload = json!({
        "type": "block_actions", "team": {"id": "T1"}, "user": {"id": "U2", "name": "alice"}, "channel": {"id": "C01"},
        "message": {"ts": "1.5"}, "actions": [{"action_id": action, "value": format!("01ARZ3NDEKTSV4RRFFQ69G5FAV {}", hold().digest)}],
    });
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &payload.to_string())
        .finish();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(signing.as_bytes()).unwrap();
    mac.update(format!("v0:{at}:{body}").as_bytes());
    let hex = mac.finalize().into_bytes().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let mut headers = HeaderMap::new();
    headers.insert("x-slack-request-timestamp", at.into());
    headers.insert("x-slack-signature", format!("v0={hex}").parse().unwrap());
    (headers, body.into_bytes())
}

#[test]
fn a_press_counts_if_slack_signed_it_lately() {
    let slack = slack(&Far::saying(Ok((200, "{}"))));
    let read = |at, signing, action| {
        let (headers, body) = pressed(at, signing, action);
        slack.read(&headers, &body)
    };
    let yes = read(NOW_S, SIGNING, "remit_approve").unwrap();
    assert_eq!((yes.who, yes.approves), (OperatorId("slack:T1/U2".into()), true));
    assert_eq!((yes.hold, yes.digest), (hold().id, hold().digest));
    assert!(!read(NOW_S - 299, SIGNING, "remit_refuse").unwrap().approves);
    assert_eq!(read(NOW_S, "another secret", "remit_approve"), Err(NotSlack::Signature));
    assert_eq!(read(NOW_S - 301, SIGNING, "remit_approve"), Err(NotSlack::Stale));
    assert_eq!(read(NOW_S + 301, SIGNING, "remit_approve"), Err(NotSlack::Stale));
    assert_eq!(read(NOW_S, SIGNING, "other_button"), Err(NotSlack::Unknown));
    let (mut headers, body) = pressed(NOW_S, SIGNING, "remit_approve");
    headers.remove("x-slack-signature");
    assert_eq!(slack.read(&headers, &body), Err(NotSlack::Signature));
    let (headers, mut body) = pressed(NOW_S, SIGNING, "remit_approve");
    body.push(b'&');
    assert_eq!(slack.read(&headers, &body), Err(NotSlack::Signature));
}

#[test]
fn a_mail_says_it_all_but_what_would_be_sent() {
    let body = super::mail::body(&notice(Occasion::HoldOpened));
    for said in [
        "Open an issue in octo/<hello> (GitHub) [act]",
        "Agent:  a > b",
        "/console/holds/01ARZ3",
        "remit approve 01ARZ3",
    ] {
        assert!(body.contains(said), "{said}: {body}");
    }
    assert!(!body.contains("a & b"), "{body}");
    let nobody = MailSettings {
        host: "localhost".into(),
        port: 25,
        security: Security::None,
        user: None,
        from: "remit@example.org".into(),
        to: Vec::new(),
        occasions: both(),
        trust: Vec::new(),
    };
    assert!(Mail::new("m".into(), nobody.clone()).is_err());
    let bad = MailSettings { to: vec!["not an address".into()], ..nobody.clone() };
    assert!(Mail::new("m".into(), bad).is_err());
    assert!(
        Mail::new("m".into(), MailSettings { to: vec!["Ops <ops@example.org>".into()], ..nobody }).is_ok()
    );
}

#[test]
fn a_call_that_does_not_wait_any_more_is_not_told_to_wait() {
    let mut opened = notice(Occasion::HoldOpened);
    assert!(is_worth_telling(&opened, Timestamp::from_unix_s(NOW_S)));
    opened.hold = Arc::new(Hold { state: HoldState::Expired, ..hold() });
    assert!(!is_worth_telling(&opened, Timestamp::from_unix_s(NOW_S)));
    let settled = notice(Occasion::HoldSettled);
    assert!(is_worth_telling(&settled, Timestamp::from_unix_s(NOW_S + 3_600)));
    assert!(!is_worth_telling(&settled, Timestamp::from_unix_s(NOW_S + 25 * 3_600)));
    let _quiet = std::future::ready(()).boxed();
}
