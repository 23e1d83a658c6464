//! The files that CMD's environment points to: `<state>/run/<task>/`, mode 0700, gone when CMD is.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::environment::Inherited;
use super::truststore;
use crate::terminal::failure::Failure;
use crate::terminal::screen;

const PRELOAD: &str = include_str!("preload.cjs");
const SITECUSTOMIZE: &str = include_str!("sitecustomize.py");

/// One task's files; removed on drop.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Writes them under `base`.
    pub(super) fn write(
        base: &Path,
        task: &str,
        bundle: &Path,
        inherited: Inherited<'_>,
    ) -> Result<Self, Failure> {
        // Absolute, because CMD may change its folder.
        let base = std::path::absolute(base).unwrap_or_else(|_| base.to_owned());
        let files = Self { folder: base.join(task) };
        files.fill(bundle, inherited).map_err(|error| {
            Failure::found_wanting(format!("`{}` cannot be written: {error}", files.folder.display()))
                .remedy("it needs a few hundred kilobytes, and a folder that is yours")
        })?;
        Ok(files)
    }

    /// For Node's `--require`.
    pub(super) fn preload(&self) -> PathBuf {
        self.folder.join("preload.cjs")
    }

    /// The folder of our sitecustomize.
    pub(super) fn python(&self) -> PathBuf {
        self.folder.join("python")
    }

    /// wget trusts by its configuration alone.
    pub(super) fn wgetrc(&self) -> PathBuf {
        self.folder.join("wgetrc")
    }

    /// Java's roots.
    pub(super) fn trust_store(&self) -> PathBuf {
        self.folder.join("trust.p12")
    }

    fn fill(&self, bundle: &Path, inherited: Inherited<'_>) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.python())?;
        fs::write(self.preload(), PRELOAD)?;
        fs::write(self.python().join("sitecustomize.py"), SITECUSTOMIZE)?;
        fs::write(self.wgetrc(), wgetrc(bundle, inherited))?;
        fs::write(self.trust_store(), truststore::of_bundle(bundle)?)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            screen::complain(&format!("`{}` cannot be removed: {error}", self.folder.display()));
        }
    }
}

/// The user's own settings, then ours: of two equal ones the last wins.
fn wgetrc(bundle: &Path, inherited: Inherited<'_>) -> Vec<u8> {
    let own = inherited("WGETRC")
        .map(PathBuf::from)
        .or_else(|| inherited("HOME").map(|home: OsString| PathBuf::from(home).join(".wgetrc")));
    let mut text = own.and_then(|file| fs::read(file).ok()).unwrap_or_default();
    text.extend_from_slice(format!("\nca_certificate = {}\n", bundle.display()).as_bytes());
    text
}
