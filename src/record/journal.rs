//! The journal's face: the only maker of [`Opened`] and [`Receipt`].

use std::fs::TryLockError;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

use super::checkpoint::{self, LogKey};
use super::disk::{self, Disk, FileSystem};
use super::entry::{Closed, What};
use super::error::JournalError;
use super::event::Event;
use super::facts::{CallFacts, RefusalFacts, Text};
use super::inbox::{Effect, Fate, Inbox, Order, PLACES, Strength};
use super::keeper::{Keeper, Needs};
use super::leaves::Leaves;
use super::recover::{self, Found};
use super::segment;
use super::syncer::{self, Sealer, Syncs};
use super::tail::Follow;
use super::writer::{Health, Writer};
use crate::call::{
    Account, Call, CallId, Class, Clock, CloseBook, Closing, Decided, EntryId, Opened, Outcome, Receipt,
    Refusal,
};

/// Which openings wait for the disk. There is no "none": an act never goes out on the strength of memory alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durable {
    /// Acts and delegations; reads are appended.
    #[default]
    Act,
    /// Every class, and every other entry that somebody waits for.
    All,
}

/// How to keep a journal.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state folder; the journal is `journal/` inside it.
    pub dir: PathBuf,
    /// Which openings wait for the disk.
    pub durable: Durable,
    /// A segment of this length is followed by the next one, bytes. At least one batch goes into each.
    pub segment_bytes: NonZeroU64,
    /// How long a call waits for its entry. A disk that takes longer counts as failed, and the call is refused.
    pub patience: Duration,
    /// What is kept.
    pub retention: Retention,
    /// Who signs the checkpoints; without it there are none.
    pub log_key: Option<Arc<LogKey>>,
}

/// How much of the journal is kept. Whole segments go, the oldest first, never the one that is written to; their leaf
/// hashes stay, 32 bytes an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments whose last entry is older than this go; none: they stay.
    pub age: Option<Duration>,
    /// While the segments together are longer than this, bytes, the oldest goes; none: they stay.
    pub bytes: Option<NonZeroU64>,
}

impl Settings {
    /// 64 MiB a segment, acts and delegations durable, everything kept, 10 seconds of patience.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            durable: Durable::Act,
            segment_bytes: NonZeroU64::MIN.saturating_add((64 << 20) - 1),
            patience: Duration::from_secs(10),
            retention: Retention::default(),
            log_key: None,
        }
    }
}

/// The one journal of a node.
pub struct Journal {
    settings: Settings,
    clock: Arc<dyn Clock>,
    book: Arc<Book>,
    /// Places in the inbox. A place is given back once the caller has been answered.
    places: Arc<Semaphore>,
    health: Arc<Health>,
    written: watch::Receiver<u64>,
    needs: Arc<Needs>,
    began_at: EntryId,
    /// Guards the handles until [`Journal::stop`] takes them.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Takes the closings.
struct Book {
    inbox: Arc<Inbox>,
}

impl Journal {
    /// Takes the journal under `settings.dir`, mends what a crash left, and begins to write.
    ///
    /// What was signed last must still hold. A torn last line is cut, calls without an end are closed as [`Outcome::Unknown`]; both are entries. It reads the
    /// whole journal once and blocks on the disk.
    pub fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        Self::start_on(settings, clock, Arc::new(FileSystem))
    }

