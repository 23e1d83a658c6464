//! Proofs of possession, as a server reads them.

use http::Method;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::super::dpop::{self, Proof, Prover};
use super::*;

fn verified(proof: &str) -> (Jwk, Value) {
    let (header, _) = jwt_parts(proof);
    let jwk: Jwk = serde_json::from_value(header["jwk"].clone()).unwrap();
    let mut rules = Validation::new(Algorithm::ES256);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    let claims =
        jsonwebtoken::decode::<Value>(proof, &DecodingKey::from_jwk(&jwk).unwrap(), &rules).unwrap().claims;
    (jwk, claims)
}

#[test]
fn a_proof_names_method_url_token_and_moment_and_has_the_public_key_alone() {
    let world = World::new();
    let key = dpop::new_key(&*world).unwrap();
    let prover = Prover::new(&key).unwrap();
    let token = secret("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
    let of = Proof {
        method: &Method::GET,
        url: "https://resource.example.org/protectedresource?x=1#y",
        token: Some(&token),
        nonce: Some("n-1"),
        now: world.now(),
    };
    let proof = prover.proof(&of, &*world).unwrap();
    let (header, _) = jwt_parts(proof.reveal());
    assert_eq!(header["typ"], "dpop+jwt");
    assert_eq!(header["alg"], "ES256");
    let members: Vec<_> = header["jwk"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["kty", "crv", "x", "y"]);
    let (jwk, claims) = verified(proof.reveal());
    assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), prover.thumbprint());
    assert_eq!(claims["htm"], "GET");
    assert_eq!(claims["htu"], "https://resource.example.org/protectedresource");
    assert_eq!(claims["iat"], NOW_S);
    assert_eq!(claims["nonce"], "n-1");
    // The token and its digest of RFC 9449 §7.1.
    assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    let again = prover.proof(&of, &*world).unwrap();
    assert_ne!(verified(again.reveal()).1["jti"], claims["jti"]);
}

#[test]
fn towards_the_token_endpoint_there_is_no_token_to_name() {
    let world = World::new();
    let prover = Prover::new(&dpop::new_key(&*world).unwrap()).unwrap();
    let of = Proof {
        method: &Method::POST,
        url: "https://as.example/token",
        token: None,
        nonce: None,
        now: world.now(),
    };
    let (_, claims) = verified(prover.proof(&of, &*world).unwrap().reveal());
    let members: Vec<_> = claims.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["jti", "htm", "htu", "iat"]);
}

#[test]
fn two_leases_have_two_keys_and_a_broken_one_is_told() {
    let world = World::new();
    let (one, other) = (dpop::new_key(&*world).unwrap(), dpop::new_key(&*world).unwrap());
    assert_ne!(one.reveal(), other.reveal());
    let error = Prover::new(&secret("-----BEGIN")).err().unwrap();
    assert!(error.to_string().contains("made anew"));
}

#[test]
fn nonces_are_read_and_those_that_no_header_may_hold_are_not() {
    let mut headers = HeaderMap::new();
    assert!(dpop::nonce(&headers).is_none() && !dpop::wants_nonce(&headers));
    headers.insert("dpop-nonce", "eyJ7S_zG.eyJH0-Z.HX4w-7v".parse().unwrap());
    assert_eq!(dpop::nonce(&headers), Some("eyJ7S_zG.eyJH0-Z.HX4w-7v"));
    assert!(!dpop::wants_nonce(&headers));
    headers.insert("www-authenticate", "DPoP error=\"use_dpop_nonce\"".parse().unwrap());
    assert!(dpop::wants_nonce(&headers));
    headers.insert("dpop-nonce", "a\"b".parse().unwrap());
    assert!(dpop::nonce(&headers).is_none());
}
