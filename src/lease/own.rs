//! Secrets of providers' own that have to outlive the process: refresh tokens that servers replace. Sealed like leases, one for
//! each `[[leases]]` entry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::book::LeaseBook;
use super::provider::{Keeper, MintError};
use super::seal::{Seal, derived};
use crate::call::{Entropy, Secret};

/// All of them.
pub struct OwnSecrets {
    book: Arc<dyn LeaseBook>,
    seal: Seal,
    kept: Mutex<BTreeMap<Arc<str>, Secret<String>>>,
}

impl OwnSecrets {
    /// With what the book kept of them; `key` is the one that leases are sealed with. None: it is too short.
    pub fn new(
        book: Arc<dyn LeaseBook>,
        key: &Secret<Vec<u8>>,
        entropy: Arc<dyn Entropy>,
        kept: &[(Arc<str>, Vec<u8>)],
    ) -> Option<Arc<Self>> {
        let seal = Seal::new(&derived(key, "own"), entropy)?;
        let mut opened = BTreeMap::new();
        for (entry, sealed) in kept {
            match seal.open(sealed, entry) {
                Some(secret) => drop(opened.insert(entry.clone(), secret)),
                None => {
                    tracing::error!(%entry, "a provider's own secret cannot be read: `lease.key` is another one than it was; log in again");
                }
            }
        }
        Some(Arc::new(Self { book, seal, kept: Mutex::new(opened) }))
    }

    /// What keeps that of one entry.
    pub fn of(self: &Arc<Self>, entry: &str) -> Arc<dyn Keeper> {
        Arc::new(OfOne { all: self.clone(), entry: entry.into() })
    }
}

struct OfOne {
    all: Arc<OwnSecrets>,
    entry: Arc<str>,
}

impl Keeper for OfOne {
    fn kept(&self) -> BoxFuture<'_, Result<Option<Secret<String>>, MintError>> {
        let kept = self.all.kept.lock().unwrap_or_else(PoisonError::into_inner);
        std::future::ready(Ok(kept.get(&self.entry).cloned())).boxed()
    }

    fn keep<'a>(&'a self, secret: &'a Secret<String>) -> BoxFuture<'a, Result<(), MintError>> {
        async move {
            let unkept = |why: String| MintError::Unavailable(why);
            let sealed = self.all.seal.shut(secret.reveal(), &self.entry);
            let sealed = sealed.ok_or_else(|| unkept("it cannot be sealed".to_owned()))?;
            let told = self.all.book.keep_own(self.entry.clone(), sealed).await;
            told.map_err(|error| unkept(error.to_string()))?;
            let mut kept = self.all.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.insert(self.entry.clone(), secret.clone());
            Ok(())
        }
        .boxed()
    }
}
