//! TLS towards the origin: always verified, 1.2 or later, and its failures in plain words.
//!
//! There is no way to turn verification off; an operator's own CA goes under `upstream.trust`.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::error::{OriginError, SetupError};
use crate::call::Host;

/// Sessions that are kept for resumption, per offer. Each is about a kilobyte.
const SESSIONS: usize = 1024;

/// What is offered in ALPN (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// h2 first, then http/1.1.
    Any,
    /// http/1.1 alone: an upgrade needs a connection of its own (RFC 9110 §7.8).
    Http1,
}

/// The two client configurations.
pub(super) struct Tls {
    any: TlsConnector,
    http1: TlsConnector,
}

impl Tls {
    /// Reads the system's roots, once, and adds the operator's.
    pub(super) fn new(extra: &[CertificateDer<'static>]) -> Result<Self, SetupError> {
        let roots = Arc::new(anchors(extra)?);
        let offering = |protocols: &[&[u8]]| -> Result<TlsConnector, SetupError> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
                .map_err(|error| SetupError::Tls(error.to_string()))?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            config.resumption = Resumption::in_memory_sessions(SESSIONS);
            Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Self { any: offering(&[b"h2", b"http/1.1"])?, http1: offering(&[b"http/1.1"])? })
    }

    pub(super) fn connector(&self, offer: Offer) -> &TlsConnector {
        match offer {
            Offer::Any => &self.any,
            Offer::Http1 => &self.http1,
        }
    }
}

fn anchors(extra: &[CertificateDer<'static>]) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    // Of the system's roots, one that cannot be read is left out: distributions carry odd ones.
    roots.add_parsable_certificates(system.certs);
    for (at, certificate) in extra.iter().enumerate() {
        roots
            .add(certificate.clone())
            .map_err(|error| SetupError::BadAnchor { nth: at + 1, why: error.to_string() })?;
    }
    if roots.is_empty() {
        let why = system.errors.first().map_or("no certificate found".to_owned(), ToString::to_string);
        return Err(SetupError::NoAnchors { why });
    }
    Ok(roots)
}

/// The name that the certificate must be for. Of an address no SNI is sent (RFC 6066 §3).
pub(super) fn server_name(host: &Host) -> Result<ServerName<'static>, OriginError> {
    match host {
        Host::V4(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::V6(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| OriginError::Malformed {
            why: format!("`{name}` is not a name that a certificate can be for"),
        }),
    }
}

/// Tells what a failed handshake says about the origin.
pub(super) fn classify(error: &io::Error) -> OriginError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => OriginError::Untrusted { why: in_words(error) },
        Some(rustls::Error::NoCertificatesPresented) => {
            OriginError::Untrusted { why: "it presents none".to_owned() }
        }
        Some(rustls::Error::PeerIncompatible(why)) => {
            OriginError::unreachable(format!("no common version or suite of TLS 1.2 or later ({why:?})"))
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            OriginError::unreachable("the TLS handshake failed: what answers does not speak TLS")
        }
        Some(other) => OriginError::unreachable(format!("the TLS handshake failed: {other}")),
        None => OriginError::unreachable(format!("the TLS handshake broke off: {error}")),
    }
}

fn in_words(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "it has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            format!("it expired {days} days ago; is this machine's clock right?")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "its issuer is not known here, or it is self-signed; a private CA belongs under upstream.trust"
                .to_owned()
        }
        CertificateError::NotValidForName => "it is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = if presented.is_empty() { "no name".to_owned() } else { listed(presented) };
            format!("it is not for `{}` but for {names}", expected.to_str())
        }
        CertificateError::BadSignature => "its signature does not hold".to_owned(),
        CertificateError::BadEncoding => "it cannot be read".to_owned(),
        CertificateError::Revoked => "it is revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not for servers".to_owned()
        }
        other => format!("it is not acceptable ({other})"),
    }
}

/// At most eight names: certificates of large providers carry hundreds.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).map(|name| bare(name)).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}

/// rustls hands names out as `DnsName("a.test")` and `IpAddress(192.0.2.1)`.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}
