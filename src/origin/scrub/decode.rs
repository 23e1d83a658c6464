//! Undoes the content coding of an answer as it passes: gzip (RFC 1952), deflate (RFC 1950, and bare RFC 1951, which many
//! send), Brotli (RFC 7932), Zstandard (RFC 8878).
//!
//! Each step makes a bounded piece of what little may have been packed to fill memory; what is left waits for the next step.

use std::io::{self, Write};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf as _, Bytes, BytesMut};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

/// What is unpacked at once, where the decoder lets us say it.
const STEP_BYTES: usize = 64 * 1024;
/// What is handed to inflate at once: it makes at most 1032 times as much of it (RFC 1951 §3.2.3).
const INFLATE_BYTES: usize = 256;
/// RFC 8878 §3.1.1.1.2 recommends to support 8 MiB.
const WINDOW_BYTES: u64 = 8 << 20;
/// RFC 8878 §3.1.1: magic number and the longest frame header.
const FRAME_HEADER_BYTES: usize = 18;

/// A coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The answer is not what its `content-encoding` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// One stream.
pub(super) struct Decoder {
    input: BytesMut,
    way: Way,
    begun: bool,
}

enum Way {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// Which of the two formats it is, the first two bytes tell.
    Deflate,
    Zlib(Box<ZlibDecoder<Vec<u8>>>),
    Bare(Box<DeflateDecoder<Vec<u8>>>),
    Brotli {
        state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
        over: bool,
        full: bool,
    },
    Zstd(Box<Zstd>),
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Self {
        let way = match coding {
            Coding::Gzip => Way::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Coding::Deflate => Way::Deflate,
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                let state = Box::new(BrotliState::new(alloc(), alloc(), alloc()));
                Way::Brotli { state, over: false, full: false }
            }
            Coding::Zstd => Way::Zstd(Box::default()),
        };
        Self { input: BytesMut::new(), way, begun: false }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.begun |= !chunk.is_empty();
        self.input.extend_from_slice(chunk);
    }

    /// Makes the next piece. Empty: it needs more.
    pub(super) fn step(&mut self) -> Result<Bytes, Broken> {
        if matches!(self.way, Way::Deflate) {
            let &[first, second, ..] = &self.input[..] else { return Ok(Bytes::new()) };
            // RFC 1950 §2.2.
            let zlib = first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(second)) % 31 == 0;
            self.way = if zlib {
                Way::Zlib(Box::new(ZlibDecoder::new(Vec::new())))
            } else {
                Way::Bare(Box::new(DeflateDecoder::new(Vec::new())))
            };
        }
        match &mut self.way {
            Way::Deflate => Ok(Bytes::new()),
            Way::Gzip(gzip) => inflate(&mut self.input, &mut **gzip, MultiGzDecoder::get_mut),
            Way::Zlib(zlib) => inflate(&mut self.input, &mut **zlib, ZlibDecoder::get_mut),
            Way::Bare(bare) => inflate(&mut self.input, &mut **bare, DeflateDecoder::get_mut),
            Way::Brotli { state, over, full } => brotli(&mut self.input, state, over, full),
            Way::Zstd(zstd) => zstd.step(&mut self.input),
        }
    }

    /// There is no more; after the last [`Decoder::step`]. An answer of no bytes at all is none that breaks off.
    pub(super) fn finish(self) -> Result<Bytes, Broken> {
        if !self.begun {
            return Ok(Bytes::new());
        }
        let rest = match self.way {
            Way::Gzip(gzip) => gzip.finish()?,
            Way::Zlib(zlib) => zlib.finish()?,
            Way::Bare(bare) => bare.finish()?,
            Way::Brotli { over: true, .. } => Vec::new(),
            Way::Zstd(zstd) if zstd.at == At::Frame && self.input.is_empty() => Vec::new(),
            Way::Deflate | Way::Brotli { .. } | Way::Zstd(_) => return Err(Broken),
        };
        Ok(rest.into())
    }
}

fn inflate<W: Write>(
    input: &mut BytesMut,
    decoder: &mut W,
    out: impl Fn(&mut W) -> &mut Vec<u8>,
) -> Result<Bytes, Broken> {
    while out(decoder).len() < STEP_BYTES && !input.is_empty() {
        let some = input.get(..INFLATE_BYTES.min(input.len())).unwrap_or_default();
        let taken = decoder.write(some)?;
        if taken == 0 {
            return Err(Broken);
        }
        input.advance(taken);
    }
    // What the last bytes made is still within: an event must not wait for the next one.
    decoder.flush()?;
    Ok(std::mem::take(out(decoder)).into())
}

