//! What the console may look at.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::config::Config;
use super::measure::Measured;
use super::past::Past;
use super::reload::Reload;
use super::wire::{policy_source, vocabulary};
use crate::accept::ca::Ca;
use crate::call::{Decision, EntryId, Mode, RulesDigest, TaskId, Timestamp};
use crate::judge::{PolicySource, Rules, SourceFile, lab, prove};
use crate::pep::{Law, Pep};
use crate::record::recent::{Extent, calls};
use crate::record::search::search;
use crate::record::{CallFacts, Filter, Follow, JournalError, What};
use crate::telemetry::{Followers, Scrape};
use crate::web::{self, Difference, Explained, Export, Health, Kind, NoticeMeters, Policies, Pulse};

/// A replay that takes longer has judged as many calls as it could.
const REPLAY: Duration = Duration::from_secs(20);

pub(super) struct Looking {
    config: Config,
    pep: Arc<Pep>,
    measured: Arc<Measured>,
    /// When the issuing CA's certificate ends.
    ca_until: Option<Timestamp>,
}

/// What there is to look at: for the console, for its first page (and what keeps that going), and for whoever scrapes.
pub(super) fn look(
    config: &Config,
    pep: &Arc<Pep>,
    ca: &Arc<Ca>,
    (reload, late): (&Arc<Reload>, &Arc<OnceLock<Arc<Followers>>>),
    notices: &Arc<NoticeMeters>,
) -> (Arc<Looking>, Arc<Pulse>, BoxFuture<'static, ()>, Scrape) {
    let journal = &pep.journal;
    let (end, followers) = (journal.follow(journal.began_at()), late.clone());
    let (reload, notices) = (reload.clone(), notices.clone());
    let measured = Measured { pep: pep.clone(), ca: ca.clone(), reload, end, followers, notices };
    let measured = Arc::new(measured);
    let looking = Arc::new(Looking::over(config, measured.clone()));
    let pulse = Arc::<Pulse>::default();
    let watching = pulse.clone().follow(journal.follow(Pulse::begin(journal.began_at())));
    (looking, pulse, watching.boxed(), Arc::new(move || measured.families()))
}

impl Looking {
    fn over(config: &Config, measured: Arc<Measured>) -> Self {
        let (pep, ca_until) = (measured.pep.clone(), measured.ca.until());
        Self { config: config.clone(), pep, measured, ca_until }
    }
}

impl web::Insight for Looking {
    fn now(&self) -> Timestamp {
        self.pep.clock.now()
    }

    fn follow(&self, from: EntryId) -> Follow {
        self.pep.journal.follow(from)
    }

    fn health(&self) -> Health {
        let modes = &self.pep.modes;
        let everything = (modes.node == Mode::Observe).then(|| "everything".to_owned());
        let some = modes
            .services
            .iter()
            .filter(|(_, mode)| **mode == Mode::Observe)
            .map(|(name, _)| name.to_string());
        let export = self.measured.lag().into_iter().map(|lag| Export {
            follower: lag.follower.to_owned(),
            behind: lag.entries_behind,
            waiting_since: lag.waiting_since,
            taken: lag.spans_exported,
            rejected: lag.spans_rejected,
            error: lag.last_error,
        });
        Health {
            entries: self.measured.end.end().0,
            failing: self.pep.journal.failing(),
            refused: self.measured.reload.refused(),
            export: export.collect(),
            ca_fingerprint: RulesDigest(self.measured.ca.fingerprint()).to_string().replace("sha256:", ""),
            ca_until: self.ca_until,
            open_calls: self.pep.meters.open(),
            observed: everything.into_iter().chain(some).collect(),
        }
    }

    fn policies(&self) -> BoxFuture<'_, Result<Policies, String>> {
        let (config, law) = (self.config.clone(), self.law());
        blocking(move || read(&config, &law)).boxed()
    }

    fn replay(&self, draft: SourceFile, calls: usize) -> BoxFuture<'_, Result<Difference, String>> {
        let (config, law) = (self.config.clone(), self.law());
        blocking(move || replay(&config, &law, draft, calls)).boxed()
    }

    fn explain(&self, call: Box<CallFacts>) -> BoxFuture<'_, Result<Explained, String>> {
        let (config, law) = (self.config.clone(), self.law());
        blocking(move || explain(&config, &law, &call)).boxed()
    }
}

impl Looking {
    fn law(&self) -> Law {
        self.pep.law.borrow().clone()
    }
}

async fn blocking<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Err(error.to_string()))
}

