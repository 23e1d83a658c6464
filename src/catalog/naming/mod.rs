//! What an operation does, read from how it is named.
//!
//! The last resort, after what providers publish: the words of the operation's id and of its path, and its method. Rules
//! are tried in the order written in [`judge`]; the first that speaks decides, and its name is the provenance shown.
//! None knows a service. A name that says nothing leaves the method, and a method that says nothing is an act.

mod authority;
#[cfg(test)]
mod tests;
#[rustfmt::skip] // One word a line would be 600 lines.
mod vocabulary;
mod words;

use crate::call::Class;

pub(super) use authority::hands_out;
use authority::{appoints, delegates, has_authority, is_authority, lends, provides_identity};
use vocabulary as v;
use words::Split;
pub(super) use words::Words;

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The class.
    pub(super) class: Class,
    /// The rule that decided, for people: `named after a search or query`.
    pub(super) rule: &'static str,
}

impl Verdict {
    const fn new(class: Class, rule: &'static str) -> Self {
        Self { class, rule }
    }
}

/// Judges an operation by its method and its words. A method that is none of HTTP's (`QUERY` and `MUTATION` of GraphQL,
/// `GRPC`, `ACTION`, `CALL`) counts as one that says nothing, but `QUERY` and its like as safe.
pub(super) fn judge(method: &str, words: Words<'_>) -> Verdict {
    let split = Split::of(words);
    let deed = Deed::of(&split);
    if !is_safe(method) {
        return by_other_method(method, &split, &deed);
    }
    let safe = by_safe_method(&split, &deed);
    // `GET /api/conversations.close`: where calls have names like that, the method says little.
    if safe.class == Class::Read && split.dotted && method == "GET" {
        let named = by_other_method("POST", &split, &deed);
        let effect = |verb: &str| has(v::ACTS, verb) || has(v::TAKES_AWAY, verb) || has(v::HANDS_OVER, verb);
        if named.class > Class::Read && deed.path.is_some_and(effect) {
            return named;
        }
    }
    safe
}

/// Methods that promise to change nothing: RFC 9110 §9.2.1, RFC 4918 §9.1, RFC 3253 §3.6, RFC 5323 §2.
fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "QUERY" | "SUBSCRIPTION" | "PROPFIND" | "REPORT" | "SEARCH")
}

fn by_safe_method(split: &Split, deed: &Deed<'_>) -> Verdict {
    if deed.path.is_some_and(|verb| matches!(verb, "generate" | "issue")) && phrases(split).any(is_authority)
    {
        return Verdict::new(Class::Delegate, "a safe method, but named after handing something over");
    }
    let plain = |verb: &&str| has(v::EVEN_BY_GET, verb) || has(v::HANDS_OVER, verb);
    // A name may begin with a verb that the path has not: `GET /orders` named `sendOrders` is still worth a doubt.
    let alone = |verb: &&str| {
        matches!(*verb, "flush" | "refresh") && phrase_of(&split.segments).iter().all(|word| word == verb)
    };
    let told = deed
        .path
        .filter(|verb| plain(verb) || alone(verb))
        .or_else(|| deed.name.filter(plain).filter(|_| deed.name_is_verb));
    match told {
        Some(verb) if has(v::HANDS_OVER, verb) || verb == "invite" => {
            Verdict::new(Class::Delegate, "a safe method, but named after handing something over")
        }
        Some(_) => Verdict::new(Class::Act, "a safe method, but named after an effect"),
        None => Verdict::new(Class::Read, "safe method"),
    }
}

fn by_other_method(method: &str, split: &Split, deed: &Deed<'_>) -> Verdict {
    if method == "DELETE" || deed.any(|verb| has(v::TAKES_AWAY, verb)) {
        // AWS publishes the taking of rights as permissions management, like the giving.
        let rights = method == "ACTION" && (phrases(split).any(has_authority) || provides_identity(split));
        return if rights {
            Verdict::new(Class::Delegate, "takes away rights, which counts as managing them")
        } else {
            Verdict::new(Class::Act, "takes away or ends something")
        };
    }
    if method == "ACL" {
        return Verdict::new(Class::Delegate, "changes who may do what");
    }
    if let Some(verdict) = lends(split, deed).or_else(|| appoints(split)) {
        return verdict;
    }
    let keeps = !matches!(method, "PUT" | "PATCH") && !phrases_of(split).any(does_both);
    if keeps && reads(split, deed) {
        return Verdict::new(Class::Read, "named after a search, a look-up or a computation");
    }
    if keeps && deed.name_is_verb && deed.name.is_some_and(|verb| has(v::READS, verb)) && deed.path_agrees() {
        return Verdict::new(Class::Read, "named after reading");
    }
    if keeps && computes(split, deed) {
        return Verdict::new(Class::Read, "named after a computation that leaves nothing behind");
    }
    if let Some(verdict) = delegates(split, deed) {
        return verdict;
    }
    let known = deed.any(|verb| has(v::ACTS, verb));
    Verdict::new(Class::Act, if known { "named after an effect" } else { "the method may change something" })
}

