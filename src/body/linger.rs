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

/// As much is thrown away; whoever sends more finds the connection closed.
const LIMIT_BYTES: usize = 16 << 20;
/// For as long.
const LIMIT: Duration = Duration::from_secs(5);

/// The body of a request.
#[derive(Debug)]
pub struct Lingering {
    /// None: it is over, or was dropped.
    body: Option<Incoming>,
    lingers: bool,
}

impl Lingering {
    /// The request with this kind of body.
    pub fn of(request: Request<Incoming>) -> Request<Self> {
        // HTTP/2 ends streams, and no connection. Who waits for `100 Continue` has been told not to send.
        let lingers = request.version() < Version::HTTP_2 && !request.headers().contains_key(EXPECT);
        request.map(|body| Self { body: Some(body), lingers })
    }
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(polled, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|rest| self.lingers && !rest.is_end_stream());
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
