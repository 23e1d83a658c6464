//! One HTTP connection to an origin: the handshake, the task that drives it, and sending one request over it.
//!
//! hyper's clients are used with these limits: heads bounded, no header folding, no HTTP/0.9, no server push (hyper turns
//! it off), a PING every 30 s while streams are open, so that a peer that vanished is noticed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, timeout};

use super::Limits;
use super::deadline::Outbound;
use super::dial::{Dialled, Io, Protocol};
use super::error::{OriginError, Waiting};
use crate::body::framing::{self, Control, Strict};

/// Flow control (RFC 9113 §5.2): what an origin may send ahead of the agent's reading, per stream and per connection.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// What the agent may send ahead of the origin's reading, per stream.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(20);
/// A connection whose answer has just been read needs a moment to say so.
const SETTLE_LIMIT: Duration = Duration::from_millis(100);

type Request = http::Request<Outbound>;
type Response = http::Response<Incoming>;

/// A request that was not answered: with the request, if none of it was written.
pub(super) type Unanswered = TrySendError<Request>;

/// An HTTP/1.1 connection: one request at a time.
pub(super) struct Http1 {
    sender: http1::SendRequest<Outbound>,
    /// Told of each request, since HEAD's answers have no body whatever they announce.
    control: Arc<Control>,
    /// When it was last used.
    pub(super) used: Instant,
    /// What the origin said of how long it waits (`Keep-Alive: timeout`), or our own limit.
    pub(super) keep: Duration,
}

/// An HTTP/2 connection: shared.
pub(super) struct Http2 {
    sender: http2::SendRequest<Outbound>,
    /// Streams that are open now.
    open: AtomicUsize,
    /// Streams that the origin allows (`SETTINGS_MAX_CONCURRENT_STREAMS`), as last seen.
    allowed: Arc<AtomicUsize>,
    used: std::sync::Mutex<Instant>,
}

/// A place on an HTTP/2 connection; given back on drop.
pub(super) struct Stream(pub(super) Arc<Http2>);

/// What a dial ends in.
pub(super) enum Fresh {
    Http1(Http1),
    Http2(Arc<Http2>),
}

/// Takes a verified connection into use. Its driver is spawned here and ends with the connection.
pub(super) async fn establish(dialled: Dialled, limits: &Limits) -> Result<Fresh, OriginError> {
    let late = |_elapsed| OriginError::timeout(Waiting::Handshake, limits.handshake);
    match dialled.protocol {
        Protocol::Http1 => Http1::establish(dialled.io, limits).await.map(Fresh::Http1),
        Protocol::Http2 => timeout(limits.handshake, Http2::establish(dialled.io, limits))
            .await
            .map_err(late)?
            .map(|http2| Fresh::Http2(Arc::new(http2))),
    }
}

impl Http1 {
    async fn establish(io: Box<dyn Io>, limits: &Limits) -> Result<Self, OriginError> {
        // The one place where HTTP/1.1 answers enter: none gets to hyper that allows two readings.
        let control = Control::new(Arc::from(""));
        let heads = framing::Limits {
            head_bytes: usize::try_from(limits.head_bytes).unwrap_or(usize::MAX),
            ..framing::Limits::default()
        };
        let io = TokioIo::new(Strict::answers(io, heads, control.clone()));
        let (sender, driver) = http1::Builder::new()
            .max_header_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX))
            .handshake(io)
            .await
            .map_err(|error| OriginError::unreachable(error.to_string()))?;
        // With upgrades: a WebSocket takes its bytes out of this task's hands; all else ends as without.
        tokio::spawn(driver.with_upgrades());
        Ok(Self { sender, control, used: Instant::now(), keep: limits.pool_idle })
    }

    pub(super) async fn send(&mut self, request: Request) -> Result<Response, Unanswered> {
        self.control.asks(request.method());
        self.sender.try_send_request(request).await
    }

    /// Whether it may still be worth something.
    pub(super) fn is_fit(&self) -> bool {
        !self.sender.is_closed() && self.used.elapsed() < self.keep
    }

    /// Waits until it takes a request; false if it never will.
    pub(super) async fn is_ready(&mut self) -> bool {
        self.sender.is_ready() || matches!(timeout(SETTLE_LIMIT, self.sender.ready()).await, Ok(Ok(())))
    }
}

impl Http2 {
    async fn establish(io: Box<dyn Io>, limits: &Limits) -> Result<Self, OriginError> {
        let (sender, mut driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_header_list_size(limits.head_bytes)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_LIMIT)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| OriginError::unreachable(format!("the HTTP/2 handshake failed: {error}")))?;
        let allowed = Arc::new(AtomicUsize::new(driver.current_max_send_streams()));
        let seen = allowed.clone();
        tokio::spawn(std::future::poll_fn(move |cx| {
            let ended = std::pin::Pin::new(&mut driver).poll(cx);
            seen.store(driver.current_max_send_streams(), Ordering::Relaxed);
            ended.map(drop)
        }));
        Ok(Self { sender, open: AtomicUsize::new(0), allowed, used: std::sync::Mutex::new(Instant::now()) })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Since when nothing is open on it; none while something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let used = *self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (self.open.load(Ordering::Acquire) == 0).then_some(used)
    }

    /// A place, if the origin allows one more stream. Callers hold the pool's lock, so two never take the same one.
    pub(super) fn place(self: &Arc<Self>) -> Option<Stream> {
        let allowed = self.allowed.load(Ordering::Relaxed);
        if self.is_closed() || self.open.load(Ordering::Acquire) >= allowed {
            return None;
        }
        Some(self.overdraw())
    }

    /// A place even if there is none: the request then waits on the connection until a stream ends.
    pub(super) fn overdraw(self: &Arc<Self>) -> Stream {
        self.open.fetch_add(1, Ordering::AcqRel);
        Stream(self.clone())
    }
}

impl Stream {
    pub(super) async fn send(&self, request: Request) -> Result<Response, Unanswered> {
        self.0.sender.clone().try_send_request(request).await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        *self.0.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
