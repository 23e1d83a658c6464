//! The whole journal, read by several threads: each call as the call that it was ([`Past`]), to be judged again.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError, RwLock};

use super::failure::Failure;
use super::screen;
use crate::call::{Attributed, Call};
use crate::record::sweep::{Lines, Piece, Said, Sweep};
use crate::record::{CallFacts, JournalError};
pub(super) use crate::runtime::Past;

/// Pieces of the journal that wait for a processor.
const WAITING: usize = 8;

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
