//! Requests signed with a shared secret, as the scheme of a service's entry says ([`HmacScheme`]).
//!
//! What the agent sent in the fields of the signature goes. The body has to be there as a whole where it is signed.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use super::Material;
use super::sign::Payload;
use crate::call::hmac::{HmacHash, HmacKey, HmacOutput, HmacScheme, HmacTime};
use crate::call::{Origin, Target, Timestamp};

/// A call that cannot be signed. The text names cause and remedy, and no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HmacError {
    /// The credential has no secret to sign with.
    #[error("the lease is no shared secret; use a provider that gives a token, or a user and a password")]
    Kind,
    /// The secret is not written as the scheme says.
    #[error("the secret is not written as the scheme `{0}` says (`key`)")]
    Key(String),
    /// The body is signed and not there.
    #[error("the body is longer than what is read to be signed")]
    Body,
    /// What is sent cannot stand in a header field.
    #[error("`{0}` cannot be sent as the scheme says")]
    Header(String),
}

/// A request in its parts, as far as it can be signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where it goes.
    pub origin: &'a Origin,
    /// Its method.
    pub method: &'a Method,
    /// What is asked for.
    pub target: &'a Target,
    /// Its body.
    pub payload: Payload<'a>,
    /// When.
    pub now: Timestamp,
}

/// Signs a request.
pub fn sign(
    scheme: &HmacScheme,
    material: &Material,
    request: Request<'_>,
    headers: &mut HeaderMap,
) -> Result<(), HmacError> {
    let (user, secret) = match material {
        Material::Token(secret) => ("", secret),
        Material::Basic { user, password } => (user.as_str(), password),
        Material::Dpop { .. } | Material::Aws { .. } => return Err(HmacError::Kind),
    };
    let body = match request.payload {
        Payload::Whole(bytes) => bytes,
        Payload::Streaming if scheme.wants_body() => return Err(HmacError::Body),
        Payload::Streaming => &[],
    };
    let time = match scheme.time {
        HmacTime::Unix => request.now.unix_s().to_string(),
        HmacTime::UnixMs => request.now.unix_ms().to_string(),
        HmacTime::Rfc3339 => request.now.to_string(),
    };
    let (host, target) = (request.origin.authority(), request.target);
    let known = |name: &str| -> Option<Vec<u8>> {
        let text = match name {
            "body" => return Some(body.to_vec()),
            "body_sha256" => return Some(hex(&Sha256::digest(body)).into_bytes()),
            "host" => &host,
            "method" => request.method.as_str(),
            "path" => target.raw().split('?').next().unwrap_or_default(),
            "query" => target.query().unwrap_or_default(),
            "target" => target.raw(),
            "time" => &time,
            "user" => user,
            _ => return None,
        };
        Some(text.as_bytes().to_vec())
    };
    let mac = mac(scheme.hash, &key(scheme, secret.reveal())?, &filled(&scheme.message, known));
    let signature = match scheme.output {
        HmacOutput::Hex => hex(&mac),
        HmacOutput::Base64 => STANDARD.encode(mac),
    };
    for (name, template) in &scheme.headers {
        let value = filled(template, |name| match name {
            "signature" => Some(signature.clone().into_bytes()),
            name => known(name),
        });
        let refused = || HmacError::Header(name.clone());
        let field = HeaderName::try_from(name.as_str()).map_err(|_| refused())?;
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| refused())?;
        value.set_sensitive(true);
        headers.insert(field, value);
    }
    Ok(())
}

fn key(scheme: &HmacScheme, secret: &str) -> Result<Zeroizing<Vec<u8>>, HmacError> {
    let wrong = || HmacError::Key(scheme.name.clone());
    let key = match scheme.key {
        HmacKey::Text => secret.as_bytes().to_vec(),
        HmacKey::Base64 => STANDARD.decode(secret).map_err(|_| wrong())?,
        HmacKey::Hex => unhex(secret).ok_or_else(wrong)?,
    };
    Ok(Zeroizing::new(key))
}

fn mac(hash: HmacHash, key: &[u8], message: &[u8]) -> Vec<u8> {
    // RFC 2104 takes keys of any length, so none is refused.
    macro_rules! mac {
        ($hash:ty) => {
            Hmac::<$hash>::new_from_slice(key)
                .map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec())
        };
    }
    let mac = match hash {
        HmacHash::Sha1 => mac!(Sha1),
        HmacHash::Sha256 => mac!(Sha256),
        HmacHash::Sha512 => mac!(Sha512),
    };
    mac.unwrap_or_default()
}

/// A template with its names replaced; what is no name stays.
fn filled(template: &str, value: impl Fn(&str) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut parts = template.split('{');
    out.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        if let Some((value, rest)) = part.split_once('}').and_then(|(name, rest)| Some((value(name)?, rest)))
        {
            out.extend_from_slice(&value);
            out.extend_from_slice(rest.as_bytes());
        } else {
            out.push(b'{');
            out.extend_from_slice(part.as_bytes());
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    if digits.len().is_multiple_of(2) { pairs.collect() } else { None }
}
