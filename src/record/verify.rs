//! The auditor's side: is the journal what was signed?
//!
//! It reads the bytes on its own and shares the format of an [`Entry`] with the writer, nothing else: the tree comes from
//! `tlog_tiles`, notes are opened here by hand (C2SP `signed-note`, `tlog-checkpoint`).

mod leaves;
#[cfg(test)]
mod tests;
mod walk;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};
use tlog_tiles::{Error, HashReader};
use walk::{Stands, walk};

use super::entry::{Entry, What};
use super::error::JournalError;
use crate::call::{CallId, EntryId};

/// Who signs a journal's checkpoints.
#[derive(Clone, Debug)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// What a journal was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many entries it had.
    pub size: u64,
    /// The root over them.
    pub root: [u8; 32],
}

/// A journal that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries it has.
    pub entries: u64,
    /// The root over all of them.
    pub root: [u8; 32],
    /// How many are covered by the checkpoints that were held against it.
    pub covered: u64,
    /// The first entry that is still there. Of those before, which an entry says were retired, the leaf hashes are.
    pub kept_from: u64,
    /// Bytes behind the last whole line: a write that is under way, or a crash.
    pub torn_bytes: u64,
}

/// That one entry is in the journal of a checkpoint (RFC 9162 §2.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Which.
    pub entry: EntryId,
    /// Its line, without the newline.
    pub line: String,
    /// The audit path, from the leaf up.
    pub path: Vec<[u8; 32]>,
}

fn bad(why: impl Into<String>) -> JournalError {
    JournalError::Checkpoint { why: why.into() }
}

impl VerifierKey {
    /// Parses `<name>+<id>+<base64>`.
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        let mut parts = text.trim_end().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("the verifier key is not of the form name+id+key"));
        };
        let key = BASE64.decode(key).map_err(|_| bad("the verifier key is not base 64"))?;
        let [1, raw @ ..] = key.as_slice() else { return Err(bad("the verifier key is not Ed25519")) };
        let raw: &[u8; 32] = raw.try_into().map_err(|_| bad("the verifier key has not 32 bytes"))?;
        let digest = Sha256::new().chain_update(name).chain_update("\n").chain_update(&key).finalize();
        let wanted: [u8; 4] = *digest.first_chunk().ok_or_else(|| bad("no digest"))?;
        if u32::from_str_radix(id, 16) != Ok(u32::from_be_bytes(wanted)) {
            return Err(bad("the verifier key's id is not that of its name and key"));
        }
        let key =
            VerifyingKey::from_bytes(raw).map_err(|_| bad("the verifier key is no point of the curve"))?;
        Ok(Self { name: name.to_owned(), id: wanted, key })
    }

    /// Opens a checkpoint that this key signed. Signatures of others are let pass, as witnesses add theirs.
    pub fn open(&self, note: &[u8]) -> Result<Checkpoint, JournalError> {
        self.read(&self.signed(note)?)
    }

    /// The text of a note, if this key signed it.
    fn signed(&self, note: &[u8]) -> Result<String, JournalError> {
        let note = std::str::from_utf8(note).map_err(|_| bad("it is not UTF-8"))?;
        let (text, signatures) = note.rsplit_once("\n\n").ok_or_else(|| bad("it is no signed note"))?;
        let text = format!("{text}\n");
        let mut signed = false;
        for line in signatures.lines() {
            let fields = line.strip_prefix("— ").and_then(|rest| rest.split_once(' '));
            let (name, value) = fields.ok_or_else(|| bad("a signature line is malformed"))?;
            let value = BASE64.decode(value).map_err(|_| bad("a signature is not base 64"))?;
            let (id, signature) =
                value.split_first_chunk::<4>().ok_or_else(|| bad("a signature is too short"))?;
            if name == self.name && *id == self.id {
                let signature =
                    Signature::from_slice(signature).map_err(|_| bad("the signature has a wrong length"))?;
                let strict = self.key.verify_strict(text.as_bytes(), &signature);
                strict.map_err(|_| bad("the signature is not of this key"))?;
                signed = true;
            }
        }
        if !signed {
            return Err(bad("this key has not signed it"));
        }
        Ok(text)
    }

    fn read(&self, text: &str) -> Result<Checkpoint, JournalError> {
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(bad("it has fewer than three lines"));
        };
        if origin != self.name {
            return Err(bad("it is of another journal"));
        }
        let number: u64 = size.parse().map_err(|_| bad("its size is no number"))?;
        if number.to_string() != size {
            return Err(bad("its size is not written plainly"));
        }
        let root = BASE64.decode(root).ok().and_then(|root| root.try_into().ok());
        Ok(Checkpoint { size: number, root: root.ok_or_else(|| bad("its root is not 32 bytes of base 64"))? })
    }
}

