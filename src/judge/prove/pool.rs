//! Questions to the solver, and who asks them: one process for each processor, each with the next question at hand.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cedar_policy::{Policy, PolicySet};
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::{
    CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env, WellFormedAsserts, always_denies_asserts,
    disjoint_asserts, implies_asserts, never_errors_asserts,
};
use futures_util::FutureExt as _;

use super::solver::{Session, Solver};
use super::space::Kind;

/// Is there such a request, and if so, which?
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) kind: Kind,
    pub(super) what: What,
}

/// What is looked for among the requests of a kind.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// One that the probe describes and the policies allow; templates are among them as if linked to anything.
    Allowed { probe: Policy, slice: Vec<Policy> },
    /// One that the probe describes and the policies do not allow.
    Denied { probe: Policy, slice: Vec<Policy> },
    /// One that is allowed now and was not then; with one template, or none, as if linked to anything.
    Newly { now: Vec<Policy>, then: Vec<Policy> },
    /// One that the policy fails on.
    Fails(Policy),
    /// One that the probe describes.
    Possible(Policy),
}

/// The request; nothing, if there is none; or why that is not known.
pub(super) type Answer = Result<Option<Env>, String>;

impl What {
    /// The policies that rule on the request; and those of the older set.
    pub(super) fn policies(&self) -> (&[Policy], &[Policy]) {
        match self {
            Self::Allowed { slice, .. } | Self::Denied { slice, .. } => (slice, &[]),
            Self::Newly { now, then } => (now, then),
            Self::Fails(_) | Self::Possible(_) => (&[], &[]),
        }
    }
}

impl Kind {
    pub(super) fn ask(&self, what: What) -> Question {
        Question { kind: self.clone(), what }
    }
}

/// Asks all of them; the answers are in the order of the questions.
pub(super) fn ask(questions: &[&Question], solver: &Solver) -> Vec<Answer> {
    let unanswered = || Err("nobody answered".to_owned());
    let answers: Vec<Mutex<Answer>> = questions.iter().map(|_| Mutex::new(unanswered())).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut asker = Asker { solver, session: None };
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(question), Some(answer)) = (questions.get(at), answers.get(at)) else { return };
            let said = asker.ask(question);
            if let Ok(mut answer) = answer.lock() {
                *answer = said;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(questions.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    answers.into_iter().map(|answer| answer.into_inner().unwrap_or_else(|_| unanswered())).collect()
}

/// With a solver of its own, once there is a question that wants one.
struct Asker<'s> {
    solver: &'s Solver,
    session: Option<CedarSymCompiler<Session>>,
}

impl Asker<'_> {
    fn ask(&mut self, question: &Question) -> Answer {
        let Question { kind, what } = question;
        let set = |policies: &[Policy]| -> Result<CompiledPolicySet, String> {
            let set =
                PolicySet::from_policies(policies.iter().cloned()).map_err(|error| error.to_string())?;
            CompiledPolicySet::compile(&set, &kind.env, &kind.schema).map_err(|error| told(&error))
        };
        let one = |policy: &Policy| set(std::slice::from_ref(policy));
        match what {
            What::Allowed { probe, slice } => self.look(&disjoint_asserts(&set(slice)?, &one(probe)?)),
            What::Denied { probe, slice } => self.look(&implies_asserts(&one(probe)?, &set(slice)?)),
            What::Newly { now, then } => self.look(&implies_asserts(&set(now)?, &set(then)?)),
            What::Possible(probe) => self.look(&always_denies_asserts(&one(probe)?)),
            What::Fails(policy) => {
                let compiled = CompiledPolicy::compile(policy, &kind.env, &kind.schema);
                self.look(&never_errors_asserts(&compiled.map_err(|error| told(&error))?))
            }
        }
    }

    fn look(&mut self, asserts: &WellFormedAsserts<'_>) -> Answer {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => CedarSymCompiler::new(self.solver.start()?).map_err(|error| told(&error))?,
        };
        // The solver blocks, so the future is ready; one that is not would be a change in Cedar's crate.
        let found = session.check_sat(asserts).now_or_never();
        let found = found.ok_or("the solver was not waited for")?;
        // After an error it is not known what the solver still has to say.
        if found.is_ok() {
            self.session = Some(session);
        }
        found.map_err(|error| told(&error))
    }
}

fn told(error: &Error) -> String {
    match error {
        Error::SolverUnknown => "the solver does not know, or not in time (`--timeout`)".to_owned(),
        Error::PolicyNotWellTyped { errs } => {
            let first = errs.first().map(ToString::to_string).unwrap_or_default();
            format!("the policies do not fit the schema: {first}")
        }
        Error::ModelInvalid { .. } => "the solver's example contradicts its own question".to_owned(),
        other => {
            let text = other.to_string().replace(char::is_control, " ");
            text.chars().take(300).collect()
        }
    }
}
