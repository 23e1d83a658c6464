//! What hands something to someone: keys, rights, memberships, callbacks, tasks for agents.

use super::words::Split;
use super::{Deed, Verdict, Words, has, is_verb, phrases, v};
use crate::call::Class;

/// A key or session that is fetched by a method that is not safe has just been made.
pub(super) fn lends(split: &Split, deed: &Deed<'_>) -> Option<Verdict> {
    let fetches = deed.any(|verb| matches!(verb, "get" | "fetch" | "retrieve" | "exchange" | "refresh"));
    let phrase = split.parts.last().or(split.segments.last())?;
    let fresh = |pair: &[String]| {
        let [kind, thing] = pair else { return false };
        has(LENT, kind) && matches!(thing.as_str(), "token" | "tokens" | "credential" | "credentials")
    };
    (fetches && phrase.windows(2).any(fresh))
        .then_some(Verdict::new(Class::Delegate, "hands out a token or credentials"))
}

/// `InitiateAuth`, `RegisterDelegatedAdministrator`, `ConfirmSubscription`, `InvokeAgent`.
pub(super) fn appoints(split: &Split) -> Option<Verdict> {
    let part = split.parts.last().map_or(&[][..], Vec::as_slice);
    let first = part.iter().find(|word| word.as_str() != "admin").map(String::as_str);
    let pair = |a: &str, b: &str| part.windows(2).any(|pair| matches!(pair, [x, y] if x == a && y == b));
    if (first == Some("initiate") && part.iter().any(|word| word == "auth"))
        || pair("auth", "challenge")
        || first == Some("exchange") && part.iter().any(|word| has(v::AUTHORITY_AS_HEAD, word))
    {
        return Some(Verdict::new(Class::Delegate, "ends in a session or token"));
    }
    let invoked = first == Some("invoke") && part.iter().any(|word| has(v::AGENTS, word) || word == "flow");
    if invoked || (part.iter().any(|word| has(v::AGENTS, word)) && pair("detect", "intent")) {
        return Some(Verdict::new(Class::Delegate, "gives a task to an agent"));
    }
    let appointed = matches!(first, Some("register" | "associate" | "enable"))
        && part.iter().any(|word| matches!(word.as_str(), "delegated" | "delegation"));
    if appointed || (first == Some("associate") && pair("identity", "provider")) {
        return Some(Verdict::new(Class::Delegate, "hands over authority"));
    }
    (first == Some("confirm") && part.iter().any(|word| word == "subscription"))
        .then_some(Verdict::new(Class::Delegate, "registers a callback"))
}

pub(super) fn delegates(split: &Split, deed: &Deed<'_>) -> Option<Verdict> {
    if deed.any(|verb| has(v::HANDS_OVER, verb)) {
        return Some(Verdict::new(Class::Delegate, "named after handing something over"));
    }
    if works_alone(split) {
        return Some(Verdict::new(Class::Delegate, "gives a task to an agent"));
    }
    if let Some(verdict) = admits(split, deed).or_else(|| connects(split)) {
        return Some(verdict);
    }
    let idle = deed.name.is_some_and(|verb| v::TAKES_NO_SIDE.contains(&verb));
    let aside = [split.parts.last(), split.segments.last()].into_iter().flatten();
    // `triggers/{id}:webhook` is what a webhook of others calls.
    let called =
        split.custom && split.segments.last().is_some_and(|s| matches!(&s[..], [one] if one == "webhook"));
    let idle = called
        || idle
        || aside.filter_map(|words| words.first()).any(|word| v::TAKES_NO_SIDE.contains(&word.as_str()));
    if !idle && phrases(split).any(is_authority) {
        return Some(Verdict::new(
            Class::Delegate,
            "makes or changes keys, grants, members, roles or callbacks",
        ));
    }
    if !idle && (below(split) || provides_identity(split)) {
        return Some(Verdict::new(Class::Delegate, "changes something of keys, grants, members or roles"));
    }
    if moves(split) {
        return Some(Verdict::new(Class::Delegate, "hands a thing over to another owner"));
    }
    if !idle && hooks(split) {
        return Some(Verdict::new(Class::Delegate, "changes where callbacks go"));
    }
    let watches = split.segments.last().is_some_and(|s| s.len() == 1 && s.iter().all(|w| w == "watch"))
        || split.parts.last().is_some_and(|p| p.len() == 1 && p.iter().all(|w| w == "watch"));
    watches.then_some(Verdict::new(Class::Delegate, "registers a callback"))
}

