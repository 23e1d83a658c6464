//! What a credential looks like wherever an answer may hold it, and what is put in its place.
//!
//! Forms: as it is; percent-encoded (RFC 3986, `encodeURIComponent`, HTML forms, or every byte; in either case of the hex
//! digits); in a JSON string (RFC 8259 §7: the shortest form, with `\/`, with what Go, Gson and others write as `\u`, or
//! every character as `\u`); in base64 (RFC 4648 §4 and §5) at each of the three places that a byte can have in a group of
//! three, which covers an RFC 7617 credential as rendered, too. A form inside of a form, or broken into lines, is none of
//! these.
//!
//! INVARIANT: a placeholder stands in the encoding of what it replaces. Where its length would break what is around it,
//! asterisks of the same length stand there.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroize as _;

use crate::call::{Leak, Secret};

/// Below this a text is too common to be told from others.
const SHORTEST_BYTES: usize = 4;
/// Below this a piece of base64 is.
const SHORTEST_BASE64: usize = 6;
/// Forms that are several times as long are looked for up to this length of a secret.
const LONGEST_SPELT_OUT: usize = 512;
const ALPHABETS: [Alphabet; 2] = [Alphabet::Standard, Alphabet::Url];

/// RFC 4648.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alphabet {
    Standard,
    Url,
}

impl Alphabet {
    fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Standard => STANDARD_NO_PAD.encode(bytes),
            Self::Url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }

    /// In either alphabet: what has none of the two characters in which they differ is of both.
    fn value(character: u8) -> Option<u8> {
        match character {
            b'A'..=b'Z' => Some(character - b'A'),
            b'a'..=b'z' => Some(character - b'a' + 26),
            b'0'..=b'9' => Some(character - b'0' + 52),
            b'+' | b'-' => Some(62),
            b'/' | b'_' => Some(63),
            _ => None,
        }
    }
}

/// One form of one secret.
#[derive(Debug)]
pub(super) struct Needle {
    /// What is found.
    core: Secret<Vec<u8>>,
    /// The character before it, which holds bits of the secret and of its neighbour.
    left: Option<Edge>,
    /// The character behind it, likewise.
    right: Option<Edge>,
    instead: Instead,
}

/// A character of base64 of which some bits belong to the secret.
#[derive(Clone, Copy, Debug)]
struct Edge {
    /// Which of its six bits.
    mask: u8,
    /// What they are.
    bits: u8,
}

impl Edge {
    fn fits(self, character: u8) -> bool {
        Alphabet::value(character).is_some_and(|value| value & self.mask == self.bits)
    }
}

#[derive(Debug)]
enum Instead {
    /// The placeholder in the same encoding.
    Text(Vec<u8>),
    /// The placeholder's own bytes; they are encoded together with their neighbours.
    Base64 { alphabet: Alphabet, align: usize, secret_bytes: usize, placeholder: Vec<u8> },
}

/// Whether what is replaced may change its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lengths {
    Free,
    Kept,
}

/// Where a needle is, with its edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    left: bool,
    right: bool,
}

/// Whether all of a needle is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    No,
    Whole(Found),
    /// The next byte tells where it ends; it begins here.
    OneMore(usize),
}

/// All forms of these secrets, each once.
pub(super) fn of(leaks: &[Leak]) -> Vec<Needle> {
    let mut needles = Vec::new();
    let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
    for leak in leaks.iter().filter(|leak| leak.secret.reveal().len() >= SHORTEST_BYTES) {
        let (secret, instead) = (leak.secret.reveal().as_str(), leak.instead.as_str());
        let spelt_out = secret.len() <= LONGEST_SPELT_OUT;
        for write in written(spelt_out) {
            let core = write(secret);
            if seen.insert(core.clone()) {
                let instead = Instead::Text(write(instead));
                needles.push(Needle { core: Secret::new(core), left: None, right: None, instead });
            }
        }
        for alphabet in ALPHABETS {
            for align in 0..3 {
                let needle = base64(alphabet, align, secret.as_bytes(), instead.as_bytes());
                if needle.core().len() >= SHORTEST_BASE64 && seen.insert(needle.core().to_vec()) {
                    needles.push(needle);
                }
            }
        }
    }
    for mut core in seen {
        core.zeroize();
    }
    // The longest first: a needle that another one begins with must not hide it.
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.core().len()));
    needles
}

