//! A connection to the origin: happy eyeballs over checked addresses, then TLS.
//!
//! No byte of a request is written here; whoever gets a [`Dialled`] has a verified peer.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Limits;
use super::error::{OriginError, Waiting};
use super::resolve::{Resolver, Route, Wire};
use super::tls::{self, Offer, Tls};
use crate::call::Origin;

/// RFC 8305 §5: the recommended Connection Attempt Delay.
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried at most.
const ATTEMPTS: usize = 8;
/// A peer that vanished without a word is noticed after this (and the system's own number of probes).
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What bytes go over.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Which HTTP the two ends agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A verified connection.
pub(super) struct Dialled {
    pub(super) io: Box<dyn Io>,
    pub(super) protocol: Protocol,
}

/// Makes connections.
pub(super) struct Dialler {
    resolver: Resolver,
    tls: Tls,
    own: Vec<SocketAddr>,
    limits: Limits,
}

impl Dialler {
    pub(super) fn new(tls: Tls, own: Vec<SocketAddr>, limits: Limits) -> Self {
        Self { resolver: Resolver::new(limits.dns), tls, own, limits }
    }

    pub(super) async fn dial(
        &self,
        origin: &Origin,
        route: &Route,
        offer: Offer,
    ) -> Result<Dialled, OriginError> {
        let addresses = self.resolver.addresses(origin, route).await?;
        for address in &addresses {
            self.not_own(origin, *address, None)?;
        }
        let limit = self.limits.connect;
        let tcp = timeout(limit, connect_first(addresses))
            .await
            .map_err(|_elapsed| OriginError::timeout(Waiting::Connect, limit))?
            .map_err(OriginError::unreachable)?;
        if let (Ok(peer), Ok(local)) = (tcp.peer_addr(), tcp.local_addr()) {
            self.not_own(origin, peer, Some(local))?;
        }
        // Both only make it faster or tidier; a socket that lacks them still works.
        let _ = tcp.set_nodelay(true);
        let _ = socket2::SockRef::from(&tcp)
            .set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE));
        match route.wire {
            Wire::Plain => Ok(Dialled { io: Box::new(tcp), protocol: Protocol::Http1 }),
            Wire::Tls => self.secure(origin, tcp, offer).await,
        }
    }

    async fn secure(&self, origin: &Origin, tcp: TcpStream, offer: Offer) -> Result<Dialled, OriginError> {
        let name = tls::server_name(&origin.host)?;
        let limit = self.limits.handshake;
        let stream = timeout(limit, self.tls.connector(offer).connect(name, tcp))
            .await
            .map_err(|_elapsed| OriginError::timeout(Waiting::Handshake, limit))?
            .map_err(|error| tls::classify(&error))?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        Ok(Dialled { io: Box::new(stream), protocol })
    }

    /// remit's own listeners are closed even to mapped names (THREATS 39, 41). One that listens on every address is
    /// recognised after connecting: a connection to oneself has the same address at both ends.
    fn not_own(
        &self,
        origin: &Origin,
        peer: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Result<(), OriginError> {
        let ip = peer.ip().to_canonical();
        let to_itself = ip.is_loopback() || local.is_some_and(|local| local.ip().to_canonical() == ip);
        let hit = |own: &SocketAddr| {
            own.port() == peer.port() && (own.ip() == ip || (own.ip().is_unspecified() && to_itself))
        };
        if self.own.iter().any(hit) {
            let host = origin.host.to_string();
            return Err(OriginError::AddressForbidden {
                host,
                address: ip,
                range: "an address of remit itself",
            });
        }
        Ok(())
    }
}

/// RFC 8305 §5: starts an attempt, and the next one when it fails or 250 ms are over; the first to connect wins, the
/// others are dropped.
pub(super) async fn connect_first(addresses: Vec<SocketAddr>) -> Result<TcpStream, String> {
    let mut waiting = interleave(addresses);
    let mut running = FuturesUnordered::new();
    let mut failures: Vec<String> = Vec::new();
    loop {
        if let Some(address) = waiting.pop_front() {
            running.push(async move { (address, TcpStream::connect(address).await) });
        }
        let stagger = async {
            if waiting.is_empty() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(STAGGER).await;
        };
        tokio::select! {
            ended = running.next() => match ended {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((address, Err(error))) => failures.push(describe(address, &error)),
                None => return Err(failures.join("; ")),
            },
            () = stagger => {}
        }
    }
}

fn describe(address: SocketAddr, error: &io::Error) -> String {
    format!("{address}: {error}")
}

/// RFC 8305 §4: families in turn, beginning with that of the first address, which the system's resolver has sorted
/// (RFC 6724).
pub(super) fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (same, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut out = VecDeque::new();
    loop {
        let pair = (same.next(), other.next());
        if pair == (None, None) {
            break;
        }
        out.extend(pair.0);
        out.extend(pair.1);
    }
    out.truncate(ATTEMPTS);
    out
}
