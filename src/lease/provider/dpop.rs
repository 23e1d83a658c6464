//! Proofs that whoever sends a token has the key that it is bound to (RFC 9449): to the token endpoint and to the origin.
//!
//! One P-256 key a lease, made for it and gone with it. A proof is for one method, one URL without query and fragment (§4.2),
//! one token (`ath`, §4.2) and one moment; a server that wants a nonce says so (§8, §9), and whoever sends remembers it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use url::Url;
use zeroize::Zeroizing;

use super::{MintError, jwt};
use crate::call::{Entropy, Secret, Timestamp};

/// The header field of a proof (§4.1).
pub const PROOF: &str = "dpop";
/// The header field of a server's nonce (§8).
pub const NONCE: &str = "dpop-nonce";
/// The scheme in `Authorization` (§7.1).
pub const SCHEME: &str = "DPoP";
/// Longest nonce that is repeated, bytes.
const MAX_NONCE_BYTES: usize = 512;

/// A new private key, PKCS #8 in PEM.
pub fn new_key(entropy: &dyn Entropy) -> Result<Secret<String>, MintError> {
    let failed = || MintError::Refused("no key for DPoP could be made".to_owned());
    // Of all 256-bit numbers all but one in 2^32 are keys of P-256.
    for _ in 0..4 {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(bytes.as_mut());
        if let Ok(key) = SecretKey::from_slice(bytes.as_ref()) {
            let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| failed())?;
            return Ok(Secret::new(pem.as_str().to_owned()));
        }
    }
    Err(failed())
}

/// Makes proofs with one key.
pub struct Prover {
    key: EncodingKey,
    jwk: Jwk,
}

/// What a proof is for.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's URL; query and fragment are left out of the proof.
    pub url: &'a str,
    /// The token that is sent with it; none towards the token endpoint.
    pub token: Option<&'a Secret<String>>,
    /// The last nonce that this server gave.
    pub nonce: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    jti: String,
    htm: &'a str,
    htu: String,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

impl Prover {
    /// With a key in PEM ([`new_key`]).
    pub fn new(pem: &Secret<String>) -> Result<Self, MintError> {
        let broken = |_| {
            MintError::Refused("the key for DPoP cannot be read; the lease has to be made anew".to_owned())
        };
        let key = EncodingKey::from_ec_pem(pem.reveal().as_bytes()).map_err(broken)?;
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(broken)?;
        // §4.2: the public key and nothing about it.
        jwk.common = jsonwebtoken::jwk::CommonParameters::default();
        Ok(Self { key, jwk })
    }

    /// The key's thumbprint (RFC 7638), by which a token names it (`jkt`, §6.1).
    pub fn thumbprint(&self) -> String {
        self.jwk.thumbprint(ThumbprintHash::SHA256).unwrap_or_default()
    }

    /// The proof for one request, to be sent once.
    pub fn proof(&self, of: &Proof<'_>, entropy: &dyn Entropy) -> Result<Secret<String>, MintError> {
        let mut url = Url::parse(of.url).map_err(|error| {
            MintError::Refused(format!("no DPoP proof can be made for this URL: {error}"))
        })?;
        url.set_query(None);
        url.set_fragment(None);
        let ath = of.token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token.reveal().as_bytes())));
        let claims = Claims {
            jti: jwt::random(entropy),
            htm: of.method.as_str(),
            htu: url.into(),
            iat: of.now.unix_s(),
            ath,
            nonce: of.nonce,
        };
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(self.jwk.clone());
        let proof = jsonwebtoken::encode(&header, &claims, &self.key)
            .map_err(|_| MintError::Refused("the key for DPoP cannot sign".to_owned()))?;
        Ok(Secret::new(proof))
    }
}

/// The nonce that an answer gives for the next proof (§8.2), whether or not it asks for the request again.
pub fn nonce(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(NONCE)?.to_str().ok()?;
    // §8.1, NQCHAR.
    let sound = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    ((1..=MAX_NONCE_BYTES).contains(&text.len()) && text.bytes().all(sound)).then_some(text)
}

/// Whether a resource server refused for want of a nonce (§9): the request may be sent again, once, with the one it gave.
pub fn wants_nonce(headers: &HeaderMap) -> bool {
    let challenges = headers.get_all(http::header::WWW_AUTHENTICATE).iter();
    let mut texts = challenges.filter_map(|value| value.to_str().ok());
    nonce(headers).is_some() && texts.any(|text| text.contains("use_dpop_nonce"))
}
