//! Executable documents, read as far as a proxy must: the operations and fragments, and what each selects at its root.
//!
//! GraphQL specification (October 2021) §2. Selections are read by the grammar; arguments, variables and their values are
//! passed over in matching brackets. What a server takes is read as the server reads it; what no server takes gives nothing.

use std::str;

/// How deep a document may nest.
const DEPTH: usize = 100;
/// How many tokens a document may have.
const TOKENS: usize = 200_000;

/// What a document has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Document<'a> {
    pub(super) operations: Vec<Definition<'a>>,
    pub(super) fragments: Vec<Definition<'a>>,
}

/// An operation or a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Definition<'a> {
    /// `QUERY`, `MUTATION` or `SUBSCRIPTION`, as the catalog writes them; of a fragment: nothing.
    pub(super) kind: &'static str,
    /// `None`: it has none.
    pub(super) name: Option<&'a str>,
    /// What stands at its root, and in the inline fragments there.
    pub(super) selected: Vec<Selected<'a>>,
}

/// What is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selected<'a> {
    /// A field, by its name and not its alias.
    Field(&'a str),
    /// All that a fragment selects.
    Spread(&'a str),
}

/// Reads a document; `None` where it is none.
pub(super) fn read(text: &str) -> Option<Document<'_>> {
    let mut reader = Reader { lexer: Lexer { text, at: 0, left: TOKENS }, ahead: None };
    let mut document = Document::default();
    loop {
        let token = reader.next()?;
        if token == Token::End {
            return Some(document);
        }
        let (fragment, definition) = reader.definition(token)?;
        let list = if fragment { &mut document.fragments } else { &mut document.operations };
        list.push(definition);
    }
}

/// What the grammar is made of (§2.1.6). Values say nothing that counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    /// `...`
    Spread,
    /// One of `! $ & ( ) : = @ [ ] { | }`.
    Mark(u8),
    /// A number or a string.
    Value,
    /// The end of the text.
    End,
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    ahead: Option<Token<'a>>,
}

