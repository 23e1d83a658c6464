//! SVIDs: whose they are, and each way in which they do not hold.

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use time::OffsetDateTime;

use super::*;
use crate::call::{Binding, Certificates, Claims, TrustDomain};

const CODER: &str = "spiffe://example.org/agent/coder";

/// A trust domain's authority.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (root.not_before, root.not_after) = (at(START_S - 1_000), at(START_S + 1_000_000));
        let key = KeyPair::generate().unwrap();
        let pem = root.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(root, key), pem }
    }

    pub(super) fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Certificates {
        let mut leaf = svid(&[CODER]);
        change(&mut leaf);
        let key = KeyPair::generate().unwrap();
        Arc::new([leaf.signed_by(&key, &self.issuer).unwrap().der().to_vec()])
    }
}

pub(super) fn at(s: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(s).unwrap()).unwrap()
}

fn svid(uris: &[&str]) -> CertificateParams {
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    (leaf.not_before, leaf.not_after) = (at(START_S - 10), at(START_S + 60));
    leaf
}

pub(super) fn bundles(bundle: &[u8]) -> Arc<Bundles> {
    let bundles = Arc::new(Bundles::default());
    put(&bundles, bundle);
    bundles
}

fn put(bundles: &Bundles, bundle: &[u8]) {
    let domain = TrustDomain::parse("example.org").unwrap();
    bundles.replace(BTreeMap::from([(domain, Arc::new(Bundle::parse(bundle).unwrap()))]));
}

fn showing(certificates: &Certificates, token: Option<&str>) -> Presented {
    Presented { certificates: Some(certificates.clone()), ..presented(Entrance::TlsProxy, token) }
}

fn coder() -> SpiffeId {
    SpiffeId::parse(CODER).unwrap()
}

#[test]
fn an_x509_svid_names_its_workload() {
    let (stand, authority) = (stand(), Authority::new());
    let identity = stand.believing(None, bundles(authority.pem.as_bytes()));
    let chain = authority.issue(|_| {});
    for _ in 0..2 {
        let claim = identity.attribute(&showing(&chain, None)).unwrap();
        assert_eq!(
            claim,
            Claim::Svid { agent: coder(), evidence: Evidence::X509Svid, claims: Claims::default() }
        );
    }
    stand.world.set_s(START_S + 61);
    let refused = identity.attribute(&showing(&chain, None));
    assert!(
        matches!(refused, Err(IdentityError::Svid(SvidError::Expired { .. }))),
        "remembered, and over: {refused:?}"
    );
}

type Change = fn(&mut CertificateParams);

#[test]
fn each_way_in_which_a_certificate_is_no_svid_is_refused_with_its_reason() {
    let (stand, authority) = (stand(), Authority::new());
    let identity = stand.believing(None, bundles(authority.pem.as_bytes()));
    let cases: [(Change, &str); 10] = [
        (|leaf| *leaf = svid(&[CODER, "spiffe://example.org/agent/other"]), "several URI SANs"),
        (|leaf| leaf.subject_alt_names.clear(), "no URI SAN"),
        (|leaf| *leaf = svid(&["https://example.org/agent"]), "name is refused"),
        (
            |leaf| *leaf = svid(&["spiffe://elsewhere.test/agent"]),
            "no bundle of the trust domain `elsewhere.test`",
        ),
        (|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), "a CA's certificate"),
        (|leaf| leaf.key_usages.push(KeyUsagePurpose::KeyCertSign), "a CA's certificate"),
        (|leaf| leaf.key_usages = vec![KeyUsagePurpose::KeyAgreement], "digitalSignature"),
        (|leaf| leaf.not_after = at(START_S - 1), "expired at"),
        (|leaf| leaf.not_before = at(START_S + 30), "not valid before"),
        (
            |leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            "does not lead to an authority",
        ),
    ];
    for (change, reason) in cases {
        let refused = identity.attribute(&showing(&authority.issue(change), None)).unwrap_err();
        assert!(refused.to_string().contains(reason), "{reason}: {refused}");
    }
    let stranger = Authority::new().issue(|_| {});
    let refused = identity.attribute(&showing(&stranger, None)).unwrap_err();
    assert!(refused.to_string().contains("does not lead to an authority"), "{refused}");
    let garbage: Certificates = Arc::new([vec![1, 2, 3]]);
    assert!(identity.attribute(&showing(&garbage, None)).is_err());
}

