//! The leaf hashes beside the entries, as the auditor reads them: believed only while their root is the signed one.

use std::path::Path;

use super::Tree;
use super::walk::{Stands, files, walk};

/// The first of `size` entries whose hash is not the one beside it; none where the hashes beside them are not those that
/// were signed either, or are not all there.
pub(super) fn first_odd(state_dir: &Path, size: u64, signed: &[u8; 32]) -> Option<u64> {
    let kept = read(state_dir, size)?;
    let mut tree = Tree::default();
    kept.iter().try_for_each(|leaf| tree.push(*leaf)).ok()?;
    if tree.root().ok()? != *signed {
        return None;
    }
    let mut odd = None;
    let mut kept = kept.into_iter();
    // Where the way ends early, what was odd before that is odd all the same.
    let _as_far_as_it_goes = walk(state_dir, |at, stands: Stands<'_>, _| {
        if odd.is_none() && kept.next().is_some_and(|kept| kept.0 != stands.leaf().0) {
            odd = Some(at);
        }
        Ok(())
    });
    odd
}

/// The first `size` leaves.
fn read(state_dir: &Path, size: u64) -> Option<Vec<tlog_tiles::Hash>> {
    let mut all = Vec::new();
    for path in files(&state_dir.join("journal"), "leaves").ok()? {
        let bytes = std::fs::read(path).ok()?;
        let (leaves, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            return None;
        }
        all.extend(leaves.iter().map(|leaf| tlog_tiles::Hash(*leaf)));
    }
    let size = usize::try_from(size).ok()?;
    if all.len() < size {
        return None;
    }
    all.truncate(size);
    Some(all)
}
