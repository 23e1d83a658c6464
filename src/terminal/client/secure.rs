//! TLS towards an admin API that is not on this machine: whom to believe, and which certificate to show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::terminal::failure::Failure;

/// What a verb was told about TLS.
#[derive(Clone, Debug, Default)]
pub(in crate::terminal) struct Tls {
    /// PEM of those to believe, beside the system's.
    pub(in crate::terminal) ca: Option<PathBuf>,
    /// What to show: a certificate chain and its key, PEM.
    pub(in crate::terminal) certificate: Option<(PathBuf, PathBuf)>,
}

/// Connects to one host.
#[derive(Clone)]
pub(super) struct Secure {
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Secure {
    pub(super) fn new(host: &str, tls: &Tls) -> Result<Self, Failure> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare);
        let name = name.map_err(|_| Failure::usage(format!("`{host}` is no name that a certificate has")))?;
        let mut roots = RootCertStore::empty();
        // What cannot be read of the system's is missing, and then the node is not believed.
        for one in rustls_native_certs::load_native_certs().certs {
            let _unusable = roots.add(one);
        }
        for one in tls.ca.as_deref().map(certificates).transpose()?.unwrap_or_default() {
            roots.add(one).map_err(|error| Failure::usage(format!("the admin API's CA: {error}")))?;
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder =
            builder.map_err(|error| Failure::usage(error.to_string()))?.with_root_certificates(roots);
        let config = match &tls.certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let secret =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error.to_string()))?;
                let shown = builder.with_client_auth_cert(certificates(chain)?, secret);
                shown.map_err(|error| unreadable(chain, &error.to_string()))?
            }
        };
        Ok(Self { name, connector: TlsConnector::from(Arc::new(config)) })
    }

    pub(super) async fn connect(&self, socket: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), socket).await
    }
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secure({:?})", self.name)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(path, &error.to_string()))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|error| unreadable(path, &error.to_string()))?;
    if found.is_empty() { Err(unreadable(path, "it has no certificate in PEM")) } else { Ok(found) }
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("`{}` cannot be used: {why}", path.display()))
}
