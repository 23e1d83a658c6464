//! Two entries make one call.

use std::collections::HashMap;

use crate::call::{CallId, Closing, EntryId, Timestamp};
use crate::record::{CallFacts, Entry, What};

/// A call that is over.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) facts: CallFacts,
    /// The entry that told of it first: `remit.journal.entry`.
    pub(super) entry: EntryId,
    /// None: it was refused before it was opened.
    pub(super) closing: Option<Closing>,
    pub(super) ended: Timestamp,
}

/// The calls that were opened and not yet closed. As many as are on their way at once, and those are bounded.
#[derive(Default)]
pub(super) struct Pairs {
    open: HashMap<CallId, (EntryId, CallFacts)>,
}

impl Pairs {
    /// Takes the next entry; gives back the call that it brings to an end.
    ///
    /// A closing without an opening belongs to a call from before this follower's first start and is let pass.
    pub(super) fn take(&mut self, entry: Entry) -> Option<Finished> {
        let Entry { seq, at, what, .. } = entry;
        match what {
            What::Opened(facts) => {
                self.open.insert(facts.call, (seq, *facts));
                None
            }
            What::Refused(facts) => {
                let after_ns = facts.refusal.as_ref().and_then(|refusal| refusal.after_ns);
                let ended = end(facts.began, after_ns, at);
                Some(Finished { facts: *facts, entry: seq, closing: None, ended })
            }
            What::Closed(closed) => {
                let (entry, facts) = self.open.remove(&closed.call)?;
                let took_ns = Some(closed.closing.duration_ns).filter(|&ns| ns != 0);
                let ended = end(facts.began, took_ns, at);
                Some(Finished { facts, entry, closing: Some(closed.closing), ended })
            }
            _ => None,
        }
    }

    /// Where the openings stand whose closing is still to come, ascending.
    pub(super) fn open_entries(&self) -> Vec<EntryId> {
        let mut entries: Vec<_> = self.open.values().map(|(entry, _)| *entry).collect();
        entries.sort_unstable();
        entries
    }
}

/// A call that was dropped, or found at start, does not know how long it took: the closing entry's time stands in.
fn end(began: Timestamp, took_ns: Option<u64>, written: Timestamp) -> Timestamp {
    match took_ns {
        Some(ns) => began.plus(std::time::Duration::from_nanos(ns)),
        None => written.max(began),
    }
}
