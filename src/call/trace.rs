//! W3C Trace Context (Recommendation of 2021-11-23), level 1: the agent's trace goes on through remit.

use std::fmt;

use super::id::CallId;
use super::port::Entropy;

/// Sixteen bytes, not all zero (§3.2.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Eight bytes, not all zero (§3.2.2.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl SpanId {
    /// The span of a call is a function of its id, so a span that is sent twice is the same span.
    pub fn of_call(call: CallId) -> Self {
        let bytes = call.to_bytes();
        let mut span = [0; 8];
        // The last eight bytes of a ULID are random.
        span.copy_from_slice(bytes.last_chunk::<8>().unwrap_or(&[1; 8]));
        if span == [0; 8] {
            span = [1; 8];
        }
        Self(span)
    }
}

macro_rules! hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
hex!(TraceId);
hex!(SpanId);

/// Where a call stands in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace: the agent's, or a new one.
    pub trace: TraceId,
    /// The agent's span, if it sent one.
    pub parent: Option<SpanId>,
    /// This call's own span.
    pub span: SpanId,
    /// The `trace-flags` byte; bit 0 is *sampled*. remit records every call, whatever it says.
    pub flags: u8,
}

impl TraceContext {
    /// Goes on with the agent's `traceparent`; an absent or malformed one starts a new trace (§4.3).
    pub fn of(call: CallId, traceparent: Option<&str>, entropy: &dyn Entropy) -> Self {
        let span = SpanId::of_call(call);
        if let Some((trace, parent, flags)) = traceparent.and_then(parse) {
            return Self { trace, parent: Some(parent), span, flags };
        }
        let mut id = [0; 16];
        entropy.fill(&mut id);
        if id == [0; 16] {
            id = [1; 16];
        }
        Self { trace: TraceId(id), parent: None, span, flags: 1 }
    }

    /// The `traceparent` that the origin gets.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// `version "-" trace-id "-" parent-id "-" trace-flags`; later versions may append fields (§3.2.2.1, §4.3).
fn parse(text: &str) -> Option<(TraceId, SpanId, u8)> {
    let mut parts = text.split('-');
    let version = bytes::<1>(parts.next()?)?;
    let trace = bytes::<16>(parts.next()?)?;
    let parent = bytes::<8>(parts.next()?)?;
    let [flags] = bytes::<1>(parts.next()?)?;
    let more = parts.next().is_some();
    let valid = version != [0xff] && !(version == [0] && more) && trace != [0; 16] && parent != [0; 8];
    valid.then_some((TraceId(trace), SpanId(parent), flags))
}

/// Exactly `N` bytes of lower-case hex: upper case is invalid here (§3.2.2).
fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != 2 * N {
        return None;
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(out)
}
