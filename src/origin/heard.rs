//! What the origin says in a WebSocket, on its way to the agent: frame by frame as it comes (RFC 6455 §5.2).
//!
//! On a call that carries a lease, data frames are searched for the credential and what is found is replaced by as many
//! bytes, over the borders of a message's frames too; so are the payloads of control frames. What waits holds up the frames behind it, and nothing waits longer
//! than its message.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::ear::Listening;
use super::frame::{self, From, Header, Opcode};
use super::messages::{ANSWERS, Answer, Broken, Frames};
use super::pump::{Carried, PumpEnd};
use super::scrub::{self, Scrubber};

/// From the origin to the agent.
pub(super) struct Heard<'a, R, W> {
    from: Frames<R>,
    to: W,
    carried: &'a Carried,
    answered: mpsc::Receiver<Answer>,
    /// Answers that wait for the end of a message.
    late: VecDeque<String>,
    listening: Listening,
    veil: Option<Veil>,
}

impl<'a, R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Heard<'a, R, W> {
    pub(super) fn new(
        from: Frames<R>,
        to: W,
        carried: &'a Carried,
        answered: mpsc::Receiver<Answer>,
        listening: Listening,
        scrubber: Option<Scrubber>,
    ) -> Self {
        let veil = scrubber.map(|scrubber| Veil::new(&scrubber));
        Self { from, to, carried, answered, late: VecDeque::new(), listening, veil }
    }

    pub(super) async fn carry(mut self) -> Result<(), PumpEnd> {
        let mut piece = false;
        // Set when the agent's side is over: then no answer can come.
        let mut listening = true;
        loop {
            let next = tokio::select! {
                biased;
                answer = self.answered.recv(), if listening && self.late.len() < ANSWERS => Err(answer),
                header = self.from.header() => Ok(header),
            };
            let header = match next {
                Err(None) => {
                    listening = false;
                    continue;
                }
                Err(Some(answer)) => {
                    self.answer(answer, piece).await?;
                    continue;
                }
                Ok(Ok(Some(header))) => header,
                Ok(Ok(None)) => return self.to.shutdown().await.map_err(agent_broke),
                Ok(Err(Broken::Io(why))) => return Err(PumpEnd::OriginBroke(why)),
                Ok(Err(Broken::Rule(why))) => return Err(PumpEnd::OriginBroke(why.to_owned())),
            };
            self.frame(&header).await?;
            if !header.opcode.is_control() {
                piece = !header.last;
            }
            while !piece && let Some(text) = self.late.pop_front() {
                self.write(&frame::text(&text)).await?;
            }
        }
    }

    async fn answer(&mut self, answer: Answer, piece: bool) -> Result<(), PumpEnd> {
        match answer {
            Answer::Text(text) if piece => self.late.push_back(text),
            Answer::Text(text) => self.write(&frame::text(&text)).await?,
            Answer::Close { code, reason } => {
                let waiting = self.veil.as_mut().map(Veil::finish).unwrap_or_default();
                let _gone = self.write(&waiting).await;
                let _gone = self.write(&frame::close(code, &reason, From::Server)).await;
                let _gone = self.to.shutdown().await;
                return Err(PumpEnd::Refused(reason));
            }
        }
        Ok(())
    }

    /// Passes one frame, as it comes.
    async fn frame(&mut self, header: &Header) -> Result<(), PumpEnd> {
        let mut left = header.payload.saturating_add(header.size as u64);
        let mut at = 0;
        while left > 0 {
            let bytes = match self.from.some(left).await {
                Ok(bytes) if bytes.is_empty() => {
                    return Err(PumpEnd::OriginBroke("it ended inside of a frame".to_owned()));
                }
                Ok(bytes) => bytes,
                Err(Broken::Io(why)) => return Err(PumpEnd::OriginBroke(why)),
                Err(Broken::Rule(why)) => return Err(PumpEnd::OriginBroke(why.to_owned())),
            };
            left -= bytes.len() as u64;
            self.listening.take(header, at, &bytes, left == 0);
            at += bytes.len();
            self.carried.activity.moved();
            let bytes = match &mut self.veil {
                Some(veil) => veil.take(header, at - bytes.len(), bytes, left == 0),
                None => bytes,
            };
            self.write(&bytes).await?;
            self.carried.to_agent(bytes.len());
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), PumpEnd> {
        self.to.write_all(bytes).await.map_err(agent_broke)?;
        self.to.flush().await.map_err(agent_broke)?;
        self.carried.activity.moved();
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` wants it")]
fn agent_broke(error: std::io::Error) -> PumpEnd {
    PumpEnd::AgentBroke(error.to_string())
}

/// Searches what is said.
struct Veil {
    scrubber: Scrubber,
    said: scrub::Frames,
    /// What has come of a control frame; they are short (RFC 6455 §5.5), and searched as a whole.
    control: BytesMut,
    /// What has come and has not gone on, in its order.
    waiting: VecDeque<Piece>,
}

enum Piece {
    /// A header, or a control frame that was searched: passes as it is.
    Plain(Bytes),
    /// So many bytes of a message, which the search still has.
    Said(usize),
}

impl Veil {
    fn new(scrubber: &Scrubber) -> Self {
        Self {
            scrubber: scrubber.clone(),
            said: scrubber.frames(),
            control: BytesMut::new(),
            waiting: VecDeque::new(),
        }
    }

    /// The next bytes of a frame, from its byte `at` on. Gives what may go on.
    fn take(&mut self, header: &Header, at: usize, mut bytes: Bytes, last: bool) -> Bytes {
        let mut out = BytesMut::with_capacity(bytes.len());
        if header.opcode.is_control() {
            self.control.extend_from_slice(&bytes);
            if !last {
                return Bytes::new();
            }
            if header.opcode == Opcode::Close {
                out.put(self.finish());
            }
            let frame = self.control.split().freeze();
            let (head, payload) = frame.split_at(header.size.min(frame.len()));
            let clean = self.scrubber.replace_in_place(payload).map(|clean| [head, &clean].concat());
            self.waiting.push_back(Piece::Plain(clean.map_or_else(|| frame.clone(), Bytes::from)));
        } else {
            let of_header = header.size.saturating_sub(at).min(bytes.len());
            if of_header > 0 {
                self.waiting.push_back(Piece::Plain(bytes.split_to(of_header)));
            }
            self.waiting.push_back(Piece::Said(bytes.len()));
            let Self { said, waiting, .. } = self;
            said.push(bytes, |said| go_on(waiting, &said, &mut out));
            if last && header.last {
                said.finish(|said| go_on(waiting, &said, &mut out));
            }
        }
        go_on(&mut self.waiting, &[], &mut out);
        out.freeze()
    }

    fn finish(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        let Self { said, waiting, .. } = self;
        said.finish(|said| go_on(waiting, &said, &mut out));
        go_on(waiting, &[], &mut out);
        out.freeze()
    }
}

/// Puts what was said between the headers where it was said.
fn go_on(waiting: &mut VecDeque<Piece>, mut said: &[u8], out: &mut BytesMut) {
    while let Some(first) = waiting.front_mut() {
        match first {
            Piece::Plain(bytes) => out.extend_from_slice(bytes),
            Piece::Said(bytes) => {
                let (now, later) = said.split_at((*bytes).min(said.len()));
                out.extend_from_slice(now);
                said = later;
                *bytes -= now.len();
                if *bytes > 0 {
                    return;
                }
            }
        }
        waiting.pop_front();
    }
}
