//! How secrets lie on disk: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), with a key that is in a file of its own.
//!
//! Sealed for one purpose each: what belongs to one lease cannot be put into the row of another.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::provider::Material;
use crate::call::{Entropy, Secret};

/// Bytes of a nonce; long enough to be drawn at random.
const NONCE: usize = 24;

/// Seals and opens.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    entropy: Arc<dyn Entropy>,
}

/// What is sealed of a lease.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) material: Material,
    pub(super) handle: Option<Secret<String>>,
}

/// One key for each purpose, from the one in the file.
pub(super) fn derived(root: &Secret<Vec<u8>>, purpose: &str) -> Secret<Vec<u8>> {
    let mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(root.reveal());
    let bytes = mac.map(|mut mac| {
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().to_vec()
    });
    Secret::new(bytes.unwrap_or_default())
}

impl Seal {
    /// With a key of this purpose alone; none: it is too short.
    pub(super) fn new(key: &Secret<Vec<u8>>, entropy: Arc<dyn Entropy>) -> Option<Self> {
        XChaCha20Poly1305::new_from_slice(key.reveal()).ok().map(|cipher| Self { cipher, entropy })
    }

    /// Seals a text for one purpose.
    pub(super) fn shut(&self, text: &str, purpose: &str) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        self.entropy.fill(&mut nonce);
        let payload = Payload { msg: text.as_bytes(), aad: purpose.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        Some([nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// The text, if it was sealed with this key for this purpose.
    pub(super) fn open(&self, sealed: &[u8], purpose: &str) -> Option<Secret<String>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: rest, aad: purpose.as_bytes() };
        let text = self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(text).ok().map(Secret::new)
    }

    pub(super) fn shut_lease(&self, what: &Sealed, purpose: &str) -> Option<Vec<u8>> {
        let text = Zeroizing::new(to_json(what).to_string());
        self.shut(&text, purpose)
    }

    pub(super) fn open_lease(&self, sealed: &[u8], purpose: &str) -> Option<Sealed> {
        let text = self.open(sealed, purpose)?;
        from_json(&serde_json::from_str(text.reveal()).ok()?)
    }
}

/// Seals what others keep on disk and is not for every reader of it. With a key of its own, so that nothing of a lease can
/// be put in its place.
#[derive(Debug)]
pub struct Vault(Seal);

impl Vault {
    /// With what the file of the key holds; none: that is too short to be a key.
    pub fn new(key: &Secret<Vec<u8>>, entropy: Arc<dyn Entropy>) -> Option<Self> {
        Seal::new(&derived(key, "vault"), entropy).map(Self)
    }

    /// Seals a text for one purpose.
    pub fn shut(&self, text: &str, purpose: &str) -> Option<Vec<u8>> {
        self.0.shut(text, purpose)
    }

    /// The text, if it was sealed with this key for this purpose.
    pub fn open(&self, sealed: &[u8], purpose: &str) -> Option<Secret<String>> {
        self.0.open(sealed, purpose)
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

fn to_json(what: &Sealed) -> Value {
    let secret = |secret: &Secret<String>| secret.reveal().clone();
    let material = match &what.material {
        Material::Token(token) => json!({ "token": secret(token) }),
        Material::Basic { user, password } => json!({ "user": user, "password": secret(password) }),
        Material::Dpop { token, key } => json!({ "dpop": secret(token), "key": secret(key) }),
        Material::Aws { access_key_id, secret_access_key, session_token } => json!({
            "aws": access_key_id, "key": secret(secret_access_key), "session": session_token.as_ref().map(secret),
        }),
    };
    json!({ "material": material, "handle": what.handle.as_ref().map(secret) })
}

fn from_json(value: &Value) -> Option<Sealed> {
    let given = value.get("material")?;
    let text = |name: &str| given.get(name).and_then(Value::as_str).map(str::to_owned);
    let secret = |name: &str| text(name).map(Secret::new);
    let material = if let Some(token) = secret("token") {
        Material::Token(token)
    } else if let Some(user) = text("user") {
        Material::Basic { user, password: secret("password")? }
    } else if let Some(token) = secret("dpop") {
        Material::Dpop { token, key: secret("key")? }
    } else {
        let (access_key_id, session_token) = (text("aws")?, secret("session"));
        Material::Aws { access_key_id, secret_access_key: secret("key")?, session_token }
    };
    let handle = value.get("handle").and_then(Value::as_str).map(|handle| Secret::new(handle.to_owned()));
    Some(Sealed { material, handle })
}
