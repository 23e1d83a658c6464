//! Calls of the past: what the journal keeps of a call, as the call that it was, to be judged again.
//!
//! The journal keeps everything that a ruling looks at, but a task's labels and terms stand in the entry of its opening. Where
//! that is no longer kept, they are missing, and it is said.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use http::{HeaderMap, Method, Version};

use super::failure::Failure;
use super::screen;
use crate::call::principal::Entrance;
use crate::call::{
    AgentProfile, Attributed, Call, Entropy, Head, Host, IntentName, Link, Operations, Origin, Presented,
    Principal, Scheme, SpiffeId, Target, Task, TaskId, Terms, TraceContext,
};
use crate::judge::hold;
use crate::record::sweep::{Lines, Piece, Said, Sweep};
use crate::record::{CallFacts, JournalError, TaskFacts};

/// Pieces of the journal that wait for a processor.
const WAITING: usize = 8;

/// The tasks that were read of so far.
#[derive(Debug, Default)]
pub(super) struct Past {
    tasks: HashMap<TaskId, Arc<Task>>,
    /// Calls whose task's opening is not in the journal.
    without_task: AtomicU64,
}

impl Past {
    /// Takes note of a task.
    pub(super) fn opened(&mut self, facts: TaskFacts) {
        let TaskFacts { task: id, agent, intent, labels, opened, deadline, terms, by: _ } = facts;
        let terms = terms.map(|terms| *terms).unwrap_or_default();
        // Tasks of another node were opened there; what is known of them came with the one that was handed over.
        for link in terms.handed.iter().flat_map(|handed| &handed.links) {
            self.tasks.entry(link.task.id).or_insert_with(|| Arc::new(link.task.clone()));
        }
        self.tasks.insert(id, Arc::new(Task { id, agent, intent, labels, opened, deadline, terms }));
    }

    /// How many calls were made again without what stands in their task's opening.
    pub(super) fn without_task(&self) -> u64 {
        self.without_task.load(Ordering::Relaxed)
    }

    /// The call; none if it was refused before it was known who made it and for what.
    pub(super) fn call(&self, facts: &CallFacts) -> Option<Call<Attributed>> {
        let agent = facts.agent.clone()?;
        let mut operations = facts.operations.iter().cloned();
        let operations = Operations::batch(operations.next()?, operations.collect());
        let presented = Presented {
            peer: facts.peer.parse().ok()?,
            by: Entrance::Proxy,
            token: None,
            certificates: None,
            chain: None,
            process: None,
        };
        let known = |id: &TaskId| self.tasks.get(id).cloned();
        let ids = facts.task.iter().chain(facts.links.iter().map(|link| &link.task));
        let missing = ids.into_iter().any(|id| !self.tasks.contains_key(id));
        let task = |id: TaskId, agent: &SpiffeId, intent: &IntentName| {
            known(&id).unwrap_or_else(|| Arc::new(without_opening(facts, id, agent, intent)))
        };
        let profile = |profile: &Option<Box<AgentProfile>>| -> Arc<AgentProfile> {
            profile.as_deref().cloned().unwrap_or_default().into()
        };
        let links = facts.links.iter().map(|link| Link {
            task: task(link.task, &link.agent, &link.intent),
            profile: profile(&link.profile),
            history: link.history.clone(),
        });
        let own = task(facts.task?, &agent, facts.intent.as_ref()?);
        let principal = Principal { agent, evidence: facts.evidence?, claims: facts.claims.clone() };
        let recognised = Call::intercepted(head(facts)?, presented).recognise(operations);
        let approval = facts
            .approval
            .as_deref()
            .map(|given| hold::recalled(given.hold, given.by.clone(), given.policies.clone()));
        let attributed = recognised.attribute(principal, own, facts.history.clone()?).approved(approval);
        self.without_task.fetch_add(u64::from(missing), Ordering::Relaxed);
        Some(attributed.standing_in(profile(&facts.profile), links.collect()))
    }
}

fn without_opening(facts: &CallFacts, id: TaskId, agent: &SpiffeId, intent: &IntentName) -> Task {
    Task {
        id,
        agent: agent.clone(),
        intent: intent.clone(),
        labels: std::collections::BTreeMap::new(),
        opened: facts.began,
        deadline: facts.began,
        terms: Terms::default(),
    }
}

