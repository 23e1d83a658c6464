//! From path segments to an entry: a trie of template segments.
//!
//! Segment by segment a literal goes before a partly literal segment (the longer before the shorter), that before a
//! parameter, and that before `{rest...}`. Where the preferred branch has no entry for the path and the verb, the next
//! one is tried, as routers do. A search visits each node at most once, so its time is bounded by the data and not by
//! the request.

use std::borrow::Cow;
use std::cmp::Ordering;

use http::HeaderMap;

use crate::call::Class;

use super::request::{Query, Said};
use super::template::{Condition, HEADER, Segment};

/// What is asked of a place, besides its path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) verb: &'a str,
    pub(super) query: Query<'a>,
    pub(super) headers: &'a HeaderMap,
}

/// The templates of one service at one host.
#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

/// What stands before and behind a parameter in its segment.
type Affixes = (Box<str>, Box<str>);

#[derive(Debug, Default)]
struct Node {
    /// In lower case, sorted.
    literals: Vec<(Box<str>, Node)>,
    /// Prefix and suffix in lower case, the longest together first.
    params: Vec<(Affixes, Node)>,
    /// Entries that end here.
    leaves: Vec<Leaf>,
    /// Entries that take all that follows.
    rest: Vec<Leaf>,
}

/// Where an entry hangs in the trie.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) verbs: Box<[Box<str>]>,
    /// What the query and the header fields must say; sorted.
    pub(super) conditions: Box<[Condition]>,
    pub(super) class: Class,
    /// The entry's place in the table.
    pub(super) row: usize,
}

impl Trie {
    /// Hangs `leaf` at `segments`. Gives back the row that is there already for one of its verbs.
    pub(super) fn insert(&mut self, segments: &[Segment], leaf: Leaf) -> Result<(), usize> {
        let (mut node, mut takes_rest) = (&mut self.root, false);
        for segment in segments {
            match segment {
                Segment::Literal(text) => {
                    let at = node.literals.binary_search_by(|(have, _)| have.cmp(text));
                    node = child(&mut node.literals, at, text.clone());
                }
                Segment::Param { prefix, suffix, .. } => {
                    let affixes = (prefix.clone(), suffix.clone());
                    let rank = |(p, s): &Affixes| std::cmp::Reverse(p.len() + s.len());
                    let order = |have: &Affixes| (rank(have), have).cmp(&(rank(&affixes), &affixes));
                    let at = node.params.binary_search_by(|(have, _)| order(have));
                    node = child(&mut node.params, at, affixes.clone());
                }
                Segment::Rest { .. } => takes_rest = true,
            }
        }
        let leaves = if takes_rest { &mut node.rest } else { &mut node.leaves };
        let clash = |have: &&Leaf| {
            have.conditions == leaf.conditions && have.verbs.iter().any(|v| leaf.verbs.contains(v))
        };
        if let Some(have) = leaves.iter().find(clash) {
            return Err(have.row);
        }
        leaves.push(leaf);
        Ok(())
    }

    /// The row of the entry for a path and what is asked there.
    pub(super) fn find(&self, segments: &[Cow<'_, str>], asked: &Asked<'_>) -> Option<usize> {
        self.root.find(segments, asked)
    }
}

fn child<K>(children: &mut Vec<(K, Node)>, found: Result<usize, usize>, key: K) -> &mut Node {
    let at = found.unwrap_or_else(|at| {
        children.insert(at, (key, Node::default()));
        at
    });
    #[expect(clippy::indexing_slicing, reason = "`at` was either found or has just been filled")]
    &mut children[at].1
}

impl Node {
    fn find(&self, segments: &[Cow<'_, str>], asked: &Asked<'_>) -> Option<usize> {
        let Some((segment, after)) = segments.split_first() else {
            return choose(&self.leaves, asked);
        };
        let literal = self.literals.binary_search_by(|(have, _)| folded_cmp(have, segment)).ok();
        let literal =
            literal.and_then(|at| self.literals.get(at)).and_then(|(_, node)| node.find(after, asked));
        literal
            .or_else(|| {
                let fits = |((p, s), _): &&(Affixes, Self)| between(segment, p, s);
                self.params.iter().filter(fits).find_map(|(_, node)| node.find(after, asked))
            })
            .or_else(|| choose(&self.rest, asked))
    }
}

/// Of the entries at one place, the one whose conditions fit best. What leaves it open goes to the strongest: a query that
/// says two different things under a name that decides, or that asks for two things of which neither is a part of the
/// other (`?acl&uploadId=`), is read either way by some server. A header field is the sender's word: it never weakens.
fn choose(leaves: &[Leaf], asked: &Asked<'_>) -> Option<usize> {
    let mut best: Option<&Leaf> = None;
    let mut strongest: Option<&Leaf> = None;
    let mut doubtful = false;
    for leaf in leaves.iter().filter(|leaf| leaf.takes(asked.verb)) {
        if strongest.is_none_or(|s| s.class < leaf.class) {
            strongest = Some(leaf);
        }
        let fit = leaf.fit(asked);
        doubtful |= fit == Fit::Doubtful;
        if fit == Fit::Yes && best.is_none_or(|best| best.rank() < leaf.rank()) {
            best = Some(leaf);
        }
    }
    if doubtful {
        return strongest.map(|leaf| leaf.row);
    }
    let best = best?;
    let rivals = leaves.iter().filter(|leaf| leaf.class > best.class && leaf.takes(asked.verb));
    let stronger = rivals.filter(|leaf| leaf.fit(asked) == Fit::Yes && !best.refines(leaf));
    Some(stronger.max_by_key(|leaf| leaf.rank()).unwrap_or(best).row)
}

/// Whether the conditions of an entry hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
    /// The query says two things.
    Doubtful,
}

impl Leaf {
    fn fit(&self, asked: &Asked<'_>) -> Fit {
        let mut fit = Fit::Yes;
        for (name, wanted) in &self.conditions {
            let holds = if let Some(name) = name.strip_prefix(HEADER) {
                asked.headers.contains_key(name)
            } else {
                match asked.query.get(name) {
                    Said::Nothing => false,
                    // `?acl=` in a template: whatever the value, servers only look whether it is there.
                    _ if wanted.is_empty() => true,
                    Said::Once(value) => value == wanted.as_ref(),
                    Said::Differently => return Fit::Doubtful,
                }
            };
            if !holds {
                fit = Fit::No;
            }
        }
        fit
    }

    /// More conditions go before fewer, then the stronger class.
    fn rank(&self) -> (usize, Class) {
        (self.conditions.len(), self.class)
    }

    /// Whether it is the other under further conditions, none of them on a header field.
    fn refines(&self, other: &Self) -> bool {
        let part = other.conditions.iter().all(|condition| self.conditions.contains(condition));
        part && !self.conditions.iter().any(|(name, _)| name.starts_with(HEADER))
    }

    /// HEAD is GET without the answer's body (RFC 9110 §9.3.2).
    fn takes(&self, verb: &str) -> bool {
        self.verbs.iter().any(|have| have.as_ref() == verb || (verb == "HEAD" && have.as_ref() == "GET"))
    }
}

fn folded_cmp(lower: &str, text: &str) -> Ordering {
    lower.bytes().cmp(text.bytes().map(|b| b.to_ascii_lowercase()))
}

/// Whether `text` begins with `prefix`, ends with `suffix`, and has something between.
fn between(text: &str, prefix: &str, suffix: &str) -> bool {
    text.len() > prefix.len() + suffix.len()
        && text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        && text.get(text.len() - suffix.len()..).is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
}