impl<'a> Reader<'a> {
    /// The next token; `None` where there is none that could be.
    fn next(&mut self) -> Option<Token<'a>> {
        match self.ahead.take() {
            Some(token) => Some(token),
            None => self.lexer.next(),
        }
    }

    /// The next token, which is not the end.
    fn must(&mut self) -> Option<Token<'a>> {
        self.next().filter(|token| *token != Token::End)
    }

    fn name(&mut self) -> Option<&'a str> {
        if let Token::Name(name) = self.must()? { Some(name) } else { None }
    }

    /// Takes the next token if it is this one.
    fn takes(&mut self, wanted: Token<'_>) -> Option<bool> {
        let token = self.next()?;
        if token == wanted {
            return Some(true);
        }
        self.ahead = Some(token);
        Some(false)
    }

    /// §2.2 to §2.10: whether it is a fragment, and it.
    fn definition(&mut self, first: Token<'a>) -> Option<(bool, Definition<'a>)> {
        let kind = match first {
            Token::Mark(b'{') => {
                let selected = self.selections()?;
                return Some((false, Definition { kind: "QUERY", name: None, selected }));
            }
            Token::Name("query") => "QUERY",
            Token::Name("mutation") => "MUTATION",
            Token::Name("subscription") => "SUBSCRIPTION",
            Token::Name("fragment") => "",
            _ => return None,
        };
        let fragment = kind.is_empty();
        let name = if fragment {
            let name = self.name().filter(|name| *name != "on")?;
            self.name().filter(|on| *on == "on")?;
            self.name()?;
            Some(name)
        } else {
            let token = self.must()?;
            let name = if let Token::Name(name) = token { Some(name) } else { None };
            if name.is_none() {
                self.ahead = Some(token);
            }
            if self.takes(Token::Mark(b'('))? {
                self.pass(b')')?;
            }
            name
        };
        self.directives()?;
        if !self.takes(Token::Mark(b'{'))? {
            return None;
        }
        Some((fragment, Definition { kind, name, selected: self.selections()? }))
    }

    /// §2.4, after the `{`. A set in a set is no call of a function: depth is the sender's.
    fn selections(&mut self) -> Option<Vec<Selected<'a>>> {
        let mut selected = Vec::new();
        // For each set that is open: whether it stands at the root, and whether it has anything.
        let mut open = vec![(true, false)];
        while let Some((root, any)) = open.last_mut() {
            let root = *root;
            let token = self.must()?;
            if token == Token::Mark(b'}') {
                // A set is never empty.
                if !*any {
                    return None;
                }
                open.pop();
                continue;
            }
            *any = true;
            let (what, inner) = match token {
                Token::Name(name) => (Some(Selected::Field(self.field(name)?)), false),
                Token::Spread => self.fragment(root)?,
                _ => return None,
            };
            selected.extend(what.filter(|_| root));
            self.directives()?;
            let set = self.takes(Token::Mark(b'{'))?;
            match what {
                // An inline fragment has a set, a spread has none.
                None if !set => return None,
                Some(Selected::Spread(_)) if set => return None,
                _ => {}
            }
            if set {
                if open.len() == DEPTH {
                    return None;
                }
                open.push((inner, false));
            }
        }
        Some(selected)
    }

    /// §2.5 to §2.7: a field's name behind its alias, and its arguments.
    fn field(&mut self, first: &'a str) -> Option<&'a str> {
        let name = if self.takes(Token::Mark(b':'))? { self.name()? } else { first };
        if self.takes(Token::Mark(b'('))? {
            self.pass(b')')?;
        }
        Some(name)
    }

    /// §2.8, after the `...`: a spread, or nothing and whether what follows stands at the root.
    fn fragment(&mut self, root: bool) -> Option<(Option<Selected<'a>>, bool)> {
        match self.must()? {
            Token::Name("on") => self.name().map(|_| (None, root)),
            Token::Name(name) => Some((Some(Selected::Spread(name)), false)),
            token @ Token::Mark(b'@' | b'{') => {
                self.ahead = Some(token);
                Some((None, root))
            }
            _ => None,
        }
    }

    /// §2.12.
    fn directives(&mut self) -> Option<()> {
        while self.takes(Token::Mark(b'@'))? {
            self.name()?;
            if self.takes(Token::Mark(b'('))? {
                self.pass(b')')?;
            }
        }
        Some(())
    }

    /// Passes over all up to the bracket that closes, which is `close`.
    fn pass(&mut self, close: u8) -> Option<()> {
        let mut open = vec![close];
        while let Some(wanted) = open.last().copied() {
            let closing = match self.must()? {
                Token::Mark(b'(') => b')',
                Token::Mark(b'[') => b']',
                Token::Mark(b'{') => b'}',
                Token::Mark(mark @ (b')' | b']' | b'}')) => {
                    if mark != wanted {
                        return None;
                    }
                    open.pop();
                    continue;
                }
                Token::Spread => return None,
                _ => continue,
            };
            if open.len() == DEPTH {
                return None;
            }
            open.push(closing);
        }
        Some(())
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    left: usize,
}

impl<'a> Lexer<'a> {
    fn byte(&self, ahead: usize) -> u8 {
        // A NUL is no token, so that it stands for the end as well.
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Option<Token<'a>> {
        self.ignored();
        if self.at >= self.text.len() {
            return Some(Token::End);
        }
        self.left = self.left.checked_sub(1)?;
        let token = match self.byte(0) {
            mark @ (b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{' | b'|'
            | b'}') => {
                self.at += 1;
                Token::Mark(mark)
            }
            b'.' if self.byte(1) == b'.' && self.byte(2) == b'.' => {
                self.at += 3;
                Token::Spread
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let from = self.at;
                self.while_is(|b| b == b'_' || b.is_ascii_alphanumeric());
                Token::Name(self.text.get(from..self.at)?)
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b'"' => self.string()?,
            _ => return None,
        };
        Some(token)
    }

    fn while_is(&mut self, is: impl Fn(u8) -> bool) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|b| !is(*b)).unwrap_or(rest.len());
    }

    /// §2.1.1 to §2.1.7: marks of byte order, blanks, line ends, commas, comments.
    fn ignored(&mut self) {
        loop {
            match self.byte(0) {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => self.at += 1,
                b'#' => self.while_is(|b| b != b'\n' && b != b'\r'),
                0xef if self.byte(1) == 0xbb && self.byte(2) == 0xbf => self.at += 3,
                _ => return,
            }
        }
    }

    /// §2.9.1, §2.9.2. What follows at once is no name and no dot.
    fn number(&mut self) -> Option<Token<'a>> {
        let digits = |lexer: &mut Self| {
            let from = lexer.at;
            lexer.while_is(|b| b.is_ascii_digit());
            (lexer.at > from).then_some(())
        };
        self.at += usize::from(self.byte(0) == b'-');
        digits(self)?;
        if self.byte(0) == b'.' {
            self.at += 1;
            digits(self)?;
        }
        if matches!(self.byte(0), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(0), b'+' | b'-'));
            digits(self)?;
        }
        let next = self.byte(0);
        (next != b'.' && next != b'_' && !next.is_ascii_alphanumeric()).then_some(Token::Value)
    }

    /// §2.9.4.
    fn string(&mut self) -> Option<Token<'a>> {
        if self.byte(1) == b'"' && self.byte(2) == b'"' {
            self.at += 3;
            loop {
                self.while_is(|b| b != b'"' && b != b'\\');
                let three = |from| (from..from + 3).all(|ahead| self.byte(ahead) == b'"');
                match self.byte(0) {
                    b'"' if three(0) => {
                        self.at += 3;
                        return Some(Token::Value);
                    }
                    b'\\' if three(1) => self.at += 4,
                    b'"' | b'\\' => self.at += 1,
                    _ => return None,
                }
            }
        }
        self.at += 1;
        loop {
            self.while_is(|b| !matches!(b, b'"' | b'\\' | b'\n' | b'\r'));
            match (self.byte(0), self.byte(1)) {
                (b'"', _) => {
                    self.at += 1;
                    return Some(Token::Value);
                }
                (b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') => self.at += 2,
                // A line end, an escape that is none, or the end.
                _ => return None,
            }
        }
    }
}