/// Someone is let in: a request for access is approved, a user is added to a group, a talk gets a participant.
fn admits(split: &Split, deed: &Deed<'_>) -> Option<Verdict> {
    let near =
        |list: &[Vec<String>]| -> Vec<String> { list.iter().rev().take(3).flatten().cloned().collect() };
    let words: Vec<String> = near(&split.parts).into_iter().chain(near(&split.segments)).collect();
    let gives = deed.any(|verb| matches!(verb, "approve" | "accept"));
    if gives && words.iter().any(|word| has(v::ASKED_FOR, word)) && !words.iter().any(|word| word == "file") {
        return Some(Verdict::new(Class::Delegate, "approves a request for access"));
    }
    let person = |word: &str| matches!(word, "user" | "users" | "member" | "members" | "people" | "person");
    let circle = |word: &str| {
        matches!(
            word,
            "group" | "groups" | "team" | "role" | "project" | "organization" | "org" | "workspace"
        )
    };
    let joins = |part: &Vec<String>| {
        let to = part.iter().position(|word| word == "to" || word == "into");
        let (before, after) = to.map(|at| part.split_at(at)).unwrap_or_default();
        before.iter().any(|word| person(word)) && after.iter().any(|word| circle(word))
    };
    if split.parts.last().is_some_and(joins)
        && deed.any(|verb| matches!(verb, "add" | "assign" | "associate" | "put"))
    {
        return Some(Verdict::new(Class::Delegate, "adds someone to a group or role"));
    }
    // `usergroups.addTeams`, `restrictAccess.addGroup`.
    let into = [&split.parts, &split.segments].into_iter().any(|list| {
        let Some([place, deed]) = list.get(list.len().saturating_sub(2)..) else { return false };
        let added = matches!(&deed[..], [verb, who] if matches!(verb.as_str(), "add" | "assign") && has(v::PRINCIPALS, one(who)));
        added && place.last().is_some_and(|word| matches!(one(word), "usergroup" | "access" | "role"))
    });
    if into {
        return Some(Verdict::new(Class::Delegate, "adds someone to a group or role"));
    }
    let all = || split.parts.iter().chain(&split.segments).flatten();
    let part = phrases(split).any(|phrase| {
        phrase.iter().rev().find(|word| !is_verb(word)).is_some_and(|word| has(v::TAKE_PART, word))
    });
    (part && all().any(|word| has(v::TOGETHER, word)))
        .then_some(Verdict::new(Class::Delegate, "lets someone take part"))
}

/// `integrationSlackConnect`: another service gets or gives credentials. Plain changes of an integration are acts.
fn connects(split: &Split) -> Option<Verdict> {
    const PLAIN: [&str; 10] =
        ["add", "archive", "create", "delete", "edit", "request", "set", "test", "update", "verify"];
    let words = split.parts.last()?;
    let about = words.iter().any(|word| word == "integration");
    let leads = words.first().is_some_and(|word| word == "integration") && words.len() > 1;
    let links = words.last().is_some_and(|word| word == "connect");
    let plain = words.iter().any(|word| PLAIN.contains(&word.as_str()));
    (about && (links || (leads && !plain)) && split.segments.is_empty())
        .then_some(Verdict::new(Class::Delegate, "connects another service"))
}

/// Where nothing but a path is known, what stands before its end counts as well: `/collaborators/eve`,
/// `/groups/{id}/users`, `/permissions/repositories`, `/secrets/{name}/repositories`.
fn below(split: &Split) -> bool {
    if !split.parts.is_empty() {
        return false;
    }
    // `usergroups.users.update`: what is done is no place.
    let done = |part: &&Vec<String>| {
        split.segments.len() > 2 && part.iter().all(|word| is_verb(word) && !has(v::AUTHORITY, word))
    };
    let end = split.segments.len() - usize::from(split.segments.last().is_some_and(|last| done(&last)));
    let segments = split.segments.get(..end).unwrap_or_default();
    let two = |segments: &[Vec<String>]| {
        let Some([before, last]) = segments.get(segments.len().saturating_sub(2)..) else { return false };
        let together: Vec<String> = before.iter().chain(last).cloned().collect();
        before.iter().any(|word| has(v::AUTHORITY, word)) || peoples(before, last) || is_authority(&together)
    };
    // `/teams/{name}/repos/{owner}/{name}`: names at the end are not told from kinds of things by their look alone.
    let name = |segment: &Vec<String>| segment.iter().all(|word| !is_verb(word) && !word.ends_with('s'));
    let let_in = (1..=2).any(|names| {
        let (Some(from), Some(end)) =
            (segments.len().checked_sub(names + 2), segments.len().checked_sub(names))
        else {
            return false;
        };
        let Some([before, last]) = segments.get(from..end) else { return false };
        segments.get(end..).is_some_and(|rest| rest.iter().all(name)) && peoples(before, last)
    });
    two(segments) || let_in || reaches(segments) || (!split.custom && named_secret(segments))
}