fn brotli(
    input: &mut BytesMut,
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    over: &mut bool,
    full: &mut bool,
) -> Result<Bytes, Broken> {
    if *over {
        return if input.is_empty() { Ok(Bytes::new()) } else { Err(Broken) };
    }
    if input.is_empty() && !*full {
        return Ok(Bytes::new());
    }
    let mut out = vec![0; STEP_BYTES];
    let (mut left, mut taken, mut room, mut made, mut total) = (input.len(), 0, out.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut left, &mut taken, input, &mut room, &mut made, &mut out, &mut total, state,
    );
    input.advance(taken);
    out.truncate(made);
    *full = matches!(result, BrotliResult::NeedsMoreOutput);
    match result {
        BrotliResult::ResultFailure => Err(Broken),
        BrotliResult::ResultSuccess => {
            *over = true;
            Ok(out.into())
        }
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(out.into()),
    }
}

/// The crate takes whole blocks alone, and as many as there are; so that they cannot fill memory it is given one at a time.
/// It keeps back what later blocks may refer to, up to the window that the frame asks for.
#[derive(Default)]
struct Zstd {
    decoder: FrameDecoder,
    at: At,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum At {
    /// Before a frame.
    #[default]
    Frame,
    /// Before a block.
    Block,
    /// Behind the last block: what was made is read out, and a checksum may follow.
    End,
    /// In a frame to be skipped (RFC 8878 §3.1.2).
    Skip(usize),
}

impl Zstd {
    fn step(&mut self, input: &mut BytesMut) -> Result<Bytes, Broken> {
        loop {
            match self.at {
                At::Frame if input.is_empty() => return Ok(Bytes::new()),
                At::Frame => {
                    if !self.frame(input)? {
                        return Ok(Bytes::new());
                    }
                }
                At::Skip(0) => self.at = At::Frame,
                At::Skip(bytes) => {
                    let some = bytes.min(input.len());
                    if some == 0 {
                        return Ok(Bytes::new());
                    }
                    input.advance(some);
                    self.at = At::Skip(bytes - some);
                }
                At::Block => {
                    let made = self.drained(&[])?;
                    if !made.is_empty() {
                        return Ok(made);
                    }
                    // RFC 8878 §3.1.1.2.
                    let &[first, second, third, ..] = &input[..] else { return Ok(Bytes::new()) };
                    let header = u32::from_le_bytes([first, second, third, 0]);
                    let size = if (header >> 1) & 3 == 1 { 1 } else { (header >> 3) as usize };
                    let Some(block) = input.get(..3 + size) else { return Ok(Bytes::new()) };
                    let (_, made) = self.fed(block)?;
                    input.advance(3 + size);
                    if header & 1 == 1 {
                        self.at = At::End;
                    }
                    if !made.is_empty() {
                        return Ok(made);
                    }
                }
                At::End => {
                    let made = if self.decoder.is_finished() { self.drained(&[])? } else { Bytes::new() };
                    if !made.is_empty() {
                        return Ok(made);
                    }
                    if !self.decoder.is_finished() {
                        let Some(checksum) = input.get(..4) else { return Ok(Bytes::new()) };
                        self.fed(checksum)?;
                        input.advance(4);
                        continue;
                    }
                    self.at = At::Frame;
                }
            }
        }
    }

    /// Begins a frame; false: its header is not there yet.
    fn frame(&mut self, input: &mut BytesMut) -> Result<bool, Broken> {
        self.decoder.set_max_window_size(WINDOW_BYTES);
        let mut rest = &input[..];
        match self.decoder.reset(&mut rest) {
            Ok(()) => self.at = At::Block,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                self.at = At::Skip(length as usize);
            }
            Err(_) if input.len() < FRAME_HEADER_BYTES => return Ok(false),
            Err(_) => return Err(Broken),
        }
        let taken = input.len() - rest.len();
        input.advance(taken);
        Ok(true)
    }

    fn drained(&mut self, source: &[u8]) -> Result<Bytes, Broken> {
        Ok(self.fed(source)?.1)
    }

    fn fed(&mut self, source: &[u8]) -> Result<(usize, Bytes), Broken> {
        let mut out = vec![0; STEP_BYTES];
        let (taken, made) = self.decoder.decode_from_to(source, &mut out).map_err(|_| Broken)?;
        out.truncate(made);
        Ok((taken, out.into()))
    }
}