/// Checks the whole journal under `state_dir`: each line canonical and in its place, each closing behind its own opening
/// and the only one, and the root at each of `held` what was signed. Names the first entry that is wrong; where only the
/// root tells and the leaf hashes beside the entries are not those that were signed either, the first one after the last
/// checkpoint that still holds.
pub fn verify(state_dir: &Path, held: &[Checkpoint]) -> Result<Verified, JournalError> {
    through(state_dir, held).map_err(|error| match error {
        // An entry that was forged well may show only in one behind it, such as the end of a call that it renamed.
        JournalError::Untrue { entry, path, why } => {
            let longest = held.iter().max_by_key(|checkpoint| checkpoint.size);
            let odd = longest.and_then(|held| leaves::first_odd(state_dir, held.size, &held.root));
            match odd.filter(|odd| *odd < entry) {
                Some(odd) => {
                    let why = "its hash is not the one that was signed".to_owned();
                    JournalError::Untrue { entry: odd, path, why }
                }
                None => JournalError::Untrue { entry, path, why },
            }
        }
        other => other,
    })
}

fn through(state_dir: &Path, held: &[Checkpoint]) -> Result<Verified, JournalError> {
    let roots: BTreeMap<u64, BTreeSet<[u8; 32]>> =
        held.iter().fold(BTreeMap::new(), |mut roots, checkpoint| {
            roots.entry(checkpoint.size).or_insert_with(BTreeSet::new).insert(checkpoint.root);
            roots
        });
    let (mut tree, mut story, mut sound) = (Tree::default(), Story::default(), 0);
    let compare = |size: u64, root: [u8; 32], sound: u64, path: &Path| match roots.get(&size) {
        Some(signed) if signed.iter().any(|signed| *signed != root) => {
            let named = signed.iter().find_map(|signed| leaves::first_odd(state_dir, size, signed));
            let why = match named {
                Some(_) => "its hash is not the one that was signed".to_owned(),
                None => format!(
                    "the root over {size} entries is not the signed one; entries {sound} to {} are in doubt",
                    size.saturating_sub(1)
                ),
            };
            Err(JournalError::Untrue { entry: named.unwrap_or(sound), path: path.to_owned(), why })
        }
        Some(_) => Ok(size),
        None => Ok(sound),
    };
    sound = compare(0, tree.root()?, sound, state_dir)?;
    let walked = walk(state_dir, |at, stands, path| {
        let untrue = |why| JournalError::Untrue { entry: at, path: path.to_owned(), why };
        match stands {
            Stands::Leaf(_) => story.kept_from = at + 1,
            Stands::Line(line) => {
                let entry = canonical(line).map_err(untrue)?;
                if entry.seq.0 != at {
                    return Err(untrue(format!("it says that it is entry {}", entry.seq)));
                }
                story.tell(&entry).map_err(untrue)?;
            }
        }
        tree.push(stands.leaf())?;
        if roots.contains_key(&tree.size) {
            sound = compare(tree.size, tree.root()?, sound, path)?;
        }
        Ok(())
    })?;
    if let Some((&size, _)) = roots.last_key_value()
        && size > tree.size
    {
        let why = format!("{size} entries were signed and {} are there", tree.size);
        return Err(JournalError::Untrue { entry: tree.size, path: state_dir.join("journal"), why });
    }
    story.end().map_err(|why| JournalError::Untrue { entry: 0, path: state_dir.join("journal"), why })?;
    let walk::Walked { kept_from, torn_bytes } = walked;
    Ok(Verified { entries: tree.size, root: tree.root()?, covered: sound, kept_from, torn_bytes })
}

/// Proves that the entries of a call are in the journal of `checkpoint`: opening and closing, or the refusal.
pub fn prove(
    state_dir: &Path,
    call: CallId,
    checkpoint: &Checkpoint,
) -> Result<Vec<Inclusion>, JournalError> {
    let mut found = Vec::new();
    walk(state_dir, |at, stands, path| {
        let Stands::Line(line) = stands else { return Ok(()) };
        let untrue = |why| JournalError::Untrue { entry: at, path: path.to_owned(), why };
        let entry = canonical(line).map_err(untrue)?;
        if at < checkpoint.size && call_of(&entry.what) == Some(call) {
            found.push((at, String::from_utf8_lossy(line).into_owned()));
        }
        Ok(())
    })?;
    // First only asked which hashes it needs; then those are gathered in one pass.
    let wanted = Wanted::default();
    for (at, _) in &found {
        tlog_tiles::prove_record(checkpoint.size, *at, &wanted).map_err(|e| bad(e.to_string()))?;
    }
    let mut tree = Tree { keep: wanted.0.into_inner(), ..Tree::default() };
    walk(state_dir, |at, stands, _| if at < checkpoint.size { tree.push(stands.leaf()) } else { Ok(()) })?;
    if tree.size != checkpoint.size || tree.root()? != checkpoint.root {
        return Err(bad("the journal is not what it signs; run `remit audit verify`"));
    }
    let inclusion = |(at, line): (u64, String)| {
        let path = tlog_tiles::prove_record(checkpoint.size, at, &tree).map_err(|e| bad(e.to_string()))?;
        Ok(Inclusion { entry: EntryId(at), line, path: path.into_iter().map(|hash| hash.0).collect() })
    };
    found.into_iter().map(inclusion).collect()
}

