//! The chunked transfer coding (RFC 9112 §7.1), in its one sound form: no extensions, CRLF and nothing else.

use super::head::{self, Violation};

/// Where in a chunked body we are.
#[derive(Debug)]
pub struct Chunks {
    state: State,
    /// Bytes of trailers seen so far.
    trailers: usize,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Size { digits: 0, value: 0 }, trailers: 0 }
    }
}

#[derive(Debug)]
enum State {
    Size { digits: u8, value: u64 },
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailer(Vec<u8>),
}

/// Longest trailer section, bytes.
const TRAILER_BYTES: usize = 16 * 1024;
/// 2^60 bytes in one chunk are more than anybody sends and leave no room for an overflow.
const SIZE_DIGITS: u8 = 15;

impl Chunks {
    /// Judges bytes of the body: how many belong to it, and whether those end it.
    pub fn judge(&mut self, bytes: &[u8]) -> Result<(usize, bool), Violation> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let State::Data(left) = &mut self.state {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= n as u64;
                at += n;
                if *left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let Some(&byte) = rest.first() else { break };
            at += 1;
            if self.step(byte)? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// One byte that is not data. True: it was the last of the body.
    fn step(&mut self, byte: u8) -> Result<bool, Violation> {
        match &mut self.state {
            State::Size { digits, value } => match (byte, char::from(byte).to_digit(16)) {
                (_, Some(digit)) if *digits < SIZE_DIGITS => {
                    *digits += 1;
                    *value = *value << 4 | u64::from(digit);
                }
                (_, Some(_)) => return Err(Violation::new("a chunk size has too many digits")),
                (b'\r', _) if *digits > 0 => self.state = State::SizeLf(*value),
                (b';', _) => return Err(Violation::new("a chunk has extensions")),
                _ => return Err(Violation::new("a chunk size is not a hexadecimal number")),
            },
            State::SizeLf(size) if byte == b'\n' => {
                self.state = if *size == 0 { State::Trailer(Vec::new()) } else { State::Data(*size) };
            }
            State::DataCr if byte == b'\r' => self.state = State::DataLf,
            State::DataLf if byte == b'\n' => self.state = State::Size { digits: 0, value: 0 },
            State::Trailer(line) => {
                self.trailers += 1;
                if self.trailers > TRAILER_BYTES {
                    return Err(Violation::new("the trailers are too long"));
                }
                line.push(byte);
                if byte == b'\n' {
                    let Some(field) = line.strip_suffix(b"\r\n") else {
                        return Err(Violation::new("a trailer line does not end with CRLF"));
                    };
                    if field.is_empty() {
                        return Ok(true);
                    }
                    head::field(field)?;
                    line.clear();
                }
            }
            _ => return Err(Violation::new("a chunk does not end where its size says")),
        }
        Ok(false)
    }
}
