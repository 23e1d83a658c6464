//! Where policies come from: the binary, or a directory of the operator's.
//!
//! MUST NOT come to an empty set by accident: a directory that cannot be read, or has no policy in it, is an error.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::call::RulesDigest;

use super::error::{Cause, LoadErrors, Problem};

/// Directories in a policy directory, one inside another. Deeper ones are an error: a link that leads to itself.
const MAX_DEPTH: usize = 8;
/// Files in a policy directory.
const MAX_FILES: usize = 10_000;
/// Bytes of one file.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

const SCHEMA: (&str, &str) = ("remit.cedarschema", include_str!("../../policies/remit.cedarschema"));
const POLICIES: [(&str, &str); 5] = [
    ("00-guardrails.cedar", include_str!("../../policies/00-guardrails.cedar")),
    ("05-history.cedar", include_str!("../../policies/05-history.cedar")),
    ("10-read.cedar", include_str!("../../policies/10-read.cedar")),
    ("20-act.cedar", include_str!("../../policies/20-act.cedar")),
    ("30-delegate.cedar", include_str!("../../policies/30-delegate.cedar")),
];
const CASES: (&str, &str) = ("tests/defaults.toml", include_str!("../../policies/tests/defaults.toml"));
const INVARIANTS: (&str, &str) =
    ("invariants/defaults.cedar", include_str!("../../policies/invariants/defaults.cedar"));
/// Where proofs are kept within a set.
pub const PROOFS: &str = "invariants/proofs.json";
const SHIPPED_PROOFS: &str = include_str!("../../policies/invariants/proofs.json");
const GROUPS: &str = "groups.toml";

/// A file of a policy set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceFile {
    /// Its path within the set, with `/`.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// A policy set as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySource {
    pub(super) schema: SourceFile,
    pub(super) policies: Vec<SourceFile>,
    pub(super) groups: Option<SourceFile>,
    pub(super) cases: Vec<SourceFile>,
    pub(super) invariants: Vec<SourceFile>,
    pub(super) proofs: Option<SourceFile>,
}

impl PolicySource {
    /// The set in the binary, which is that of the repository's `policies/`.
    pub fn embedded() -> Self {
        let file = |(name, text): (&str, &str)| SourceFile { name: name.into(), text: text.into() };
        let policies = POLICIES.into_iter().map(file).collect();
        let (cases, invariants) = (vec![file(CASES)], vec![file(INVARIANTS)]);
        let proofs = Some(file((PROOFS, SHIPPED_PROOFS)));
        Self { schema: file(SCHEMA), policies, groups: None, cases, invariants, proofs }
    }

    /// All of `directory`: `**/*.cedar`, one `*.cedarschema` (else the one in the binary), `groups.toml`,
    /// `tests/*.toml` and `*.json`, and `invariants/*.cedar` with `proofs.json`, which are no policies. Hidden files are left out,
    /// links are followed.
    pub fn dir(directory: &Path) -> Result<Self, LoadErrors> {
        let mut found = Vec::new();
        let mut read = |path: &Path, name: String, metadata: &Metadata| {
            if found.len() >= MAX_FILES {
                return Err(Problem::in_file(&name, too_many()));
            }
            found.push(read(path, name, metadata.len())?);
            Ok(())
        };
        walk(directory, "", 0, &mut read).map_err(LoadErrors::one)?;
        Self::of_files(found, &directory.display().to_string())
    }

    /// What there is to see of `directory` without reading its files: each one's name, length, time of change and identity.
    /// Two states differ if a file was added, taken away, or written to. A directory that cannot be looked through has the
    /// state of its complaint.
    pub fn state(directory: &Path) -> [u8; 32] {
        let mut seen = Vec::new();
        let looked = walk(directory, "", 0, &mut |_, name, metadata| {
            if seen.len() >= MAX_FILES {
                return Err(Problem::in_file(&name, too_many()));
            }
            let at = (metadata.mtime(), metadata.mtime_nsec());
            seen.push(format!("{name} {} {} {at:?} {}", metadata.dev(), metadata.ino(), metadata.len()));
            Ok(())
        });
        seen.extend(looked.err().map(|problem| problem.to_string()));
        seen.sort();
        Sha256::digest(seen.join("\n")).into()
    }

