//! Ends the agent's TLS inside a tunnel, with a leaf for the name that it asked for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::connect::Connection;
use super::{Front, Walk, serve};
use crate::call::veil::veil;
use crate::call::{Host, Origin, Refusal};

/// A fatal alert, `unrecognized_name` (RFC 6066 §3, RFC 8446 §6): what a server says to an SNI that it does not serve.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

pub(super) async fn serve<W, IO>(front: Arc<Front<W>>, io: IO, connection: Connection)
where
    W: Walk,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some((origin, _)) = &connection.tunnel else { return };
    let (peer, authority) = (connection.peer, Some(format!("{}:{}", origin.host, origin.port)));
    let handshake = timeout(front.settings.handshake_time, handshake(&front, io, origin)).await;
    let tls = match handshake {
        Ok(Ok(tls)) => tls,
        Ok(Err(refusal)) => return front.turn_away(peer, authority, refusal).await,
        Err(_) => {
            let limit_s = front.settings.handshake_time.as_secs();
            return front.turn_away(peer, authority, Refusal::TooSlow { limit_s }).await;
        }
    };
    let connection = Arc::new(connection);
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve::http2(front.clone(), tls, connection.clone()).await;
    } else {
        serve::http1(front.clone(), tls, BytesMut::new(), connection.clone()).await;
    }
    if connection.requests.load(Ordering::Relaxed) == 0 {
        // GnuTLS and others finish a TLS 1.3 handshake before they look at the certificate, then close without an alert.
        let why = "the client closed before its first request; it may not trust remit's CA".to_owned();
        front.turn_away(peer, authority, Refusal::TlsHandshake { why }).await;
    }
}

async fn handshake<W: Walk, IO: AsyncRead + AsyncWrite + Unpin>(
    front: &Front<W>,
    io: IO,
    origin: &Origin,
) -> Result<TlsStream<IO>, Refusal> {
    let failed = |error: std::io::Error| Refusal::TlsHandshake { why: error.to_string() };
    let mut hello = LazyConfigAcceptor::new(Acceptor::default(), io).await.map_err(failed)?;
    if let Err(refusal) = agrees(origin, hello.client_hello().server_name()) {
        let _gone_already = hello.io.write_all(&UNRECOGNIZED_NAME).await;
        return Err(refusal);
    }
    let config: Arc<ServerConfig> = front.ca.server_config(&origin.host).map_err(|error| {
        tracing::error!(%error, "no leaf certificate could be made");
        Refusal::Internal
    })?;
    hello.into_stream(config).await.map_err(failed)
}

/// INVARIANT I4: the CONNECT target and the SNI name one host. Without SNI the CONNECT target stands alone.
fn agrees(origin: &Origin, sni: Option<&str>) -> Result<(), Refusal> {
    let Some(sni) = sni else { return Ok(()) };
    if Host::parse(sni).as_ref() == Ok(&origin.host) {
        return Ok(());
    }
    let got = veil(sni, "").chars().take(300).collect();
    Err(Refusal::OriginMismatch { expected: origin.host.to_string(), what: "the SNI", got })
}