/// The verbs of an operation.
#[derive(Debug)]
struct Deed<'a> {
    /// The verb of the name.
    name: Option<&'a str>,
    /// The name begins with it, or is nothing else.
    name_is_verb: bool,
    /// The verb that the path ends in.
    path: Option<&'a str>,
}

impl<'a> Deed<'a> {
    fn of(split: &'a Split) -> Self {
        let phrase = phrase_of(&split.parts);
        let first = phrase.iter().map(String::as_str).find(|word| !SKIPPED.contains(word));
        let trailing = phrase.last().map(String::as_str).filter(|word| is_verb(word) && phrase.len() > 1);
        // `transferGet`: the plainest of verbs at the end says more than a noun that could be a verb at the beginning. But
        // `deletePrefixList` is no list.
        let sure = first
            .is_some_and(|word| has(v::EVEN_BY_GET, word) || has(v::TAKES_AWAY, word) || word == "import");
        let plainly = trailing.filter(|word| *word == "get" || (*word == "list" && !sure));
        let leading = plainly.or(first.filter(|word| is_verb(word) && !is_add_on(phrase)));
        let path = Some(phrase_of(&split.segments)).filter(|_| !split.ends_open || split.custom);
        let path = path.and_then(|segment| {
            let first = segment.iter().map(String::as_str).find(|word| !SKIPPED.contains(word));
            first.filter(|word| is_verb(word) && !is_add_on(segment) && !is_noun(word, segment))
        });
        Self { name: leading.or(trailing), name_is_verb: leading.is_some(), path }
    }

    fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        self.name.is_some_and(&is) || self.path.is_some_and(is)
    }

    /// The path names no effect of its own.
    fn path_agrees(&self) -> bool {
        self.path
            .is_none_or(|verb| !has(v::ACTS, verb) && !has(v::HANDS_OVER, verb) || has(v::SAYS_LITTLE, verb))
    }
}

/// The last part of a name, or the one before where the last only says to go on.
fn phrase_of(list: &[Vec<String>]) -> &[String] {
    let goes_on = |part: &Vec<String>| matches!(&part[..], [one] if one == "continue" || one == "next");
    list.iter().rev().find(|part| !goes_on(part)).map_or(&[][..], Vec::as_slice)
}

/// `addOnAttachments`, `add_ons`: a noun.
fn is_add_on(phrase: &[String]) -> bool {
    matches!(phrase, [add, on, ..] if add == "add" && (on == "on" || on == "ons"))
}

/// `check-runs`, `scan-configs`: a verb that is a noun here.
fn is_noun(verb: &str, segment: &[String]) -> bool {
    let plural = |last: &str| last.ends_with('s') && !last.ends_with("ss") && !last.ends_with("us");
    match (verb, segment) {
        ("check", [_, last]) => has(v::CHECKED, last),
        ("scan" | "view" | "filter", [_, .., last]) => plural(last),
        _ => false,
    }
}

/// `getOrCreate`, `findAndModify`: the second verb is done as well.
fn does_both(phrase: &[String]) -> bool {
    phrase.windows(2).any(|pair| {
        let [join, verb] = pair else { return false };
        let effect = [v::ACTS, v::TAKES_AWAY, v::HANDS_OVER].iter().any(|list| has(list, verb));
        matches!(join.as_str(), "and" | "or") && effect
    })
}

/// Collections of authority whose things have names: what stands behind them is one, whatever it looks like.
const NAMED_BY_THE_SENDER: &[&str] =
    &["key", "keys", "policies", "policy", "role", "roles", "secret", "secrets", "token", "tokens"];

/// Words before a verb that say how, not what.
const SKIPPED: [&str; 10] = ["batch", "bulk", "multi", "async", "admin", "api", "v1", "v2", "v3", "http"];

fn is_verb(word: &str) -> bool {
    [v::READS, v::HANDS_OVER, v::TAKES_AWAY, v::ACTS].iter().any(|list| has(list, word))
}