fn head(facts: &CallFacts) -> Option<Head> {
    let http = &facts.http;
    let scheme = if http.scheme == "https" { Scheme::Https } else { Scheme::Http };
    Some(Head {
        id: facts.call,
        at: facts.began,
        origin: Origin { scheme, host: Host::parse(&http.host).ok()?, port: http.port },
        method: Method::from_bytes(http.method.as_str().as_bytes()).ok()?,
        target: Target::parse(&http.path).ok()?,
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        trace: TraceContext::of(facts.call, None, &Still),
        upgrade: None,
    })
}

/// Who looks at the calls of the past: one on each processor.
pub(super) trait Reader: Send {
    /// Takes a call, with what the journal says of it; the call itself only where it is known who made it.
    fn take(&mut self, facts: &CallFacts, call: Option<Call<Attributed>>);

    /// How many calls it took.
    fn taken(&self) -> u64;
}

/// Has all calls of the journal in `state` read, by as many readers as there are processors, in no particular order.
/// `progress` is told how far it has come, 0 to 1, and how many calls there were.
pub(super) fn read<R: Reader>(
    state: &Path,
    make: impl Fn() -> R + Sync,
    progress: impl Fn(f64, u64),
) -> Result<(Vec<R>, Past), Failure> {
    let mut sweep = Sweep::of(state).map_err(unreadable)?;
    let (past, failed, stop) = (RwLock::new(Past::default()), Mutex::new(None), AtomicBool::new(false));
    let (send, pieces) = sync_channel::<Piece>(WAITING);
    let (pieces, taken) = (Mutex::new(pieces), AtomicU64::new(0));
    let work = || {
        let mut reader = make();
        // After a failure pieces are still taken, so that nobody waits for room.
        while let Some(piece) = next(&pieces) {
            let before = reader.taken();
            if stop.load(Ordering::Relaxed) {
                continue;
            }
            if let Err(error) = look(&piece, &past, &mut reader) {
                stop.store(true, Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            taken.fetch_add(reader.taken() - before, Ordering::Relaxed);
        }
        reader
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (read, readers) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut done = 0;
        let mut all = || -> Result<(), JournalError> {
            while let Some(piece) = sweep.piece()? {
                // A task is opened before its calls are made.
                for said in piece.read(Lines::Tasks) {
                    if let Said::Task(task) = said? {
                        past.write().unwrap_or_else(PoisonError::into_inner).opened(task);
                    }
                }
                done += piece.bytes();
                if stop.load(Ordering::Relaxed) || send.send(piece).is_err() {
                    break;
                }
                progress(share(done, sweep.bytes()), taken.load(Ordering::Relaxed));
            }
            Ok(())
        };
        let read = all();
        drop(send);
        let readers =
            threads.into_iter().map(|t| t.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        (read, readers.collect())
    });
    read.map_err(unreadable)?;
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(unreadable(error)),
        None => Ok((readers, past.into_inner().unwrap_or_else(PoisonError::into_inner))),
    }
}

fn next(pieces: &Mutex<Receiver<Piece>>) -> Option<Piece> {
    pieces.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn look(piece: &Piece, past: &RwLock<Past>, reader: &mut impl Reader) -> Result<(), JournalError> {
    for said in piece.read(Lines::Calls) {
        if let Said::Call(facts) = said? {
            let call = past.read().unwrap_or_else(PoisonError::into_inner).call(&facts);
            reader.take(&facts, call);
        }
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it stands behind `map_err`")]
pub(super) fn unreadable(error: JournalError) -> Failure {
    Failure::found_wanting(error.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "a share for people, of far fewer than 2^53 bytes")]
fn share(done: u64, all: u64) -> f64 {
    done as f64 / (all.max(1)) as f64
}

/// A bar on the last line of a terminal; nothing where nobody looks.
pub(super) fn bar(begun: std::time::Instant) -> impl Fn(f64, u64) {
    const WIDTH: usize = 30;
    let (shown, last) = (screen::stderr_is_terminal(), std::cell::Cell::new(begun));
    move |share, calls| {
        if !shown || last.get().elapsed().as_millis() < 100 {
            return;
        }
        last.set(std::time::Instant::now());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "0 to 30"
        )]
        let full = ((share.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH);
        let (full, empty) = ("#".repeat(full), " ".repeat(WIDTH - full));
        let percent = share * 100.0;
        screen::progress(&format!(
            "[{full}{empty}] {percent:.0} %, {calls} calls, {:.0}/s",
            rate(calls, begun)
        ));
    }
}

/// Calls a second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people, of far fewer than 2^53 calls")]
pub(super) fn rate(calls: u64, since: std::time::Instant) -> f64 {
    calls as f64 / since.elapsed().as_secs_f64().max(f64::EPSILON)
}

/// Nothing that is judged rests on these.
struct Still;

impl Entropy for Still {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(1);
    }
}
