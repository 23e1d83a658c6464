//! Looks through bytes as they pass and replaces what must not. One vectorised pass; where there is no hit, what came is what
//! goes on, not copied.
//!
//! INVARIANT: only bytes that may be the beginning of a needle wait for the next ones. It knows nothing of HTTP.

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, Input};
use bytes::{Bytes, BytesMut};

use super::needles::{Fit, Found, Lengths, Needle};

/// How much of a needle is looked for at first: enough to be rare, little enough to be no secret.
const PRINT_BYTES: usize = 6;

/// Finds needles. Made once for a lease, shared by its calls.
pub(super) struct Finder {
    needles: Vec<Needle>,
    /// By pattern of the engine: which needles have it, and how far in.
    prints: Vec<Vec<(usize, usize)>>,
    engine: Engine,
    begins: Begins,
    longest: usize,
}

/// Pairs of bytes that a needle can begin with, a bit each: what stands at the end of a piece is looked at byte by byte, for as many
/// bytes as the longest needle has, and hardly any pair is one of these.
struct Begins(Vec<u64>);

enum Engine {
    None,
    /// Teddy, on machines that have the instructions.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Finder {
    pub(super) fn new(needles: Vec<Needle>) -> Self {
        let mut patterns: Vec<Vec<u8>> = Vec::new();
        let mut prints: Vec<Vec<(usize, usize)>> = Vec::new();
        // The shortest first: the other forms of a secret have most of its letters in them, and so one piece tells them all. The
        // fewer pieces, the fewer false hits.
        let mut in_order: Vec<(usize, &[u8])> =
            needles.iter().enumerate().map(|(index, needle)| (index, needle.core())).collect();
        in_order.sort_by_key(|(_, core)| core.len());
        for (index, core) in in_order {
            let shared = patterns
                .iter()
                .zip(&mut prints)
                .find_map(|(pattern, print)| memchr::memmem::find(core, pattern).map(|at| (at, print)));
            if let Some((at, known)) = shared {
                known.push((index, at));
                continue;
            }
            let at = print(core);
            patterns.push(core.iter().skip(at).take(PRINT_BYTES).copied().collect());
            prints.push(vec![(index, at)]);
        }
        // As the needles are: the longest first.
        for print in &mut prints {
            print.sort_unstable();
        }
        let begins = Begins::of(&needles);
        let longest = needles.iter().map(Needle::longest).max().unwrap_or(0);
        Self { engine: Engine::of(&patterns), needles, prints, begins, longest }
    }

    /// The first needle whose core begins at `from` or later.
    fn find(&self, data: &[u8], from: usize, whole: bool) -> Option<(&Needle, Fit)> {
        let mut at = from;
        while let Some((pattern, start)) = self.engine.find(data, at) {
            for (index, before) in self.prints.get(pattern).into_iter().flatten() {
                let needle = self.needles.get(*index)?;
                let Some(core) = start.checked_sub(*before) else { continue };
                match needle.fit(data, from, core, whole) {
                    Fit::No => {}
                    fit => return Some((needle, fit)),
                }
            }
            at = start + 1;
        }
        None
    }

    /// From where on what is there may be the beginning of a needle.
    fn pending(&self, data: &[u8], from: usize) -> usize {
        let earliest = data.len().saturating_sub(self.longest).max(from);
        let may_begin = |at: &usize| {
            let tail = data.get(*at..).unwrap_or_default();
            self.begins.has(tail) && self.needles.iter().any(|needle| needle.may_begin(tail))
        };
        (earliest..data.len()).find(may_begin).unwrap_or(data.len())
    }

    /// Replaces all needles; `None` where there is none.
    pub(super) fn replace(&self, data: &[u8], lengths: Lengths) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut from = 0;
        while let Some((needle, Fit::Whole(found))) = self.find(data, from, true) {
            out.extend_from_slice(data.get(from..found.start).unwrap_or_default());
            out.extend(needle.instead(data, found, lengths));
            from = found.end;
        }
        out.extend_from_slice(data.get(from..).unwrap_or_default());
        (from > 0).then_some(out)
    }
}

