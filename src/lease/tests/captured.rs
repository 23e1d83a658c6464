//! Tokens that agents are answered with: what they hold instead, where that is redeemed, and for how long.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;

use super::ground::{House, operations};
use super::placing::{head, origin};
use crate::call::{Class, Given, Handout, Head, Operations, Secret, ServiceName, Target, Task};
use crate::lease::sign::Payload;
use crate::lease::*;

fn given(token: &str, life: Option<Duration>, house: &House) -> Given {
    Given {
        what: Handout::Token(Secret::new(token.to_owned())),
        expires: life.map(|life| house.now().plus(life)),
    }
}

/// The placeholder that stands for a token of `things`.
fn capture(house: &House, task: &Arc<Task>, token: &str) -> String {
    let services = [ServiceName("things".into()), ServiceName("more".into())];
    let one = given(token, Some(Duration::from_secs(60)), house);
    house.broker.capture(task, &services, vec![one]).unwrap()[0].instead.clone()
}

fn reads(service: &str) -> Operations {
    operations(service, Class::Read)
}

fn bearer(placeholder: &str) -> Head {
    head(&[("authorization", &format!("Bearer {placeholder}"))], "/x")
}

/// What goes out in `Authorization`.
async fn sent(house: &House, task: &Arc<Task>, head: &Head) -> Result<String, LeaseError> {
    let grip = house.broker.grip(head, task, &reads("things")).await?.expect("nothing serves the call");
    let (mut headers, mut target) = (head.headers.clone(), Target::parse("/x").unwrap());
    let to = origin("api.things.test");
    let outgoing = Outgoing { origin: &to, method: &head.method, headers: &mut headers, target: &mut target };
    grip.put(outgoing, Payload::Whole(b"")).unwrap();
    assert!(headers[AUTHORIZATION].is_sensitive());
    Ok(headers[AUTHORIZATION].to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_comes_back_where_its_placeholder_stood() {
    let house = House::new();
    let task = house.task(1);
    let placeholder = capture(&house, &task, "ghs_the real one");
    assert!(placeholder.starts_with("remit_rem1c") && formats::is_placeholder(&placeholder), "{placeholder}");
    let of = |text: &str| head(&[("authorization", text)], "/x");
    let encoded = |pair: String| format!("Basic {}", STANDARD.encode(pair));
    for (shown, wanted) in [
        (format!("Bearer {placeholder}"), "Bearer ghs_the real one".to_owned()),
        (format!("token {placeholder}"), "token ghs_the real one".to_owned()),
        (encoded(format!("x:{placeholder}")), encoded("x:ghs_the real one".to_owned())),
        (encoded(format!("{placeholder}:x")), encoded("ghs_the real one:x".to_owned())),
    ] {
        let head = of(&shown);
        assert!(
            house.broker.examine(&head, b"", task.id, (&reads("things"), Answers::Otherwise)).is_ok(),
            "{shown}"
        );
        assert!(house.broker.serves(&head, &reads("things")));
        assert_eq!(sent(&house, &task, &head).await, Ok(wanted));
    }
    let grip = house.broker.grip(&bearer(&placeholder), &task, &reads("more")).await.unwrap().unwrap();
    let leaks = grip.leaks();
    assert_eq!((leaks.len(), leaks[0].instead.as_str()), (1, placeholder.as_str()));
    assert_eq!((&*grip.as_used().provider, grip.as_used().short_lived), ("captured", true));
    assert!(house.broker.leases(None).is_empty(), "remit did not ask for it, so it is no lease");
    let own = head(&[("authorization", "Bearer own")], "/x");
    assert_eq!(sent(&house, &task, &own).await, Ok("Bearer real-0".to_owned()), "leases are as they were");
}

#[tokio::test]
async fn it_is_redeemed_nowhere_else() {
    let house = House::new();
    let (task, other) = (house.task(1), house.task(2));
    let placeholder = capture(&house, &task, "ghs_the real one");
    let said = |head: &Head, body: &str, of: &Arc<Task>, service: &str| {
        let examined =
            house.broker.examine(head, body.as_bytes(), of.id, (&reads(service), Answers::Otherwise));
        let why = examined.expect_err("it went through").to_string();
        assert!(!why.contains(&placeholder) && !why.contains("ghs_"), "{why}");
        why
    };
    let plain = |fields: &[(&str, &str)], target: &str, body: &str| {
        let why = said(&head(fields, target), body, &task, "things");
        assert!(why.contains("it is redeemed in `authorization`"), "{why}");
    };
    plain(&[("x-copy", &placeholder)], "/x", "");
    plain(&[("cookie", &format!("a={placeholder}"))], "/x", "");
    plain(&[], &format!("/x?access_token={placeholder}"), "");
    plain(&[], "/x", &format!("refresh_token={placeholder}"));
    plain(&[("authorization", &format!("Digest username=\"{placeholder}\""))], "/x", "");
    plain(&[("authorization", &format!("Bearer {placeholder}, more"))], "/x", "");
    let twice = format!("Bearer {placeholder}");
    plain(&[("authorization", &twice), ("authorization", "Bearer own")], "/x", "");
    plain(&[("authorization", &twice), ("x-copy", &placeholder)], "/x", "");

    assert!(said(&bearer(&placeholder), "", &task, "elsewhere").contains("things, more"));
    assert!(said(&bearer(&placeholder), "", &other, "things").contains("another task"));
    assert!(house.broker.examine_message(placeholder.as_bytes(), task.id).is_err());
    let made_up = format!("{}{}", &placeholder[..placeholder.len() - 3], "zzz");
    assert!(said(&bearer(&made_up), "", &task, "things").contains("not kept any more"));
    assert!(
        sent(&house, &other, &bearer(&placeholder)).await.is_err(),
        "nor by a call that was not looked at"
    );
}

#[tokio::test]
async fn a_refresh_token_is_redeemed_where_tokens_are_answered_with() {
    let house = House::new();
    let (task, other) = (house.task(1), house.task(2));
    let placeholder = capture(&house, &task, "1//0e\"fgh+ij&k\"");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let json = [("content-type", "application/json; charset=utf-8")];
    let goes = |fields: &[(&str, &str)], body: &str, of: &Arc<Task>, service: &str| {
        let (head, operations) = (head(fields, "/token"), reads(service));
        let examined =
            house.broker.examine(&head, body.as_bytes(), of.id, (&operations, Answers::WithTokens));
        let bytes = bytes::Bytes::from(body.to_owned());
        let sent = house.broker.refresh(&head.headers, &bytes, of.id, &operations);
        let sent = sent.map(|sent| sent.map(|sent| String::from_utf8(sent.body.to_vec()).unwrap()));
        (examined.is_ok(), sent)
    };
    for (fields, body, wanted) in [
        (
            &form,
            format!("grant_type=refresh_token&refresh_token={placeholder}&scope=a"),
            "grant_type=refresh_token&refresh_token=1%2F%2F0e%22fgh%2Bij%26k%22&scope=a",
        ),
        (&form, format!("refresh_token={placeholder}"), "refresh_token=1%2F%2F0e%22fgh%2Bij%26k%22"),
        (
            &json,
            format!(r#"{{"refresh_token" : "{placeholder}"}}"#),
            r#"{"refresh_token" : "1//0e\"fgh+ij&k\""}"#,
        ),
    ] {
        assert_eq!(goes(fields, &body, &task, "things"), (true, Ok(Some(wanted.to_owned()))), "{body}");
        let elsewhere = goes(fields, &body, &task, "elsewhere");
        assert!(!elsewhere.0 && elsewhere.1.is_err(), "another service");
        let theirs = goes(fields, &body, &other, "things");
        assert!(!theirs.0 && theirs.1.is_err(), "another task");
    }
    for (fields, body) in [
        (&form, format!("code={placeholder}")),
        (&form, format!("xrefresh_token={placeholder}")),
        (&form, format!("refresh_token={placeholder}x")),
        (&form, format!("refresh_token={placeholder}&more={placeholder}")),
        (&json, format!(r#"{{"note":"{placeholder}"}}"#)),
        (&json, format!("refresh_token={placeholder}")),
    ] {
        assert_eq!(goes(fields, &body, &task, "things"), (false, Ok(None)), "{body}");
    }
    assert_eq!(goes(&form, "refresh_token=own", &task, "things"), (true, Ok(None)));
}

#[tokio::test]
async fn its_life_ends_when_it_says_and_with_its_task_at_the_latest() {
    let house = House::new();
    let (task, other) = (house.task(1), house.task(2));
    let services = [ServiceName("things".into())];
    let day = given("of a day", Some(Duration::from_secs(86_400)), &house);
    let leaks = house.broker.capture(&task, &services, vec![day, given("endless", None, &house)]).unwrap();
    let short = capture(&house, &task, "of a minute");
    let fits = |placeholder: &str| {
        house
            .broker
            .examine(&bearer(placeholder), b"", task.id, (&reads("things"), Answers::Otherwise))
            .is_ok()
    };
    house.world.pass(Duration::from_secs(61));
    assert!(!fits(&short) && fits(&leaks[0].instead) && fits(&leaks[1].instead));
    let late = sent(&house, &task, &bearer(&short)).await.unwrap_err();
    assert!(late.to_string().contains("ask for a new one"), "{late}");
    house.world.pass(Duration::from_secs(3_600));
    assert!(!fits(&leaks[0].instead) && !fits(&leaks[1].instead), "its task has a deadline");

    capture(&house, &other, "of the other");
    house.tasks.end(task.id);
    house.settle().await;
    assert_eq!(house.broker.captured.count(), 1, "what is over is not kept");
    let late = house.broker.capture(&task, &services, vec![given("too late", None, &house)]);
    assert_eq!(late.unwrap_err(), LeaseError::Ended);
    assert_eq!(house.broker.captured.count(), 1);
}

#[tokio::test]
async fn there_is_an_end_to_how_many_are_kept() {
    let house = House::new();
    let task = house.task(1);
    let first = capture(&house, &task, "number 0 of them");
    for number in 1..=64 {
        capture(&house, &task, &format!("number {number} of them"));
    }
    assert_eq!(house.broker.captured.count(), 64);
    assert!(
        house.broker.examine(&bearer(&first), b"", task.id, (&reads("things"), Answers::Otherwise)).is_err(),
        "the oldest goes"
    );
    let many = |from: u64| -> Vec<Given> {
        (from..from + 64).map(|n| given(&format!("token {n}"), None, &house)).collect()
    };
    let services = [ServiceName("things".into())];
    for number in 2..=64 {
        house.broker.capture(&house.task(number), &services, many(number * 64)).unwrap();
    }
    let refused = house.broker.capture(&house.task(65), &services, many(0)).unwrap_err();
    assert!(refused.to_string().contains("4096"), "{refused}");
    assert_eq!(house.broker.captured.count(), 4_096);
    let twice = vec![given("the same one", None, &house), given("the same one", None, &house)];
    house.tasks.end(task.id);
    house.settle().await;
    assert_eq!(house.broker.capture(&house.task(66), &services, twice).unwrap().len(), 1);
}

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY";

/// What the agent gets of a key: id, secret and session token.
fn capture_key(house: &House, task: &Arc<Task>) -> [String; 3] {
    let what = Handout::AwsKey {
        id: "ASIAIOSFODNN7EXAMPLE".into(),
        secret: Secret::new(SECRET.to_owned()),
        session: Some(Secret::new("AQoDYXdzEPT//wEXAMPLE==".to_owned())),
    };
    let expires = Some(house.now().plus(Duration::from_secs(60)));
    let services = [ServiceName("things".into()), ServiceName("more".into())];
    let leaks = house.broker.capture(task, &services, vec![Given { what, expires }]).unwrap();
    let instead = |of: &str| leaks.iter().find(|leak| leak.secret.reveal() == of).unwrap().instead.clone();
    [instead("ASIAIOSFODNN7EXAMPLE"), instead(SECRET), instead("AQoDYXdzEPT//wEXAMPLE==")]
}

fn authorization(id: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={id}/20261124/eu-central-1/s3/aws4_request, \
         SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=00"
    )
}

fn signed(id: &str, session: &str) -> Head {
    let fields = [
        ("authorization", &*authorization(id)),
        ("x-amz-date", "20261124T000000Z"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-security-token", session),
    ];
    head(&fields, "/x")
}

fn presigned(id: &str, session: &str) -> Head {
    let target = format!(
        "/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={id}%2F20261124%2Feu-central-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20991124T000000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Security-Token={session}\
         &X-Amz-Signature=00"
    );
    head(&[], &target)
}

#[tokio::test]
async fn a_key_signs_where_its_placeholder_did() {
    let house = House::new();
    let (task, other) = (house.task(1), house.task(2));
    let [id, secret, session] = capture_key(&house, &task);
    assert!(id.starts_with("ASIARMIT") && id.len() == 20, "{id}");
    assert!([&id, &secret, &session].iter().all(|text| formats::is_placeholder(text)));
    for head in [signed(&id, &session), presigned(&id, &session)] {
        let examined = house.broker.examine(&head, b"", task.id, (&reads("things"), Answers::Otherwise));
        assert_eq!(examined, Ok(()));
        let grip = house.broker.grip(&head, &task, &reads("more")).await.unwrap().unwrap();
        assert!(!grip.sends_secret() && !grip.wants_body(&head));
        assert_eq!(&*grip.as_used().provider, "captured");
        let (mut headers, mut target) = (head.headers.clone(), head.target.clone());
        let to = origin("bucket.s3.eu-central-1.amazonaws.com");
        let outgoing =
            Outgoing { origin: &to, method: &head.method, headers: &mut headers, target: &mut target };
        grip.put(outgoing, Payload::Streaming).unwrap();
        let sent = format!("{headers:?} {}", target.raw());
        let shown = headers.get(AUTHORIZATION).map_or(target.raw(), |value| value.to_str().unwrap());
        assert!(shown.contains("Credential=ASIAIOSFODNN7EXAMPLE"), "{shown}");
        assert!(!sent.contains(&id) && !sent.contains(&session) && !sent.contains("Signature=00"), "{sent}");
        let carried = headers.get("x-amz-security-token").map(|value| value.to_str().unwrap());
        let in_query = target.raw().contains("X-Amz-Security-Token=AQoDYXdzEPT%2F%2FwEXAMPLE%3D%3D");
        assert!(carried == Some("AQoDYXdzEPT//wEXAMPLE==") || in_query, "{sent}");
        let leaks = grip.leaks();
        assert!(leaks.iter().any(|leak| leak.secret.reveal() == SECRET && leak.instead == secret));
        assert!(house.broker.grip(&head, &other, &reads("things")).await.is_err(), "of another task");
        assert!(house.broker.grip(&head, &task, &reads("elsewhere")).await.is_err(), "of another service");
    }
}

#[tokio::test]
async fn a_key_is_redeemed_nowhere_else() {
    let house = House::new();
    let (task, other) = (house.task(1), house.task(2));
    let [id, secret, session] = capture_key(&house, &task);
    let [second, _, second_session] = capture_key(&house, &task);
    let said = |head: &Head, body: &str, of: &Arc<Task>, service: &str| {
        let examined =
            house.broker.examine(head, body.as_bytes(), of.id, (&reads(service), Answers::Otherwise));
        let why = examined.expect_err("it went through").to_string();
        assert!(!why.contains(&id) && !why.contains(SECRET) && !why.contains(&secret), "{why}");
        why
    };
    let plain = |head: &Head, body: &str| {
        let why = said(head, body, &task, "things");
        assert!(why.contains("it is redeemed in the signature of a request"), "{why}");
    };
    plain(&head(&[("x-copy", &id)], "/x"), "");
    plain(&head(&[("authorization", &format!("Bearer {session}"))], "/x"), "");
    plain(&head(&[("x-amz-security-token", &session)], "/x"), "");
    plain(&signed("AKIAIOSFODNN7EXAMPLE", &session), "");
    plain(&signed(&id, &second_session), "");
    plain(&signed(&second, &session), "");
    plain(&signed(&id, &session), &format!("key={id}"));
    plain(&head(&[], &format!("/x?key={session}")), "");
    let twice = head(&[("authorization", &authorization(&id)), ("authorization", "Bearer own")], "/x");
    plain(&twice, "");
    assert!(said(&signed(&id, &secret), "", &task, "things").contains("to sign with"));
    assert!(said(&head(&[], "/x"), &secret, &task, "things").contains("to sign with"));
    assert!(said(&signed(&id, &session), "", &other, "things").contains("not kept any more"));
    assert!(said(&signed(&id, &session), "", &task, "elsewhere").contains("things, more"));
    let form = head(&[("content-type", "application/x-www-form-urlencoded")], "/x");
    let body = bytes::Bytes::from(format!("refresh_token={session}"));
    assert!(house.broker.refresh(&form.headers, &body, task.id, &reads("things")).is_err());
}