/// Checks an inclusion proof against a checkpoint.
pub fn check(inclusion: &Inclusion, checkpoint: &Checkpoint) -> Result<(), JournalError> {
    if inclusion.entry.0 >= checkpoint.size {
        return Err(bad("the entry is younger than it"));
    }
    let path = inclusion.path.iter().map(|hash| tlog_tiles::Hash(*hash)).collect();
    let leaf = tlog_tiles::record_hash(inclusion.line.as_bytes());
    let root = tlog_tiles::Hash(checkpoint.root);
    tlog_tiles::check_record(&path, checkpoint.size, root, inclusion.entry.0, leaf)
        .map_err(|_| bad("the entry is not in its journal"))
}

/// A line MUST be the one way in which its entry can be written.
fn canonical(line: &[u8]) -> Result<Entry, String> {
    let entry: Entry = serde_json::from_slice(line).map_err(|e| format!("it is no entry ({e})"))?;
    let again = serde_json::to_vec(&entry).map_err(|e| e.to_string())?;
    if again == line { Ok(entry) } else { Err("it is not in canonical form".to_owned()) }
}

fn call_of(what: &What) -> Option<CallId> {
    match what {
        What::Opened(facts) | What::Refused(facts) => Some(facts.call),
        What::Closed(closed) => Some(closed.call),
        _ => None,
    }
}

/// The calls that are open: each closing ends one of them.
#[derive(Default)]
struct Story {
    open: HashMap<CallId, EntryId>,
    /// The first entry that is still there.
    kept_from: u64,
    /// Calls whose opening was retired and whose closing was not.
    headless: HashSet<CallId>,
    /// Entries before this one may be missing: an entry that is there says so.
    retired: u64,
}

impl Story {
    fn tell(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.what {
            What::Opened(facts) => match self.open.insert(facts.call, entry.seq) {
                None => Ok(()),
                Some(before) => Err(format!("entry {before} opened the same call")),
            },
            What::Closed(closed) => match self.open.remove(&closed.call) {
                Some(opened) if opened == closed.opened => Ok(()),
                None if closed.opened.0 < self.kept_from && self.headless.insert(closed.call) => Ok(()),
                _ => Err("it closes a call that is not open there".to_owned()),
            },
            What::Retired { before, .. } => {
                self.retired = self.retired.max(before.0);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&self) -> Result<(), String> {
        if self.kept_from <= self.retired {
            return Ok(());
        }
        Err(format!(
            "entries 0 to {} are not there, and no entry says that they were retired",
            self.kept_from - 1
        ))
    }
}

/// The tree, with no more of it in memory than its right edge and what is to be kept.
#[derive(Default)]
struct Tree {
    size: u64,
    hashes: BTreeMap<u64, tlog_tiles::Hash>,
    keep: BTreeSet<u64>,
}

impl Tree {
    fn push(&mut self, leaf: tlog_tiles::Hash) -> Result<(), JournalError> {
        let new = tlog_tiles::stored_hashes_for_record_hash(self.size, leaf, self)
            .map_err(|e| bad(e.to_string()))?;
        let first = tlog_tiles::stored_hash_index(0, self.size);
        self.hashes.extend((first..).zip(new));
        self.size += 1;
        let edge = tlog_tiles::sub_tree_index(0, self.size, Vec::new());
        self.hashes.retain(|index, _| edge.contains(index) || self.keep.contains(index));
        Ok(())
    }

    fn root(&self) -> Result<[u8; 32], JournalError> {
        tlog_tiles::tree_hash(self.size, self).map(|root| root.0).map_err(|e| bad(e.to_string()))
    }
}

impl HashReader for Tree {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, Error> {
        let read = |index| self.hashes.get(index).copied().ok_or(Error::IndexesNotInTree);
        indexes.iter().map(read).collect()
    }
}

/// Notes what it is asked for.
#[derive(Default)]
struct Wanted(RefCell<BTreeSet<u64>>);

impl HashReader for Wanted {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, Error> {
        self.0.borrow_mut().extend(indexes);
        Ok(vec![tlog_tiles::EMPTY_HASH; indexes.len()])
    }
}