/// `/teams/{id}/users`, and the other way round what a team is let into.
fn peoples(before: &[String], last: &[String]) -> bool {
    let [last] = last else { return false };
    let whole = before.last().map_or("", |word| one(word));
    match one(last) {
        "user" | "people" => {
            has(v::PRINCIPALS, whole) && whole != "user" && whole != "account"
                || matches!(whole, "usergroup" | "role" | "restriction")
        }
        "app" | "group" | "team" => matches!(whole, "restriction" | "usergroup"),
        "repo" | "repositories" => matches!(whole, "team" | "installation"),
        _ => false,
    }
}

/// Who or what a right, a role or a secret is for: `/roles/users/{name}`, `/secrets/{name}/repositories/{id}`.
fn reaches(segments: &[Vec<String>]) -> bool {
    let principal = |segment: &[String]| matches!(segment, [word] if has(v::PRINCIPALS, one(word)));
    let authority = |segment: &Vec<String>| {
        let head = segment.last().map_or("", String::as_str);
        matches!(
            head,
            "role" | "roles" | "permissions" | "secret" | "secrets" | "restrictions" | "share" | "shares"
        )
    };
    let at = segments.iter().rposition(|segment| principal(segment));
    let Some(at) = at.filter(|at| segments.len() - at <= 2) else { return false };
    segments.get(at.saturating_sub(2)..at).is_some_and(|before| before.iter().any(authority))
}

/// `PUT /secrets/db-password`: a name behind a collection that is authority itself.
fn named_secret(segments: &[Vec<String>]) -> bool {
    let Some([kind, name]) = segments.get(segments.len().saturating_sub(2)..) else { return false };
    let things =
        matches!(&kind[..], [one] if matches!(one.as_str(), "secrets" | "keys" | "tokens" | "factors"));
    let plain = matches!(&name[..], [one] if one.ends_with('s'));
    things && !plain && !name.iter().any(|word| is_verb(word))
}

fn one(word: &str) -> &str {
    if word == "repositories" { word } else { word.strip_suffix('s').unwrap_or(word) }
}

/// An identity provider, wherever the name says so: what it vouches for is let in.
pub(super) fn provides_identity(split: &Split) -> bool {
    let all = || split.parts.iter().chain(&split.segments).flatten();
    let provider =
        phrases(split).any(|phrase| phrase.iter().any(|word| word == "provider" || word == "providers"));
    let connect = phrases(split).any(|phrase| {
        phrase.windows(2).any(|pair| matches!(pair, [id, connect] if id == "id" && connect == "connect"))
    });
    provider
        && (connect
            || all().any(|word| matches!(word.as_str(), "identity" | "idp" | "oidc" | "saml" | "sso")))
}

/// A thing gets another owner, or someone joins an organisation.
fn moves(split: &Split) -> bool {
    let words: Vec<&str> = [split.parts.last(), split.segments.last()]
        .into_iter()
        .flatten()
        .flatten()
        .map(String::as_str)
        .collect();
    let kept = |word: &str| {
        matches!(
            word.strip_suffix('s').unwrap_or(word),
            "organization"
                | "org"
                | "ownership"
                | "repo"
                | "repository"
                | "project"
                | "team"
                | "workspace"
                | "enterprise"
        )
    };
    // `/repos/{owner}/{name}/transfer`: what stands between may be names.
    let before =
        split.segments.iter().rev().skip(1).any(|segment| matches!(&segment[..], [one] if kept(one)));
    let first = words.first().copied();
    match first {
        Some("transfer") => {
            words.iter().any(|word| kept(word)) || (words.iter().all(|word| *word == "transfer") && before)
        }
        Some("join") => words.iter().any(|word| kept(word)),
        _ => false,
    }
}

/// Whatever is changed below a webhook decides where its calls go, or what signs them.
fn hooks(split: &Split) -> bool {
    let hook = |words: &Vec<String>| words.iter().any(|word| matches!(word.as_str(), "webhook" | "webhooks"));
    let tried = |word: &String| {
        matches!(
            word.as_str(),
            "test"
                | "ping"
                | "pings"
                | "attempts"
                | "deliveries"
                | "redeliver"
                | "events"
                | "resend"
                | "retry"
        )
    };
    let last_tried = [split.parts.last(), split.segments.last()].into_iter().flatten().flatten().any(tried);
    !last_tried && split.segments.iter().any(hook)
}