type Write = Box<dyn Fn(&str) -> Vec<u8>>;

/// The ways of writing a text down that keep its order.
fn written(spelt_out: bool) -> Vec<Write> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let component = move |byte: u8| unreserved(byte) || b"!'()*".contains(&byte);
    let form = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._ ".contains(&byte);
    let mut ways: Vec<Write> = vec![Box::new(|text| text.as_bytes().to_vec())];
    for case in [Case::Upper, Case::Lower] {
        ways.push(Box::new(move |text| percent(text, unreserved, case)));
        ways.push(Box::new(move |text| percent(text, component, case)));
        ways.push(Box::new(move |text| {
            let mut written = percent(text, form, case);
            written.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'+');
            written
        }));
        ways.push(Box::new(move |text| json(text, char::is_control, case)));
        ways.push(Box::new(move |text| json(text, |c| c.is_control() || !c.is_ascii(), case)));
        ways.push(Box::new(move |text| json(text, |c| "<>&\u{2028}\u{2029}".contains(c), case)));
        ways.push(Box::new(move |text| json(text, |c| "<>&='".contains(c), case)));
        ways.push(Box::new(move |text| json(text, |c| "<>&'+`\"".contains(c) || !c.is_ascii(), case)));
        if spelt_out {
            ways.push(Box::new(move |text| percent(text, |_| false, case)));
            ways.push(Box::new(move |text| json(text, |_| true, case)));
        }
    }
    ways.push(Box::new(|text| {
        let shortest = json(text, |_| false, Case::Lower);
        shortest
            .into_iter()
            .flat_map(|byte| if byte == b'/' { vec![b'\\', b'/'] } else { vec![byte] })
            .collect()
    }));
    ways
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Upper,
    Lower,
}

impl Case {
    fn hex(self, out: &mut Vec<u8>, value: u32, digits: u32) {
        for place in (0..digits).rev() {
            let digit = char::from_digit((value >> (4 * place)) & 15, 16).unwrap_or('0');
            let digit = if self == Self::Upper { digit.to_ascii_uppercase() } else { digit };
            out.extend(digit.to_string().bytes());
        }
    }
}

fn percent(text: &str, keep: impl Fn(u8) -> bool, case: Case) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        if keep(byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            case.hex(&mut out, byte.into(), 2);
        }
    }
    out
}

/// The inside of a JSON string; `spelt` says what is written as `\u`.
fn json(text: &str, spelt: impl Fn(char) -> bool, case: Case) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut units = [0; 2];
    for character in text.chars() {
        match character {
            _ if spelt(character) => {
                for unit in character.encode_utf16(&mut units) {
                    out.extend(b"\\u");
                    case.hex(&mut out, (*unit).into(), 4);
                }
            }
            '"' => out.extend(b"\\\""),
            '\\' => out.extend(b"\\\\"),
            _ => out.extend(character.to_string().bytes()),
        }
    }
    out
}

/// A secret that stands `align` bytes into a group of three.
fn base64(alphabet: Alphabet, align: usize, secret: &[u8], placeholder: &[u8]) -> Needle {
    let whole = Secret::new([&vec![0; align], secret].concat());
    let encoded = Secret::new(alphabet.encode(whole.reveal()));
    let characters = encoded.reveal().as_bytes();
    // Characters of which all six bits are the secret's.
    let (first, end) = ((8 * align).div_ceil(6), 8 * (align + secret.len()) / 6);
    let edge = |at: Option<usize>, own_bits: usize, side: Side| {
        let value = Alphabet::value(*characters.get(at?)?)?;
        let mask = match side {
            Side::Left => (1_u8 << own_bits) - 1,
            Side::Right => ((1_u8 << own_bits) - 1) << (6 - own_bits),
        };
        (own_bits > 0).then_some(Edge { mask, bits: value & mask })
    };
    let left = edge(first.checked_sub(1), (6 - (8 * align) % 6) % 6, Side::Left);
    let right = edge(Some(end), (8 * (align + secret.len())) % 6, Side::Right);
    Needle {
        core: Secret::new(characters.get(first..end).unwrap_or_default().to_vec()),
        left,
        right,
        instead: Instead::Base64 {
            alphabet,
            align,
            secret_bytes: secret.len(),
            placeholder: placeholder.to_vec(),
        },
    }
}

enum Side {
    Left,
    Right,
}

