//! Measures a body as it passes: bytes, digest, whether the end was reached; and tells someone when it is over.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use sha2::{Digest as _, Sha256};

use super::{Body, BodyError};
use crate::call::BodyFacts;

/// Looks on while a body passes. All methods are called from `poll_frame` and MUST NOT block.
pub trait Watch: Send + 'static {
    /// Bytes came by.
    fn data(&mut self, _data: &Bytes) {}
    /// Trailers came by.
    fn trailers(&mut self, _trailers: &HeaderMap) {}
    /// It is over; called once. `error` is there if it broke off; a body that was dropped before its end has neither
    /// an error nor `facts.complete`.
    fn over(&mut self, facts: BodyFacts, error: Option<&BodyError>);
}

/// A body with somebody looking on.
pub struct Metered<W: Watch> {
    body: Body,
    bytes: u64,
    announced: Option<u64>,
    digest: Sha256,
    watch: Option<W>,
}

impl<W: Watch> Metered<W> {
    /// Puts `watch` beside `body`.
    pub fn new(body: Body, watch: W) -> Self {
        let announced = http_body::Body::size_hint(&body).exact();
        Self { body, bytes: 0, announced, digest: Sha256::new(), watch: Some(watch) }
    }

    fn over(&mut self, complete: bool, error: Option<&BodyError>) {
        if let Some(mut watch) = self.watch.take() {
            let digest = std::mem::take(&mut self.digest).finalize();
            let sha256 = (self.bytes > 0).then(|| hex(&digest));
            watch.over(BodyFacts { bytes: self.bytes, sha256, complete }, error);
        }
    }
}

impl<W: Watch + Unpin> http_body::Body for Metered<W> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            None => self.over(true, None),
            Some(Err(error)) => self.over(false, Some(error)),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.bytes += data.len() as u64;
                    self.digest.update(data);
                    if let Some(watch) = &mut self.watch {
                        watch.data(data);
                    }
                }
                if let (Some(trailers), Some(watch)) = (frame.trailers_ref(), &mut self.watch) {
                    watch.trailers(trailers);
                }
                // A sender that knows the length may never ask again after the last byte.
                if frame.is_trailers()
                    || self.announced == Some(self.bytes)
                    || http_body::Body::is_end_stream(&self.body)
                {
                    self.over(true, None);
                }
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

impl<W: Watch> Drop for Metered<W> {
    fn drop(&mut self) {
        // A body that had nothing to deliver was complete from the start. One that announced so may be dropped before
        // it says that it is over: HTTP/2 has the length in one frame and the end in another (RFC 9113 §8.1).
        let complete = self.announced == Some(self.bytes) || http_body::Body::is_end_stream(&self.body);
        self.over(complete, None);
    }
}

/// Keeps the facts of a body for whoever closes the call.
impl Watch for Arc<Mutex<BodyFacts>> {
    fn over(&mut self, facts: BodyFacts, _error: Option<&BodyError>) {
        *self.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}
