//! What lets operators in, made of the configuration: certificates, an identity provider, and the TLS of their listener.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::config::{Config, Provider};
use super::error::StartError;
use super::leases::Around;
use crate::call::{Clock, Fetch};
use crate::identity::{Bundles, ClientCertificates, Oidc, OidcSettings, PossessionOnly};
use crate::web::{self, Door, Evidence, Operators};

/// Who is let in, but for whoever has the admin token.
pub(super) async fn operators(
    config: &Config,
    bundles: &Arc<Bundles>,
    around: &Around<'_>,
) -> Result<Arc<Operators>, StartError> {
    let Around { clock, entropy, fetch, .. } = around;
    let admin = &config.admin;
    let certificates = if config.listen.admin_tls.is_some() {
        let own = admin.client_ca.as_deref().map(certificates).transpose()?.unwrap_or_default();
        let made = ClientCertificates::new(bundles.clone(), own, Arc::clone(clock));
        Some(made.map_err(|why| StartError::Operators { why: format!("admin.client_ca: {why}") })?)
    } else {
        None
    };
    let provider = match &admin.oidc {
        None => None,
        Some(provider) => Some((oidc(provider, fetch.clone(), clock).await?, provider.reading.clone())),
    };
    let evidence = Evidence { certificates, provider };
    let operators = Operators::new(admin.access.clone(), evidence, Arc::clone(clock), Arc::clone(entropy));
    Ok(Arc::new(operators))
}

/// Runs the listeners of the admin API, as long as the node runs.
pub(super) fn serve(
    plain: TcpListener,
    secure: Option<(TcpListener, Arc<ServerConfig>)>,
    api: &web::Api,
) -> Vec<JoinHandle<()>> {
    let plain = Door { listener: plain, tls: None };
    let secure = secure.map(|(listener, tls)| Door { listener, tls: Some(tls) });
    let run = |door| tokio::spawn(web::serve(door, api.clone(), pending()));
    [Some(plain), secure].into_iter().flatten().map(run).collect()
}

async fn oidc(
    provider: &Provider,
    fetch: Arc<dyn Fetch>,
    clock: &Arc<dyn Clock>,
) -> Result<Oidc, StartError> {
    let Provider { issuer, client_id, client_secret, scopes, .. } = provider.clone();
    let client_secret =
        match client_secret {
            None => None,
            Some(source) => Some(source.read().await.map_err(|error| StartError::Operators {
                why: format!("admin.oidc.client_secret: {error}"),
            })?),
        };
    Ok(Oidc::new(OidcSettings { issuer, client_id, client_secret, scopes }, fetch, clock.clone()))
}

/// How the operators' listener shows itself, if there is one, and what it asks for: any client certificate, which is judged
/// request by request.
pub(super) fn tls(config: &Config) -> Result<Option<Arc<ServerConfig>>, StartError> {
    let (Some(_), Some((certificate, key))) = (config.listen.admin_tls, &config.admin.certificate) else {
        return Ok(None);
    };
    let wrong =
        |path: &Path, why: String| StartError::Operators { why: format!("`{}`: {why}", path.display()) };
    let chain = certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error.to_string()))?;
    let made = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_client_cert_verifier(PossessionOnly::verifier()))
        .and_then(|builder| builder.with_single_cert(chain, secret))
        .map_err(|error| wrong(certificate, error.to_string()))?;
    Ok(Some(Arc::new(made)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let wrong = |why: String| StartError::Operators { why: format!("`{}`: {why}", path.display()) };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("it has no certificate in PEM".into())) } else { Ok(found) }
}
