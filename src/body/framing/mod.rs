//! HTTP/1 framing, checked byte by byte before hyper sees it.
//!
//! hyper mends some of what it reads: it drops a `Content-Length` that stands beside `Transfer-Encoding`, joins folded
//! lines, takes a bare LF for a line's end. Each of these is a request that another server may cut at another place
//! (request smuggling), so [`Strict`] stands between the socket and hyper and lets through only messages that RFC 9112
//! allows one reading of. A head is held back until it is whole and found sound; bodies pass without a copy.
//!
//! A request head that is not sound is never shown to hyper. In its place hyper reads a request for a path that only
//! this process knows, so that the refusal goes out in its turn, behind the answers that are still under way.

pub mod chunk;
pub mod head;
#[cfg(test)]
mod tests;

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use chunk::Chunks;
use head::{Frame, Violation};

/// Bounds on what an agent may send before it has said what it wants.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest head, bytes. Beyond: 431.
    pub head_bytes: usize,
    /// Longest request target, bytes. Beyond: 414.
    pub target_bytes: usize,
    /// Most header fields. Beyond: 431. hyper's own bound is 100.
    pub fields: usize,
    /// From the first byte of a head to its last. Beyond: 408.
    pub head_time: Duration,
    /// A connection on which nothing is asked is closed after this.
    pub idle_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            target_bytes: 16 * 1024,
            fields: 100,
            head_time: Duration::from_secs(20),
            idle_time: Duration::from_secs(300),
        }
    }
}

/// What the reading side and the serving side of one connection share.
#[derive(Debug)]
pub struct Control {
    /// The path that stands for a refused head; unguessable.
    marker: Arc<str>,
    violation: Mutex<Option<Violation>>,
    verdict: AtomicU8,
    waiting: AtomicWaker,
    /// Whether the answer that is awaited has a body (it has none after HEAD). Origin's side only.
    bodiless: AtomicU8,
}

const UNDECIDED: u8 = 0;
const TUNNEL: u8 = 1;
const HTTP: u8 = 2;

impl Control {
    /// `marker` is a request path beginning with `/` that nobody can guess.
    pub fn new(marker: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            marker,
            violation: Mutex::new(None),
            verdict: AtomicU8::new(UNDECIDED),
            waiting: AtomicWaker::new(),
            bodiless: AtomicU8::new(0),
        })
    }

    /// What was wrong with the head, if `path` is the marker that stands for it.
    pub fn violation(&self, path: &str) -> Option<Violation> {
        if path != &*self.marker {
            return None;
        }
        self.violation.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// After an `Upgrade` request nothing more is read until it is known what the connection now is; this says that it
    /// has become a tunnel (`101`).
    pub fn becomes_tunnel(&self) {
        self.decide(TUNNEL);
    }

    /// The other answer: it goes on speaking HTTP.
    pub fn stays_http(&self) {
        self.decide(HTTP);
    }

    fn decide(&self, verdict: u8) {
        self.verdict.store(verdict, Ordering::Release);
        self.waiting.wake();
    }

    /// Origin's side: the next answer belongs to a request of this method.
    pub fn asks(&self, method: &http::Method) {
        self.bodiless.store(u8::from(*method == http::Method::HEAD), Ordering::Release);
    }
}

/// Which end of a connection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// An agent's requests.
    Requests,
    /// An origin's answers.
    Answers,
}

/// What the next bytes are.
#[derive(Debug)]
enum Part {
    Head,
    Length(u64),
    Chunked(Chunks),
    /// Until the connection closes, or for good: bytes are not ours to judge.
    Rest,
    /// Behind an upgrade request: not to be read before the answer.
    Verdict,
    /// The connection is done for: nothing more is read.
    Refused,
}

/// An I/O whose reading side is checked.
pub struct Strict<IO> {
    io: IO,
    role: Role,
    limits: Limits,
    control: Arc<Control>,
    part: Part,
    /// Read and not yet judged.
    raw: BytesMut,
    /// How much of a head at the beginning of `raw` was looked at.
    seen: usize,
    /// Judged and not yet delivered.
    sound: Bytes,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<IO> Strict<IO> {
    /// Checks an agent's requests. `raw` was read from `io` already.
    pub fn requests(io: IO, raw: BytesMut, limits: Limits, control: Arc<Control>) -> Self {
        Self::new(io, Role::Requests, raw, limits, control)
    }

    /// Checks an origin's answers; it must be told of each request by [`Control::asks`].
    pub fn answers(io: IO, limits: Limits, control: Arc<Control>) -> Self {
        Self::new(io, Role::Answers, BytesMut::new(), limits, control)
    }

    fn new(io: IO, role: Role, raw: BytesMut, limits: Limits, control: Arc<Control>) -> Self {
        let sound = Bytes::new();
        Self { io, role, limits, control, part: Part::Head, raw, seen: 0, sound, timer: None }
    }

    /// Judges as much of `raw` as can be judged. True: `sound` has something, or the part has changed.
    fn advance(&mut self) -> Result<bool, Violation> {
        match &mut self.part {
            Part::Head => self.advance_head(),
            Part::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(self.raw.len());
                *left -= n as u64;
                if *left == 0 {
                    self.part = Part::Head;
                }
                self.sound = self.raw.split_to(n).freeze();
                Ok(n > 0)
            }
            Part::Chunked(chunks) => {
                let (n, over) = chunks.judge(&self.raw)?;
                if over {
                    self.part = Part::Head;
                }
                self.sound = self.raw.split_to(n).freeze();
                Ok(n > 0)
            }
            Part::Rest => {
                self.sound = self.raw.split().freeze();
                Ok(!self.sound.is_empty())
            }
            Part::Verdict | Part::Refused => Ok(false),
        }
    }

