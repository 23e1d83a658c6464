//! Operators by client certificate: X.509-SVIDs of the trust domains that are believed, and certificates of a CA of the
//! operators' own.
//!
//! A certificate names one: by its one URI if it has any (a SPIFFE ID, or of the operators' CA any other), else by its one
//! e-mail address (RFC 5280 §4.2.1.6), as `cert:ADDRESS`. A common name is no name (RFC 6125 §6.4.4).

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::bundle::Bundles;
use super::error::SvidError;
use super::x509_svid::X509Svids;
use crate::call::{Certificates, Clock};

/// Believes client certificates of operators.
pub struct ClientCertificates {
    svids: X509Svids,
    own: RwLock<Option<Arc<dyn ClientCertVerifier>>>,
    clock: Arc<dyn Clock>,
}

impl ClientCertificates {
    /// Believes the bundles, and the operators' own CA if there is one.
    pub fn new(
        bundles: Arc<Bundles>,
        own: Vec<CertificateDer<'static>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let own = RwLock::new(verifier(own)?);
        Ok(Self { svids: X509Svids::new(bundles, clock.clone()), own, clock })
    }

    /// Believes another CA of the operators' own from now on.
    pub fn replace(&self, own: Vec<CertificateDer<'static>>) -> Result<(), String> {
        let own = verifier(own)?;
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = own;
        Ok(())
    }

    /// Whom a chain names, leaf first, if it holds now.
    pub fn name(&self, chain: &Certificates) -> Result<String, SvidError> {
        let (leaf, intermediates) = chain.split_first().ok_or(SvidError::Malformed { why: "it is empty" })?;
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(own) = own {
            let der = |bytes: &Vec<u8>| CertificateDer::from(bytes.clone());
            let intermediates: Vec<_> = intermediates.iter().map(der).collect();
            let at = UnixTime::since_unix_epoch(Duration::from_secs(self.clock.now().unix_s()));
            if own.verify_client_cert(&der(leaf), &intermediates, at).is_ok() {
                return named(leaf);
            }
        }
        self.svids.verify(chain).map(|id| id.as_str().to_owned())
    }
}

/// None: there is no such CA.
fn verifier(own: Vec<CertificateDer<'static>>) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if own.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for one in own {
        roots.add(one).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let built = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
    Ok(Some(built.map_err(|error| error.to_string())?))
}

fn named(leaf: &[u8]) -> Result<String, SvidError> {
    let malformed = |_| SvidError::Malformed { why: "its leaf is no X.509 certificate" };
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(malformed)?;
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let uris: Vec<_> = names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .collect();
    let mails: Vec<_> = names
        .iter()
        .filter_map(|name| if let GeneralName::RFC822Name(mail) = name { Some(*mail) } else { None })
        .collect();
    match (uris.as_slice(), mails.as_slice()) {
        ([uri], _) => Ok((*uri).to_owned()),
        ([], [mail]) => Ok(format!("cert:{mail}")),
        ([], _) => Err(SvidError::Malformed {
            why: "it names nobody: one URI or one e-mail address is wanted in its subjectAltName",
        }),
        _ => Err(SvidError::SeveralUris),
    }
}
