//! Proofs: what policies do with *all* requests, and not with those that somebody thought of.
//!
//! Cedar's own symbolic compiler (`cedar-policy-symcc`, modelled and verified in Lean) turns the policies into a formula, and
//! a solver looks for a request that contradicts a claim. If there is none, the claim is proved; a request that it finds is
//! put before the real engine, and shown only if that rules on it as the solver says. Whatever goes wrong on the way
//! leaves the claim open, which is not proved.
//!
//! The compiler knows Cedar's semantics; remit denies more, since a policy that fails denies. So what never happens by Cedar's
//! semantics never happens here. What always happens there happens here if no policy can fail, and so it goes for the older
//! of two sets: that is asked as well.
//!
//! Off the walk. MUST NOT be asked by anything that rules.

mod example;
mod invariant;
mod kept;
mod pool;
mod solver;
mod space;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cedar_policy::Policy;

use super::engine::Rules;
use super::error::{LoadErrors, Problem};
use super::schema::Types;
use super::source::PolicySource;
use super::vocabulary::{Named, Vocabulary};
use super::weigh::Weight;
use invariant::Invariant;
use pool::{Answer, Question, What};
use space::Kind;

pub use example::Example;
pub use invariant::Expect;
pub use kept::{Found, Kept, Proofs};
pub use solver::Solver;

/// Something that is claimed of all requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its name.
    pub id: String,
    /// Where it stands.
    pub file: String,
    /// What it says, in words.
    pub says: Option<String>,
    /// In a word: `never`, `always`, or `nothing newly allowed`.
    pub expect: &'static str,
}

/// What became of a claim.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Which.
    pub claim: Claim,
    /// How many kinds of requests it is about.
    pub kinds: usize,
    /// What was found.
    pub verdict: Verdict,
}

/// What was found.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It holds for every request.
    Proved,
    /// It does not hold for this one.
    Refuted(Box<Example>),
    /// It is not known: why.
    Open(String),
}

/// Claims with what they rest on.
struct Case {
    claim: Claim,
    /// Invariants alone have one.
    probe: Option<Policy>,
    /// How many kinds of requests it is about: of those that are alike one is asked about.
    kinds: usize,
    questions: Vec<Question>,
}

/// Proves the invariants of a set.
pub fn invariants(
    source: &PolicySource,
    vocabulary: &dyn Vocabulary,
    solver: &Solver,
) -> Result<Vec<Proof>, LoadErrors> {
    let rules = Rules::load(source, vocabulary)?;
    let (invariants, named) = invariant::read(source, vocabulary)?;
    let kinds = space(source, [rules.named(), &named])?;
    let cases: Vec<_> = invariants.into_iter().map(|invariant| case(invariant, &rules, &kinds)).collect();
    Ok(settle(&cases, &rules, solver))
}

/// Reads the invariants of a set without proving them: how many there are, or what is wrong with them.
pub fn read_invariants(source: &PolicySource, vocabulary: &dyn Vocabulary) -> Result<usize, LoadErrors> {
    invariant::read(source, vocabulary).map(|(invariants, _)| invariants.len())
}

/// What is claimed, without proving it.
pub fn claims(source: &PolicySource, vocabulary: &dyn Vocabulary) -> Result<Vec<Claim>, LoadErrors> {
    let (invariants, _) = invariant::read(source, vocabulary)?;
    Ok(invariants.iter().map(Invariant::claim).collect())
}

