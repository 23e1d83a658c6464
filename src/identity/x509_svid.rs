//! X.509-SVIDs: from the certificate that a client showed to a SPIFFE ID (SPIFFE X.509-SVID §2 to §5).
//!
//! That the client has the key was shown in the handshake ([`PossessionOnly`]). All else is judged here and not in the
//! handshake, so that a refusal can say why, and so that a bundle that changes changes connections that are open.

use std::sync::Arc;

use moka::sync::Cache;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::bundle::{Bundle, Bundles};
use super::error::SvidError;
use crate::call::{Certificates, Clock, SpiffeId, Timestamp};

/// Certificates of a chain that are looked at.
const LONGEST_CHAIN: usize = 8;
/// How many chains that held are remembered; each costs two to four signatures.
const VERIFIED_CHAINS: u64 = 4_096;

/// Believes X.509-SVIDs.
#[derive(Clone)]
pub(super) struct X509Svids {
    bundles: Arc<Bundles>,
    clock: Arc<dyn Clock>,
    verified: Cache<[u8; 32], Arc<Verified>>,
}

/// A chain that held, under one bundle.
struct Verified {
    id: SpiffeId,
    from: Timestamp,
    until: Timestamp,
    bundle: Arc<Bundle>,
}

impl X509Svids {
    pub(super) fn new(bundles: Arc<Bundles>, clock: Arc<dyn Clock>) -> Self {
        Self { bundles, clock, verified: Cache::new(VERIFIED_CHAINS) }
    }

    /// Whose chain it is, leaf first, if it holds now and under the bundle of now.
    pub(super) fn verify(&self, chain: &Certificates) -> Result<SpiffeId, SvidError> {
        let digest = chain.iter().fold(Sha256::new(), |digest, one| digest.chain_update(Sha256::digest(one)));
        let digest: [u8; 32] = digest.finalize().into();
        let now = self.clock.now();
        if let Some(known) = self.verified.get(&digest)
            && self
                .bundles
                .of(known.id.trust_domain())
                .is_some_and(|bundle| Arc::ptr_eq(&bundle, &known.bundle))
        {
            check_times(known.from, known.until, now)?;
            return Ok(known.id.clone());
        }
        let verified = self.verify_anew(chain, now)?;
        let id = verified.id.clone();
        self.verified.insert(digest, Arc::new(verified));
        Ok(id)
    }

    fn verify_anew(&self, chain: &Certificates, now: Timestamp) -> Result<Verified, SvidError> {
        if chain.len() > LONGEST_CHAIN {
            return Err(SvidError::Malformed { why: "the chain is too long" });
        }
        let (leaf, intermediates) = chain.split_first().ok_or(SvidError::Malformed { why: "it is empty" })?;
        let malformed = |_| SvidError::Malformed { why: "its leaf is no X.509 certificate" };
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(malformed)?;
        let id = spiffe_id(&parsed)?;
        check_leaf(&parsed)?;
        let (from, until) = validity(&parsed);
        check_times(from, until, now)?;
        let unknown = || SvidError::UnknownTrustDomain { domain: id.trust_domain().to_owned() };
        let bundle = self.bundles.of(id.trust_domain()).ok_or_else(unknown)?;
        let verifier = bundle.x509.as_ref().ok_or_else(unknown)?;
        let der = |bytes: &Vec<u8>| CertificateDer::from(bytes.clone());
        let intermediates: Vec<_> = intermediates.iter().map(der).collect();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.unix_s()));
        verifier
            .verify_client_cert(&der(leaf), &intermediates, at)
            .map_err(|error| SvidError::Untrusted { why: error.to_string() })?;
        Ok(Verified { id, from, until, bundle })
    }
}

/// §2: exactly one URI SAN, and it is a SPIFFE ID.
fn spiffe_id(leaf: &X509Certificate<'_>) -> Result<SpiffeId, SvidError> {
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (None, _) => Err(SvidError::NoUri),
        (Some(_), Some(_)) => Err(SvidError::SeveralUris),
        (Some(uri), None) => SpiffeId::parse(uri).map_err(|error| SvidError::Name { why: error.to_string() }),
    }
}

/// §4.1, §4.3, §5.2: a leaf is no CA and signs no certificates.
fn check_leaf(leaf: &X509Certificate<'_>) -> Result<(), SvidError> {
    let mut usage = None;
    for extension in leaf.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(basic) if basic.ca => return Err(SvidError::CaLeaf),
            ParsedExtension::KeyUsage(found) => usage = Some(found),
            _ => {}
        }
    }
    let usage = usage.ok_or(SvidError::KeyUsage)?;
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(SvidError::CaLeaf);
    }
    if usage.digital_signature() { Ok(()) } else { Err(SvidError::KeyUsage) }
}

fn validity(leaf: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let at = |seconds: i64| Timestamp::from_unix_s(u64::try_from(seconds).unwrap_or_default());
    let validity = leaf.validity();
    (at(validity.not_before.timestamp()), at(validity.not_after.timestamp()))
}

fn check_times(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<(), SvidError> {
    if now < from {
        return Err(SvidError::NotYetValid { from });
    }
    // RFC 5280 §4.1.2.5: both ends belong to the time of validity.
    if now.unix_s() > until.unix_s() { Err(SvidError::Expired { at: until }) } else { Ok(()) }
}

/// Asks a client for a certificate and has it show that it has the key. Who it is, and whether that is believed, is not
/// asked here; a client without a certificate is let in, and may show something else.
#[derive(Debug)]
pub struct PossessionOnly(WebPkiSupportedAlgorithms);

impl PossessionOnly {
    /// For the listener's TLS.
    pub fn verifier() -> Arc<dyn ClientCertVerifier> {
        Arc::new(Self(rustls::crypto::ring::default_provider().signature_verification_algorithms))
    }
}

impl ClientCertVerifier for PossessionOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
