//! A body that can be cut from outside: when its task ends, not one byte more goes through.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Body, BodyError};

/// A body on a leash.
pub(super) struct Leashed {
    body: Body,
    /// Comes to pass when the body is cut, and says why.
    cut: Option<Pin<Box<dyn Future<Output = &'static str> + Send>>>,
}

impl Leashed {
    pub(super) fn new(body: Body, cut: impl Future<Output = &'static str> + Send + 'static) -> Self {
        Self { body, cut: Some(Box::pin(cut)) }
    }
}

impl http_body::Body for Leashed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // The cut is looked at first: a frame that is there already does not outrun it.
        if let Some(cut) = &mut self.cut
            && let Poll::Ready(why) = cut.as_mut().poll(cx)
        {
            self.cut = None;
            self.body = Body::empty();
            return Poll::Ready(Some(Err(BodyError::Cut(why))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
