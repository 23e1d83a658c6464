//! The catalog in the binary, packed by `build.rs`. Which services it has is data: the folders of `data/`.

use std::io::Read as _;
use std::ops::Range;

use flate2::read::DeflateDecoder;
use serde::Deserialize;

use super::error::{CatalogError, Fault};
use super::manifest::About;

static INDEX: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalog.json"));
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalog.bin"));

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
}

/// All folders, in the order of their names.
pub(super) fn folders() -> Result<Vec<Folder>, CatalogError> {
    let broken = |error: serde_json::Error| {
        Fault::new(1, error.to_string(), "this binary was built badly: build it again").in_file("(shipped)")
    };
    serde_json::from_slice(INDEX).map_err(broken)
}

impl Place {
    /// `operations.tsv` and `overrides.toml`; `None` where the data is broken, which a test rules out.
    pub(super) fn unpack(self) -> Option<(String, String)> {
        let Range { start, end } = self.from..self.until;
        let mut text = String::with_capacity(self.operations + self.overrides);
        let stream = DeflateDecoder::new(PACKED.get(start..end)?);
        let whole = u64::try_from(self.operations + self.overrides).ok()?;
        stream.take(whole).read_to_string(&mut text).ok()?;
        let overrides = text.get(self.operations..)?.to_owned();
        (overrides.len() == self.overrides).then_some(())?;
        text.truncate(self.operations);
        Some((text, overrides))
    }
}
