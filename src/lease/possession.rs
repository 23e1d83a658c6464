//! Tokens that are bound to a key (RFC 9449) towards origins: a proof with each request, and the nonces that origins want in it.
//!
//! An origin that wants a nonce says so by refusing a request (§9). That request is the agent's to send again: its body may be gone.
//! What the origin gave is in the next proof.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

use super::inject::{InjectError, Outgoing, header};
use super::provider::dpop::{self, Proof, Prover};
use crate::call::{Entropy, Origin, Secret, Timestamp};

/// Origins whose nonces are remembered, of one lease; it is one service, which may have a few hosts.
const ORIGINS: usize = 16;

/// What one lease remembers.
#[derive(Default)]
pub(super) struct Possession {
    /// Of its key. To read one costs as much as to sign.
    prover: OnceLock<Prover>,
    nonces: Mutex<BTreeMap<Origin, String>>,
}

impl Possession {
    /// Puts token and proof into a request, in the place of what the agent sent by those names.
    pub(super) fn put(
        &self,
        (token, key): (&Secret<String>, &Secret<String>),
        outgoing: Outgoing<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(), InjectError> {
        let prover = if let Some(prover) = self.prover.get() {
            prover
        } else {
            let made = Prover::new(key)?;
            self.prover.get_or_init(|| made)
        };
        let Outgoing { origin, method, headers, target } = outgoing;
        let url = format!("{origin}{}", target.raw());
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).get(origin).cloned();
        let of = Proof { method, url: &url, token: Some(token), nonce: nonce.as_deref(), now };
        let proof = prover.proof(&of, entropy)?;
        let authorization = Secret::new(format!("{} {}", dpop::SCHEME, token.reveal()));
        header(headers, &AUTHORIZATION, authorization.reveal())?;
        header(headers, &HeaderName::from_static(dpop::PROOF), proof.reveal())
    }

    /// Takes up the nonce of an answer. Whether the answer says no more than that it wants one.
    pub(super) fn hear(&self, origin: &Origin, headers: &HeaderMap) -> bool {
        let Some(nonce) = dpop::nonce(headers) else { return false };
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() < ORIGINS || nonces.contains_key(origin) {
            nonces.insert(origin.clone(), nonce.to_owned());
        }
        dpop::wants_nonce(headers)
    }
}
