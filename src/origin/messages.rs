//! Carries a WebSocket, message by message: nothing of what the agent says goes out before its message was let through.
//!
//! RFC 6455 §5 and §6. A message is put together from its pieces, shown to the [`Gate`], and then sent as it came, frame by
//! frame. Control frames pass at once, as they may (§5.4). What the gate answers in a message's place goes to the agent
//! between two messages of the origin. It does not know what a message means.
//!
//! Bounds: one message up to the gate's limit is held, and one frame's header of either side. A longer message is shown by
//! its beginning; if that is let through, the rest of it streams.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::ear::{Ear, Listening};
use super::frame::{self, From, Header, Opcode};
use super::heard::Heard;
use super::pump::{Carried, PumpEnd, PumpFacts};
use super::scrub::Scrubber;
use crate::call::Peek;

/// How much is read at once.
const BUFFER_BYTES: usize = 16 * 1024;
/// Answers of the gate's that wait for the agent; with more, the agent's messages wait.
pub(super) const ANSWERS: usize = 16;
/// RFC 6455 §7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const GOING_AWAY: u16 = 1001;

/// Decides on each message of the agent's.
pub trait Gate: Send {
    /// How much of a message it wants to see, bytes.
    fn limit(&self) -> usize;
    /// What becomes of a message. Nothing of it has been sent.
    fn ask(&mut self, message: Peek) -> impl Future<Output = Verdict> + Send;
    /// The message that was asked about last is on its way, whole.
    fn passed(&mut self);
    /// Who hears what the origin says.
    fn ear(&self) -> Option<Arc<dyn Ear>> {
        None
    }
    /// What must not reach the agent.
    fn scrubber(&self) -> Option<Scrubber> {
        None
    }
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not sent; the agent gets this text in its place.
    Answer(String),
    /// It is not sent, and the connection ends.
    Close {
        /// RFC 6455 §7.4.
        code: u16,
        /// For the agent; cut to 123 bytes.
        reason: String,
    },
    /// It is sent.
    Pass,
}

/// Carries messages both ways until both sides are done, or one of the limits or `cut` ends it.
///
/// Dropping the future closes both sides at once.
pub(super) async fn carry<A, O>(
    agent: A,
    origin: O,
    idle: Duration,
    cut: impl Future<Output = ()>,
    gate: &mut impl Gate,
) -> PumpFacts
where
    A: AsyncRead + AsyncWrite + Unpin + Send,
    O: AsyncRead + AsyncWrite + Unpin + Send,
{
    let carried = Carried::default();
    let end = {
        let (agent_in, agent_out) = tokio::io::split(agent);
        let (origin_in, origin_out) = tokio::io::split(origin);
        let (answers, answered) = mpsc::channel(ANSWERS);
        let activity = &carried.activity;
        let said = Said {
            from: Frames::of(agent_in, From::Client),
            to: origin_out,
            carried: &carried,
            answers,
            piece: false,
        };
        let heard = Heard::new(
            Frames::of(origin_in, From::Server),
            agent_out,
            &carried,
            answered,
            Listening::with(gate.ear()),
            gate.scrubber(),
        );
        let both = async { tokio::try_join!(said.carry(gate), heard.carry()) };
        tokio::select! {
            biased;
            () = cut => PumpEnd::Cut,
            ended = both => ended.err().unwrap_or(PumpEnd::Closed),
            () = activity.stands_still(idle) => PumpEnd::Idle(idle.as_secs()),
        }
    };
    carried.facts(end)
}

/// What goes to the agent beside what the origin says.
pub(super) enum Answer {
    Text(String),
    Close { code: u16, reason: String },
}

/// Frames as they come in.
pub(super) struct Frames<R> {
    io: R,
    side: From,
    buffer: BytesMut,
}

