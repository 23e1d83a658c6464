//! What lets operators in, made of the configuration: certificates, an identity provider, and the TLS of their listener.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::{Config, Provider};
use super::error::StartError;
use super::leases::Around;
use crate::call::{Clock, Fetch};
use crate::identity::{Bundles, ClientCertificates, Oidc, OidcSettings, PossessionOnly};
use crate::web::{self, Door, Evidence, Operators};

/// How often the files of `[admin]` are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Who is let in, but for whoever has the admin token; and whose certificates are believed.
pub(super) async fn operators(
    config: &Config,
    bundles: &Arc<Bundles>,
    around: &Around<'_>,
) -> Result<(Arc<Operators>, Option<Arc<ClientCertificates>>), StartError> {
    let Around { clock, entropy, fetch, .. } = around;
    let admin = &config.admin;
    let certificates = if config.listen.admin_tls.is_some() {
        let own = admin.client_ca.as_deref().map(certificates).transpose()?.unwrap_or_default();
        let made = ClientCertificates::new(bundles.clone(), own, Arc::clone(clock));
        Some(Arc::new(made.map_err(|why| wrong_ca(&why))?))
    } else {
        None
    };
    let provider = match &admin.oidc {
        None => None,
        Some(provider) => Some((oidc(provider, fetch.clone(), clock).await?, provider.reading.clone())),
    };
    let evidence = Evidence { certificates: certificates.clone(), provider };
    let operators = Operators::new(admin.access.clone(), evidence, Arc::clone(clock), Arc::clone(entropy));
    Ok((Arc::new(operators), certificates))
}

fn wrong_ca(why: &str) -> StartError {
    StartError::Operators { why: format!("admin.client_ca: {why}") }
}

/// Runs the listeners of the admin API, as long as the node runs.
pub(super) fn serve(
    config: &Config,
    (plain, secure): (TcpListener, Option<(TcpListener, Arc<ServerConfig>)>),
    believed: Option<Arc<ClientCertificates>>,
    api: &web::Api,
) -> Vec<JoinHandle<()>> {
    let run = |door| tokio::spawn(web::serve(door, api.clone(), pending()));
    let mut running = vec![run(Door { listener: plain, tls: None })];
    if let Some((listener, tls)) = secure {
        let (shown, tls) = watch::channel(tls);
        running.push(run(Door { listener, tls: Some(tls) }));
        running.push(tokio::spawn(renew(config.clone(), shown, believed)));
    }
    running
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

/// Looks at the files of certificate, key and CA for as long as the node runs, since they are replaced before they end. What cannot
/// be used is told, and what was in use stays.
async fn renew(
    config: Config,
    shown: watch::Sender<Arc<ServerConfig>>,
    believed: Option<Arc<ClientCertificates>>,
) {
    let files = |config: &Config| {
        let (certificate, key) = config.admin.certificate.clone().unzip();
        let paths = [certificate, key, config.admin.client_ca.clone()];
        paths.map(|path| path.map(|path| std::fs::read(path).ok()))
    };
    let mut known = files(&config);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let seen = files(&config);
        if seen == known {
            continue;
        }
        known = seen;
        let renewed = tls(&config).and_then(|made| {
            let own = config.admin.client_ca.as_deref().map(certificates).transpose()?.unwrap_or_default();
            believed
                .as_ref()
                .map_or(Ok(()), |believed| believed.replace(own))
                .map_err(|why| wrong_ca(&why))?;
            Ok(made)
        });
        match renewed {
            Ok(Some(made)) => {
                let _before = shown.send_replace(made);
                tracing::info!("the certificates of the admin API were read again");
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the certificates of the admin API have changed and cannot be used; those before stay");
            }
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let wrong = |why: String| StartError::Operators { why: format!("`{}`: {why}", path.display()) };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("it has no certificate in PEM".into())) } else { Ok(found) }
}
