//! A request's body that is read on after nobody wants it.
//!
//! hyper ends an HTTP/1.1 connection whose request was answered before it had come as a whole, and does not say so: a client that
//! keeps connections would lose its next request, and one that still sends may lose the answer to a reset (RFC 9112 §9.6). So what
//! is left is read and thrown away, within bounds; then the connection goes on.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;

use super::{Body, BodyError};

/// As much is thrown away; whoever sends more finds the connection closed.
const LIMIT_BYTES: usize = 16 << 20;
/// For as long.
const LIMIT: Duration = Duration::from_secs(5);

/// None: it is over, or was dropped.
#[derive(Debug)]
struct Lingering(Option<Incoming>);

impl Body {
    /// A request as hyper hands it over.
    pub fn of_request(request: Request<Incoming>) -> Request<Self> {
        // HTTP/2 ends streams, and no connection. Who waits for `100 Continue` has been told not to send.
        let lingers = request.version() < Version::HTTP_2 && !request.headers().contains_key(EXPECT);
        request.map(|body| {
            if lingers && !body.is_end_stream() {
                Self::wrap(Lingering(Some(body)))
            } else {
                Self::from(body)
            }
        })
    }
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(polled, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(polled.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let rest = self.0.take().filter(|rest| !rest.is_end_stream());
        // Without a runtime the node is going down.
        if let (Some(mut rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(async move {
                let mut left = LIMIT_BYTES;
                let thrown_away = async {
                    while let Some(Ok(frame)) = rest.frame().await {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        let Some(fewer) = left.checked_sub(bytes) else { return };
                        left = fewer;
                    }
                };
                let _either_way = tokio::time::timeout(LIMIT, thrown_away).await;
            });
        }
    }
}
