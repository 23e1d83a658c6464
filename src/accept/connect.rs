//! The forward proxy's door: CONNECT (RFC 9110 §9.3.6) and absolute-form (RFC 9112 §3.2.2), with `Proxy-Authorization`
//! (RFC 9110 §11.7.2).

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::listen::Stay;
use super::{Front, Walk, door, intercept, refuse, serve, turns_true};
use crate::body::framing::head::{self as framing, Frame, Kind, RequestHead, Violation};
use crate::call::principal::Entrance;
use crate::call::veil::without_user;
use crate::call::{Certificates, Origin, Presented, Process, Refusal, Scheme, Secret};

/// Ports where no web API lives: the Fetch Standard's list of bad ports (§2.9 "Port blocking") below 1024, less those of
/// HTTP itself, and the databases that agents are most often pointed at.
const REFUSED_PORTS: [u16; 45] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 110, 111, 113, 119,
    123, 135, 137, 139, 143, 161, 179, 389, 465, 514, 587, 636, 993, 995, 1433, 3306, 5432, 6379, 27017,
];

/// How long is looked for the process that connected. It reads the descriptors of every process, so this bounds what many
/// connections at once can cost.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// How many are looked for at a time.
pub(super) const LOOKS: usize = 4;

/// What all requests of one connection have in common.
pub(super) struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// The listener.
    pub entrance: Entrance,
    /// What it showed in the TLS handshake with the proxy itself.
    pub certificates: Option<Certificates>,
    /// The process that connected.
    pub process: Option<Arc<Process>>,
    /// Inside a tunnel: where it leads, and what was presented for it.
    pub tunnel: Option<(Origin, Presented)>,
    /// Requests that were read.
    pub requests: AtomicU64,
    /// Kept by whatever works for this connection, after it too: an upgraded one, a call whose agent left.
    _stay: Stay,
}

/// Serves one connection to its end.
pub(super) async fn serve<W: Walk>(
    front: Arc<Front<W>>,
    stream: TcpStream,
    peer: SocketAddr,
    entrance: Entrance,
    stay: Stay,
) {
    let shown = Presented {
        peer,
        by: entrance,
        token: None,
        certificates: None,
        chain: None,
        process: neighbour(&front, &stream, peer).await,
    };
    match entrance {
        Entrance::Proxy | Entrance::TaskPort(_) => converse(front, stream, shown, stay).await,
        Entrance::TlsProxy => match door::open(&front, stream).await {
            Ok((stream, certificates)) => {
                converse(front, stream, Presented { certificates, ..shown }, stay).await;
            }
            Err(refusal) => front.turn_away(peer, None, refusal).await,
        },
    }
}

/// The process that connected, if it is found in time, asked for at once: it may be gone by the time that somebody wants to know.
async fn neighbour<W>(front: &Front<W>, stream: &TcpStream, peer: SocketAddr) -> Option<Arc<Process>> {
    let neighbours = front.neighbours.clone().filter(|_| peer.ip().to_canonical().is_loopback())?;
    let local = stream.local_addr().ok()?;
    let look = async {
        let place = front.looks.clone().acquire_owned().await.ok()?;
        let looking = tokio::task::spawn_blocking(move || {
            let found = neighbours.at(peer, local);
            drop(place);
            found
        });
        looking.await.ok().flatten().map(Arc::new)
    };
    timeout(LOOK_TIME, look).await.ok().flatten()
}

