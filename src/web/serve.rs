//! The listener of the admin API.
//!
//! HTTP/1.1 by hyper itself rather than `axum::serve`, which knows no deadline for a head that never comes and no bound
//! on connections: on a laptop every process of the user can reach this port.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::body::Body;
use crate::call::Certificates;

/// Connections that are served at once; further ones wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a head may take, and how long a connection may be idle between two.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Longest head, bytes; hyper answers a longer one with 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long requests may go on after `stop`.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a TLS handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// A listener, and what it speaks.
pub struct Door {
    /// Takes connections.
    pub listener: TcpListener,
    /// Over TLS, by the settings of the time of the connection; none: plain HTTP.
    pub tls: Option<watch::Receiver<Arc<rustls::ServerConfig>>>,
}

/// The other end of a connection; in the extensions of each request that came over it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Where it is.
    pub(super) address: SocketAddr,
    /// Whether it came over TLS.
    pub(super) secure: bool,
    /// What it showed there. Its key was asked for, and nothing else yet.
    pub(super) certificates: Option<Certificates>,
}

/// Serves until `stop` is done, then lets the requests that have begun end, for a few seconds.
pub async fn serve(door: Door, router: Router, stop: impl Future<Output = ()>) {
    let Door { listener, tls } = door;
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accept = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (place, accepted) = accept => match accepted {
                Ok((stream, address)) => {
                    let tls = tls.as_ref().map(|tls| TlsAcceptor::from(tls.borrow().clone()));
                    let connection = greet(stream, address, tls, router.clone(), stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin API cannot take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop((listener, stopping));
    let all_done = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_LIMIT, all_done).await.is_err() {
        connections.shutdown().await;
    }
}

async fn greet(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stopped: watch::Receiver<()>,
) {
    let Some(tls) = tls else {
        return connection(stream, Peer { address, secure: false, certificates: None }, router, stopped)
            .await;
    };
    match tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let shown: Certificates = shown.iter().map(|one| one.to_vec()).collect();
            let certificates = (!shown.is_empty()).then_some(shown);
            connection(stream, Peer { address, secure: true, certificates }, router, stopped).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, %address, "a TLS handshake with the admin API failed"),
        Err(_late) => tracing::debug!(%address, "a TLS handshake with the admin API took too long"),
    }
}

async fn connection<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: T,
    peer: Peer,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let api = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        // A refused request may still be on its way.
        api.call(Body::of_request(request))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        // An error: the other end of the channel is gone.
        _ = stopped.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the admin API ended badly");
    }
}