/// Why there is no next frame.
pub(super) enum Broken {
    Io(String),
    Rule(&'static str),
}

impl<R: AsyncRead + Unpin> Frames<R> {
    fn of(io: R, side: From) -> Self {
        Self { io, side, buffer: BytesMut::with_capacity(BUFFER_BYTES) }
    }

    /// The next frame's header, left in the buffer. `None` at the end. May be dropped half-way: nothing is lost.
    pub(super) async fn header(&mut self) -> Result<Option<Header>, Broken> {
        loop {
            if let Some(header) = frame::header(&self.buffer, self.side).map_err(Broken::Rule)? {
                return Ok(Some(header));
            }
            if self.fill().await? == 0 {
                // No `close_notify`, or no close frame: many leave it out. Half a header is nothing that could be passed.
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> Result<usize, Broken> {
        self.buffer.reserve(BUFFER_BYTES);
        match self.io.read_buf(&mut self.buffer).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            read => read.map_err(|error| Broken::Io(error.to_string())),
        }
    }

    /// At most `most` of the next bytes, at least one; empty at the end.
    pub(super) async fn some(&mut self, most: u64) -> Result<Bytes, Broken> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            return Ok(Bytes::new());
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(self.buffer.split_to(most).freeze())
    }
}

/// From the agent to the origin.
struct Said<'a, R, W> {
    from: Frames<R>,
    to: W,
    carried: &'a Carried,
    answers: mpsc::Sender<Answer>,
    /// A message has begun and is not over.
    piece: bool,
}

/// A message on its way.
#[derive(Default)]
struct Held {
    /// Its frames, as sent.
    raw: Vec<u8>,
    /// What they say.
    message: Vec<u8>,
    /// The gate has let it through.
    passes: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Said<'_, R, W> {
    async fn carry(mut self, gate: &mut impl Gate) -> Result<(), PumpEnd> {
        let mut held = Held::default();
        loop {
            let header = match self.from.header().await {
                Ok(Some(header)) => header,
                Ok(None) => return self.over().await,
                Err(broken) => return self.broken(broken).await,
            };
            self.carried.activity.moved();
            let fits = header.opcode.is_control() || (header.opcode == Opcode::Continuation) == self.piece;
            if !fits {
                return self
                    .broken(Broken::Rule("a message begins before the last one is over, or never began"))
                    .await;
            }
            if header.opcode.is_control() {
                let mut frame = Vec::new();
                self.take(&header, |bytes, _| frame.extend_from_slice(bytes)).await?;
                self.send(&frame).await?;
                if header.opcode == Opcode::Close {
                    // §5.5.1: nothing follows. Whatever does is not sent.
                    return self.drain().await;
                }
                continue;
            }
            self.piece = !header.last;
            if !self.data(&header, &mut held, gate).await? {
                held = Held::default();
            }
        }
    }

    /// One frame of a message. Tells whether the message goes on.
    async fn data(
        &mut self,
        header: &Header,
        held: &mut Held,
        gate: &mut impl Gate,
    ) -> Result<bool, PumpEnd> {
        let limit = gate.limit();
        let mut left = header.payload + header.size as u64;
        let mut at = 0;
        while left > 0 {
            let bytes = self.some(left).await?;
            left -= bytes.len() as u64;
            if held.passes {
                self.send(&bytes).await?;
                continue;
            }
            held.take(header, at, &bytes);
            at += bytes.len();
            if held.message.len() > limit {
                held.message.truncate(limit);
                if !self.ask(held, Whole::No, gate).await? {
                    // Its rest cannot be told from another message's.
                    return self
                        .close(
                            1009,
                            "a message is longer than what is read of one, and it was not let through",
                        )
                        .await;
                }
            }
        }
        if !header.last {
            return Ok(true);
        }
        if held.passes || self.ask(held, Whole::Yes, gate).await? {
            gate.passed();
        }
        Ok(false)
    }

