//! The catalog in the binary. Which services it has is data too: `data/services.in` lists the folders.

/// The three files of one folder, as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder {
    pub(super) name: &'static str,
    pub(super) service: &'static str,
    pub(super) operations: &'static str,
    pub(super) overrides: &'static str,
}

macro_rules! folders {
    ($($name:literal),* $(,)?) => {
        &[$(Folder {
            name: $name,
            service: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/data/", $name, "/service.toml")),
            operations: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/data/", $name, "/operations.tsv")),
            overrides: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/catalog/data/", $name, "/overrides.toml")),
        }),*]
    };
}

/// All folders of `data/`.
pub(super) const FOLDERS: &[Folder] = include!("data/services.in");
