//! The HTTP/1.1 and HTTP/2 server loops: one request in, one call through the house, one answer out.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::connect::{Connection, refusal_of};
use super::{Agent, Front, Walk, Walked, head, refuse, turns_true};
use crate::body::framing::{Control, Strict};
use crate::body::{Body, Pending};
use crate::call::{Call, CallId, Refusal, Wire};

/// RFC 9113 §6.5.2; what HTTP/1 heads are held to as well.
const HEADER_LIST_BYTES: u32 = 64 * 1024;
/// Bytes that may be under way on one stream and on one connection before the reader has taken them.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Streams that an agent may reset before they were looked at (rapid reset, CVE-2023-44487). Beyond: GOAWAY.
const PENDING_RESETS: usize = 50;
/// A connection that does not answer a PING for this long is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// Serves HTTP/1.1. `unread` was read from `io` already.
pub(super) async fn http1<W, IO>(front: Arc<Front<W>>, io: IO, unread: BytesMut, connection: Arc<Connection>)
where
    W: Walk,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let control = Control::new(front.marker.clone());
    let io = TokioIo::new(Strict::requests(io, unread, front.settings.limits, control.clone()));
    let mut drain = front.drain.clone();
    let peer = connection.peer;
    let service =
        service_fn(move |request| attend(front.clone(), connection.clone(), Some(control.clone()), request));
    // Time limits are kept in `Strict`, which can still say why.
    let served = hyper::server::conn::http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(io, service)
        .with_upgrades();
    let mut served = pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = turns_true(&mut drain) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "an HTTP/1 connection broke");
    }
}

/// Serves HTTP/2.
pub(super) async fn http2<W, IO>(front: Arc<Front<W>>, io: IO, connection: Arc<Connection>)
where
    W: Walk,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut drain = front.drain.clone();
    let (streams, peer) = (front.settings.streams, connection.peer);
    let service = service_fn(move |request| attend(front.clone(), connection.clone(), None, request));
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN)
        .serve_connection(TokioIo::new(io), service);
    let mut served = pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = turns_true(&mut drain) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "an HTTP/2 connection broke");
    }
}

/// Works on one request. hyper drops what this returns when the agent leaves, even before it is first polled; the walk goes
/// on to its entry all the same, or an agent could try every door and leave no trace.
fn attend<W: Walk>(
    front: Arc<Front<W>>,
    connection: Arc<Connection>,
    control: Option<Arc<Control>>,
    request: Request<Incoming>,
) -> Attended {
    connection.count();
    let (here, waits) = oneshot::channel();
    let work = answer(front, connection, control, request, waits);
    Attended { work: Some(Box::pin(work)), here: Some(here) }
}

/// The work on one request. It runs in the task of the connection or stream, which saves a change of tasks and threads a call;
/// dropped half-way it goes on in a task of its own.
struct Attended {
    work: Option<BoxFuture<'static, Response<Body>>>,
    /// Goes with the agent; see [`Agent::gone`].
    here: Option<oneshot::Sender<Infallible>>,
}

impl Future for Attended {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let answer = ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(Ok(answer))
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.here = None;
        // Without a runtime the node is going down, and its calls with it.
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

/// One request. A panic on the way ends this call and no other: nothing was answered, the guard that the walk holds
/// closes its entry as abandoned.
async fn answer<W: Walk>(
    front: Arc<Front<W>>,
    connection: Arc<Connection>,
    control: Option<Arc<Control>>,
    mut request: Request<Incoming>,
    waits: oneshot::Receiver<Infallible>,
) -> Response<Body> {
    if let Some(violation) = control.as_ref().and_then(|control| control.violation(request.uri().path())) {
        return turn_away(&front, &connection, refusal_of(violation)).await;
    }
    let id = CallId::fresh(&*front.clock, &*front.entropy);
    let (head, presented) = match head::read(&front, id, &connection, &request) {
        Ok(read) => read,
        Err(refusal) => {
            if let Some(control) = &control {
                control.stays_http();
            }
            return turn_away(&front, &connection, refusal).await;
        }
    };
    let wording = refuse::Wording::of(&head, Wire::Problem);
    let upgrade = head.upgrade.map(|_| Pending::of_request(&mut request));
    let body = Body::of_request(request).into_body();
    let call = Call::intercepted(head, presented);
    let agent = Agent::waiting(upgrade, waits);
    let walked = AssertUnwindSafe(front.walk.walk(call, body, agent)).catch_unwind().await;
    let Walked { mut answer, afterwards } = walked.unwrap_or_else(|_| {
        tracing::error!(call = %id, "a call panicked; it was not let through");
        refuse::answer(&Refusal::Internal, &wording).into()
    });
    if let Some(afterwards) = afterwards {
        // It outlives the HTTP connection by nature; the task's end and its own limits end it. The node waits for it.
        tokio::spawn(async move {
            afterwards.await;
            drop(connection);
        });
    }
    if let Some(control) = control {
        if answer.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            // Hop-by-hop, so the origin's own went no further than remit (RFC 9110 §7.8).
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
            control.becomes_tunnel();
        } else {
            control.stays_http();
        }
    }
    answer
}

/// Answers what cannot become a call. After a framing doubt the connection ends with the answer.
async fn turn_away<W: Walk>(front: &Front<W>, connection: &Connection, refusal: Refusal) -> Response<Body> {
    let authority = connection.tunnel.as_ref().map(|(origin, _)| origin.authority());
    let answer = refuse::answer(&refusal, &refuse::Wording::plain());
    front.turn_away(connection.peer, authority, refusal).await;
    answer
}
