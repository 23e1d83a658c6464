//! Files that hold a secret and that only remit's own user may read.
//!
//! Made once, with mode 0600 from the first moment; read only while that still holds. It must not replace a file
//! that is there: what cannot be used is for the operator to look at.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::error::KeyError;
use crate::call::Secret;

/// Longest file that is read, bytes. A key or a token has a few hundred.
const MAX_BYTES: u64 = 16 * 1024;

/// Reads `path`; if it is not there, makes it with what `make` returns.
pub fn load_or_make(
    path: &Path,
    make: impl FnOnce() -> Secret<Vec<u8>>,
) -> Result<Secret<Vec<u8>>, KeyError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            let content = make();
            write(path, file, &content)?;
            Ok(content)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(source) => Err(KeyError::Io { path: path.into(), doing: "made", source }),
    }
}

/// Reads `path`, which has to be there.
pub fn load(path: &Path) -> Result<Secret<Vec<u8>>, KeyError> {
    let failed = |doing| move |source| KeyError::Io { path: path.into(), doing, source };
    let file = File::open(path).map_err(failed("opened"))?;
    // Of the open file, not of the path: the path may lead elsewhere by now.
    let mode = file.metadata().map_err(failed("read"))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.into(), mode });
    }
    let mut content = Vec::with_capacity(usize::try_from(MAX_BYTES).unwrap_or_default());
    let read = file.take(MAX_BYTES).read_to_end(&mut content);
    let content = Secret::new(content);
    read.map_err(failed("read"))?;
    Ok(content)
}

/// A file that is half written would stand in the way of the next start, so it is taken away again.
fn write(path: &Path, mut file: File, content: &Secret<Vec<u8>>) -> Result<(), KeyError> {
    let written = file.write_all(content.reveal()).and_then(|()| file.sync_all());
    written.map_err(|source| {
        drop(std::fs::remove_file(path));
        KeyError::Io { path: path.into(), doing: "written", source }
    })
}
