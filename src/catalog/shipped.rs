//! The catalog in the binary, packed by `build.rs`. Which services it has is data: the folders of `data/`.

use std::io::Read as _;
use std::ops::Range;

use flate2::read::DeflateDecoder;
use serde::Deserialize;

use super::error::{CatalogError, Fault};
use super::manifest::About;

static INDEX: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalog.json"));
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalog.bin"));

/// What all of it takes in the binary.
#[cfg(test)]
pub(super) const BYTES: usize = INDEX.len() + PACKED.len();

/// One folder: what the service is, and where its operations are.
#[derive(Debug, Deserialize)]
pub(super) struct Folder {
    pub(super) about: About,
    pub(super) place: Place,
}

/// Where the operations of a service are in the packed data.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Place {
    from: usize,
    until: usize,
    /// Unpacked, in bytes.
    operations: usize,
    overrides: usize,
    facts: usize,
}

/// The files of a folder.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) operations: String,
    pub(super) overrides: String,
    pub(super) facts: String,
}

/// All folders, in the order of their names.
pub(super) fn folders() -> Result<Vec<Folder>, CatalogError> {
    let broken = |error: serde_json::Error| {
        Fault::new(1, error.to_string(), "this binary was built badly: build it again").in_file("(shipped)")
    };
    serde_json::from_slice(INDEX).map_err(broken)
}

impl Place {
    /// Whether there is a `facts.toml`.
    pub(super) fn has_facts(self) -> bool {
        self.facts > 0
    }

    /// The files; `None` where the data is broken, which a test rules out.
    pub(super) fn unpack(self) -> Option<Files> {
        let Range { start, end } = self.from..self.until;
        let whole = self.operations + self.overrides + self.facts;
        let mut text = String::with_capacity(whole);
        let stream = DeflateDecoder::new(PACKED.get(start..end)?);
        stream.take(u64::try_from(whole).ok()?).read_to_string(&mut text).ok()?;
        let overrides_end = self.operations + self.overrides;
        let facts = text.get(overrides_end..)?.to_owned();
        let overrides = text.get(self.operations..overrides_end)?.to_owned();
        (facts.len() == self.facts).then_some(())?;
        text.truncate(self.operations);
        Some(Files { operations: text, overrides, facts })
    }
}
