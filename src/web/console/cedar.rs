//! Cedar with its words in colour: as much of its grammar (<https://docs.cedarpolicy.com/policies/syntax-grammar.html>) as it
//! takes to tell the kinds of words apart. It is shown whatever it is; whether it is right is the judge's business.

use maud::{Markup, html};

/// What a piece of the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Annotation,
    Comment,
    Effect,
    Entity,
    Keyword,
    Number,
    Plain,
    Text,
    Variable,
}

impl Kind {
    const fn class(self) -> Option<&'static str> {
        match self {
            Self::Annotation => Some("c-note"),
            Self::Comment => Some("c-comment"),
            Self::Effect => Some("c-effect"),
            Self::Entity => Some("c-entity"),
            Self::Keyword => Some("c-key"),
            Self::Number => Some("c-number"),
            Self::Plain => None,
            Self::Text => Some("c-text"),
            Self::Variable => Some("c-var"),
        }
    }
}

/// The text, in colour, with an anchor at each policy's name.
pub(super) fn coloured(text: &str) -> Markup {
    let pieces = pieces(text);
    let mut named = false;
    let mut shown = Vec::new();
    for (kind, piece) in pieces {
        // What an `@id` names follows it, in quotes.
        let id = (named && kind == Kind::Text).then(|| format!("policy-{}", piece.trim_matches('"')));
        named = match kind {
            Kind::Annotation => piece == "@id",
            Kind::Plain if named => true,
            _ => false,
        };
        shown.push((kind, piece, id));
    }
    html! {
        @for (kind, piece, id) in shown {
            @match kind.class() {
                Some(class) => span class=(class) id=[id] { (crate::call::inert::lines(piece, usize::MAX)) },
                None => (crate::call::inert::lines(piece, usize::MAX)),
            }
        }
    }
}

/// The whole text, piece by piece.
pub(super) fn pieces(text: &str) -> Vec<(Kind, &str)> {
    let (mut pieces, mut rest): (Vec<(Kind, &str)>, _) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let (kind, len) = match first {
            '/' if rest.starts_with("//") => (Kind::Comment, rest.find('\n').unwrap_or(rest.len())),
            '"' => (Kind::Text, quoted(rest)),
            '@' => (Kind::Annotation, 1 + word(rest.get(1..).unwrap_or_default())),
            '?' => (Kind::Variable, 1 + word(rest.get(1..).unwrap_or_default())),
            c if c.is_ascii_digit() => {
                (Kind::Number, rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()))
            }
            c if c.is_alphabetic() || c == '_' => named(rest),
            c => (Kind::Plain, c.len_utf8()),
        };
        let (piece, more) = rest.split_at_checked(len.max(1)).unwrap_or((rest, ""));
        rest = more;
        pieces.push((kind, piece));
    }
    pieces
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A word, and with `::` behind it the path and the name of an entity.
fn named(text: &str) -> (Kind, usize) {
    let mut len = word(text);
    let first = text.get(..len).unwrap_or_default();
    let mut is_entity = false;
    while let Some(rest) = text.get(len..).and_then(|rest| rest.strip_prefix("::")) {
        is_entity = true;
        let next = if rest.starts_with('"') { quoted(rest) } else { word(rest) };
        len += 2 + next;
        if next == 0 {
            break;
        }
    }
    let kind = match first {
        _ if is_entity => Kind::Entity,
        "permit" | "forbid" => Kind::Effect,
        "when" | "unless" | "in" | "is" | "has" | "like" | "if" | "then" | "else" | "true" | "false"
        | "namespace" | "entity" | "action" | "type" | "appliesTo" | "tags" | "enum"
            if first != "action" || text.get(len..).is_some_and(|rest| rest.starts_with(" \"")) =>
        {
            Kind::Keyword
        }
        "principal" | "action" | "resource" | "context" => Kind::Variable,
        _ => Kind::Plain,
    };
    (kind, len)
}
