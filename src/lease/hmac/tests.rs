//! Signatures are those of RFC 4231 §4.3 and RFC 2202 §3, and of services' own documentation.

use http::{HeaderMap, HeaderValue, Method};

use super::{HmacError, Request, sign};
use crate::call::hmac::{HmacHash, HmacKey, HmacOutput, HmacScheme, HmacTime};
use crate::call::{Origin, Scheme, Secret, Target, Timestamp};
use crate::lease::Material;
use crate::lease::sign::Payload;

fn scheme(message: &str, headers: &[(&str, &str)]) -> HmacScheme {
    HmacScheme {
        name: "test".to_owned(),
        hash: HmacHash::Sha256,
        key: HmacKey::Text,
        output: HmacOutput::Hex,
        time: HmacTime::Unix,
        message: message.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

fn signed(scheme: &HmacScheme, material: &Material, payload: Payload<'_>) -> Result<HeaderMap, HmacError> {
    let (host, port) = Origin::parse_authority("api.test", Some(443)).unwrap();
    let origin = Origin { scheme: Scheme::Https, host, port };
    let mut headers = HeaderMap::new();
    headers.insert("x-signature", HeaderValue::from_static("the agent's own"));
    let target = Target::parse("/orders?limit=1").unwrap();
    let now = Timestamp::from_unix_s(1_531_420_618);
    let request = Request { origin: &origin, method: &Method::POST, target: &target, payload, now };
    sign(scheme, material, request, &mut headers)?;
    Ok(headers)
}

fn token(text: &str) -> Material {
    Material::Token(Secret::new(text.to_owned()))
}

#[test]
fn macs_are_those_of_the_standards() {
    let body = Payload::Whole(b"what do ya want for nothing?");
    for (hash, mac) in [
        (HmacHash::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (HmacHash::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            HmacHash::Sha512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let scheme = HmacScheme { hash, ..scheme("{body}", &[("x-signature", "{signature}")]) };
        assert_eq!(signed(&scheme, &token("Jefe"), body).unwrap()["x-signature"], mac);
        let hex = HmacScheme { key: HmacKey::Hex, ..scheme.clone() };
        assert_eq!(signed(&hex, &token("4a656665"), body).unwrap()["x-signature"], mac);
        let base64 = HmacScheme { key: HmacKey::Base64, ..scheme };
        assert_eq!(signed(&base64, &token("SmVmZQ=="), body).unwrap()["x-signature"], mac);
    }
}

#[test]
fn templates_are_filled() {
    let headers = [
        ("x-key", "{user}"),
        ("x-time", "{time}"),
        ("x-signature", "v1={signature}"),
        ("x-braces", "{a} } {"),
    ];
    let scheme =
        scheme("{time}.{method}.{host}{target}|{path}|{query}|{body}|{body_sha256}|{user}", &headers);
    let keys = Material::Basic { user: "key-1".to_owned(), password: Secret::new("secret".to_owned()) };
    let sent = signed(&scheme, &keys, Payload::Whole(b"{}")).unwrap();
    assert_eq!(
        (&sent["x-key"], &sent["x-time"], &sent["x-braces"]),
        (
            &HeaderValue::from_static("key-1"),
            &HeaderValue::from_static("1531420618"),
            &HeaderValue::from_static("{a} } {")
        )
    );
    // Python: hmac.new(b"secret", message, "sha256").hexdigest()
    let mac = "8e12b4f76c44ea309ff8cfaa6899ad5d2ecd31b384e0420e374cb82c33441edb";
    assert_eq!(sent["x-signature"], format!("v1={mac}").as_str());
    assert!(scheme.wants_body());
    assert_eq!(signed(&scheme, &keys, Payload::Streaming).err(), Some(HmacError::Body));
}

#[test]
fn what_is_not_signed_may_stream() {
    let mut scheme = scheme("{time}", &[("x-signature", "{signature}")]);
    scheme.output = HmacOutput::Base64;
    assert!(!scheme.wants_body());
    assert!(signed(&scheme, &token("secret"), Payload::Streaming).is_ok());
    let aws = Material::Aws {
        access_key_id: String::new(),
        secret_access_key: Secret::new(String::new()),
        session_token: None,
    };
    assert_eq!(signed(&scheme, &aws, Payload::Streaming).err(), Some(HmacError::Kind));
    scheme.key = HmacKey::Hex;
    let refused = signed(&scheme, &token("tell-nobody"), Payload::Streaming).unwrap_err();
    assert!(
        !refused.to_string().contains("tell-nobody") && matches!(refused, HmacError::Key(_)),
        "{refused}"
    );
}

#[test]
fn schemes_are_data_and_are_checked() {
    let text = "name = \"exchange\"\nkey = \"base64\"\noutput = \"base64\"\nmessage = \"{time}{method}{target}{body}\"\n\
                headers = { x-signature = \"{signature}\" }\n";
    let read: HmacScheme = toml::from_str(text).unwrap();
    assert_eq!(
        (read.key, read.hash, read.time, read.check()),
        (HmacKey::Base64, HmacHash::Sha256, HmacTime::Unix, Ok(()))
    );
    let wrong = |scheme: &HmacScheme| scheme.check().unwrap_err().to_string();
    assert!(wrong(&scheme("{bodi}", &[("x-signature", "{signature}")])).contains("{bodi}"));
    assert!(wrong(&scheme("{body}", &[("x-time", "{time}")])).contains("{signature}"));
    assert!(wrong(&scheme("{body}", &[("x signature", "{signature}")])).contains("x signature"));
    assert!(wrong(&scheme("{signature}", &[("x-signature", "{signature}")])).contains("knows no"));
}
