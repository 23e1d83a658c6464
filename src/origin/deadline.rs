//! Limits in time, and the bodies that keep them.
//!
//! Every wait of this room has a limit from [`Limits`]; what a body has to do with it is here: the agent's body tells
//! that it moves, the origin's body may not stand still for ever.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::error::{OriginError, Waiting};
use super::headers::strip_trailers;
use crate::body::{Body, BodyError};

/// Bounds of this room. `Default` is what a configuration that says nothing gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the addresses of a name. 5 s.
    pub dns: Duration,
    /// For a TCP connection, all addresses together. 10 s.
    pub connect: Duration,
    /// For the TLS handshake. 10 s.
    pub handshake: Duration,
    /// From the last byte of the request that moved to the head of the answer. 300 s: language models think long.
    pub head: Duration,
    /// Between two frames of an answer's body, and between two bytes of an upgraded connection. 300 s.
    pub idle: Duration,
    /// How long an unused connection is kept. 60 s; an origin's own `Keep-Alive: timeout` may make it less.
    pub pool_idle: Duration,
    /// Unused HTTP/1.1 connections per task and origin; the oldest is closed for a newer one. 32.
    pub pool_per_origin: usize,
    /// Unused connections in all. 512.
    pub pool_total: usize,
    /// Head of an answer, bytes. 64 KiB.
    pub head_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dns: Duration::from_secs(5),
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(300),
            idle: Duration::from_secs(300),
            pool_idle: Duration::from_secs(60),
            pool_per_origin: 32,
            pool_total: 512,
            head_bytes: 64 * 1024,
        }
    }
}

/// What is known of the agent's body while it goes out.
#[derive(Debug)]
pub(super) struct Progress {
    began: Instant,
    /// Milliseconds after `began` at which something last moved.
    moved_ms: AtomicU64,
    done: AtomicBool,
    broke: Mutex<Option<String>>,
    /// What has gone out, as long as it is little: for an origin that says it looked at none of it.
    sent: Mutex<Option<Vec<Bytes>>>,
}

/// Bodies up to this size can be sent again to an origin that refused to look at them.
const KEPT_BYTES: usize = 64 * 1024;

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            moved_ms: AtomicU64::new(0),
            done: AtomicBool::new(false),
            broke: Mutex::new(None),
            sent: Mutex::new(Some(Vec::new())),
        })
    }

    /// The whole body is with the connection.
    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// What the agent's connection said when it broke off.
    pub(super) fn broke(&self) -> Option<String> {
        self.broke.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The body as it went out, if all of it did and it was small.
    pub(super) fn replay(&self) -> Option<Body> {
        if !self.is_done() {
            return None;
        }
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Body::full(sent.concat()))
    }

    fn keep(&self, frame: &Frame<Bytes>) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(kept), Some(data)) = (sent.as_mut(), frame.data_ref()) else {
            // Trailers belong to the stream that they came with.
            *sent = None;
            return;
        };
        kept.push(data.clone());
        if kept.iter().map(Bytes::len).sum::<usize>() > KEPT_BYTES {
            *sent = None;
        }
    }

    fn moved(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(ms, Ordering::Release);
    }

    /// Waits for the head of the answer, as long as the body moves or `limit` has not passed since it last did.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        head: impl Future<Output = T>,
    ) -> Result<T, OriginError> {
        tokio::pin!(head);
        loop {
            let last = Duration::from_millis(self.moved_ms.load(Ordering::Acquire));
            let due = self.began + last + limit;
            tokio::select! {
                biased;
                head = &mut head => return Ok(head),
                () = tokio::time::sleep_until(due) => {}
            }
            let moved_since = Duration::from_millis(self.moved_ms.load(Ordering::Acquire)) > last;
            if !moved_since {
                return Err(OriginError::timeout(Waiting::Head, limit));
            }
        }
    }
}

/// The agent's body on its way out.
#[derive(Debug)]
pub(super) struct Outbound {
    body: Body,
    progress: Arc<Progress>,
}

impl Outbound {
    pub(super) fn new(body: Body, progress: Arc<Progress>) -> Self {
        if http_body::Body::is_end_stream(&body) {
            progress.done.store(true, Ordering::Release);
        }
        Self { body, progress }
    }

    /// The body of a request that provably never left.
    pub(super) fn into_body(self) -> Body {
        self.body
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.progress.moved();
        if let Some(Ok(frame)) = &polled {
            self.progress.keep(frame);
        }
        match &polled {
            Some(Err(error)) => {
                let mut broke = self.progress.broke.lock().unwrap_or_else(PoisonError::into_inner);
                *broke = Some(error.to_string());
            }
            Some(Ok(_)) if !http_body::Body::is_end_stream(&self.body) => {}
            Some(Ok(_)) | None => self.progress.done.store(true, Ordering::Release),
        }
        Poll::Ready(polled.map(|frame| frame.map(fit)))
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

/// Trailers lose what belongs to one connection; data passes as it is.
fn fit(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        strip_trailers(trailers);
    }
    frame
}

/// The origin's body: cut when nothing comes for too long; says when its end was reached.
pub(super) struct Inbound<F> {
    body: hyper::body::Incoming,
    limit: Duration,
    /// Runs while somebody waits: time that the agent takes to read is not the origin's.
    idle: Pin<Box<Sleep>>,
    waiting: bool,
    /// What to do at the end; dropped undone if the end is never reached.
    at_end: Option<F>,
}

impl<F: FnOnce() + Send + Unpin + 'static> Inbound<F> {
    pub(super) fn wrap(body: hyper::body::Incoming, limit: Duration, at_end: F) -> Body {
        let idle = Box::pin(tokio::time::sleep(limit));
        let mut inbound = Self { body, limit, idle, waiting: false, at_end: Some(at_end) };
        if http_body::Body::is_end_stream(&inbound.body) {
            inbound.ended();
            return Body::from(inbound.body);
        }
        Body::wrap(inbound)
    }

    fn ended(&mut self) {
        if let Some(at_end) = self.at_end.take() {
            at_end();
        }
    }
}

impl<F: FnOnce() + Send + Unpin + 'static> http_body::Body for Inbound<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(cx) else {
            if !std::mem::replace(&mut self.waiting, true) {
                let due = Instant::now() + self.limit;
                self.idle.as_mut().reset(due);
            }
            if self.idle.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // Without the connection's return to the pool: it is in the middle of an answer.
            self.at_end = None;
            return Poll::Ready(Some(Err(BodyError::Cut("the origin sent nothing for too long"))));
        };
        self.waiting = false;
        match &polled {
            Some(Err(_)) => self.at_end = None,
            Some(Ok(_)) if !http_body::Body::is_end_stream(&self.body) => {}
            Some(Ok(_)) | None => self.ended(),
        }
        Poll::Ready(polled.map(|frame| frame.map(fit).map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}
