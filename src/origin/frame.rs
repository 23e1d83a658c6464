//! WebSocket frames (RFC 6455 §5.2): where each begins and ends, and the few that remit writes itself.
//!
//! Only the header is taken apart. A frame that passes is passed as it was sent (INVARIANT I4), which is why no crate does
//! this: those that read frames build new ones to send. What has two readings is an error.

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// The next piece of a message.
    Continuation,
    /// A text, or its first piece.
    Text,
    /// Bytes, or their first piece.
    Binary,
    /// The sender is done.
    Close,
    /// Are you there?
    Ping,
    /// Yes.
    Pong,
}

impl Opcode {
    /// Whether it may stand between the pieces of a message (§5.5).
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last piece of its message.
    pub last: bool,
    /// What it is.
    pub opcode: Opcode,
    /// The key that its payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub payload: u64,
    /// Bytes of the header itself, 2 to 14.
    pub size: usize,
}

/// What a frame of one side may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Masked (§5.3).
    Client,
    /// Not masked (§5.1).
    Server,
}

/// The longest payload of a control frame (§5.5).
pub const CONTROL_BYTES: usize = 125;

/// Reads the header at the beginning of `bytes`; `None` where more bytes are needed.
///
/// Refused beside what §5.2 refuses: reserved bits, since no extension is negotiated, and a length that is not in its
/// shortest form.
pub fn header(bytes: &[u8], from: From) -> Result<Option<Header>, &'static str> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err("a frame has a reserved bit set, and no extension is spoken");
    }
    let opcode = match first & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err("a frame is of a kind that is reserved"),
    };
    let last = first & 0x80 != 0;
    let (payload, rest) = match second & 0x7f {
        126 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u16::from_be_bytes(*length).into(), rest)
        }
        127 => {
            let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*length), rest)
        }
        short => (short.into(), rest),
    };
    let shortest = match second & 0x7f {
        126 => payload > 125,
        127 => payload > 0xffff && payload >> 63 == 0,
        _ => true,
    };
    if !shortest {
        return Err("a frame's length is not in its shortest form");
    }
    if opcode.is_control() && (!last || payload > CONTROL_BYTES as u64) {
        return Err("a control frame is longer than 125 bytes, or in pieces");
    }
    let (mask, rest) = match (second & 0x80 != 0, from) {
        (true, From::Client) => {
            let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*mask), rest)
        }
        (false, From::Server) => (None, rest),
        (false, From::Client) => return Err("a frame of the client is not masked"),
        (true, From::Server) => return Err("a frame of the server is masked"),
    };
    Ok(Some(Header { last, opcode, mask, payload, size: bytes.len() - rest.len() }))
}

/// Undoes a mask; `at` is the place of the first of `bytes` in the payload.
pub fn unmask(mask: [u8; 4], at: u64, bytes: &mut [u8]) {
    let keys = mask.into_iter().cycle().skip(usize::try_from(at % 4).unwrap_or(0));
    for (byte, key) in bytes.iter_mut().zip(keys) {
        *byte ^= key;
    }
}

/// A text from the server, in one frame.
pub fn text(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(short @ 0..=125), _) => frame.push(short),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend(text.as_bytes());
    frame
}

/// The end of the connection with its reason (§5.5.1), cut to what a control frame holds.
pub fn close(code: u16, reason: &str, from: From) -> Vec<u8> {
    let mut end = reason.len().min(CONTROL_BYTES - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = reason.get(..end).unwrap_or_default().as_bytes();
    let masked = if from == From::Client { 0x80 } else { 0 };
    let mut frame = vec![0x88, u8::try_from(2 + reason.len()).unwrap_or(2) | masked];
    if from == From::Client {
        // §5.3 wants keys that the author of the payload cannot foresee; the author of this payload is remit.
        frame.extend([0; 4]);
    }
    frame.extend(code.to_be_bytes());
    frame.extend(reason);
    frame
}