    pub(super) fn start_on(
        settings: Settings,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, JournalError> {
        let folder = segment::folder(&settings.dir);
        disk::make_dir(&folder).map_err(|e| JournalError::disk("create", &folder, e))?;
        let lock = lock(&folder)?;
        let signed = settings.log_key.as_ref().map(|key| checkpoint::latest(&folder, key)).transpose()?;
        let signed = signed.flatten();
        let Found { next, segment, open, cut, tree } = recover::recover(&folder, signed, disk.as_ref())?;
        let (inbox, syncs) = (Arc::new(Inbox::new()), Arc::new(Syncs::new()));
        // What a crash left unsigned is signed, though nothing may follow it.
        if let Some(segment) = segment.as_ref().filter(|_| signed.is_none_or(|(size, _)| size < next)) {
            syncs.push(segment, Vec::new(), syncer::Head::of(&tree));
        }
        let health = Arc::new(Health::default());
        let (sender, written) = watch::channel(next);
        let book = Arc::new(Book { inbox: Arc::clone(&inbox) });
        if let Some((segment, bytes)) = cut {
            tracing::warn!(segment, bytes, "cut a half-written line off the journal");
            book.write(&What::TailCut { segment, bytes }, Effect::Neither);
        }
        let still_open = open.iter().map(|(entry, _)| entry.0).collect();
        for (entry, call) in open {
            book.close(call, entry, Closing::bare(Outcome::Unknown));
        }
        let (seal, sealed) = mpsc::channel();
        let (needs, oldest_open) = (Arc::new(Needs::default()), Arc::new(AtomicU64::new(0)));
        let keeper = Keeper {
            folder: folder.clone(),
            retention: settings.retention,
            clock: Arc::clone(&clock),
            inbox: Arc::clone(&inbox),
            oldest_open: Arc::clone(&oldest_open),
            needs: Arc::clone(&needs),
            sealed,
        };
        let notary = Sealer {
            folder: folder.clone(),
            disk: Arc::clone(&disk),
            key: settings.log_key.clone(),
            last: None,
        };
        let writer = Writer {
            folder: folder.clone(),
            segment_bytes: settings.segment_bytes.get(),
            disk,
            clock: Arc::clone(&clock),
            inbox,
            syncs: Arc::clone(&syncs),
            health: Arc::clone(&health),
            written: sender,
            segment,
            next,
            tree,
            leaves: Leaves::default(),
            open: still_open,
            oldest_open,
            sealed: seal,
            trouble: None,
        };
        let sync_health = Arc::clone(&health);
        let threads = vec![
            thread("journal-sync", &folder, move || syncer::run(&syncs, &sync_health, notary, lock))?,
            thread("journal-write", &folder, move || writer.run())?,
            thread("journal-keep", &folder, move || keeper.run())?,
        ];
        Ok(Self {
            settings,
            clock,
            book,
            places: Arc::new(Semaphore::new(PLACES)),
            health,
            written,
            needs,
            began_at: EntryId(next),
            threads: Mutex::new(threads),
        })
    }

    /// Writes that a call is about to be forwarded. For a read the proof means appended, otherwise durable.
    ///
    /// After an error the call MUST be refused with `journal_unavailable` and MUST NOT be given to [`Self::refuse`]:
    /// either the journal cannot be written, or the entry stands there and the journal closes it itself. The same
    /// holds if the future is dropped.
    pub async fn open(&self, call: &Call<Decided>) -> Result<Opened, JournalError> {
        let id = call.head().id;
        let what = What::Opened(Box::new(CallFacts::of(call.account())));
        let strength = self.strength(call.stage().operations.class());
        let book = Arc::clone(&self.book);
        self.submit(&what, strength, Effect::Opens, move |fate| match fate {
            Fate::Written(seq) => Ok(Opened::assertion(id, EntryId(seq), book)),
            Fate::Doubtful(seq, error) => {
                book.close(id, EntryId(seq), not_forwarded(&error));
                Err(error)
            }
            Fate::Refused(error) => Err(error),
        })
        .await
    }

    /// Writes that a call is refused that was never opened.
    pub async fn refuse(&self, account: Account<'_>, refusal: &Refusal) -> Result<Receipt, JournalError> {
        let after = self.clock.now().since(account.head.at);
        let after_ns = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        let mut facts = CallFacts::of(account);
        facts.refusal = Some(RefusalFacts::of(refusal, Some(after_ns)));
        facts.hold = refusal.hold();
        let what = What::Refused(Box::new(facts));
        self.submit(&what, self.strength(Class::Read), Effect::Neither, receipt).await
    }

    /// Writes an event. All but connections that were turned away are durable.
    pub async fn note(&self, event: Event<'_>) -> Result<Receipt, JournalError> {
        let class = if event.is_cheap_to_cause() { Class::Read } else { Class::Act };
        self.submit(&event.what(), self.strength(class), Effect::Neither, receipt).await
    }

    /// Why nothing can be written at the moment, if so.
    pub fn failing(&self) -> Option<String> {
        self.health.ill().map(|error| error.to_string())
    }

    /// Reads the journal from entry `from` on, and waits for more.
    pub fn follow(&self, from: EntryId) -> Follow {
        Follow::new(self.settings.dir.clone(), from, self.written.clone(), self.needs.enter())
    }

    /// The number of the next entry when this node began to write.
    pub fn began_at(&self) -> EntryId {
        self.began_at
    }

    /// The state folder.
    pub fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// Writes what waits, makes all of it durable and gives the journal free. What is closed afterwards is lost, so
    /// calls MUST have ended: the next start finds those that had not and closes them as unknown.
    pub async fn stop(&self) {
        self.book.inbox.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(JoinHandle::join));
        if !matches!(joined.await, Ok(Ok(()))) {
            tracing::error!("a thread of the journal ended in a panic");
        }
    }

