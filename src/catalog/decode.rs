//! From the bytes of a body to its text: content codings and character encodings undone.
//!
//! RFC 9110 §8.4. A coding may be declared and not there, or there and not declared; servers and the gateways before
//! them differ in which they go by. Codings are undone as long as there are any, up to [`LAYERS`]. Memory is bounded: what
//! unpacks to more than [`UNPACKED_BYTES`], or to [`RATIO`] times its size, is not read.

use std::io::{self, Read};

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// How many codings one inside the other are undone.
const LAYERS: usize = 3;
/// The most that a body may unpack to.
const UNPACKED_BYTES: u64 = 4 << 20;
/// How many times its size it may unpack to.
const RATIO: u64 = 100;
/// Small bodies may unpack to this in any case.
const ALWAYS_BYTES: u64 = 64 << 10;
/// The most memory that a zstd frame may ask for (RFC 8878 §3.1.1.1.2 recommends to support 8 MiB).
const WINDOW_BYTES: u64 = 8 << 20;

/// Why a body cannot be read. For people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// The text of a body; `None` where it is no text.
pub(super) fn text(
    headers: &HeaderMap,
    charset: Option<&str>,
    bytes: &[u8],
) -> Result<Option<String>, Unreadable> {
    match unpack(headers, bytes)? {
        Some(unpacked) => characters(charset, &unpacked),
        None => characters(charset, bytes),
    }
}

/// Undoes content codings. `None` where there is none.
fn unpack(headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
    let mut declared = declared(headers)?;
    let mut current: Option<Vec<u8>> = None;
    for _ in 0..=LAYERS {
        let now = current.as_deref().unwrap_or(bytes);
        // The last coding applied is named last (§8.4).
        let coding = Coding::by_magic(now).or_else(|| declared.pop());
        let Some(coding) = coding else { return Ok(current) };
        declared.retain(|other| *other != coding || !coding.has_magic());
        match coding.undo(now) {
            Ok(unpacked) => current = Some(unpacked),
            Err(Failed::Bomb) => return Err(Unreadable("the body unpacks to more than is read")),
            // It was declared and is not there: it is read as it stands, as a server would that ignores the field.
            Err(Failed::NotCoded) if !coding.has_magic() => {}
            Err(Failed::NotCoded) => return Err(Unreadable("the body cannot be unpacked")),
        }
    }
    Err(Unreadable("the body is packed too many times"))
}

fn declared(headers: &HeaderMap) -> Result<Vec<Coding>, Unreadable> {
    let mut found = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| Unreadable("the content coding is no text"))?;
        for name in value.split(',').map(|name| name.trim().to_ascii_lowercase()) {
            match name.as_str() {
                // `aws-chunked` frames its payload and packs nothing; the places that take it read no body for a class.
                "" | "identity" | "aws-chunked" => {}
                "gzip" | "x-gzip" => found.push(Coding::Gzip),
                "deflate" => found.push(Coding::Deflate),
                "br" => found.push(Coding::Brotli),
                "zstd" => found.push(Coding::Zstd),
                _ => return Err(Unreadable("the content coding is not known")),
            }
        }
    }
    Ok(found)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

enum Failed {
    NotCoded,
    Bomb,
}

impl Coding {
    fn by_magic(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // RFC 1952 §2.3.1: 8 is the only method.
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            // RFC 8878 §3.1.1.
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    fn has_magic(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd)
    }

    fn undo(self, bytes: &[u8]) -> Result<Vec<u8>, Failed> {
        match self {
            Self::Gzip => limited(flate2::read::MultiGzDecoder::new(bytes), bytes.len()),
            // §8.4.1.2: the zlib format; many send the bare stream all the same.
            Self::Deflate => match limited(flate2::read::ZlibDecoder::new(bytes), bytes.len()) {
                Err(Failed::NotCoded) => limited(flate2::read::DeflateDecoder::new(bytes), bytes.len()),
                done => done,
            },
            Self::Brotli => limited(brotli_decompressor::Decompressor::new(bytes, 4096), bytes.len()),
            Self::Zstd => {
                let decoder =
                    ruzstd::decoding::StreamingDecoder::new_with_max_window_size(bytes, WINDOW_BYTES);
                limited(decoder.map_err(|_| Failed::NotCoded)?, bytes.len())
            }
        }
    }
}

fn limited(decoder: impl Read, packed_bytes: usize) -> Result<Vec<u8>, Failed> {
    let packed_bytes = u64::try_from(packed_bytes).unwrap_or(u64::MAX);
    let limit = packed_bytes.saturating_mul(RATIO).clamp(ALWAYS_BYTES, UNPACKED_BYTES);
    let mut out = Vec::new();
    let read = decoder.take(limit + 1).read_to_end(&mut out);
    if u64::try_from(out.len()).unwrap_or(u64::MAX) > limit {
        return Err(Failed::Bomb);
    }
    read.map(|_| out).map_err(|_: io::Error| Failed::NotCoded)
}

/// Undoes the character encoding. What is neither UTF-8 nor UTF-16 nor declared is no text.
fn characters(charset: Option<&str>, bytes: &[u8]) -> Result<Option<String>, Unreadable> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Err(Unreadable("the body is UTF-32")),
        [0xef, 0xbb, 0xbf, rest @ ..] => return Ok(std::str::from_utf8(rest).ok().map(str::to_owned)),
        [0xff, 0xfe, rest @ ..] => return Ok(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => return Ok(utf16(rest, u16::from_be_bytes)),
        _ => {}
    }
    // JSON and XML begin with an ASCII character: a zero beside it tells UTF-16 (RFC 4627 §3).
    match bytes {
        [0, 0, ..] => {}
        [first, 0, ..] if first.is_ascii() && *first != 0 => return Ok(utf16(bytes, u16::from_le_bytes)),
        [0, second, ..] if second.is_ascii() => return Ok(utf16(bytes, u16::from_be_bytes)),
        _ => {}
    }
    match charset.map(str::to_ascii_lowercase).as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii" | "ascii" | "binary" | "") => {
            Ok(std::str::from_utf8(bytes).ok().map(str::to_owned))
        }
        Some("iso-8859-1" | "latin1" | "windows-1252" | "iso-8859-15") => {
            let as_it_is = std::str::from_utf8(bytes).ok().map(str::to_owned);
            Ok(as_it_is.or_else(|| Some(bytes.iter().map(|&byte| char::from(byte)).collect())))
        }
        // Declared, and without a zero byte or a mark: a server that goes by the bytes reads UTF-8.
        Some("utf-16" | "utf-16le" | "utf-16be") => {
            Err(Unreadable("the body is not in the encoding that it names"))
        }
        Some(_) => Err(Unreadable("the character encoding is not known")),
    }
}

fn utf16(bytes: &[u8], from: fn([u8; 2]) -> u16) -> Option<String> {
    let units = bytes.chunks(2).map(|pair| if let [a, b] = *pair { from([a, b]) } else { 0xfffd });
    char::decode_utf16(units).collect::<Result<String, _>>().ok()
}
