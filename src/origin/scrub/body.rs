//! An answer's body, looked through as it streams.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::Scrubber;
use super::decode::{Broken, Decoder};
use super::needles::Lengths;
use super::sieve::Sieve;
use crate::body::{Body, BodyError};

/// What a text in UTF-16 or UTF-32 begins with, in either order of bytes.
const WIDE_MARKS: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];
const WIDE: &str = "the answer is in UTF-16, so it cannot be searched for the credential; ask for UTF-8";
/// Behind it nothing can be told from what was broken off.
const NOT_CODED: &str = "the answer is not coded as it says, so it cannot be searched for the credential";

/// Whether byte order marks mean what they say: in texts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Marks {
    Looked,
    Ignored,
}

/// A body behind a sieve.
pub(super) struct Scrubbed {
    inner: Body,
    scrubber: Scrubber,
    decoder: Option<Decoder>,
    sieve: Sieve,
    lengths: Lengths,
    out: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    over: bool,
    /// The first byte, until the second has come; none: nothing is to be looked for there any more.
    mark: Option<Vec<u8>>,
}

impl Scrubbed {
    pub(super) fn new(
        inner: Body,
        scrubber: &Scrubber,
        decoder: Option<Decoder>,
        lengths: Lengths,
        marks: Marks,
    ) -> Self {
        Self {
            inner,
            sieve: scrubber.sieve(lengths),
            scrubber: scrubber.clone(),
            decoder,
            lengths,
            out: VecDeque::new(),
            trailers: None,
            over: false,
            mark: (marks == Marks::Looked).then(Vec::new),
        }
    }

    /// What goes through the sieve, unpacked.
    fn sift(&mut self, piece: Bytes) -> Result<(), &'static str> {
        if let Some(mark) = &mut self.mark {
            mark.extend(piece.iter().take(WIDE_MARKS.len() - mark.len()));
            if WIDE_MARKS.iter().any(|wide| wide == mark.as_slice()) {
                return Err(WIDE);
            }
            if mark.len() >= 2 {
                self.mark = None;
            }
        }
        let Self { sieve, out, .. } = self;
        sieve.push(piece, |bytes| out.push_back(bytes));
        Ok(())
    }

    /// Unpacks the next piece, if there is one.
    fn step(&mut self) -> Result<bool, &'static str> {
        let Some(decoder) = &mut self.decoder else { return Ok(false) };
        let piece = decoder.step().map_err(not_coded)?;
        if piece.is_empty() {
            return Ok(false);
        }
        self.sift(piece)?;
        Ok(true)
    }

    fn finish(&mut self) -> Result<(), &'static str> {
        self.over = true;
        let rest = self.decoder.take().map(Decoder::finish).transpose().map_err(not_coded)?;
        if let Some(rest) = rest {
            self.sift(rest)?;
        }
        let Self { sieve, out, .. } = self;
        sieve.finish(|bytes| out.push_back(bytes));
        Ok(())
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), &'static str> {
        match frame.into_data() {
            Ok(data) => {
                if let Some(decoder) = &mut self.decoder {
                    decoder.push(&data);
                } else {
                    self.sift(data)?;
                }
            }
            Err(frame) => {
                if let Ok(mut trailers) = frame.into_trailers() {
                    self.scrubber.headers(&mut trailers);
                    self.trailers = Some(trailers);
                    self.finish()?;
                }
            }
        }
        Ok(())
    }

    fn broke(&mut self, why: &'static str) -> Result<Frame<Bytes>, BodyError> {
        (self.inner, self.over, self.trailers) = (Body::empty(), true, None);
        self.out.clear();
        Err(BodyError::Cut(why))
    }
}

fn not_coded(Broken: Broken) -> &'static str {
    NOT_CODED
}

impl http_body::Body for Scrubbed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if let Some(data) = self.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            if self.over {
                return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            match self.step() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(why) => return Poll::Ready(Some(self.broke(why))),
            }
            let done = match std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                None => self.finish(),
                Some(Ok(frame)) => self.take(frame),
                Some(Err(error)) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            };
            if let Err(why) = done {
                return Poll::Ready(Some(self.broke(why)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let nothing_waits = self.out.is_empty() && self.trailers.is_none();
        nothing_waits
            && (self.over || (self.decoder.is_none() && self.sieve.held() == 0 && self.inner.is_end_stream()))
    }

    fn size_hint(&self) -> SizeHint {
        match (self.lengths, &self.decoder, self.over) {
            (Lengths::Kept, None, false) => {
                let waiting = self.sieve.held() + self.out.iter().map(Bytes::len).sum::<usize>();
                let (inner, waiting) = (self.inner.size_hint(), u64::try_from(waiting).unwrap_or(u64::MAX));
                let mut hint = SizeHint::new();
                hint.set_lower(inner.lower().saturating_add(waiting));
                if let Some(upper) = inner.upper() {
                    hint.set_upper(upper.saturating_add(waiting));
                }
                hint
            }
            _ => SizeHint::default(),
        }
    }
}
