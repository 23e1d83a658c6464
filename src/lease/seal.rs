//! How secrets lie on disk: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), with a key that is in a file of its own.
//!
//! Sealed for one purpose each: what belongs to one lease cannot be put into the row of another.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
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
        self.shut_bytes(text.as_bytes(), purpose)
    }

    fn shut_bytes(&self, text: &[u8], purpose: &str) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        self.entropy.fill(&mut nonce);
        let payload = Payload { msg: text, aad: purpose.as_bytes() };
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
        self.shut_bytes(&Written::of(what).json()?, purpose)
    }

    pub(super) fn open_lease(&self, sealed: &[u8], purpose: &str) -> Option<Sealed> {
        let text = self.open(sealed, purpose)?;
        serde_json::from_str::<Read>(text.reveal()).ok()?.sealed()
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

/// As it is sealed. Nothing of it is copied on the way.
#[derive(Serialize)]
struct Written<'a> {
    material: Parts<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<&'a str>,
}

#[derive(Deserialize)]
struct Read {
    material: Parts<Text>,
    #[serde(default)]
    handle: Option<Text>,
}

/// A text that is zeroed.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Text(Secret<String>);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

/// What there is of a credential: `token`; or `user` and `password`; or `dpop` and `key`; or `aws`, `key` and perhaps `session`.
#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Parts<T> {
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    token: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    user: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    password: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    dpop: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    aws: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    key: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    session: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Self { token: None, user: None, password: None, dpop: None, aws: None, key: None, session: None }
    }
}

impl<'a> Written<'a> {
    fn of(what: &'a Sealed) -> Self {
        let secret = |secret: &'a Secret<String>| Some(secret.reveal().as_str());
        let none = Parts::<&'a str>::default();
        let material = match &what.material {
            Material::Token(token) => Parts { token: secret(token), ..none },
            Material::Basic { user, password } => {
                Parts { user: Some(user.as_str()), password: secret(password), ..none }
            }
            Material::Dpop { token, key } => Parts { dpop: secret(token), key: secret(key), ..none },
            Material::Aws { access_key_id, secret_access_key, session_token } => Parts {
                aws: Some(access_key_id.as_str()),
                key: secret(secret_access_key),
                session: session_token.as_ref().and_then(secret),
                ..none
            },
        };
        Self { material, handle: what.handle.as_ref().and_then(secret) }
    }

    /// Room for all of it, so that no half of it is left behind where it had to be moved.
    fn json(&self) -> Option<Zeroizing<Vec<u8>>> {
        let Parts { token, user, password, dpop, aws, key, session } = &self.material;
        let texts = [token, user, password, dpop, aws, key, session, &self.handle];
        let bytes: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        // RFC 8259 §7: a character is six at the most.
        let mut json = Zeroizing::new(Vec::with_capacity(6 * bytes + 256));
        serde_json::to_writer(&mut *json, self).ok()?;
        Some(json)
    }
}

impl Read {
    fn sealed(self) -> Option<Sealed> {
        let secret = |text: Text| text.0;
        let plain = |text: Text| text.0.reveal().clone();
        let Parts { token, user, password, dpop, aws, key, session } = self.material;
        let material = match (token, user, dpop, aws) {
            (Some(token), ..) => Material::Token(secret(token)),
            (_, Some(user), ..) => Material::Basic { user: plain(user), password: secret(password?) },
            (_, _, Some(token), _) => Material::Dpop { token: secret(token), key: secret(key?) },
            (.., aws) => Material::Aws {
                access_key_id: plain(aws?),
                secret_access_key: secret(key?),
                session_token: session.map(secret),
            },
        };
        Some(Sealed { material, handle: self.handle.map(secret) })
    }
}