impl Needle {
    pub(super) fn core(&self) -> &[u8] {
        self.core.reveal()
    }

    /// The most bytes that a beginning of it can have.
    pub(super) fn longest(&self) -> usize {
        self.core().len() + usize::from(self.left.is_some()) + usize::from(self.right.is_some())
    }

    /// Whether it is there, its core at `at`. `from` is the first byte that may still be changed.
    pub(super) fn fit(&self, data: &[u8], from: usize, at: usize, whole: bool) -> Fit {
        let core = self.core();
        let end = at + core.len();
        if at < from || data.get(at..end) != Some(core) {
            return Fit::No;
        }
        let before = at.checked_sub(1).filter(|before| *before >= from).and_then(|before| data.get(before));
        let left = match (&self.left, before) {
            (Some(edge), Some(character)) => edge.fits(*character),
            _ => false,
        };
        let start = at - usize::from(left);
        let right = match (&self.right, data.get(end)) {
            (Some(_), None) if !whole => return Fit::OneMore(start),
            (None, _) | (Some(_), None) => false,
            (Some(edge), Some(character)) => edge.fits(*character),
        };
        Fit::Whole(Found { start, end: end + usize::from(right), left, right })
    }

    /// Whether these bytes, at the end of what is there, may be its beginning.
    pub(super) fn may_begin(&self, tail: &[u8]) -> bool {
        let core = self.core();
        let begins = |core: &[u8], tail: &[u8]| tail.len() <= core.len() && core.starts_with(tail);
        let behind_edge = match (&self.left, tail) {
            (Some(edge), [first, rest @ ..]) => edge.fits(*first) && begins(core, rest),
            _ => false,
        };
        behind_edge || begins(core, tail)
    }

    /// The first two bytes that it can have.
    pub(super) fn beginnings(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let mut bytes = self.core().iter().copied();
        let (first, second) = (bytes.next(), bytes.next());
        let left = self.left;
        let behind_edge = (0..=u8::MAX).filter(move |byte| left.is_some_and(|edge| edge.fits(*byte)));
        first.zip(second).into_iter().chain(behind_edge.filter_map(move |byte| Some((byte, first?))))
    }

    /// What stands in its place.
    pub(super) fn instead(&self, data: &[u8], found: Found, lengths: Lengths) -> Vec<u8> {
        let bytes = found.end - found.start;
        match &self.instead {
            Instead::Text(text) if lengths == Lengths::Free || text.len() == bytes => text.clone(),
            Instead::Text(_) => vec![b'*'; bytes],
            Instead::Base64 { alphabet, align, secret_bytes, placeholder } => {
                let grown = placeholder.len().abs_diff(*secret_bytes);
                let fits = grown == 0 || (lengths == Lengths::Free && grown % 3 == 0);
                let stars = vec![b'*'; *secret_bytes];
                let plain = if fits { placeholder.as_slice() } else { &stars };
                rendered(*alphabet, *align, plain, data, found)
            }
        }
    }
}

/// Base64 of `plain` with the bits that its neighbours have in the characters at its edges.
fn rendered(alphabet: Alphabet, align: usize, plain: &[u8], data: &[u8], found: Found) -> Vec<u8> {
    let value = |at: usize| data.get(at).and_then(|character| Alphabet::value(*character)).unwrap_or(0);
    let mut whole = vec![0_u8; align];
    if found.left
        && let Some(before) = whole.last_mut()
    {
        // Of the byte before, the low bits stand in the upper part of the left character.
        *before = value(found.start) >> if align == 1 { 4 } else { 2 };
    }
    whole.extend_from_slice(plain);
    let own_bits = (8 * whole.len()) % 6;
    if found.right && own_bits > 0 {
        // Of the byte behind, the high bits stand in the lower part of the right character.
        let bits = value(found.end - 1) & ((1 << (6 - own_bits)) - 1);
        whole.push(bits << if own_bits == 2 { 4 } else { 6 });
    }
    let encoded = alphabet.encode(&whole);
    let whole_bytes = align + plain.len();
    let first = if found.left { (8 * align) / 6 } else { (8 * align).div_ceil(6) };
    let end = if found.right { (8 * whole_bytes).div_ceil(6) } else { 8 * whole_bytes / 6 };
    encoded.as_bytes().get(first..end).unwrap_or_default().to_vec()
}