#[test]
fn a_bundle_that_rotates_holds_at_once_for_connections_that_are_open() {
    let (stand, old, new) = (stand(), Authority::new(), Authority::new());
    let bundles = bundles(old.pem.as_bytes());
    let identity = stand.believing(None, bundles.clone());
    let (before, after) = (old.issue(|_| {}), new.issue(|_| {}));
    identity.attribute(&showing(&before, None)).unwrap();
    put(&bundles, format!("{}{}", old.pem, new.pem).as_bytes());
    for chain in [&before, &after] {
        identity.attribute(&showing(chain, None)).unwrap();
    }
    put(&bundles, new.pem.as_bytes());
    identity.attribute(&showing(&after, None)).unwrap();
    assert!(identity.attribute(&showing(&before, None)).is_err(), "its authority is gone");
}

#[test]
fn a_token_and_a_certificate_name_one_agent() {
    let (stand, authority) = (stand(), Authority::new());
    let identity = stand.believing(None, bundles(authority.pem.as_bytes()));
    let mut task = stand.task();
    task.terms.binding = Binding::X509Svid;
    let token = stand.tokens.issue(&task).unwrap().token;
    let claim = identity.attribute(&showing(&authority.issue(|_| {}), Some(token.reveal()))).unwrap();
    assert_eq!(claim.evidence(), Evidence::X509Svid);
    assert!(matches!(claim, Claim::Token { proven: true, .. }), "{claim:?}");
    let other = authority.issue(|leaf| *leaf = svid(&["spiffe://example.org/agent/thief"]));
    let refused = identity.attribute(&showing(&other, Some(token.reveal())));
    assert!(matches!(refused, Err(IdentityError::Several { .. })), "{refused:?}");
    let expired = authority.issue(|leaf| leaf.not_after = at(START_S - 1));
    assert!(
        identity.attribute(&showing(&expired, Some(token.reveal()))).is_err(),
        "weak evidence makes no room"
    );
}

/// A JWT authority: P-256, as a SPIFFE bundle.
struct Jwt {
    key: jsonwebtoken::EncodingKey,
    bundle: Vec<u8>,
}

impl Jwt {
    fn new() -> Self {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        // An uncompressed point: 4, then x, then y (SEC 1 §2.3.3).
        let point = pair.public_key_raw();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
        let bundle = json!({"keys": [
            {"use": "jwt-svid", "kid": "k1", "kty": "EC", "crv": "P-256", "x": x, "y": y},
            {"use": "something-else", "kty": "OKP"},
        ], "spiffe_sequence": 1});
        let key = jsonwebtoken::EncodingKey::from_ec_der(&pair.serialize_der());
        Self { key, bundle: bundle.to_string().into_bytes() }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signed =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, jsonwebtoken::Algorithm::ES256);
        format!("{message}.{}", signed.unwrap())
    }
}

fn svid_header() -> Value {
    json!({"alg": "ES256", "kid": "k1", "typ": "JWT"})
}

fn svid_claims() -> Value {
    json!({"sub": CODER, "aud": [AUDIENCE], "exp": START_S + 60, "iat": START_S})
}

#[test]
fn a_jwt_svid_names_its_workload() {
    let (stand, jwt) = (stand(), Jwt::new());
    let identity = stand.believing(None, bundles(&jwt.bundle));
    let token = jwt.sign(&svid_header(), &svid_claims());
    let claim = identity.attribute(&presented(Entrance::Proxy, Some(&token))).unwrap();
    assert_eq!(claim, Claim::Svid { agent: coder(), evidence: Evidence::JwtSvid, claims: Claims::default() });
    let own = stand.mint();
    let claim = identity.attribute(&presented(Entrance::Proxy, Some(&own))).unwrap();
    assert_eq!(claim.evidence(), Evidence::TaskToken, "our own tokens go on to hold");
}

