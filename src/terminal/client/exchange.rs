//! One request and its answer over a connection that is there.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// From the first byte sent to the last received. Every answer that a verb asks for is short.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// The admin API's longest answers are lists of tasks.
const ANSWER_LIMIT_BYTES: usize = 32 << 20;

/// What came back, whole.
#[derive(Debug)]
pub(in crate::terminal) struct Answer {
    /// Its status.
    pub(in crate::terminal) status: StatusCode,
    /// Its headers.
    pub(in crate::terminal) headers: HeaderMap,
    /// Its body.
    pub(in crate::terminal) body: Bytes,
}

/// Sends a request and reads the whole answer. The error is a clause that says what happened.
pub(super) async fn exchange<T>(io: T, request: Request<Bytes>) -> Result<Answer, String>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    tokio::time::timeout(DEADLINE, converse(io, request))
        .await
        .map_err(|_| format!("no answer within {} seconds", DEADLINE.as_secs()))?
        .map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })?
        .ok_or_else(|| "the answer is too long".to_owned())
}

async fn converse<T>(io: T, request: Request<Bytes>) -> Result<Option<Answer>, hyper::Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let ask = async {
        let (head, mut body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await.transpose()? {
            bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if bytes.len() > ANSWER_LIMIT_BYTES {
                return Ok(None);
            }
        }
        Ok(Some(Answer { status: head.status, headers: head.headers, body: bytes.freeze() }))
    };
    // The connection moves only while it is polled, and nothing is spawned here.
    tokio::pin!(ask, connection);
    tokio::select! {
        biased;
        answer = &mut ask => answer,
        ended = &mut connection => { ended?; ask.await }
    }
}