/// Proves that `new` allows nothing that `old` does not.
pub fn upgrade(
    old: &PolicySource,
    new: &PolicySource,
    vocabulary: &dyn Vocabulary,
    solver: &Solver,
) -> Result<Proof, LoadErrors> {
    let (before, rules) = (Rules::load(old, vocabulary)?, Rules::load(new, vocabulary)?);
    let claim = Claim {
        id: "nothing-newly-allowed".into(),
        file: String::new(),
        says: Some("the new policies allow no request that the old ones do not".into()),
        expect: "nothing newly allowed",
    };
    let kinds = space(new, [before.named(), rules.named()])?;
    if let Some(why) = regrouped(old, new, [&before, &rules]) {
        return Ok(Proof { claim, kinds: kinds.len(), verdict: Verdict::Open(why) });
    }
    let (mut questions, mut asked) = (Vec::new(), BTreeSet::new());
    for kind in &kinds {
        let older = linkable(&before, kind);
        let (mut pairs, mut failing) = (pairs(kind, &before, &rules), !same(&older, &linkable(&rules, kind)));
        pairs.retain(|(then, now)| !same(then, now));
        failing |= !pairs.is_empty();
        let then = slice(&before, kind);
        let all = then.iter().chain(&older);
        let like = |(then, now): &(Vec<Policy>, Vec<Policy>)| (kind.like(then.iter()), kind.like(now.iter()));
        let likes: Vec<_> = pairs.iter().map(like).collect();
        if !failing || !asked.insert((kind.like(all.clone()), likes)) {
            continue;
        }
        questions.extend(all.map(|policy| kind.ask(What::Fails(policy.clone()))));
        questions.extend(pairs.into_iter().map(|(then, now)| kind.ask(What::Newly { now, then })));
    }
    let case = Case { claim, probe: None, kinds: kinds.len(), questions };
    Ok(settle_one(
        &case,
        pool::ask(&case.questions.iter().collect::<Vec<_>>(), solver),
        &rules,
        Some(&before),
    ))
}

fn space(source: &PolicySource, named: [&Named; 2]) -> Result<Vec<Kind>, LoadErrors> {
    let mut all = Named::default();
    for named in named {
        all.add(named);
    }
    let types = Types::parse(&source.schema).map_err(LoadErrors::one)?;
    space::kinds(&types, &all).map_err(|problem: Problem| LoadErrors::one(problem))
}

/// What is to be compared of two sets, the older first: what they permit to tasks without links, and what to tasks with a link of
/// each template of the newer. Permits add up, so that more links at once permit what one of them does.
fn pairs(kind: &Kind, before: &Rules, rules: &Rules) -> Vec<(Vec<Policy>, Vec<Policy>)> {
    let (then, now, older) = (slice(before, kind), slice(rules, kind), linkable(before, kind));
    let with = |slice: &[Policy], more: Option<&Policy>| -> Vec<Policy> {
        slice.iter().chain(more).cloned().collect()
    };
    let mut pairs = vec![(then.clone(), now.clone())];
    for template in linkable(rules, kind) {
        // One whose slots are filled otherwise is another one: links of it name what it does not take.
        let alike = |older: &&Policy| {
            older.id() == template.id() && before.templates.takes_what(&rules.templates, template.id())
        };
        pairs.push((with(&then, older.iter().find(alike)), with(&now, Some(&template))));
    }
    pairs
}

/// The templates that can have a say in requests of a kind: as permits for every agent and whatever they could be linked to.
/// Exactly that could be in some task's grant.
fn linkable(rules: &Rules, kind: &Kind) -> Vec<Policy> {
    let all = rules.templates.general().map(Weight::policy);
    all.filter(|policy| kind.may_match(policy)).cloned().collect()
}

/// The policies that can have a say in requests of a kind.
fn slice(rules: &Rules, kind: &Kind) -> Vec<Policy> {
    rules.index.policies().filter(|policy| kind.may_match(policy)).cloned().collect()
}

fn same(then: &[Policy], now: &[Policy]) -> bool {
    let texts = |slice: &[Policy]| -> HashSet<_> { slice.iter().map(Policy::to_cedar).collect() };
    texts(then) == texts(now)
}

