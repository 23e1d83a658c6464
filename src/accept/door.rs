//! TLS with the proxy itself, where a client can show a certificate. Whose it is is not asked here.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Front, Walk};
use crate::call::{Certificates, Host, Refusal};

/// A fatal alert, `internal_error` (RFC 8446 §6.2).
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// Shakes hands, as the name that the client asks for or as the address that it reached.
pub(super) async fn open<W: Walk>(
    front: &Front<W>,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Option<Certificates>), Refusal> {
    let limit = front.settings.handshake_time;
    let shaken = timeout(limit, shake(front, stream)).await;
    let stream = shaken.unwrap_or(Err(Refusal::TooSlow { limit_s: limit.as_secs() }))?;
    let shown = stream.get_ref().1.peer_certificates();
    let certificates = shown.map(|chain| chain.iter().map(|one| one.to_vec()).collect());
    Ok((stream, certificates))
}

async fn shake<W: Walk>(front: &Front<W>, stream: TcpStream) -> Result<TlsStream<TcpStream>, Refusal> {
    let failed = |error: std::io::Error| Refusal::TlsHandshake { why: error.to_string() };
    let reached = stream.local_addr().map_err(failed)?.ip();
    let mut hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed)?;
    let asked = hello.client_hello().server_name().map(Host::parse);
    // Clients that reach an address send no name (RFC 6066 §3).
    let host = match asked {
        Some(Ok(host)) => host,
        Some(Err(error)) => return Err(Refusal::TlsHandshake { why: error.to_string() }),
        None => Host::from(reached),
    };
    let config: Arc<ServerConfig> = match front.ca.door_config(&host) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "no certificate for the proxy itself could be made");
            let _gone_already = hello.io.write_all(&INTERNAL_ERROR).await;
            return Err(Refusal::Internal);
        }
    };
    hello.into_stream(config).await.map_err(failed)
}
