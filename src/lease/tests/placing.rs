//! Placeholders, where they may stand, and what takes their place.

use base64::Engine as _;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::ground::{House, operations, task};
use crate::call::{Class, Head, Host, Origin, Scheme, Secret, Target, TaskId, Timestamp, TraceContext};
use crate::lease::inject::{InjectError, put};
use crate::lease::placeholder::Placeholders;
use crate::lease::sign::{Payload, Sent};
use crate::lease::*;

fn placeholders() -> Placeholders {
    Placeholders::new(Secret::new(b"a key".to_vec()))
}

fn token(text: &str) -> Material {
    Material::Token(Secret::new(text.to_owned()))
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// What goes out.
fn put_into(
    place: &Place,
    material: &Material,
    sent: &[(&str, &str)],
    target: &str,
) -> Result<(HeaderMap, String), InjectError> {
    let (mut headers, mut target) = (headers(sent), Target::parse(target).unwrap());
    let (to, method) = (origin("api.things.test"), Method::GET);
    let outgoing = Outgoing { origin: &to, method: &method, headers: &mut headers, target: &mut target };
    let sent = Sent { payload: Payload::Whole(b""), signing_name: None, now: Timestamp::default() };
    put(place, material, &placeholders(), outgoing, sent)?;
    Ok((headers, target.raw().to_owned()))
}

pub(super) fn origin(host: &str) -> Origin {
    Origin { scheme: Scheme::Https, host: Host::parse(host).unwrap(), port: 443 }
}

pub(super) fn head(fields: &[(&str, &str)], target: &str) -> Head {
    let house = super::ground::House::new();
    Head {
        id: crate::call::CallId::fresh(&*house.world, &*house.world),
        at: house.now(),
        origin: origin("api.things.test"),
        method: Method::GET,
        target: Target::parse(target).unwrap(),
        version: Version::HTTP_11,
        headers: headers(fields),
        trace: TraceContext::of(
            crate::call::CallId::fresh(&*house.world, &*house.world),
            None,
            &*house.world,
        ),
        upgrade: None,
    }
}

#[test]
fn a_placeholder_looks_like_a_key_and_tells_task_and_service() {
    let (all, one, two) = (placeholders(), task(1).id, task(2).id);
    for (look, begins) in [("ghp_", "ghp_rem1t"), ("sk-ant-", "sk-ant-rem1t"), ("AKIA", "AKIARMIT")] {
        let text = all.of(one, "things", &Look::of(look));
        assert!(text.starts_with(begins), "{text}");
        let inside = format!("{{\"key\": \"{text}\"}}");
        let found: Vec<_> = all.find(inside.as_bytes()).collect();
        assert_eq!(found.len(), 1);
        assert!(all.is(found[0], one, "things"));
        assert!(!all.is(found[0], two, "things") && !all.is(found[0], one, "other"));
    }
    let aws = all.of(one, "things", &Look::AwsKeyId);
    assert_eq!(aws.len(), 20);
    assert!(aws.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)));
    let named = all.find(all.of(two, "things", &Look::default()).into_bytes().leak()).next().unwrap().task();
    assert_eq!(named, Some(two), "whose it is can be told");
}

#[test]
fn what_only_begins_like_a_placeholder_is_none() {
    let all = placeholders();
    for text in [
        "rem1t",
        "the rem1t of a committee is long, and it has all letters",
        "AKIARMITTANCE1234567",
        "rem1t01k4",
    ] {
        assert_eq!(all.find(text.as_bytes()).count(), 0, "{text}");
    }
}

#[test]
fn a_credential_takes_the_place_of_whatever_the_agent_put_there() {
    let own = [("authorization", "token own"), ("authorization", "Bearer second"), ("x-other", "stays")];
    let (headers, _) = put_into(&Place::default(), &token("real"), &own, "/x").unwrap();
    let sent: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
    assert_eq!(sent, ["Bearer real"]);
    assert!(sent[0].is_sensitive(), "it must not be printed, nor indexed by HPACK");
    assert_eq!(headers["x-other"], "stays");

    let place = Place::Header { name: HeaderName::from_static("x-api-key"), format: "{}".into() };
    let (headers, _) = put_into(&place, &token("real"), &[("x-api-key", "own")], "/x").unwrap();
    assert_eq!(headers["x-api-key"], "real");

    let place = Place::Query { name: "key".into() };
    let (_, target) = put_into(&place, &token("re al&x"), &[], "/x?a=1&key=own&%6bey=again&b=%20").unwrap();
    assert_eq!(target, "/x?a=1&b=%20&key=re%20al%26x");
    assert_eq!(put_into(&place, &token("real"), &[], "/x").unwrap().1, "/x?key=real");

    let place = Place::Cookie { name: "session".into() };
    let own = [("cookie", "a=1; session=own"), ("cookie", "session=again; b=2")];
    let (headers, _) = put_into(&place, &token("real"), &own, "/x").unwrap();
    assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; session=real"]);
}

#[test]
fn user_and_password_go_where_the_placeholder_stood() {
    let encode = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let dummy = placeholders().of(task(1).id, "things", &Look::default());
    let sent = |place: &Place, material: &Material, own: &str| {
        let (headers, _) = put_into(place, material, &[("authorization", &encode(own))], "/x").unwrap();
        headers[AUTHORIZATION].to_str().unwrap().to_owned()
    };
    let bare = Place::Basic { user: None };
    assert_eq!(sent(&bare, &token("real"), &format!("ada:{dummy}")), encode("ada:real"));
    assert_eq!(sent(&bare, &token("real"), &format!("{dummy}:")), encode("real:"));
    assert_eq!(
        sent(&Place::Basic { user: Some("bot".into()) }, &token("real"), "ada:own"),
        encode("bot:real")
    );
    let both = Material::Basic { user: "bob".into(), password: Secret::new("real".into()) };
    assert_eq!(sent(&bare, &both, "ada:own"), encode("bob:real"));
}