/// The path or the whole name is a search, a query, a validation.
fn reads(split: &Split, deed: &Deed<'_>) -> bool {
    let asks = |words: &Vec<String>| matches!(&words[..], [test, .., what] if test == "test" && what == "permissions");
    if [split.parts.last(), split.segments.last()].into_iter().flatten().any(asks) {
        return true;
    }
    let kept = |words: &[String]| words.iter().any(|word| has(v::KEPT, word));
    let quiet =
        deed.name.is_none_or(|verb| has(v::READS, verb) || has(v::SAYS_LITTLE, verb) || !deed.name_is_verb);
    // `saved_search` is a thing that is kept; `check_job_status` is none.
    let plain =
        |verb: &str| matches!(verb, "check" | "get" | "list" | "describe" | "read" | "fetch" | "retrieve");
    let before = split.segments.iter().rev().nth(1);
    let after =
        |words: &[&str]| before.is_some_and(|s| matches!(&s[..], [one] if words.contains(&one.as_str())));
    let alone = split.segments.last().is_some_and(|segment| segment.len() == 1);
    let by_path = deed.path.is_some_and(|verb| {
        has(v::READS, verb)
            && split.segments.last().is_some_and(|segment| plain(verb) || !kept(segment))
            // `/calls/{id}/actions/answer` answers it; `/messages/read` marks them; `/resources/scan` begins to scan.
            && (plain(verb) || !after(&["action", "actions", "command", "commands"]))
            && (verb != "read" || !alone || after(&["batch", "bulk"]) || split.custom)
            && verb != "scan"
            // `/roles/search-admins`: whoever names a role could name it so.
            && (alone || split.custom || split.dotted || !split.adjoins() || !after(NAMED_BY_THE_SENDER))
    });
    let asks_on_the_way = split.segments.iter().any(|s| matches!(&s[..], [one] if has(v::ASKS, one)));
    if asks_on_the_way && quiet {
        return true;
    }
    // `/search/dashboards`: what is looked for.
    let looked_for = |words: &Vec<String>| {
        words.iter().all(|word| {
            !has(v::KEPT, word) && (!is_verb(word) || has(v::READS, word)) && !word.starts_with("ind")
        })
    };
    if quiet
        && !split.ends_open
        && after(&["search", "query"])
        && split.segments.last().is_some_and(looked_for)
    {
        return true;
    }
    // `{property}:runReport`: a report that is the answer. A report that is kept is made at a place of its own.
    let reports = |s: &Vec<String>| matches!(&s[..], [run, .., what] if run == "run" && (what == "report" || what == "reports"));
    if split.custom && split.segments.last().is_some_and(reports) {
        return true;
    }
    let by_name = deed.name.is_some_and(|verb| has(v::READS, verb)) && deed.path_agrees();
    (by_path && quiet) || by_name
}

/// Something is made that is gone with the answer.
fn computes(split: &Split, deed: &Deed<'_>) -> bool {
    let little = deed.name.is_none_or(|verb| has(v::SAYS_LITTLE, verb) || verb == "generate");
    let sends = |words: &[String]| {
        let first = words.first().map_or("", String::as_str);
        words.len() > 1
            && is_verb(first)
            && !has(v::SAYS_LITTLE, first)
            && first != "generate"
            && !has(v::READS, first)
    };
    let last = |words: &[String]| {
        words.last().is_some_and(|word| has(v::COMPUTATIONS, word))
            && !words.iter().any(|word| has(v::PREPOSITIONS, word))
            && !sends(words)
    };
    // `templates-list`: of things that are there. An `ip-list` is a thing.
    let of_things = |words: &[String]| {
        let of_many = |of: &str| of.ends_with('s') && !of.ends_with("ss");
        matches!(words, [.., of, end] if matches!(end.as_str(), "list" | "summary" | "summaries") && of_many(of))
            && !sends(words)
    };
    let kept = |words: &[String]| words.iter().any(|word| has(v::KEPT, word));
    let by_path = !split.ends_open
        && split
            .segments
            .last()
            .is_some_and(|segment| (last(segment) && !kept(segment)) || of_things(segment));
    let by_name = split.parts.last().is_some_and(|part| last(part) && !kept(part));
    let is_dry = |words: &Vec<String>| {
        words.windows(2).any(|pair| matches!(pair, [dry, run] if dry == "dry" && run == "run"))
    };
    let dry = split.parts.last().is_some_and(is_dry) || split.segments.last().is_some_and(is_dry);
    little && (by_path || by_name) || dry
}

/// The last part of the name and of the path.
fn phrases_of(split: &Split) -> impl Iterator<Item = &[String]> {
    [phrase_of(&split.parts), phrase_of(&split.segments)].into_iter()
}

/// What is acted upon, by the name and by the path. Where the last part is a verb alone, it is the part before.
fn phrases(split: &Split) -> impl Iterator<Item = &[String]> {
    [subject(&split.parts), subject(&split.segments)].into_iter()
}

fn subject(phrases: &[Vec<String>]) -> &[String] {
    let last = phrases.last().map_or(&[][..], Vec::as_slice);
    let bare = |word: &String| {
        // `setAdmin` makes one; `admin.users.create` only says where.
        let skipped = SKIPPED.contains(&word.as_str()) && !(word == "admin" && last.len() > 1);
        is_verb(word) || skipped || word == "or" || word == "ephemeral"
    };
    if !last.iter().all(bare) {
        return last;
    }
    // `/authenticators/{id}/lifecycle/activate` activates an authenticator.
    let container = |part: &&Vec<String>| matches!(&part[..], [one] if has(v::CONTAINERS, one));
    phrases.iter().rev().skip(1).find(|part| !container(part)).map_or(last, Vec::as_slice)
}

fn has(sorted: &[&str], word: &str) -> bool {
    sorted.binary_search(&word).is_ok()
}