    /// Shows a message to the gate, and sends what is there of it if it may.
    async fn ask(&mut self, held: &mut Held, whole: Whole, gate: &mut impl Gate) -> Result<bool, PumpEnd> {
        let bytes = Bytes::from(std::mem::take(&mut held.message));
        match gate.ask(Peek { bytes, whole: whole == Whole::Yes }).await {
            Verdict::Pass => {
                held.passes = true;
                let raw = std::mem::take(&mut held.raw);
                self.send(&raw).await?;
                Ok(true)
            }
            Verdict::Answer(text) => {
                // Nobody to hear it: the other direction is over, and soon this one.
                let _gone = self.answers.send(Answer::Text(text)).await;
                Ok(false)
            }
            Verdict::Close { code, reason } => self.close(code, &reason).await,
        }
    }

    /// The bytes of one short frame.
    async fn take(&mut self, header: &Header, mut each: impl FnMut(&[u8], usize)) -> Result<(), PumpEnd> {
        let mut left = header.payload + header.size as u64;
        while left > 0 {
            let bytes = self.some(left).await?;
            left -= bytes.len() as u64;
            each(&bytes, bytes.len());
        }
        Ok(())
    }

    async fn some(&mut self, most: u64) -> Result<Bytes, PumpEnd> {
        match self.from.some(most).await {
            Ok(bytes) if bytes.is_empty() => {
                Err(PumpEnd::AgentBroke("it ended inside of a frame".to_owned()))
            }
            Ok(bytes) => Ok(bytes),
            Err(Broken::Io(why)) => Err(PumpEnd::AgentBroke(why)),
            Err(Broken::Rule(why)) => Err(PumpEnd::AgentBroke(why.to_owned())),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), PumpEnd> {
        let broke = |error: std::io::Error| PumpEnd::OriginBroke(error.to_string());
        self.to.write_all(bytes).await.map_err(broke)?;
        // TLS keeps what it was given until it is told that this is all for now.
        self.to.flush().await.map_err(broke)?;
        self.carried.to_origin(bytes.len());
        Ok(())
    }

    async fn over(mut self) -> Result<(), PumpEnd> {
        self.to.shutdown().await.map_err(|error| PumpEnd::OriginBroke(error.to_string()))
    }

    /// Reads what an agent sends that said it was done, so that it does not wait for us.
    async fn drain(mut self) -> Result<(), PumpEnd> {
        while matches!(self.from.some(u64::MAX).await, Ok(bytes) if !bytes.is_empty()) {}
        self.over().await
    }

    async fn broken(mut self, broken: Broken) -> Result<(), PumpEnd> {
        match broken {
            Broken::Io(why) => Err(PumpEnd::AgentBroke(why)),
            Broken::Rule(why) => self.close(PROTOCOL_ERROR, why).await.map(|_: bool| ()),
        }
    }

    /// Ends the connection on both sides. The other direction writes the agent's close frame, and ends all of it.
    async fn close(&mut self, code: u16, reason: &str) -> Result<bool, PumpEnd> {
        let farewell = frame::close(GOING_AWAY, "", From::Client);
        let _gone = self.to.write_all(&farewell).await;
        let _gone = self.to.flush().await;
        if self.answers.send(Answer::Close { code, reason: reason.to_owned() }).await.is_err() {
            return Err(PumpEnd::Refused(reason.to_owned()));
        }
        std::future::pending().await
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    No,
    Yes,
}

impl Held {
    /// Takes the next bytes of a frame; `at` is their place in it.
    fn take(&mut self, header: &Header, at: usize, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        let skipped = header.size.saturating_sub(at);
        let Some(payload) = bytes.get(skipped..) else { return };
        let (from, place) = (self.message.len(), (at + skipped).saturating_sub(header.size));
        self.message.extend_from_slice(payload);
        if let (Some(mask), Some(fresh)) = (header.mask, self.message.get_mut(from..)) {
            frame::unmask(mask, place as u64, fresh);
        }
    }
}
