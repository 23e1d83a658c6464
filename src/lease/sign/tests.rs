//! Signatures are those of AWS's published test suite (`aws-signing-test-suite`, in the crate `aws-sigv4` and in aws-c-auth).

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use p256_as_jwt::verifies;

use super::{Payload, Sent, SignError, presented_key, sign, wants_body};
use crate::call::{CallId, Head, Origin, Scheme, Secret, SpanId, Target, Timestamp, TraceContext, TraceId};
use crate::lease::Material;

/// 2015-08-30T12:36:00Z, the suite's time.
const NOW: Timestamp = Timestamp::from_unix_s(1_440_938_160);
const SCOPE: &str = "20150830/us-east-1/service/aws4_request";

fn keys(token: Option<&str>) -> Material {
    Material::Aws {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        session_token: token.map(|token| Secret::new(token.to_owned())),
    }
}

fn call(method: &str, url: &str, headers: &[(&str, &str)]) -> Head {
    let (host, path) = url.split_once('/').unwrap();
    let (host, port) = Origin::parse_authority(host, Some(443)).unwrap();
    let each = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    Head {
        id: "00000000000000000000000000".parse::<CallId>().unwrap(),
        at: NOW,
        origin: Origin { scheme: Scheme::Https, host, port },
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        target: Target::parse(&format!("/{path}")).unwrap(),
        version: Version::HTTP_11,
        headers: headers.iter().map(each).collect::<HeaderMap>(),
        trace: TraceContext { trace: TraceId([1; 16]), parent: None, span: SpanId([1; 8]), flags: 0 },
        upgrade: None,
    }
}

/// As an SDK signs with the placeholder.
fn by_agent(scope: &str, signed: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=AKIAREMITPLACEHOLDER/{scope}, SignedHeaders={signed}, Signature=00")
}

struct Signed {
    headers: HeaderMap,
    target: Target,
}

fn signed(
    head: &Head,
    material: &Material,
    payload: Payload<'_>,
    name: Option<&str>,
) -> Result<Signed, SignError> {
    let (mut headers, mut target) = (head.headers.clone(), head.target.clone());
    let sent = Sent { payload, signing_name: name, now: NOW };
    sign(material, &head.origin, &head.method, &mut headers, &mut target, sent)?;
    Ok(Signed { headers, target })
}

fn authorization(signed: &Signed) -> String {
    signed.headers["authorization"].to_str().unwrap().to_owned()
}

