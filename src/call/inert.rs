//! Text that somebody else chose, made so that it does nothing where it is shown: no terminal obeys it, no reader is shown
//! another order of letters than the one that is sent (Unicode TR 36, "Trojan Source"), and nothing in it is invisible.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text on one line, with what would act or hide in it written out (`\u{202e}`), and at most `limit_chars` characters of it;
/// what is longer ends in `…`.
pub fn text(text: &str, limit_chars: usize) -> Cow<'_, str> {
    made(text, limit_chars, |_| false)
}

/// The same, but lines and tabs stay.
pub fn lines(text: &str, limit_chars: usize) -> Cow<'_, str> {
    made(text, limit_chars, |c| matches!(c, '\n' | '\t'))
}

fn made(text: &str, limit_chars: usize, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let acts = |c: char| !stays(c) && is_active(c);
    if !text.chars().any(acts) && text.chars().nth(limit_chars).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().min(limit_chars.saturating_mul(4)) + 16);
    let mut all = text.chars();
    for c in all.by_ref().take(limit_chars) {
        match c {
            c if !acts(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => {
                let _infallible = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    if all.next().is_some() {
        out.push('…');
    }
    Cow::Owned(out)
}

/// Whether a character acts on its surroundings, or cannot be seen: controls (C0, C1, so all of ANSI), format characters
/// (bidirectional embeddings, overrides and isolates, zero-width ones, soft hyphen, tags), variation selectors, line and
/// paragraph separators, blanks that are no spaces, private use, and what is no character at all.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{8e2}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests;
