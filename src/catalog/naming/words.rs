//! Names in words: `createOrUpdate-repo_secret` is `create or update repo secret`.

use super::vocabulary as v;

/// What an operation is called. Either part may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::catalog) struct Words<'a> {
    /// Its id or name: `issues/create-comment`, `CreateRole`, `conversations.invite`.
    pub(in crate::catalog) name: &'a str,
    /// Its path, as a template or as sent: `/teams/{id}/members`, `/v1/files:batchGet`.
    pub(in crate::catalog) path: &'a str,
}

/// A name and a path, split.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// The parts of the name, between dots, slashes and colons.
    pub(super) parts: Vec<Vec<String>>,
    /// The literal segments of the path, in words; a custom verb (`{id}:cancel`) is a segment of its own.
    pub(super) segments: Vec<Vec<String>>,
    /// Where in the path each of them stands.
    places: Vec<usize>,
    /// The path ends in a custom verb.
    pub(super) custom: bool,
    /// The path ends in a parameter.
    pub(super) ends_open: bool,
    /// The path ends in a name with dots: `conversations.close`.
    pub(super) dotted: bool,
}

/// More words than this no name has; what follows is not read.
const LONGEST: usize = 64;

impl Split {
    pub(super) fn of(words: Words<'_>) -> Self {
        let parts = words.name.split(['.', '/', ':', '#']).map(split).filter(|part| !part.is_empty());
        let mut split_up = Self { parts: parts.take(LONGEST).collect(), ..Self::default() };
        split_up.read_path(words.path.split(['?', '#']).next().unwrap_or_default());
        split_up
    }

    /// Whether the last segment follows the one before at once, without an id between.
    pub(super) fn adjoins(&self) -> bool {
        matches!(self.places.as_slice(), [.., before, last] if last - before <= 1)
    }

    fn read_path(&mut self, path: &str) {
        let segments = path.split('/').filter(|segment| !segment.is_empty()).take(LONGEST);
        for (place_in_path, segment) in segments.enumerate() {
            let (place, verb) = match segment.rsplit_once(':') {
                Some((place, verb)) if !verb.is_empty() && !verb.contains('}') => (place, Some(verb)),
                _ => (segment, None),
            };
            (self.custom, self.dotted) = (verb.is_some(), false);
            // A number at the end is an id and no version.
            self.ends_open = verb.is_none() && (is_value(place) || place.bytes().all(|b| b.is_ascii_digit()));
            for text in [Some(place).filter(|place| !is_value(place)), verb].into_iter().flatten() {
                // `chat.postMessage` in a path is a name too.
                let pieces = if is_version(text) { Vec::new() } else { text.split('.').collect() };
                let words = pieces.into_iter().filter(|piece| !FORMATS.contains(piece)).map(split);
                let before = self.segments.len();
                self.segments.extend(words.filter(|words| !words.is_empty()));
                self.dotted = self.segments.len() > before + 1;
                self.places.resize(self.segments.len(), place_in_path);
            }
        }
    }
}

/// Endings of a path that say in which form the answer is wanted.
const FORMATS: [&str; 5] = ["json", "xml", "csv", "aspx", "php"];

/// Whether a segment stands for a thing rather than naming a kind of thing: a parameter, or an id.
fn is_value(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    segment.contains(['{', '%', '@', '=', '*'])
        || (digits * 3 >= segment.len() && digits > 0 && !is_version(segment))
        || (digits >= 2 && segment.len() >= 12)
        || segment.len() > 48
        || is_slug(segment)
        || is_random(segment)
}

/// `orders-85`, `inbox-e2e2`: a name with a number behind it, as things are called and kinds of things are not.
fn is_slug(segment: &str) -> bool {
    let end = segment.rsplit_once('-').map_or("", |(_, end)| end);
    end.len() >= 2
        && end.bytes().any(|b| b.is_ascii_digit())
        && end.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// `NvFQssRXBqNtlyK6`: letters that change their case more often than words do.
fn is_random(segment: &str) -> bool {
    let plain = segment.len() >= 12 && segment.bytes().all(|b| b.is_ascii_alphanumeric());
    let changes = |pair: &[u8]| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase());
    let words = 1 + segment.as_bytes().windows(2).filter(|pair| changes(pair)).count();
    let digits = segment.bytes().any(|b| b.is_ascii_digit());
    let shortest = if digits { 4 } else { 5 };
    plain && words >= shortest && segment.len() < words * 4
}

/// `v1`, `2.0`, `v1beta1`, `2024-10`.
fn is_version(segment: &str) -> bool {
    let text = segment.strip_prefix(['v', 'V']).unwrap_or(segment);
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    rest.len() < text.len() && (rest.is_empty() || rest.starts_with("beta") || rest.starts_with("alpha"))
}

/// Splits at everything that is no letter or digit, and where lower case turns into upper case (`ListIAMRoles`).
pub(super) fn split(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().take(512).collect();
    let (mut out, mut word) = (Vec::new(), String::new());
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            push(&mut out, &mut word);
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied().unwrap_or(' ');
        let after = chars.get(at + 1).copied().unwrap_or(' ');
        let begins = c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
        // `IAMRole` parts before `R`, but the plural in `ACLs` does not part.
        let plural = after == 's' && !chars.get(at + 2).is_some_and(|c| c.is_lowercase());
        let ends_capitals = c.is_uppercase() && before.is_uppercase() && after.is_lowercase() && !plural;
        if begins || ends_capitals {
            push(&mut out, &mut word);
        }
        word.extend(c.to_lowercase());
    }
    push(&mut out, &mut word);
    out
}

fn push(out: &mut Vec<String>, word: &mut String) {
    if !word.is_empty() && out.len() < LONGEST {
        apart(out, std::mem::take(word));
    }
    word.clear();
}

/// Adds a word; where it is two without a boundary (`rolebindings`, `listjobs`), both.
fn apart(out: &mut Vec<String>, word: String) {
    let ending = |ending: &&&str| {
        // `key` is in `monkey`: what stands before must be a word, and those have three letters and a vowel.
        word.strip_suffix(**ending)
            .is_some_and(|before| before.len() >= 3 && !COMMON.contains(&word.as_str()))
    };
    if !super::has(v::AUTHORITY, &word) && word.len() >= 6 {
        if let Some(ending) = v::ENDINGS.iter().filter(ending).max_by_key(|ending| ending.len())
            && let Some(before) = word.strip_suffix(*ending)
        {
            apart(out, before.to_owned());
            out.push((*ending).to_owned());
            return;
        }
        let begins = |beginning: &&&str| {
            let rest = word.strip_prefix(**beginning).unwrap_or_default();
            rest.len() >= 4 && !["ing", "en", "er", "ed", "able"].iter().any(|form| rest.starts_with(form))
        };
        if let Some(beginning) = v::BEGINNINGS.iter().find(begins)
            && let Some(rest) = word.strip_prefix(*beginning)
        {
            out.push((*beginning).to_owned());
            apart(out, rest.to_owned());
            return;
        }
    }
    out.push(word);
}

/// Words that only look like two.
const COMMON: [&str; 12] = [
    "donkey", "hockey", "hotkey", "hotkeys", "keyrole", "monkey", "monkeys", "parole", "passkey", "passkeys",
    "turkey", "turnkey",
];
