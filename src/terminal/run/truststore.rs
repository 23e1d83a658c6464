//! Java's trust store: PKCS #12 (RFC 7292) with the attribute that marks a certificate as trusted.

use std::io;
use std::path::Path;

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Java wants one to check the store's integrity; there is nothing secret in it.
pub(super) const PASSWORD: &str = "changeit";
/// Key derivation slows down who guesses a password, and here there is none to guess.
const ITERATIONS: u32 = 1_000;

/// Every certificate of a PEM bundle. One that cannot be read is left out: a system's bundle is not ours to refuse.
pub(super) fn of_bundle(bundle: &Path) -> io::Result<Vec<u8>> {
    let mut store = KeyStore::new();
    let certificates = CertificateDer::pem_file_iter(bundle).map_err(io::Error::other)?;
    for (number, der) in certificates.flatten().enumerate() {
        if let Ok(certificate) = Certificate::from_der(&der) {
            store.add_entry(&format!("root-{number}"), KeyStoreEntry::Certificate(certificate));
        }
    }
    store
        .writer(PASSWORD)
        .encryption_iterations(ITERATIONS)
        .mac_iterations(ITERATIONS)
        .write()
        .map_err(io::Error::other)
}
