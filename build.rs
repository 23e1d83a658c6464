//! Packs the shipped catalog: the text stays in `src/catalog/data`, the binary carries it compressed.
//!
//! Out come `catalog.json`, the `service.toml` of each folder with the place of its other files, and `catalog.bin`, those
//! files one stream a service (RFC 1951). `src/catalog/shipped.rs` reads them.

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};

/// From the project's folder, and from that of tests/fuzz, which builds two rooms alone.
const DATA: [&str; 2] = ["src/catalog/data", "../../src/catalog/data"];

fn main() -> Result<(), Box<dyn Error>> {
    let data = DATA.into_iter().find(|path| Path::new(path).is_dir()).unwrap_or(DATA[0]);
    println!("cargo::rerun-if-changed={data}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut folders: Vec<PathBuf> =
        fs::read_dir(data)?.map(|entry| Ok(entry?.path())).collect::<Result<_, Box<dyn Error>>>()?;
    folders.retain(|path| path.join("service.toml").is_file());
    folders.sort();
    let (mut index, mut packed) = (Vec::new(), Vec::new());
    for folder in folders {
        let about: Value = toml::from_str(&read(&folder, "service.toml")?)?;
        let operations = read(&folder, "operations.tsv")?;
        let overrides = read(&folder, "overrides.toml").unwrap_or_default();
        let facts = read(&folder, "facts.toml").unwrap_or_default();
        let from = packed.len();
        let mut stream = DeflateEncoder::new(&mut packed, Compression::best());
        stream.write_all(operations.as_bytes())?;
        stream.write_all(overrides.as_bytes())?;
        stream.write_all(facts.as_bytes())?;
        stream.finish()?;
        let place = json!({ "from": from, "until": packed.len(), "operations": operations.len(), "overrides": overrides.len(), "facts": facts.len() });
        index.push(json!({ "about": about, "place": place }));
    }
    fs::write(out.join("catalog.json"), serde_json::to_vec(&index)?)?;
    fs::write(out.join("catalog.bin"), packed)?;
    Ok(())
}

fn read(folder: &Path, name: &str) -> std::io::Result<String> {
    fs::read_to_string(folder.join(name))
}
