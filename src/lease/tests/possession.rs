//! Tokens that are bound to a key, as an origin sees them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::ground::House;
use crate::call::{Host, Origin, Scheme, Secret, Target, Timestamp};
use crate::lease::possession::Possession;
use crate::lease::provider::dpop;
use crate::lease::*;

fn origin(host: &str) -> Origin {
    Origin { scheme: Scheme::Https, host: Host::parse(host).unwrap(), port: 443 }
}

struct Bound {
    house: House,
    possession: Possession,
    key: Secret<String>,
}

impl Bound {
    fn new() -> Self {
        let house = House::new();
        let key = dpop::new_key(&*house.world).unwrap();
        Self { house, possession: Possession::default(), key }
    }

    /// The header fields of a request, and the claims of its proof.
    fn sent(&self, to: &Origin, sent: &[(&'static str, &str)]) -> (HeaderMap, Value) {
        let (mut headers, mut target) = (HeaderMap::new(), Target::parse("/a/b?x=1").unwrap());
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        let outgoing =
            Outgoing { origin: to, method: &Method::PUT, headers: &mut headers, target: &mut target };
        let token = Secret::new("at-1".to_owned());
        let now = Timestamp::from_unix_s(1_800_000_000);
        self.possession.put((&token, &self.key), outgoing, now, &*self.house.world).unwrap();
        let proof = headers["dpop"].to_str().unwrap();
        let claims = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1).unwrap()).unwrap();
        let claims = serde_json::from_slice(&claims).unwrap();
        (headers, claims)
    }
}

fn answer(nonce: &str, challenge: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("dpop-nonce", nonce.parse().unwrap());
    if let Some(challenge) = challenge {
        headers.insert("www-authenticate", challenge.parse().unwrap());
    }
    headers
}

#[test]
fn the_agents_own_proof_and_token_give_way_to_the_leases() {
    let bound = Bound::new();
    let (headers, claims) =
        bound.sent(&origin("api.test"), &[("dpop", "its.own.proof"), ("authorization", "Bearer x")]);
    assert_eq!(headers.get_all("dpop").iter().count(), 1);
    assert_eq!(headers["authorization"], "DPoP at-1");
    assert!(headers["authorization"].is_sensitive() && headers["dpop"].is_sensitive());
    assert_eq!((&claims["htm"], &claims["htu"]), (&"PUT".into(), &"https://api.test/a/b".into()));
    let (_, again) = bound.sent(&origin("api.test"), &[]);
    assert_ne!(again["jti"], claims["jti"], "a proof is for one request");
}

#[test]
fn an_origins_nonce_is_in_the_next_proof_to_it_and_to_no_other() {
    let bound = Bound::new();
    let (one, other) = (origin("api.test"), origin("other.test"));
    assert!(bound.possession.hear(&one, &answer("n-1", Some("DPoP error=\"use_dpop_nonce\""))));
    assert_eq!(bound.sent(&one, &[]).1["nonce"], "n-1");
    assert!(bound.sent(&other, &[]).1.get("nonce").is_none());
    // A newer one, beside an answer that took the proof.
    assert!(!bound.possession.hear(&one, &answer("n-2", None)));
    assert_eq!(bound.sent(&one, &[]).1["nonce"], "n-2");
    assert!(!bound.possession.hear(&one, &HeaderMap::new()));
}

#[test]
fn a_lease_remembers_the_nonces_of_a_few_origins() {
    let bound = Bound::new();
    for n in 0..100 {
        bound.possession.hear(&origin(&format!("h{n}.test")), &answer("n", None));
    }
    let remembered =
        (0..100).filter(|n| bound.sent(&origin(&format!("h{n}.test")), &[]).1.get("nonce").is_some());
    assert_eq!(remembered.count(), 16);
}