#[test]
fn what_cannot_stand_there_is_refused_and_not_told() {
    for place in [Place::default(), Place::Cookie { name: "s".into() }] {
        let error = put_into(&place, &token("real\r\nx-evil: 1"), &[], "/x").unwrap_err().to_string();
        assert!(!error.contains("real") && error.contains("line ends"), "{error}");
    }
    let error = put_into(&Place::SignAws, &token("real"), &[], "/x").unwrap_err().to_string();
    assert!(error.contains("a token") && error.contains("signature"), "{error}");
}

/// What is said of a request to `things` (a bearer token) or `other` (a parameter of the query) for a task.
fn said(house: &House, of: TaskId, service: &str, head: &Head, body: &str) -> Option<String> {
    let examined = house.broker.examine(
        head,
        body.as_bytes(),
        of,
        (&operations(service, Class::Read), Answers::Otherwise),
    );
    examined.err().map(|misplaced| misplaced.to_string())
}

#[tokio::test]
async fn a_placeholder_passes_at_its_place_and_nowhere_else() {
    let house = House::new();
    let (own, foreign) = (task(1).id, task(2).id);
    let dummies = house.broker.dummies(own);
    let (dummy, other) = (dummies[0].placeholder.as_str(), dummies[1].placeholder.as_str());
    assert_eq!(dummies[0].env["KEY"], dummy);
    let bearer = format!("Bearer {dummy}");
    let pass = |head: &Head, body: &str| assert_eq!(said(&house, own, "things", head, body), None);
    pass(&head(&[("authorization", &bearer)], "/x?a=b"), "{}");
    pass(&head(&[("authorization", &format!("token {dummy}"))], "/x"), "");
    pass(&head(&[("authorization", "Bearer an agent's own")], "/x"), "");

    let at = |fields: &[(&str, &str)], target: &str, body: &str, spot: &str| {
        let why = said(&house, own, "things", &head(fields, target), body).unwrap();
        assert!(why.contains(spot) && !why.contains(dummy), "{why}");
    };
    at(&[("x-copy", dummy)], "/x", "", "the header field `x-copy`");
    at(&[("cookie", &format!("a={dummy}"))], "/x", "", "a cookie");
    at(&[], &format!("/x/{dummy}"), "", "the path");
    at(&[], &format!("/x?key={dummy}"), "", "the query");
    at(&[], "/x", &format!("{{\"stolen\": \"{dummy}\"}}"), "the body");
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("x:{dummy}"));
    at(&[("x-auth", &format!("basic {basic}"))], "/x", "", "the header field `x-auth`");
    at(&[("authorization", &format!("Bearer {other}"))], "/x", "", "none that it is for");

    let elsewhere = said(&house, own, "elsewhere", &head(&[("authorization", &bearer)], "/x"), "").unwrap();
    assert!(elsewhere.contains("the placeholder for `things`"), "{elsewhere}");
    let theirs = said(&house, foreign, "things", &head(&[("authorization", &bearer)], "/x"), "").unwrap();
    assert!(theirs.contains(&own.to_string()) && theirs.contains("another task"), "{theirs}");
    let query = format!("/x?key={other}");
    assert_eq!(said(&house, own, "other", &head(&[], &query), ""), None);
    assert!(house.broker.examine_message(dummy.as_bytes(), own).is_err());
}

#[test]
fn an_entry_serves_its_service_and_classes_alone() {
    let house = House::new();
    let entry = &house.broker.entries[0];
    let mut head = head(&[], "/x");
    assert!(entry.serves(&head, &operations("things", Class::Act)));
    assert!(!entry.serves(&head, &operations("elsewhere", Class::Act)));
    let several = crate::call::Operations::batch(
        operations("things", Class::Read).strongest().clone(),
        vec![operations("elsewhere", Class::Read).strongest().clone()],
    );
    assert!(!entry.serves(&head, &several), "it could be of either");
    let by_host = Entry {
        name: "h".into(),
        service: "api.things.test".into(),
        hosts: Vec::new(),
        classes: vec![Class::Read],
        place: Place::default(),
        signing_name: None,
        scheme: None,
        untaken: Vec::new(),
        look: Look::default(),
        env: Vec::new(),
        observed: true,
        provider: entry.provider.clone(),
    };
    let at = |host: &str| Host::parse(host).unwrap();
    let of_hosts = |hosts: &[&str]| Entry {
        name: "m".into(),
        service: "things".into(),
        hosts: hosts.iter().map(|host| at(host)).collect(),
        classes: Vec::new(),
        place: Place::default(),
        signing_name: None,
        scheme: None,
        untaken: Vec::new(),
        look: Look::default(),
        env: Vec::new(),
        observed: true,
        provider: entry.provider.clone(),
    };
    let things = operations("things", Class::Act);
    assert!(of_hosts(&["other.test", "API.things.test"]).serves(&head, &things));
    assert!(!of_hosts(&["other.test", "things.test"]).serves(&head, &things), "another name of the service");
    assert!(by_host.serves(&head, &several));
    assert!(!by_host.serves(&head, &operations("things", Class::Act)));
    head.origin = origin("evil.test");
    assert!(!by_host.serves(&head, &several));
}