fn works_alone(split: &Split) -> bool {
    let mut words = split.parts.iter().chain(&split.segments).flatten();
    let agent = words.any(|word| has(v::AGENTS, word));
    // `/agents/{id}/sessions/{id}/text`: whatever is said in there.
    let inside = split.segments.windows(2).any(|pair| {
        let [who, what] = pair else { return false };
        who.iter().any(|word| has(v::AGENTS, word) || word == "aliases")
            && what.iter().any(|word| matches!(word.as_str(), "sessions" | "session"))
    });
    let thread = split.segments.iter().flatten().any(|word| word == "threads");
    let ends = [split.parts.last(), split.segments.last()];
    let work = ends.into_iter().flatten().flatten().any(|word| has(v::AGENT_WORK, word));
    let runs = split.segments.last().is_some_and(|segment| segment.iter().any(|word| word == "runs"));
    let machine = split.parts.iter().chain(&split.segments).flatten().any(|word| has(v::MACHINES, word));
    let asked = split
        .parts
        .last()
        .is_some_and(|part| part.iter().any(|word| matches!(word.as_str(), "assign" | "review" | "request")));
    (!split.ends_open && ((agent && (work || inside)) || (thread && runs))) || (machine && asked)
}

/// The plainest ways to hand something out: what they say counts even against a published level, which speaks of what
/// happens to the provider's own things and not of what the caller walks away with.
pub(in crate::catalog) fn hands_out(words: Words<'_>) -> Option<Verdict> {
    let split = Split::of(words);
    let deed = Deed::of(&split);
    let part = split.parts.last().map_or(&[][..], Vec::as_slice);
    let first = part.iter().find(|word| word.as_str() != "admin").map(String::as_str);
    if first == Some("assume") {
        return Some(Verdict::new(Class::Delegate, "named after handing something over"));
    }
    appoints(&split).or_else(|| lends(&split, &deed))
}

/// Whether the phrase speaks of authority anywhere, also behind `from`.
pub(super) fn has_authority(phrase: &[String]) -> bool {
    let parts = phrase.split(|word| has(v::PREPOSITIONS, word));
    is_authority(phrase) || parts.into_iter().any(is_authority)
}

/// Whether a noun of the phrase is authority. What follows `for`, `in` and the like only says where.
pub(super) fn is_authority(phrase: &[String]) -> bool {
    let elsewhere = |word: &String| has(v::PREPOSITIONS, word) && word != "to" && word != "into";
    let end = phrase.iter().position(elsewhere).filter(|&at| at > 0).unwrap_or(phrase.len());
    let phrase = phrase.get(..end).unwrap_or_default();
    let head = phrase.iter().rev().find(|word| !has(v::TAIL, word) && !is_verb(word));
    let singular = |word: &str| word.strip_suffix('s').unwrap_or(word).to_owned();
    // `AccountShare` is a thing, though `share` is a verb.
    // `input_tokens`: of text, not of access.
    let counted =
        phrase.iter().any(|word| matches!(word.as_str(), "input" | "output" | "prompt" | "completion"));
    let shared = phrase.len() > 1 && phrase.last().is_some_and(|word| word == "share");
    let pair = |words: &[String]| {
        let [first, second] = words else { return false };
        let same = |a: &str, b: &str| a == b || singular(a) == singular(b);
        v::AUTHORITY_PAIRS.iter().any(|(a, b)| same(a, first) && same(b, second))
    };
    // What members may do is a setting of the house; who is one is authority.
    let of_the_house = phrase.last().is_some_and(|word| word == "setting" || word == "settings")
        && phrase.iter().any(|word| matches!(word.as_str(), "member" | "members"));
    let who = |word: &String| matches!(word.as_str(), "member" | "members");
    phrase.iter().any(|word| has(v::AUTHORITY, word) && !(of_the_house && who(word)))
        || head
            .or(phrase.last())
            .is_some_and(|word| has(v::AUTHORITY_AS_HEAD, word) && !(counted && word.starts_with("token")))
        || phrase.windows(2).any(pair)
        || shared
        || is_policy(phrase)
}

/// A policy says who may do what, unless its name says what else it regulates.
fn is_policy(phrase: &[String]) -> bool {
    let end = phrase.iter().rev().find(|word| !has(v::TAIL, word) && !is_verb(word));
    let things = phrase.iter().any(|word| has(v::POLICIES_OF_THINGS, word));
    end.is_some_and(|word| word == "policy") && !things
}

/// Of tokens and credentials, those that are made for whoever asks.
const LENT: &[&str] = &[
    "access",
    "auth",
    "authentication",
    "authorization",
    "bearer",
    "federation",
    "id",
    "identity",
    "login",
    "public",
    "refresh",
    "role",
    "session",
    "temporary",
    "web",
];