    fn strength(&self, class: Class) -> Strength {
        match (self.settings.durable, class) {
            (Durable::Act, Class::Read) => Strength::Appended,
            (Durable::All, _) | (_, Class::Act | Class::Delegate) => Strength::Durable,
        }
    }

    /// Puts an entry into the queue and waits for its fate. `settle` is called on a thread of the journal; where the
    /// caller has gone by then, what it made is dropped there.
    async fn submit<T: Send + 'static>(
        &self,
        what: &What,
        strength: Strength,
        effect: Effect,
        settle: impl FnOnce(Fate) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let what = what.to_json()?;
        let waited = tokio::time::timeout(self.settings.patience, async {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| JournalError::Stopped)?;
            let (tell, told) = oneshot::channel();
            let answer = Box::new(move |fate| {
                drop(tell.send(settle(fate)));
                drop(place);
            });
            self.book.inbox.push(Order { what, strength, effect, answer: Some(answer) });
            told.await.map_err(|_| JournalError::Stopped)?
        });
        let stalled = || JournalError::Stalled {
            dir: segment::folder(&self.settings.dir),
            waited_ms: self.settings.patience.as_millis(),
        };
        waited.await.map_err(|_| stalled())?
    }
}

impl Drop for Journal {
    /// The threads write what waits and end by themselves; only [`Journal::stop`] waits for that.
    fn drop(&mut self) {
        self.book.inbox.stop();
    }
}

impl Book {
    /// An entry that nobody waits for and that is tried until it is written.
    fn write(&self, what: &What, effect: Effect) {
        let strength = Strength::Appended;
        match what.to_json() {
            Ok(what) => self.inbox.push(Order { what, strength, effect, answer: None }),
            // Closings are bounded, so this is out of reach; it is told rather than hidden.
            Err(error) => tracing::error!(error = %error, "an entry of the journal is lost"),
        }
    }
}

impl CloseBook for Book {
    fn close(&self, call: CallId, opened: EntryId, mut closing: Closing) {
        closing.error = closing.error.map(|error| Text::new(&error).to_string());
        self.write(&What::Closed(Box::new(Closed { call, opened, closing })), Effect::Closes(opened));
    }
}

fn receipt(fate: Fate) -> Result<Receipt, JournalError> {
    match fate {
        Fate::Written(seq) => Ok(Receipt::assertion(EntryId(seq))),
        Fate::Doubtful(_, error) | Fate::Refused(error) => Err(error),
    }
}

/// How a call ends whose opening stands in the journal but is not durable.
fn not_forwarded(error: &JournalError) -> Closing {
    let refusal = Refusal::JournalUnavailable { why: error.to_string() };
    Closing {
        refusal: Some(refusal.code().to_owned()),
        error: Some(refusal.to_string()),
        ..Closing::bare(Outcome::Abandoned)
    }
}

/// flock(2): it goes with the process, however that ends.
fn lock(folder: &Path) -> Result<std::fs::File, JournalError> {
    let path = folder.join("lock");
    let file = disk::lock_file(&path).map_err(|e| JournalError::disk("open", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::Busy { dir: folder.to_owned() }),
        Err(TryLockError::Error(e)) => Err(JournalError::disk("lock", &path, e)),
    }
}

fn thread(
    name: &str,
    folder: &Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, JournalError> {
    let builder = std::thread::Builder::new().name(name.to_owned());
    builder.spawn(work).map_err(|e| JournalError::disk("start a thread for", folder, e))
}
