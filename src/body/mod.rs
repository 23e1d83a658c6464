//! The one streaming body of both legs.
//!
//! It never gathers a body: frames pass as they come, so back-pressure reaches from one leg to the other, and data and
//! trailers keep their order. [`Body::peek`] reads the first bytes for whoever must see them and puts them back,
//! byte for byte (INVARIANT I4). It must not know any protocol above HTTP.

pub mod framing;
mod gate;
mod leash;
mod linger;
mod meter;
#[cfg(test)]
mod tests;
mod upgrade;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::call::Peek;

pub use gate::Gate;
pub use meter::{Metered, Watch};
pub use upgrade::{Pending, Raw};

/// A request's or an answer's body.
pub struct Body {
    /// Frames that were read ahead, still to be delivered.
    ahead: VecDeque<Frame<Bytes>>,
    rest: Rest,
}

enum Rest {
    Done,
    Incoming(hyper::body::Incoming),
    Wrapped(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>),
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection that it came from broke, or broke a rule.
    #[error("the sender broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// remit cut it.
    #[error("cut: {0}")]
    Cut(&'static str),
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self { ahead: VecDeque::new(), rest: Rest::Done }
    }

    /// A body that is there as a whole.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let ahead = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([Frame::data(bytes)]) };
        Self { ahead, rest: Rest::Done }
    }

    /// Something else that streams.
    pub fn wrap(body: impl http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self { ahead: VecDeque::new(), rest: Rest::Wrapped(Box::pin(body)) }
    }

    /// This body, until `cut` comes to pass and says why; then it breaks off.
    #[must_use]
    pub fn leashed(self, cut: impl Future<Output = &'static str> + Send + 'static) -> Self {
        Self::wrap(leash::Leashed::new(self, cut))
    }

    /// This body, as far as `gate` lets it pass.
    #[must_use]
    pub fn gated(self, gate: impl Gate + Unpin) -> Self {
        Self::wrap(gate::Gated::new(self, gate))
    }

    /// This body, with somebody looking on.
    #[must_use]
    pub fn watched(self, watch: impl Watch + Unpin) -> Self {
        Self::wrap(Metered::new(self, watch))
    }

    /// Whether trailers were read ahead: fields that follow the data.
    pub fn has_trailers(&self) -> bool {
        self.ahead.iter().any(Frame::is_trailers)
    }

    /// Reads until `limit_bytes` bytes are there or the body ends, and keeps everything for delivery.
    ///
    /// The result holds all that was read, which may be more than the limit by what the last frame brought; `whole`
    /// says whether that is all of it. Trailers that follow are kept too.
    ///
    /// If the future is dropped half-way, what was read is still delivered.
    pub async fn peek(&mut self, limit_bytes: usize) -> Result<Peek, BodyError> {
        let mut seen = BytesMut::new();
        for frame in &self.ahead {
            if let Some(data) = frame.data_ref() {
                seen.extend_from_slice(data);
            }
        }
        while seen.len() <= limit_bytes {
            let next = match &mut self.rest {
                Rest::Done => None,
                Rest::Incoming(body) => body.frame().await.transpose()?,
                Rest::Wrapped(body) => body.frame().await.transpose()?,
            };
            let Some(frame) = next else {
                self.rest = Rest::Done;
                return Ok(Peek { bytes: seen.freeze(), whole: true });
            };
            if let Some(data) = frame.data_ref() {
                seen.extend_from_slice(data);
            }
            self.ahead.push_back(frame);
        }
        Ok(Peek { bytes: seen.freeze(), whole: false })
    }
}

impl From<hyper::body::Incoming> for Body {
    fn from(body: hyper::body::Incoming) -> Self {
        Self { ahead: VecDeque::new(), rest: Rest::Incoming(body) }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({:?})", http_body::Body::size_hint(self))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(frame) = self.ahead.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut self.rest {
            Rest::Done => Poll::Ready(None),
            Rest::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::from),
            Rest::Wrapped(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty()
            && match &self.rest {
                Rest::Done => true,
                Rest::Incoming(body) => body.is_end_stream(),
                Rest::Wrapped(body) => body.is_end_stream(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let ahead: usize = self.ahead.iter().filter_map(|f| f.data_ref().map(Bytes::len)).sum();
        let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
        let rest = match &self.rest {
            Rest::Done => SizeHint::with_exact(0),
            Rest::Incoming(body) => body.size_hint(),
            Rest::Wrapped(body) => body.size_hint(),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}