fn read(config: &Config, law: &Law) -> Result<Policies, String> {
    let source = policy_source(config).map_err(|errors| errors.to_string())?;
    let words = vocabulary(law.catalog.clone());
    let place =
        config.policies_dir.as_ref().map_or_else(|| "the binary".to_owned(), |dir| dir.display().to_string());
    let (mut passed, mut failed) = (0, Vec::new());
    match Rules::load(&source, &words).and_then(|rules| lab::run_cases(&rules, &words, source.cases())) {
        Ok(report) => {
            passed = report.passed;
            failed.extend(report.failures.iter().map(ToString::to_string));
        }
        Err(errors) => failed.extend(errors.problems().iter().map(ToString::to_string)),
    }
    let invariants = prove::claims(&source, &words).unwrap_or_else(|errors| {
        failed.extend(errors.problems().iter().map(ToString::to_string));
        Vec::new()
    });
    Ok(Policies {
        place,
        digest: source.digest().to_string(),
        files: source.files(),
        passed,
        failed,
        invariants,
        proofs: prove::Kept::of(&source, &words),
    })
}

/// The tasks of these calls, as they were opened.
fn tasks_of<'f>(config: &Config, facts: impl Iterator<Item = &'f CallFacts>) -> Result<Past, JournalError> {
    let wanted: std::collections::HashSet<TaskId> = facts
        .flat_map(|facts| facts.task.into_iter().chain(facts.links.iter().map(|link| link.task)))
        .collect();
    let mut past = Past::default();
    let filter = match wanted.iter().next() {
        Some(only) if wanted.len() == 1 => Filter { task: Some(*only), ..Filter::default() },
        _ => Filter::default(),
    };
    let filter = Filter { kind: Some("task_opened".into()), ..filter };
    let mut missing = wanted.len();
    if missing == 0 {
        return Ok(past);
    }
    search(&config.state_dir, &filter, |found| {
        if let What::TaskOpened(opened) = &found.entry.what
            && wanted.contains(&opened.task)
        {
            past.opened(opened.clone());
            missing -= 1;
        }
        if missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(past)
}

fn explain(config: &Config, law: &Law, facts: &CallFacts) -> Result<Explained, String> {
    let past = tasks_of(config, std::iter::once(facts)).map_err(|error| error.to_string())?;
    let call = past.call(facts).ok_or_else(|| {
        let why = facts
            .refusal
            .as_ref()
            .map_or("nobody was known to have made it", |refusal| refusal.message.as_str());
        format!("no policy was asked: {why}")
    })?;
    Ok(Explained { parts: law.rules.explain(&call), rules: law.rules.digest().to_string() })
}

fn replay(config: &Config, law: &Law, draft: SourceFile, count: usize) -> Result<Difference, String> {
    let source = policy_source(config).map_err(|errors| errors.to_string())?;
    let source: PolicySource = source.with_policies(draft);
    let words = vocabulary(law.catalog.clone());
    let rules = Rules::load(&source, &words).map_err(|errors| errors.to_string())?;
    let extent = Extent { before: None, limit: count, patience: REPLAY };
    let page = calls(&config.state_dir, &Filter::default(), extent).map_err(|error| error.to_string())?;
    let facts = || {
        page.calls.iter().filter_map(|told| match &told.opening.what {
            What::Opened(facts) | What::Refused(facts) => Some(&**facts),
            _ => None,
        })
    };
    let past = tasks_of(config, facts()).map_err(|error| error.to_string())?;
    let mut recall = rules.recall();
    let mut found = Difference {
        digest: rules.digest().to_string(),
        policies: rules.policies().len(),
        ..Difference::default()
    };
    let mut kinds: HashMap<(String, String, Decision, Decision), Kind> = HashMap::new();
    for facts in facts() {
        let Some(call) = past.call(facts) else {
            found.unattributed += 1;
            continue;
        };
        found.calls += 1;
        let now = recall.decide(&call);
        // Where no policy was asked then (a budget was spent, the journal was full), nothing can differ.
        let Some(then) = facts.ruled().filter(|then| *then != now) else { continue };
        let strongest = call.stage().operations.strongest();
        let (agent, operation) = (call.stage().principal.agent.to_string(), strongest.id.to_string());
        let kind = kinds.entry((agent.clone(), operation.clone(), then, now)).or_insert_with(|| Kind {
            agent,
            operation,
            class: strongest.class,
            then,
            now,
            calls: 0,
            example: facts.call,
        });
        kind.calls += 1;
    }
    found.without_task = past.without_task();
    found.kinds = kinds.into_values().collect();
    found.kinds.sort_by(|a, b| {
        b.calls.cmp(&a.calls).then_with(|| (&a.agent, &a.operation).cmp(&(&b.agent, &b.operation)))
    });
    Ok(found)
}