    fn advance_head(&mut self) -> Result<bool, Violation> {
        let Some(length) = head::find_end(&self.raw, self.seen, &self.limits)? else {
            self.seen = self.raw.len();
            return Ok(false);
        };
        self.seen = 0;
        let bytes = self.raw.split_to(length).freeze();
        let frame = match self.role {
            Role::Requests => head::request(&bytes, &self.limits)?.frame,
            Role::Answers => {
                head::answer(&bytes, &self.limits, self.control.bodiless.load(Ordering::Acquire) == 1)?
            }
        };
        self.part = match frame {
            Frame::None | Frame::Length(0) => Part::Head,
            Frame::Length(bytes) => Part::Length(bytes),
            Frame::Chunked => Part::Chunked(Chunks::default()),
            Frame::ToClose => Part::Rest,
            // The origin's `101` is itself the verdict.
            Frame::Upgrade if self.role == Role::Answers => Part::Rest,
            Frame::Upgrade => {
                self.control.verdict.store(UNDECIDED, Ordering::Release);
                Part::Verdict
            }
            Frame::Connect => return Err(Violation::new("CONNECT after other requests on one connection")),
        };
        self.sound = bytes;
        self.timer = None;
        Ok(true)
    }

    /// What stands in the place of a refused head.
    fn refuse(&mut self, violation: Violation) -> io::Result<()> {
        let in_head = matches!(self.part, Part::Head);
        self.part = Part::Refused;
        self.raw.clear();
        self.seen = 0;
        self.timer = None;
        if self.role == Role::Requests && in_head {
            let stand_in = format!(
                "GET {} HTTP/1.1\r\nhost: refused.invalid\r\nconnection: close\r\n\r\n",
                self.control.marker
            );
            *self.control.violation.lock().unwrap_or_else(PoisonError::into_inner) = Some(violation);
            self.sound = Bytes::from(stand_in);
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, violation))
    }

    fn poll_verdict(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.control.waiting.register(cx.waker());
        match self.control.verdict.load(Ordering::Acquire) {
            TUNNEL => self.part = Part::Rest,
            HTTP => self.part = Part::Head,
            _ => return Poll::Pending,
        }
        Poll::Ready(())
    }

    /// Ready when the agent took too long: with a violation if it had begun a head, with an end if it had not.
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<Option<Violation>> {
        if self.role == Role::Answers || !matches!(self.part, Part::Head) {
            return Poll::Pending;
        }
        let begun = !self.raw.is_empty();
        let limit = if begun { self.limits.head_time } else { self.limits.idle_time };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(begun.then(|| Violation::too_slow(limit)))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Strict<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.sound.is_empty() {
                let n = this.sound.len().min(buf.remaining());
                buf.put_slice(this.sound.get(..n).unwrap_or_default());
                this.sound.advance(n);
                return Poll::Ready(Ok(()));
            }
            match this.part {
                Part::Verdict => ready!(this.poll_verdict(cx)),
                Part::Refused => return Poll::Pending,
                _ => {}
            }
            match this.advance() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(violation) => {
                    this.refuse(violation)?;
                    continue;
                }
            }
            if !this.raw.is_empty() || matches!(this.part, Part::Head) {
                let before = this.raw.len();
                match this.poll_more_head(cx, buf) {
                    Poll::Ready(Ok(())) if this.raw.len() > before => {
                        if before == 0 {
                            // The idle timer ends; the head's own begins.
                            this.timer = None;
                        }
                        continue;
                    }
                    Poll::Ready(done) => return Poll::Ready(done),
                    Poll::Pending => {}
                }
                match ready!(this.poll_too_slow(cx)) {
                    Some(violation) => this.refuse(violation)?,
                    None => return Poll::Ready(Ok(())),
                }
                continue;
            }
            return this.poll_body(cx, buf);
        }
    }
}

impl<IO: AsyncRead + Unpin> Strict<IO> {
    /// Reads into `raw`, by way of the caller's buffer.
    fn poll_more_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.raw.extend_from_slice(buf.filled().get(before..).unwrap_or_default());
        buf.set_filled(before);
        Poll::Ready(Ok(()))
    }

    /// Reads a body straight into the caller's buffer and keeps back what belongs to the next message.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        let (n, over) = match &mut self.part {
            Part::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
                *left -= n as u64;
                (n, *left == 0)
            }
            Part::Chunked(chunks) => match chunks.judge(read) {
                Ok(judged) => judged,
                Err(violation) => {
                    buf.set_filled(before);
                    return Poll::Ready(self.refuse(violation));
                }
            },
            _ => (read.len(), false),
        };
        self.raw.extend_from_slice(read.get(n..).unwrap_or_default());
        buf.set_filled(before + n);
        if over {
            self.part = Part::Head;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Strict<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
