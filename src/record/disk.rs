//! The few things that the journal asks of a file system, as a seam at which tests make the disk fail.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// A file system.
pub(super) trait Disk: Send + Sync {
    /// Opens an empty file for writing, mode 0600, and makes its name durable. One that stands there already MUST be
    /// empty: it is what a failed attempt left.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Storage>>;
    /// Opens a file that is there.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Storage>>;
    /// Opens a file for what is written on the side, made if it is not there. Nobody waits for its name to be durable.
    fn aside(&self, path: &Path) -> io::Result<Box<dyn Storage>>;
    /// Puts `bytes` in the place of a file: either the old content or the new, never half of one.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

/// One file.
pub(super) trait Storage: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// `fdatasync`.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// The real one.
pub(super) struct FileSystem;

impl Disk for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        let file = options().create(true).truncate(false).open(path)?;
        if file.metadata()?.len() != 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something in it already"));
        }
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(options().open(path)?))
    }

    fn aside(&self, path: &Path) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(lock_file(path)?))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = path.with_extension("new");
        if let Err(e) = std::fs::remove_file(&beside)
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(e);
        }
        let mut file = lock_file(&beside)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

impl Storage for File {
    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the journal's folder, mode 0700.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens the lock file; the caller locks it.
pub(super) fn lock_file(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}
