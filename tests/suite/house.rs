//! The house rules that the compiler does not check (DESIGN §3): who may import whom, which package may be named where,
//! where proofs are made, and in which order the rooms stand. The tables here are the law.

use std::fs;
use std::path::Path;

/// A room, and the rooms that it may name. Itself is understood.
const MAY_IMPORT: [(&str, &[&str]); 17] = [
    ("accept", &["body", "call"]),
    ("body", &["call"]),
    ("call", &[]),
    ("catalog", &["call"]),
    ("identity", &["call"]),
    ("intent", &["call"]),
    ("judge", &["call"]),
    ("lease", &["call"]),
    ("origin", &["body", "call"]),
    (
        "pep",
        &["accept", "body", "call", "catalog", "identity", "intent", "judge", "lease", "origin", "record"],
    ),
    ("record", &["call"]),
    (
        "runtime",
        &[
            "accept",
            "body",
            "call",
            "catalog",
            "identity",
            "intent",
            "judge",
            "lease",
            "origin",
            "pep",
            "record",
            "store",
            "telemetry",
            "web",
        ],
    ),
    ("store", &["call", "intent", "judge", "lease"]),
    ("telemetry", &["call", "record"]),
    ("terminal", &["accept", "call", "catalog", "judge", "record", "runtime"]),
    ("web", &["body", "call", "catalog", "identity", "intent", "judge", "record"]),
    ("main", &["terminal"]),
];

/// A package, and where it may be named.
const FENCES: [(&str, &[&str]); 17] = [
    ("hyper::", &["accept", "body", "origin", "web", "terminal/client"]),
    ("hyper_util::", &["accept", "body", "origin", "web", "terminal/client"]),
    ("rustls::", &["accept", "origin", "identity", "web", "runtime"]),
    ("cedar_policy::", &["judge"]),
    ("cedar_policy_core::", &["judge"]),
    ("cedar_policy_formatter::", &["judge/format"]),
    ("cedar_policy_symcc::", &["judge/prove"]),
    ("rusqlite::", &["store"]),
    ("spiffe::", &["runtime"]),
    ("opentelemetry_proto::", &["telemetry"]),
    ("tonic::", &["telemetry"]),
    ("lettre::", &["web/notify/mail"]),
    // The catalog reads descriptor sets, which are protobuf themselves.
    ("prost::", &["catalog/import", "telemetry"]),
    ("axum::", &["web", "terminal/demo"]),
    (
        "tokio::spawn",
        &[
            "accept",
            "lease/broker",
            "lease/revoke",
            "origin",
            "record",
            "telemetry",
            "web",
            "runtime",
            "terminal/demo",
        ],
    ),
    ("anyhow::", &["terminal", "main"]),
    // Words of the vocabulary stand in the admin API's document; only `web` makes it.
    ("utoipa::", &["call", "intent", "web"]),
];

/// A proof's constructor, and the one file that may call it.
const PROOFS: [(&str, &str); 4] = [
    ("Approval::assertion(", "judge/hold.rs"),
    ("Ruling::assertion(", "judge/engine.rs"),
    ("Opened::assertion(", "record/journal.rs"),
    ("Receipt::assertion(", "record/journal.rs"),
];

/// The walk, in its order, then what stands around it.
const ORDER: [&str; 16] = [
    "accept",
    "body",
    "call",
    "catalog",
    "identity",
    "intent",
    "judge",
    "lease",
    "origin",
    "pep",
    "record",
    "runtime",
    "store",
    "telemetry",
    "terminal",
    "web",
];

/// Words that name a place for everything.
const BANNED: [&str; 5] = ["utils", "common", "helpers", "misc", "manager"];

/// A file that is longer is two files. Data tables and tests are not counted.
const LONGEST: usize = 450;

struct File {
    /// Relative to `src`, with `/`.
    path: String,
    text: String,
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(File { path: relative(&path, &root), text });
            }
        }
    }
    assert!(found.len() > 50, "only {} files were found", found.len());
    found
}

fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/")
}

impl File {
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/") || self.path.contains("_tests/")
    }

    /// Lines of code, comments and docs left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(n, line)| (n + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| file.path != "lib.rs") {
        let allowed = MAY_IMPORT.iter().find(|(room, _)| *room == file.room());
        let Some((room, allowed)) = allowed else {
            wrong.push(format!("{}: the room is not in the table", file.path));
            continue;
        };
        for (n, line) in file.code() {
            for after in line.split("crate::").skip(1).chain(line.split("remit::").skip(1)) {
                let named: String =
                    after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let is_room = ORDER.contains(&named.as_str());
                // A test may build what it needs of its neighbours' words, but not of their works.
                if is_room && named != *room && !allowed.contains(&named.as_str()) {
                    wrong.push(format!("{}:{n} names {named}", file.path));
                }
            }
        }
    }
    assert_none("imports against the table", &wrong);
}