impl Begins {
    fn of(needles: &[Needle]) -> Self {
        let mut all = Self(vec![0; 1 << 10]);
        for (first, second) in needles.iter().flat_map(Needle::beginnings) {
            let (word, bit) = Self::place(first, second);
            if let Some(word) = all.0.get_mut(word) {
                *word |= bit;
            }
        }
        all
    }

    const fn place(first: u8, second: u8) -> (usize, u64) {
        let pair = (first as usize) << 8 | second as usize;
        (pair >> 6, 1 << (pair & 63))
    }

    /// One byte alone may be the beginning of anything.
    fn has(&self, tail: &[u8]) -> bool {
        let [first, second, ..] = tail else { return true };
        let (word, bit) = Self::place(*first, *second);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Engine {
    fn of(patterns: &[Vec<u8>]) -> Self {
        if patterns.is_empty() {
            return Self::None;
        }
        match packed::Searcher::new(patterns) {
            Some(packed) => Self::Packed(packed),
            None => AhoCorasick::new(patterns).map_or(Self::None, Self::Automaton),
        }
    }

    fn find(&self, data: &[u8], from: usize) -> Option<(usize, usize)> {
        let found = match self {
            Self::None => None,
            Self::Packed(packed) => packed.find_in(data, (from..data.len()).into()),
            Self::Automaton(automaton) => automaton.find(Input::new(data).range(from..)),
        }?;
        Some((found.pattern().as_usize(), found.start()))
    }
}

/// Where the piece of a needle stands that is looked for: one of letters and digits, which are written alike in most forms; of
/// these the one with the most different bytes, and of those the last, because what a format begins with is common.
fn print(core: &[u8]) -> usize {
    let rank = |at: usize| {
        let piece = core.get(at..at + PRINT_BYTES).unwrap_or_default();
        let different = piece
            .iter()
            .enumerate()
            .filter(|(n, byte)| !piece.iter().take(*n).any(|other| other == *byte))
            .count();
        (piece.iter().all(u8::is_ascii_alphanumeric), different)
    };
    (0..=core.len().saturating_sub(PRINT_BYTES)).max_by_key(|at| rank(*at)).unwrap_or(0)
}

/// One stream of bytes.
pub(super) struct Sieve {
    finder: std::sync::Arc<Finder>,
    lengths: Lengths,
    held: Bytes,
}

impl Sieve {
    pub(super) fn new(finder: std::sync::Arc<Finder>, lengths: Lengths) -> Self {
        Self { finder, lengths, held: Bytes::new() }
    }

    /// Bytes that wait for the next ones.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The next bytes; what may go on is handed to `out`.
    pub(super) fn push(&mut self, chunk: Bytes, out: impl FnMut(Bytes)) {
        let data = if self.held.is_empty() {
            chunk
        } else {
            let mut joined = BytesMut::with_capacity(self.held.len() + chunk.len());
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&chunk);
            joined.freeze()
        };
        self.held = self.sift(&data, Whole::No, out);
    }

    /// There are no more.
    pub(super) fn finish(&mut self, out: impl FnMut(Bytes)) {
        let data = std::mem::take(&mut self.held);
        self.sift(&data, Whole::Yes, out);
    }

    /// Hands on what may go, and returns what waits.
    fn sift(&self, data: &Bytes, whole: Whole, mut out: impl FnMut(Bytes)) -> Bytes {
        let mut from = 0;
        let mut emit = |bytes: Bytes| {
            if !bytes.is_empty() {
                out(bytes);
            }
        };
        while let Some((needle, fit)) = self.finder.find(data, from, whole == Whole::Yes) {
            match fit {
                Fit::Whole(found @ Found { start, end, .. }) => {
                    emit(data.slice(from..start));
                    emit(needle.instead(data, found, self.lengths).into());
                    from = end;
                }
                Fit::OneMore(start) => {
                    emit(data.slice(from..start));
                    return data.slice(start..);
                }
                Fit::No => break,
            }
        }
        let until = match whole {
            Whole::Yes => data.len(),
            Whole::No => self.finder.pending(data, from),
        };
        emit(data.slice(from..until));
        // A copy: a few bytes must not keep all of what they came with.
        Bytes::copy_from_slice(data.get(until..).unwrap_or_default())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    No,
    Yes,
}
