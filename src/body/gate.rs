//! A body that pays before it passes: somebody is asked about each piece before it is delivered.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Body, BodyError};

/// Is asked before bytes pass. Called from `poll_frame`; MUST NOT block.
pub trait Gate: Send + 'static {
    /// Whether `bytes` more may pass; otherwise why the body is cut in front of them.
    fn pass(&mut self, bytes: u64) -> Result<(), &'static str>;
}

/// A body behind a gate.
pub(super) struct Gated<G> {
    body: Body,
    gate: G,
}

impl<G: Gate> Gated<G> {
    pub(super) fn new(body: Body, gate: G) -> Self {
        Self { body, gate }
    }
}

impl<G: Gate + Unpin> http_body::Body for Gated<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &polled
            && let Some(data) = frame.data_ref()
            && let Err(why) = self.gate.pass(data.len() as u64)
        {
            self.body = Body::empty();
            return Poll::Ready(Some(Err(BodyError::Cut(why))));
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
