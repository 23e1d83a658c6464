//! Keys that a node signs with: Ed25519 (RFC 8037 §3.1), one for each purpose, in a file of its own.

use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use jsonwebtoken::{DecodingKey, EncodingKey};
use zeroize::Zeroizing;

use super::error::KeyError;
use super::private_file;
use crate::call::{Entropy, Secret};

/// Loads the key of a file (PKCS#8, PEM), or makes it there with mode 0600.
pub(super) fn load_or_make(path: &Path, entropy: &dyn Entropy) -> Result<SigningKey, KeyError> {
    let pem = private_file::load_or_make(path, || Secret::new(fresh(entropy)))?;
    let pem = std::str::from_utf8(pem.reveal()).ok();
    pem.and_then(|pem| SigningKey::from_pkcs8_pem(pem).ok()).ok_or_else(|| broken(path))
}

/// The two halves, as tokens want them.
pub(super) fn halves(path: &Path, key: &SigningKey) -> Result<(EncodingKey, DecodingKey), KeyError> {
    let der = key.to_pkcs8_der().map_err(|_| broken(path))?;
    Ok((EncodingKey::from_ed_der(der.as_bytes()), DecodingKey::from_ed_der(key.verifying_key().as_bytes())))
}

fn broken(path: &Path) -> KeyError {
    KeyError::Content { path: path.into(), what: "Ed25519 private key in PKCS#8 PEM" }
}

/// A new key as PKCS#8 PEM (RFC 8410 §7). Empty where it cannot be encoded, which loading then refuses.
fn fresh(entropy: &dyn Entropy) -> Vec<u8> {
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(seed.as_mut());
    let pem = SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF);
    pem.map(|pem| pem.as_bytes().to_vec()).unwrap_or_default()
}
