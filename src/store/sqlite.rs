//! `SQLite` in a file of the state folder, with one thread that writes.
//!
//! WAL with `synchronous = FULL`: a commit is on disk when it returns, and no crash leaves half of one.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;
use super::migrate;

/// The database's file in the state folder.
pub const FILE: &str = "remit.sqlite";
/// How long another process may hold the database before a statement fails.
const BUSY: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The store of one node.
pub struct Sqlite {
    path: PathBuf,
    /// Guards the way to the thread until [`Sqlite::close`] takes it.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sqlite {
    /// Opens or makes `<dir>/remit.sqlite`, mode 0600, and brings it to this remit's version. Blocks.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let io = |source| StoreError::Io { path: path.clone(), source };
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io)?;
        let failed = |source| StoreError::Database { path: path.clone(), source };
        let mut connection = Connection::open(&path).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        let (found, known) = (migrate::version(&connection).map_err(failed)?, migrate::latest());
        if found > known {
            return Err(StoreError::Newer { path, found, known });
        }
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        migrate::migrate(&mut connection).map_err(failed)?;
        let (jobs, inbox) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("store".into());
        let thread = thread.spawn(move || {
            while let Ok(job) = inbox.recv() {
                job(&mut connection);
            }
        });
        let thread = Mutex::new(Some(thread.map_err(io)?));
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread, path })
    }

    /// Does what was asked for and closes the database. What is asked for afterwards fails.
    pub fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(path = %self.path.display(), "the thread of the store ended in a panic");
        }
    }

    /// Has the thread do something, and hands out what comes of it. Once asked for, it is done even if nobody waits.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> oneshot::Receiver<rusqlite::Result<T>> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(tell.send(work(connection))));
        if let Some(jobs) = &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            // A thread that is gone drops the job, and with it the sender: the receiver hears of that.
            drop(jobs.send(job));
        }
        told
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}