#[test]
fn what_a_jwt_svid_says_of_its_workload_beside_its_name_is_kept() {
    let (stand, jwt) = (stand(), Jwt::new());
    let identity = stand.believing(None, bundles(&jwt.bundle));
    let mut said = svid_claims();
    let long = "x".repeat(257);
    for (name, value) in [
        ("iss", json!("https://issuer.example")),
        ("jti", json!("1")),
        ("team", json!("payments")),
        ("level", json!(3)),
        ("long", json!(long)),
        ("line", json!("a\nb")),
    ] {
        said[name] = value;
    }
    let token = jwt.sign(&svid_header(), &said);
    let claim = identity.attribute(&presented(Entrance::Proxy, Some(&token))).unwrap();
    let Claim::Svid { claims, .. } = claim else { panic!("{claim:?}") };
    assert_eq!(claims.iter().collect::<Vec<_>>(), [("team", "payments")]);
    let many = Claims::of((0..20).map(|at| (format!("c{at:02}"), "v".to_owned())));
    assert_eq!(many.iter().count(), 16, "of many some are kept");
}

#[test]
fn each_way_in_which_a_jwt_is_no_svid_is_refused_with_its_reason() {
    let (stand, jwt) = (stand(), Jwt::new());
    let identity = stand.believing(None, bundles(&jwt.bundle));
    let refusal =
        |token: &str| identity.attribute(&presented(Entrance::Proxy, Some(token))).unwrap_err().to_string();
    let header = |name: &str, value: Value| {
        let mut header = svid_header();
        header[name] = value;
        jwt.sign(&header, &svid_claims())
    };
    let claim = |name: &str, value: Value| {
        let mut claims = svid_claims();
        claims[name] = value;
        jwt.sign(&svid_header(), &claims)
    };
    let cases = [
        (header("alg", json!("none")), "`alg` is `none`"),
        (header("alg", json!("HS256")), "`alg` is `HS256`"),
        (header("alg", json!("ES384")), "`alg` is `ES384`"),
        (header("kid", json!("k2")), "does not have"),
        (header("kid", Value::Null), "no `kid`"),
        (header("typ", json!("at+jwt")), "`typ`"),
        (claim("aud", json!(["somebody-else"])), "another audience"),
        (claim("aud", Value::Null), "another audience"),
        (claim("exp", json!(START_S - 10)), "expired at"),
        (claim("exp", Value::Null), "claims are not"),
        (claim("iat", json!(START_S + 60)), "not valid before"),
        (claim("nbf", json!(START_S + 60)), "not valid before"),
        (claim("sub", json!("spiffe://elsewhere.test/x")), "no bundle of the trust domain"),
        (claim("sub", json!("user:ada")), "name is refused"),
        (claim("sub", Value::Null), "no `sub`"),
        ("x".repeat(MAX_TOKEN_BYTES + 1), "long"),
    ];
    for (token, reason) in cases {
        let told = refusal(&token);
        assert!(told.contains(reason), "{reason}: {told}");
    }
    let other = Jwt::new().sign(&svid_header(), &svid_claims());
    assert!(refusal(&other).contains("signature does not hold"));
    let good = jwt.sign(&svid_header(), &svid_claims());
    let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
    assert!(refusal(&unsigned).contains("signature does not hold"));
}

#[test]
fn bundles_that_say_too_little_are_no_bundles() {
    for wrong in [
        "",
        "{}",
        "{\"keys\": []}",
        "not PEM",
        r#"{"keys": [{"use": "jwt-svid", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}"#,
        r#"{"keys": [{"use": "jwt-svid", "kid": "k", "kty": "oct"}]}"#,
        r#"{"keys": [{"use": "x509-svid", "kty": "EC"}]}"#,
        r#"{"keys": [{"use": "x509-svid", "kty": "EC", "x5c": ["AAAA"]}]}"#,
    ] {
        assert!(Bundle::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