#[test]
fn packages_are_named_only_inside_their_fences() {
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| !file.is_test()) {
        for (n, line) in file.code() {
            for (package, places) in FENCES {
                let inside = places.iter().any(|place| file.path.starts_with(place));
                let named = line.find(package).is_some_and(|at| {
                    // `tokio_rustls::` does not name `rustls::`, nor does `rustls::pki_types` name a protocol.
                    let before = line[..at].chars().next_back();
                    before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
                });
                if named && !inside {
                    wrong.push(format!("{}:{n} names {package}", file.path));
                }
            }
        }
    }
    assert_none("packages outside of their fences", &wrong);
}

#[test]
fn proofs_are_made_in_one_file_each() {
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| !file.is_test()) {
        for (n, line) in file.code() {
            for (constructor, place) in PROOFS {
                if line.contains(constructor) && file.path != place {
                    wrong.push(format!("{}:{n} calls {constructor}..)", file.path));
                }
            }
        }
    }
    assert_none("forged proofs", &wrong);
}

#[test]
fn the_list_of_rooms_is_the_walk() {
    let sources = sources();
    let lib = sources.iter().find(|file| file.path == "lib.rs").unwrap();
    let mods: Vec<_> =
        lib.code().filter_map(|(_, line)| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(mods, ORDER);
}

#[test]
fn the_vocabulary_is_pure() {
    let mut wrong = Vec::new();
    // The solver is a process, off the walk; Cedar's interface to it is tokio's.
    let pure = |file: &File| matches!(file.room(), "call" | "judge") && file.path != "judge/prove/solver.rs";
    for file in sources().iter().filter(|file| pure(file) && !file.is_test()) {
        for (n, line) in file.code() {
            for package in ["hyper", "tokio::", "rustls::", "async fn", "std::net::Tcp", "SystemTime::now"] {
                if line.contains(package) {
                    wrong.push(format!("{}:{n} has {package}", file.path));
                }
            }
        }
    }
    assert_none("I/O, time or async in the pure rooms", &wrong);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut wrong = Vec::new();
    for file in sources() {
        let lines = file.text.lines().count();
        if !file.is_test() && lines > LONGEST {
            wrong.push(format!("{} has {lines} lines", file.path));
        }
        if !file.text.starts_with("//!") && !file.is_test() && file.path != "lib.rs" {
            wrong.push(format!("{} does not begin by saying what it is for", file.path));
        }
        let stem = file.path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        if BANNED.contains(&stem) {
            wrong.push(format!("{} is named for nothing", file.path));
        }
    }
    assert_none("files", &wrong);
}

#[test]
fn tests_stand_beside_the_code_and_not_in_it() {
    let inline = |file: &&File| file.text.contains("mod tests {");
    let wrong: Vec<_> = sources().iter().filter(inline).map(|file| file.path.clone()).collect();
    assert_none("tests inside of the file that they test", &wrong);
}

#[test]
fn services_are_data() {
    // INVARIANT of DESIGN §8.12: no service's name is in Rust.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog/data");
    let mut hosts = std::collections::HashSet::new();
    for entry in fs::read_dir(root).unwrap() {
        let service = entry.unwrap().path().join("service.toml");
        let Ok(text) = fs::read_to_string(service) else { continue };
        let table: toml::Table = text.parse().unwrap();
        let named = table["hosts"].as_array().unwrap().iter().map(|host| host.as_str().unwrap().to_owned());
        hosts.extend(named.map(|host| host.trim_start_matches("*.").to_owned()));
    }
    assert!(hosts.len() > 5, "only {} hosts were found", hosts.len());
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| !file.is_test() && !file.path.starts_with("terminal/demo")) {
        for (n, line) in file.code() {
            // What stands between two quotes, wherever a text begins.
            for text in line.split('"').filter(|text| hosts.contains(*text)) {
                wrong.push(format!("{}:{n} names {text}", file.path));
            }
        }
    }
    assert_none("services in Rust", &wrong);
}

/// What `audit verify` is worth rests on it.
#[test]
fn the_verifier_shares_the_format_with_the_writer_and_nothing_else() {
    let mut seen = 0;
    for file in sources().iter().filter(|file| file.path.starts_with("record/verify")) {
        if file.path.ends_with("tests.rs") {
            continue;
        }
        seen += 1;
        for line in file.text.lines().filter(|line| line.trim_start().starts_with("use ")) {
            let own = if file.path == "record/verify.rs" {
                !line.contains("super::")
                    || ["super::entry::", "super::error::"].iter().any(|one| line.contains(one))
            } else {
                !line.contains("super::super")
            };
            assert!(own && !line.contains("crate::record"), "{}: {line}", file.path);
        }
    }
    assert!(seen >= 3, "{seen} files of the verifier were found");
}