/// The requests of one connection, up to a tunnel or the first that needs none.
async fn converse<W: Walk, IO>(front: Arc<Front<W>>, mut stream: IO, shown: Presented, stay: Stay)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = shown.peer;
    let mut raw = BytesMut::with_capacity(4096);
    loop {
        let head = match read_head(&front, &mut stream, &mut raw).await {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(violation) => return turn_away(&front, stream, peer, None, refusal_of(violation)).await,
        };
        let parsed = match framing::request(&head, &front.settings.limits) {
            Ok(parsed) => parsed,
            Err(violation) => return turn_away(&front, stream, peer, None, refusal_of(violation)).await,
        };
        if parsed.frame != Frame::Connect {
            let mut unread = head.clone();
            unread.unsplit(raw);
            let connection = Connection::of(shown, None, stay);
            return serve::http1(front, stream, unread, Arc::new(connection)).await;
        }
        let asked: String = parsed.target.chars().take(300).collect();
        match open(&front, &parsed, &shown) {
            Ok(tunnel) => {
                if stream.write_all(b"HTTP/1.1 200 Connection Established\r\n\r\n").await.is_ok() {
                    let connection = Connection::of(shown, Some(tunnel), stay);
                    through(front, Rewind { ahead: raw, io: stream }, connection).await;
                }
                return;
            }
            // Clients such as git wait for the challenge and answer it on the same connection.
            Err(Refusal::IdentityRequired) => {
                let refusal = Refusal::IdentityRequired;
                let answer = refuse::on_the_wire(&refusal, refuse::Then::KeepAlive);
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
                front.turn_away(peer, Some(asked), refusal).await;
            }
            Err(refusal) => return turn_away(&front, stream, peer, Some(asked), refusal).await,
        }
    }
}

async fn turn_away<W: Walk>(
    front: &Front<W>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    asked: Option<String>,
    refusal: Refusal,
) {
    let answer = refuse::on_the_wire(&refusal, refuse::Then::Close);
    front.turn_away(peer, asked, refusal).await;
    if stream.write_all(&answer).await.is_ok() && stream.shutdown().await.is_ok() {
        // Closing with unread bytes would reset the connection and take the answer with it (RFC 9112 §9.6).
        let mut sink = [0; 4096];
        let drained = async { while matches!(stream.read(&mut sink).await, Ok(1..)) {} };
        let _either_way = timeout(Duration::from_secs(1), drained).await;
    }
}

/// The next whole head; `None` when the connection ends, or idles too long, before one begins.
async fn read_head<W>(
    front: &Front<W>,
    stream: &mut (impl AsyncRead + Unpin),
    raw: &mut BytesMut,
) -> Result<Option<BytesMut>, Violation> {
    let limits = &front.settings.limits;
    let mut drain = front.drain.clone();
    if raw.is_empty() {
        let first = tokio::select! {
            biased;
            read = timeout(limits.idle_time, stream.read_buf(raw)) => read,
            () = turns_true(&mut drain) => return Ok(None),
        };
        if !matches!(first, Ok(Ok(1..))) {
            return Ok(None);
        }
    }
    let whole = async {
        let mut seen = 0;
        loop {
            if let Some(length) = framing::find_end(raw, seen, limits)? {
                return Ok(Some(raw.split_to(length)));
            }
            seen = raw.len();
            if !matches!(stream.read_buf(raw).await, Ok(1..)) {
                return Err(Violation::new("the connection ended within the head"));
            }
        }
    };
    timeout(limits.head_time, whole).await.unwrap_or_else(|_| {
        let kind = Kind::TooSlow(limits.head_time.as_secs());
        Err(Violation { why: "the head did not arrive in time".into(), kind })
    })
}

pub(super) fn refusal_of(violation: Violation) -> Refusal {
    match violation.kind {
        Kind::Malformed => Refusal::BadRequest { why: violation.why },
        Kind::HeadTooLarge => Refusal::HeadTooLarge { why: violation.why },
        Kind::TargetTooLong(limit_bytes) => Refusal::TargetTooLong { limit_bytes },
        Kind::TooSlow(limit_s) => Refusal::TooSlow { limit_s },
    }
}

/// Whether a CONNECT may open its tunnel, and whereto.
fn open<W: Walk>(
    front: &Front<W>,
    head: &RequestHead<'_>,
    shown: &Presented,
) -> Result<(Origin, Presented), Refusal> {
    let bad = |why: String| Refusal::BadRequest { why };
    let (host, port) = Origin::parse_authority(head.target, None).map_err(|error| bad(error.to_string()))?;
    if let Some(named) = head.field("host") {
        // Some clients leave the port out here, though RFC 9112 §3.2 wants the target repeated.
        let named = String::from_utf8_lossy(named);
        let agrees = Origin::parse_authority(&named, Some(port)).is_ok_and(|(h, p)| h == host && p == port);
        if !agrees && Origin::parse_authority(&named, Some(80)) != Ok((host.clone(), 80)) {
            let got = without_user(&named).chars().take(300).collect();
            return Err(Refusal::OriginMismatch {
                expected: format!("{host}:{port}"),
                what: "the Host header",
                got,
            });
        }
    }
    let token = head.field("proxy-authorization").map(credentials).transpose()?;
    let presented = Presented { token, ..shown.clone() };
    front.walk.admit(&presented)?;
    if REFUSED_PORTS.contains(&port) {
        return Err(Refusal::PortRefused { port });
    }
    // Whether it is plain HTTP after all shows in the first byte through the tunnel.
    Ok((Origin { scheme: Scheme::Https, host, port }, presented))
}