    /// The same from texts: names as within a directory.
    pub fn of_files(mut files: Vec<SourceFile>, place: &str) -> Result<Self, LoadErrors> {
        files.sort();
        let (policies, cases, invariants) = (Vec::new(), Vec::new(), Vec::new());
        let mut source = Self { policies, cases, invariants, proofs: None, ..Self::embedded() };
        let mut schemas = Vec::new();
        for file in files {
            match kind(&file.name) {
                Some(Kind::Policy) => source.policies.push(file),
                Some(Kind::Schema) => schemas.push(file),
                Some(Kind::Groups) => source.groups = Some(file),
                Some(Kind::Cases) => source.cases.push(file),
                Some(Kind::Invariants) => source.invariants.push(file),
                Some(Kind::Proofs) => source.proofs = Some(file),
                None => {}
            }
        }
        if let [_, second, ..] = schemas.as_slice() {
            let cause = Cause::Schema("there is a second one".into());
            return Err(LoadErrors::one(
                Problem::in_file(&second.name, cause).remedy("keep one *.cedarschema"),
            ));
        }
        source.schema = schemas.pop().unwrap_or(source.schema);
        if source.policies.is_empty() {
            let remedy = "put *.cedar files there, or leave out policies.dir to use the set in the binary";
            return Err(LoadErrors::one(Problem::in_file(place, Cause::Empty).remedy(remedy)));
        }
        Ok(source)
    }

    /// SHA-256 over schema, groups and policies, each as name and text, each of those led by its length in bytes
    /// (u64, big-endian). Test cases and invariants decide nothing and are left out.
    pub fn digest(&self) -> RulesDigest {
        self.digest_with(&[])
    }

    /// The same with the invariants.
    pub(super) fn claimed(&self) -> RulesDigest {
        self.digest_with(&self.invariants)
    }

    fn digest_with(&self, more: &[SourceFile]) -> RulesDigest {
        let mut files: Vec<_> = self
            .policies
            .iter()
            .chain(&self.groups)
            .chain(std::iter::once(&self.schema))
            .chain(more)
            .collect();
        files.sort();
        let mut hash = Sha256::new();
        for part in files.iter().flat_map(|file| [&file.name, &file.text]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        RulesDigest(hash.finalize().into())
    }

    /// The same set with these policies in the place of its own, and without its cases, invariants and proofs.
    #[must_use]
    pub fn with_policies(&self, file: SourceFile) -> Self {
        let (policies, cases, invariants) = (vec![file], Vec::new(), Vec::new());
        Self { policies, cases, invariants, proofs: None, ..self.clone() }
    }

    /// All that decides, for people to read: policies, then groups, then the schema.
    pub fn files(&self) -> Vec<SourceFile> {
        self.policies.iter().chain(&self.groups).chain(std::iter::once(&self.schema)).cloned().collect()
    }

    /// The files of cases, for `lab`.
    pub fn cases(&self) -> &[SourceFile] {
        &self.cases
    }

    /// How many policy files there are.
    pub fn policy_files(&self) -> usize {
        self.policies.len()
    }
}

enum Kind {
    Policy,
    Schema,
    Groups,
    Cases,
    Invariants,
    Proofs,
}

fn kind(name: &str) -> Option<Kind> {
    let extension = name.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map(|(_, end)| end);
    match extension {
        Some("cedar") if name.starts_with("invariants/") => Some(Kind::Invariants),
        Some("cedar") => Some(Kind::Policy),
        Some("json") if name == PROOFS => Some(Kind::Proofs),
        Some("cedarschema") => Some(Kind::Schema),
        Some("toml") if name == GROUPS => Some(Kind::Groups),
        Some("toml" | "json") if name.starts_with("tests/") => Some(Kind::Cases),
        _ => None,
    }
}

fn too_many() -> Cause {
    Cause::Unreadable(format!("there are more than {MAX_FILES} files"))
}

/// What is done with each file of a policy set: its path, its name within the set, what the file system knows of it.
type Visit<'v> = dyn FnMut(&Path, String, &Metadata) -> Result<(), Problem> + 'v;

fn walk(directory: &Path, prefix: &str, depth: usize, visit: &mut Visit<'_>) -> Result<(), Problem> {
    let shown = directory.display().to_string();
    let unreadable = |what: &str, why: String| Problem::in_file(what, Cause::Unreadable(why));
    if depth > MAX_DEPTH {
        return Err(unreadable(&shown, format!("it lies more than {MAX_DEPTH} directories deep")));
    }
    for entry in fs::read_dir(directory).map_err(|error| unreadable(&shown, error.to_string()))? {
        let entry = entry.map_err(|error| unreadable(&shown, error.to_string()))?;
        let path = entry.path();
        let shown = path.display().to_string();
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| unreadable(&shown, "its name is not UTF-8".into()))?;
        if name.starts_with('.') {
            continue; // editors' swap files, and the directories behind a Kubernetes ConfigMap's links
        }
        let name = format!("{prefix}{name}");
        // `metadata`, unlike the entry's own, follows links.
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&shown, error.to_string()))?;
        if metadata.is_dir() {
            walk(&path, &format!("{name}/"), depth + 1, visit)?;
        } else if kind(&name).is_some() {
            visit(&path, name, &metadata)?;
        }
    }
    Ok(())
}

fn read(path: &Path, name: String, length: u64) -> Result<SourceFile, Problem> {
    let unreadable = |why: String| Problem::in_file(&path.display().to_string(), Cause::Unreadable(why));
    if length > MAX_FILE_BYTES {
        return Err(unreadable(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    Ok(SourceFile { name, text })
}