fn case(invariant: Invariant, rules: &Rules, kinds: &[Kind]) -> Case {
    let Invariant { id, file, says, expect, probe } = invariant;
    let (mut questions, mut asked, mut about) = (Vec::new(), BTreeSet::new(), 0);
    for kind in kinds.iter().filter(|kind| kind.may_match(&probe)) {
        about += 1;
        let (slice, linkable) = (slice(rules, kind), linkable(rules, kind));
        if !asked.insert(kind.like(slice.iter().chain(&linkable).chain([&probe]))) {
            continue;
        }
        questions.push(kind.ask(What::Possible(probe.clone())));
        if expect == Expect::Always {
            let all = slice.iter().chain(&linkable);
            questions.extend(all.map(|policy| kind.ask(What::Fails(policy.clone()))));
        }
        let probe = probe.clone();
        questions.push(kind.ask(match expect {
            Expect::Never => What::Allowed { probe, slice: [slice, linkable].concat() },
            Expect::Always => What::Denied { probe, slice },
        }));
    }
    let claim = Claim { id, file, says, expect: expect.as_str() };
    Case { claim, probe: Some(probe), kinds: about, questions }
}

fn settle(cases: &[Case], rules: &Rules, solver: &Solver) -> Vec<Proof> {
    let all: Vec<&Question> = cases.iter().flat_map(|case| &case.questions).collect();
    let mut answers = pool::ask(&all, solver).into_iter();
    let share = |case: &Case| answers.by_ref().take(case.questions.len()).collect();
    let shares: Vec<Vec<Answer>> = cases.iter().map(share).collect();
    cases.iter().zip(shares).map(|(case, answers)| settle_one(case, answers, rules, None)).collect()
}

fn settle_one(case: &Case, answers: Vec<Answer>, rules: &Rules, before: Option<&Rules>) -> Proof {
    let verdict = verdict(case, answers, rules, before);
    Proof { claim: case.claim.clone(), kinds: case.kinds, verdict }
}

/// A request that contradicts the claim outweighs everything; then whatever was left open; proved is what is left.
fn verdict(case: &Case, answers: Vec<Answer>, rules: &Rules, before: Option<&Rules>) -> Verdict {
    let (mut open, mut possible) = (Vec::new(), case.probe.is_none());
    let mut failing = BTreeSet::new();
    if answers.len() != case.questions.len() {
        open.push("not every question was answered".to_owned());
    }
    for (question, answer) in case.questions.iter().zip(answers) {
        match (&question.what, answer) {
            (_, Err(why)) => open.push(format!("{}: {why}", question.kind.told())),
            (_, Ok(None)) => {}
            (What::Possible(_), Ok(Some(_))) => possible = true,
            (What::Fails(policy), Ok(Some(_))) => {
                failing.insert(policy.id().to_string());
            }
            (_, Ok(Some(found))) => {
                match Example::of(question, found, &case.claim, case.probe.as_ref(), rules, before) {
                    Ok(example) => return Verdict::Refuted(Box::new(example)),
                    Err(why) => open.push(format!("{}: {why}", question.kind.told())),
                }
            }
        }
    }
    if let Some(policy) = failing.first() {
        open.push(format!(
            "policy `{policy}` can fail on a request, and then denies it: bound what it computes"
        ));
    }
    match open.into_iter().next() {
        Some(why) => Verdict::Open(why),
        None if !possible => Verdict::Open("it describes no request that there could be".into()),
        None => Verdict::Proved,
    }
}

/// Groups that policies name and that have other members than before: the solver knows groups by their names alone.
fn regrouped(old: &PolicySource, new: &PolicySource, both: [&Rules; 2]) -> Option<String> {
    type Members = BTreeMap<String, BTreeSet<String>>;
    let members = |source: &PolicySource| -> Members {
        source.groups.as_ref().and_then(|file| toml::from_str(&file.text).ok()).unwrap_or_default()
    };
    let (then, now) = (members(old), members(new));
    let named = both.into_iter().flat_map(Rules::all_policies).flat_map(Policy::entity_literals);
    let named: BTreeSet<String> = named
        .filter_map(|uid| match super::names::Literal::of(&uid) {
            super::names::Literal::Group(name) => Some(name.to_owned()),
            _ => None,
        })
        .collect();
    let changed = named.into_iter().find(|name| then.get(name) != now.get(name))?;
    Some(format!(
        "policies name the group `{changed}`, whose members are others in the two sets; compare them with one groups.toml"
    ))
}
