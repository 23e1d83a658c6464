//! The way through the journal's files, front to back: first the leaves of what was retired, then lines.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::JournalError;

/// What stands for an entry.
pub(super) enum Stands<'a> {
    /// Its line, without the newline.
    Line(&'a [u8]),
    /// Only its leaf hash: the line is not kept any more.
    Leaf(tlog_tiles::Hash),
}

impl Stands<'_> {
    pub(super) fn leaf(&self) -> tlog_tiles::Hash {
        match self {
            Stands::Line(line) => tlog_tiles::record_hash(line),
            Stands::Leaf(leaf) => *leaf,
        }
    }
}

/// What was found on the way.
#[derive(Debug)]
pub(super) struct Walked {
    /// The first entry of which the line is there.
    pub(super) kept_from: u64,
    /// Bytes behind the last whole line.
    pub(super) torn_bytes: u64,
}

/// Calls `take` with number, bytes and file of each entry.
pub(super) fn walk(
    state_dir: &Path,
    mut take: impl FnMut(u64, Stands<'_>, &Path) -> Result<(), JournalError>,
) -> Result<Walked, JournalError> {
    let folder = state_dir.join("journal");
    let lines = files(&folder, "jsonl")?;
    let mut at = 0;
    for path in files(&folder, "leaves")? {
        // Behind the first segment that is there, leaves are an aid and no evidence.
        if lines.first().is_some_and(|first| first.file_stem() <= path.file_stem()) {
            break;
        }
        in_place(&path, at)?;
        let bytes = std::fs::read(&path).map_err(|e| JournalError::disk("read", &path, e))?;
        let (leaves, rest) = bytes.as_chunks::<32>();
        for leaf in leaves {
            take(at, Stands::Leaf(tlog_tiles::Hash(*leaf)), &path)?;
            at += 1;
        }
        if !rest.is_empty() {
            let why = "its leaf hash is cut short".to_owned();
            return Err(JournalError::Untrue { entry: at, path, why });
        }
    }
    let (kept_from, mut torn_bytes) = (at, 0);
    for path in lines {
        if torn_bytes != 0 {
            let why = "the segment does not go on where the last one ends".to_owned();
            return Err(JournalError::Untrue { entry: at, path, why });
        }
        in_place(&path, at)?;
        let failed = |e| JournalError::disk("read", &path, e);
        let mut reader = BufReader::new(File::open(&path).map_err(failed)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(failed)? != 0 {
            let Some(whole) = line.strip_suffix(b"\n") else {
                torn_bytes = line.len() as u64;
                break;
            };
            take(at, Stands::Line(whole), &path)?;
            at += 1;
            line.clear();
        }
    }
    Ok(Walked { kept_from, torn_bytes })
}

/// A file is named by its first entry.
fn in_place(path: &Path, at: u64) -> Result<(), JournalError> {
    let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse::<u64>().ok());
    if name == Some(at) {
        return Ok(());
    }
    let why = "the segment does not go on where the last one ends".to_owned();
    Err(JournalError::Untrue { entry: at, path: path.to_owned(), why })
}

/// The journal's files of one kind, in the order of their entries.
pub(super) fn files(folder: &Path, kind: &str) -> Result<Vec<PathBuf>, JournalError> {
    let failed = |e| JournalError::disk("list", folder, e);
    let all: io::Result<Vec<_>> =
        std::fs::read_dir(folder).map_err(failed)?.map(|file| Ok(file?.path())).collect();
    let mut paths = all.map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == kind));
    paths.sort();
    Ok(paths)
}