/// The token in a `Proxy-Authorization`: the password of Basic (RFC 7617), or what follows Bearer (RFC 6750 §2.1).
pub(super) fn credentials(value: &[u8]) -> Result<Secret<String>, Refusal> {
    let bad = |why: &str| Refusal::IdentityInvalid { why: why.to_owned() };
    let text = std::str::from_utf8(value).map_err(|_| bad("Proxy-Authorization is not ASCII"))?;
    let (scheme, rest) = text.split_once(' ').ok_or(bad("Proxy-Authorization has no credentials"))?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Secret::new(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(bad("Proxy-Authorization is neither Basic nor Bearer"));
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(rest.trim());
    let decoded = decoded.map_err(|_| bad("the Basic credentials are not base64"))?;
    let decoded = String::from_utf8(decoded).map_err(|_| bad("the Basic credentials are not UTF-8"))?;
    let (_user, password) = decoded.split_once(':').ok_or(bad("the Basic credentials have no password"))?;
    Ok(Secret::new(password.to_owned()))
}

/// What comes through an open tunnel: TLS, or, to another port than 443, plain HTTP. Some clients build a tunnel for
/// `http://` too.
async fn through<W: Walk, IO>(front: Arc<Front<W>>, mut io: Rewind<IO>, mut connection: Connection)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = connection.peer;
    let Some((origin, _)) = &mut connection.tunnel else { return };
    let authority = Some(format!("{}:{}", origin.host, origin.port));
    let first = timeout(front.settings.handshake_time, io.first_byte()).await;
    // RFC 8446 §5.1: a TLS connection begins with a record of type 22, handshake.
    match first {
        Ok(Some(22)) => intercept::serve(front, io, connection).await,
        Ok(Some(byte)) if origin.port != Scheme::Https.default_port() && byte.is_ascii_uppercase() => {
            origin.scheme = Scheme::Http;
            let Rewind { ahead, io } = io;
            serve::http1(front, io, ahead, Arc::new(connection)).await;
        }
        Ok(Some(_)) => {
            let refusal = Refusal::NotTls { origin: authority.clone().unwrap_or_default() };
            front.turn_away(peer, authority, refusal).await;
        }
        Ok(None) => {
            let why = "the client closed the tunnel without a word".to_owned();
            front.turn_away(peer, authority, Refusal::TlsHandshake { why }).await;
        }
        Err(_) => {
            let limit_s = front.settings.handshake_time.as_secs();
            front.turn_away(peer, authority, Refusal::TooSlow { limit_s }).await;
        }
    }
}

impl Connection {
    fn of(shown: Presented, tunnel: Option<(Origin, Presented)>, stay: Stay) -> Self {
        let Presented { peer, by: entrance, certificates, process, .. } = shown;
        Self { peer, entrance, certificates, process, tunnel, requests: AtomicU64::new(0), _stay: stay }
    }

    /// Counts a request.
    pub(super) fn count(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// An I/O with bytes that were read ahead.
pub(super) struct Rewind<IO> {
    /// Delivered first.
    pub ahead: BytesMut,
    /// Then this.
    pub io: IO,
}

impl<IO: AsyncRead + Unpin> Rewind<IO> {
    /// The first byte, left in its place; `None` at the end.
    async fn first_byte(&mut self) -> Option<u8> {
        if self.ahead.is_empty() {
            self.io.read_buf(&mut self.ahead).await.ok()?;
        }
        self.ahead.first().copied()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Rewind<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let n = self.ahead.len().min(buf.remaining());
        buf.put_slice(self.ahead.get(..n).unwrap_or_default());
        self.ahead.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Rewind<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