#[test]
fn signatures_in_a_field_are_those_of_the_suite() {
    let vectors = [
        (
            "example.amazonaws.com/",
            "host;x-amz-date",
            &[][..],
            None,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "example.amazonaws.com/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            "host;x-amz-date",
            &[],
            None,
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        (
            "example.amazonaws.com/",
            "host;my-header1;my-header2;x-amz-date",
            &[("my-header1", "value1"), ("my-header2", "\"a   b   c\"")],
            None,
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "example.amazonaws.com/",
            "host;x-amz-date;x-amz-security-token",
            &[],
            Some("6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"),
            "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
        ),
    ];
    for (url, list, headers, token, expected) in vectors {
        let mut headers = headers.to_vec();
        let by_agent = by_agent(SCOPE, list);
        // What the agent said of time and token is not what is signed.
        headers.extend([("authorization", by_agent.as_str()), ("x-amz-date", "20150830T010101Z")]);
        headers.extend([("x-amz-security-token", "placeholder"), ("user-agent", "Boto3")]);
        let head = call("GET", url, &headers);
        let signed = signed(&head, &keys(token), Payload::Whole(b""), Some("service")).unwrap();
        let authorization = authorization(&signed);
        assert!(authorization.ends_with(&format!("Signature={expected}")), "{url}: {authorization}");
        assert!(authorization.contains(&format!("Credential=AKIDEXAMPLE/{SCOPE}, SignedHeaders={list},")));
        assert_eq!(signed.headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(signed.headers.get("x-amz-security-token").map(|value| value.to_str().unwrap()), token);
        assert_eq!(signed.target, head.target);
        assert_eq!(presented_key(&head.headers, &head.target).as_deref(), Some("AKIAREMITPLACEHOLDER"));
    }
}

#[test]
fn signatures_in_a_url_are_those_of_the_suite() {
    let vectors = [
        ("", None, "e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"),
        (
            "Param-3=Value3&Param=Value2&%E1%88%B4=Value1&",
            None,
            "c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787",
        ),
    ];
    for (query, token, expected) in vectors {
        let url = format!(
            "example.amazonaws.com/?{query}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAREMITPLACEHOLDER%2F20150830%2F\
             us-east-1%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600&\
             X-Amz-Security-Token=placeholder&X-Amz-Signature=00"
        );
        let head = call("GET", &url, &[]);
        let signed = signed(&head, &keys(token), Payload::Whole(b""), None).unwrap();
        let raw = signed.target.raw();
        assert!(raw.contains(&format!("X-Amz-Signature={expected}")), "{raw}");
        assert!(raw.starts_with(&format!("/?{query}X-Amz-")) && !raw.contains("PLACEHOLDER"), "{raw}");
        assert!(!raw.contains("placeholder"), "{raw}");
        // An hour later it is over, for remit as for AWS.
        let (mut headers, mut target) = (HeaderMap::new(), head.target.clone());
        let later = NOW.plus(std::time::Duration::from_secs(3600));
        let sent = Sent { payload: Payload::Whole(b""), signing_name: None, now: later };
        let over = sign(&keys(None), &head.origin, &head.method, &mut headers, &mut target, sent);
        assert_eq!(over, Err(SignError::Expired));
        assert_eq!(presented_key(&head.headers, &head.target).as_deref(), Some("AKIAREMITPLACEHOLDER"));
        // The body of a presigned call of S3's is not signed; that of another service is.
        assert!(wants_body(&head.headers, &head.target));
        let s3 = call("GET", &url.replace("%2Fservice%2F", "%2Fs3%2F"), &[]);
        assert!(!wants_body(&s3.headers, &s3.target));
    }
}

#[test]
fn bodies_are_signed_as_the_agent_said() {
    let s3 = "20150830/us-east-1/s3/aws4_request";
    let list = "host;x-amz-content-sha256;x-amz-date";
    let hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    for said in [hash, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
        let by_agent = by_agent(s3, list);
        let head = call(
            "PUT",
            "bucket.s3.us-east-1.amazonaws.com/a%20b//c",
            &[("authorization", by_agent.as_str()), ("x-amz-content-sha256", said)],
        );
        let signed = signed(&head, &keys(None), Payload::Streaming, Some("s3")).unwrap();
        assert_eq!(signed.headers["x-amz-content-sha256"], said);
        assert!(authorization(&signed).contains(&format!("SignedHeaders={list},")));
        assert!(!wants_body(&head.headers, &head.target));
    }
    for said in ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-EVENTS", "0"] {
        let by_agent = by_agent(s3, list);
        let head = call(
            "PUT",
            "bucket.s3.us-east-1.amazonaws.com/a",
            &[("authorization", by_agent.as_str()), ("x-amz-content-sha256", said)],
        );
        assert!(
            matches!(signed(&head, &keys(None), Payload::Streaming, None), Err(SignError::Kind(_))),
            "{said}"
        );
    }
    // Nothing said: the body is hashed.
    let by_agent = by_agent(SCOPE, "host;x-amz-date");
    let head = call("POST", "example.amazonaws.com/", &[("authorization", by_agent.as_str())]);
    assert!(wants_body(&head.headers, &head.target));
    let one = signed(&head, &keys(None), Payload::Whole(b"one"), None).unwrap();
    let two = signed(&head, &keys(None), Payload::Whole(b"two"), None).unwrap();
    assert_ne!(authorization(&one), authorization(&two));
    assert_eq!(signed(&head, &keys(None), Payload::Streaming, None).err(), Some(SignError::Body));
}

#[test]
fn a_signature_is_for_where_the_call_goes() {
    let by_agent = by_agent("20150830/us-east-1/s3/aws4_request", "host;x-amz-date");
    let to = |host: &str, name| {
        let head = call("GET", &format!("{host}/a"), &[("authorization", by_agent.as_str())]);
        signed(&head, &keys(None), Payload::Whole(b""), name).map(|_| ())
    };
    assert_eq!(to("b.s3.us-east-1.amazonaws.com", Some("s3")), Ok(()));
    assert_eq!(to("s3.amazonaws.com", Some("s3")), Ok(()));
    assert_eq!(to("minio.test", None), Ok(()));
    for (host, name) in
        [("b.s3.eu-central-1.amazonaws.com", Some("s3")), ("sts.us-east-1.amazonaws.com", Some("sts"))]
    {
        let refused = to(host, name).unwrap_err();
        assert!(matches!(refused, SignError::Scope { .. }), "{refused}");
        assert!(refused.to_string().contains("`s3` in `us-east-1`"), "{refused}");
    }
}

#[test]
fn what_cannot_be_signed_again_is_refused() {
    let refused = |url: &str, headers: &[(&str, &str)]| {
        signed(&call("GET", url, headers), &keys(None), Payload::Whole(b""), None).map(|_| ()).unwrap_err()
    };
    let v4 = by_agent(SCOPE, "host");
    assert_eq!(refused("a.test/", &[]), SignError::Unsigned);
    assert_eq!(refused("a.test/", &[("authorization", "Bearer x")]), SignError::Unsigned);
    assert!(matches!(refused("a.test/", &[("authorization", "AWS AKIA:xyz")]), SignError::Kind(_)));
    let twice = [("authorization", v4.as_str()), ("authorization", v4.as_str())];
    assert!(matches!(refused("a.test/", &twice), SignError::Ambiguous(_)));
    assert!(matches!(refused("a.test/?X-Amz-Signature=1", &twice[..1]), SignError::Ambiguous(_)));
    let express = v4.replace("/service/", "/s3express/");
    assert!(matches!(refused("a.test/", &[("authorization", express.as_str())]), SignError::Kind(_)));
    let head = call("GET", "a.test/", &twice[..1]);
    let token = Material::Token(Secret::new("x".to_owned()));
    assert_eq!(signed(&head, &token, Payload::Whole(b""), None).err(), Some(SignError::NotAws));
}

#[test]
fn the_asymmetric_form_is_verified_with_the_key_of_the_suite() {
    let by_agent = "AWS4-ECDSA-P256-SHA256 Credential=AKIAREMITPLACEHOLDER/20150830/service/aws4_request, \
                    SignedHeaders=host;x-amz-date;x-amz-region-set, Signature=00";
    let headers = [("authorization", by_agent), ("x-amz-region-set", "us-east-1")];
    let head = call("GET", "example.amazonaws.com/", &headers);
    let signed = signed(&head, &keys(None), Payload::Whole(b""), Some("service")).unwrap();
    assert_eq!(signed.headers["x-amz-region-set"], "us-east-1");
    let authorization = authorization(&signed);
    let signature = authorization.rsplit('=').next().unwrap();
    let canonical = "GET\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\nx-amz-region-set:us-east-1\n\n\
                     host;x-amz-date;x-amz-region-set\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert!(verifies(canonical, "20150830T123600Z", "20150830/service/aws4_request", signature));
}

/// ECDSA on P-256 is in the tree as `jsonwebtoken` has it.
mod p256_as_jwt {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{Algorithm, DecodingKey};
    use sha2::{Digest as _, Sha256};

    // The suite's `public-key.json`.
    const X: &str = "b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1";
    const Y: &str = "865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// DER (X.690) to the fixed form of RFC 7518 §3.4.
    fn fixed(der: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = &der[2..];
        for _ in 0..2 {
            let length = usize::from(rest[1]);
            let number = &rest[2..2 + length];
            let number = &number[number.len().saturating_sub(32)..];
            out.extend(vec![0; 32 - number.len()]);
            out.extend(number);
            rest = &rest[2 + length..];
        }
        out
    }

    pub(super) fn verifies(canonical: &str, date: &str, scope: &str, signature: &str) -> bool {
        let hash: String =
            Sha256::digest(canonical).iter().fold(String::new(), |all, byte| all + &format!("{byte:02x}"));
        let message = format!("AWS4-ECDSA-P256-SHA256\n{date}\n{scope}\n{hash}");
        let key = DecodingKey::from_ec_components(
            &URL_SAFE_NO_PAD.encode(bytes(X)),
            &URL_SAFE_NO_PAD.encode(bytes(Y)),
        );
        let signature = URL_SAFE_NO_PAD.encode(fixed(&bytes(signature)));
        jsonwebtoken::crypto::verify(&signature, message.as_bytes(), &key.unwrap(), Algorithm::ES256).unwrap()
    }
}
