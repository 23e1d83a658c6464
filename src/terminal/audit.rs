//! `remit audit`: the record, read by whoever need not believe the node.
//!
//! Everything here works on the files of the state folder, whether or not a node runs. It writes nothing there but indexes
//! that a search misses, and does without where it may not.

mod listing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Subcommand;
use serde_json::{Value, json};

use super::failure::Failure;
use super::{find, screen};
use crate::call::CallId;
use crate::record::verify::{self, Checkpoint, Inclusion, Verified, VerifierKey};
use crate::record::{JournalError, checkpoint};

/// Check the record, search it, prove a call, follow it, export it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  remit audit verify --checkpoint kept-elsewhere.txt --key remit/journal/…+…+…\n\n\
    Exit codes: 0 done, 1 found wanting, 2 wrong usage or bad configuration."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The state folder [default: the one that the configuration names]
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "config")]
    state: Option<PathBuf>,
    /// The node's configuration [default: ./config.toml if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check that nothing was changed, removed, inserted, reordered or cut since it was signed
    #[command(after_help = "Example:\n  cp state/journal/checkpoint state/journal/log.vkey /elsewhere/\n  \
        remit audit verify --state state --checkpoint /elsewhere/checkpoint --key \"$(cat /elsewhere/log.vkey)\"\n\n\
        Without --key and --checkpoint it uses those in the state folder, which whoever can change the journal can change too.\n\n\
        Exit codes: 0 it is what was signed, 1 it is not, 2 wrong usage or bad configuration.")]
    Verify(Held),
    /// Prove that a call's entries are in the journal of a signed checkpoint
    #[command(
        after_help = "Example:\n  remit audit prove 01KB0ZX5D2Q7C3V9T4N8M6R1WE --json > proof.json\n\n\
        JSON: call, key, checkpoint (a signed note), entries: [{entry, line, proof: [base64, leaf upwards]}]; RFC 9162 §2.1.3.\n\n\
        Exit codes: 0 proved, 1 there is no such call under the checkpoint, or the journal does not hold, 2 wrong usage or bad configuration."
    )]
    Prove {
        /// The call's id: the answer's `remit-call` header
        call: CallId,
        #[command(flatten)]
        held: Held,
    },
    /// Search for calls and events
    #[command(after_help = "Example:\n  remit audit query --agent coder --class act --since 1h\n\n\
        Everything that is asked must hold. With --json the journal's lines as they stand, with the closings of the calls found.\n\
        Files of the journal that are over have an index (*.index), made by the node or by the first search that misses it;\n\
        an index only leads to entries: delete them if you do not trust whoever could change them, and search again.\n\n\
        Exit codes: 0 found, 1 nothing found, 2 wrong usage or bad configuration.")]
    Query(listing::Query),
    /// Show the latest entries
    #[command(
        after_help = "Example:\n  remit audit tail --follow\n\nExit codes: 0 done, 1 the journal cannot be read, 2 wrong usage or bad configuration."
    )]
    Tail(listing::Tail),
    /// Print the whole journal
    #[command(
        after_help = "Example:\n  remit audit export --since 2026-11-01T00:00:00Z > november.jsonl\n  remit audit export --format otlp > spans.jsonl\n\n\
        jsonl: the lines as they stand. otlp: a span for each call that is over, as OTLP/JSON, one request of up to 256 spans a\n\
        line (OpenTelemetry Protocol File Exporter); the ids are those that a running node sends.\n\n\
        Exit codes: 0 done, 1 the journal cannot be read, 2 wrong usage or bad configuration."
    )]
    Export(listing::Export),
}

/// What the auditor kept where the node's machine cannot reach it.
#[derive(Debug, Default, clap::Args)]
struct Held {
    /// A checkpoint that was kept elsewhere; may be repeated
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// The journal's public key, as in journal/log.vkey
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let state = match arguments.state {
        Some(state) => state,
        None => find::configuration(arguments.config.as_deref())?.state_dir,
    };
    if !state.join("journal").is_dir() {
        return Err(Failure::usage(format!("there is no journal in `{}`", state.display()))
            .remedy("name the node's state folder with --state, or its configuration with --config"));
    }
    let form = if arguments.json { Form::Json } else { Form::Text };
    match arguments.verb {
        Verb::Verify(held) => verify_journal(&state, &held, form),
        Verb::Prove { call, held } => prove(&state, call, &held, form),
        Verb::Query(query) => listing::query(&state, query, form),
        Verb::Tail(tail) => listing::tail(&state, &tail, form),
        Verb::Export(export) => listing::export(&state, &export),
    }
}

/// How a verb prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Text,
}

/// A checkpoint, and where it came from.
struct Note {
    path: PathBuf,
    bytes: Vec<u8>,
    says: Checkpoint,
}

/// The key and the checkpoints to hold against a journal; the state folder's own one is always among them.
struct Evidence {
    key: String,
    /// Whether the key came from outside of the state folder.
    own_key: bool,
    notes: Vec<Note>,
}

impl Held {
    fn gather(&self, state: &Path) -> Result<Evidence, Failure> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => {
                read(&state.join("journal/log.vkey")).map(|key| String::from_utf8_lossy(&key).into_owned())?
            }
        };
        let verifier = VerifierKey::parse(&key).map_err(|error| match self.key {
            Some(_) => Failure::usage(format!("--key: {error}")),
            None => wanting(&error),
        })?;
        // The own one first: the entries are read later, so a node that goes on writing does no harm.
        let own = checkpoint::path(state);
        let mut notes = Vec::new();
        for path in own.exists().then_some(&own).into_iter().chain(&self.checkpoints) {
            let bytes = read(path)?;
            let says = verifier
                .open(&bytes)
                .map_err(|error| Failure::found_wanting(format!("`{}`: {error}", path.display())))?;
            notes.push(Note { path: path.clone(), bytes, says });
        }
        if notes.is_empty() {
            return Err(Failure::found_wanting("nothing of this journal is signed: it has no checkpoint")
                .remedy(
                    "name one that was kept elsewhere with --checkpoint; a running node signs every second",
                ));
        }
        Ok(Evidence { key: key.trim().to_owned(), own_key: self.key.is_none(), notes })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", path.display())))
}

fn wanting(error: &JournalError) -> Failure {
    Failure::found_wanting(error.to_string())
}

fn verify_journal(state: &Path, held: &Held, form: Form) -> Result<ExitCode, Failure> {
    let evidence = held.gather(state)?;
    let checkpoints: Vec<Checkpoint> = evidence.notes.iter().map(|note| note.says.clone()).collect();
    let found = verify::verify(state, &checkpoints);
    if form == Form::Json {
        screen::print_json(&verdict_json(&found, &evidence))?;
    }
    let verified = found.map_err(|error| wanting(&error))?;
    if form == Form::Text {
        screen::print(&verdict(&verified, &evidence))?;
        if evidence.own_key || held.checkpoints.is_empty() {
            screen::tell(
                "the key or the checkpoint is the state folder's own; keep both elsewhere and give them with --key and --checkpoint",
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(verified: &Verified, evidence: &Evidence) -> String {
    let Verified { entries, covered, kept_from, torn_bytes, .. } = verified;
    let mut lines = vec![format!("{entries} entries, none changed")];
    let signed = |note: &Note| format!("{} entries are as signed in {}", note.says.size, note.path.display());
    lines.extend(evidence.notes.iter().map(signed));
    if *kept_from != 0 {
        lines.push(format!("entries 0 to {} are retired; their hashes are there", kept_from - 1));
    }
    if entries > covered {
        lines.push(format!("{} newer entries are not signed yet", entries - covered));
    }
    if *torn_bytes != 0 {
        lines.push(format!("{torn_bytes} bytes behind the last entry: a write under way, or a crash"));
    }
    lines.join("\n") + "\n"
}

fn verdict_json(found: &Result<Verified, JournalError>, evidence: &Evidence) -> Value {
    let checkpoints: Vec<_> =
        evidence.notes.iter().map(|note| json!({"file": note.path, "entries": note.says.size})).collect();
    match found {
        Ok(verified) => json!({
            "holds": true, "entries": verified.entries, "signed": verified.covered,
            "root": BASE64.encode(verified.root), "kept_from": verified.kept_from, "torn_bytes": verified.torn_bytes, "checkpoints": checkpoints,
        }),
        Err(error) => {
            let (entry, file) = match error {
                JournalError::Untrue { entry, path, .. } => (Some(entry), Some(path)),
                _ => (None, None),
            };
            json!({"holds": false, "entry": entry, "file": file, "why": error.to_string(), "checkpoints": checkpoints})
        }
    }
}

fn prove(state: &Path, call: CallId, held: &Held, form: Form) -> Result<ExitCode, Failure> {
    let evidence = held.gather(state)?;
    // The one that was given, else the own one.
    let Some(note) = evidence.notes.last() else {
        return Err(Failure::found_wanting("there is no checkpoint"));
    };
    let proofs = verify::prove(state, call, &note.says).map_err(|error| wanting(&error))?;
    if proofs.is_empty() {
        let size = note.says.size;
        return Err(Failure::found_wanting(format!("call `{call}` is not among the {size} signed entries"))
            .remedy("a call is signed within about a second of its end; see `remit audit query --call`"));
    }
    for proof in &proofs {
        verify::check(proof, &note.says).map_err(|error| wanting(&error))?;
    }
    match form {
        Form::Json => screen::print_json(&proof_json(call, &evidence.key, note, &proofs))?,
        Form::Text => screen::print(&proof_text(note, &proofs))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn proof_json(call: CallId, key: &str, note: &Note, proofs: &[Inclusion]) -> Value {
    let entry = |proof: &Inclusion| {
        let path: Vec<_> = proof.path.iter().map(|hash| BASE64.encode(hash)).collect();
        json!({"entry": proof.entry.0, "line": proof.line, "proof": path})
    };
    json!({
        "call": call.to_string(), "key": key, "checkpoint": String::from_utf8_lossy(&note.bytes),
        "entries": proofs.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn proof_text(note: &Note, proofs: &[Inclusion]) -> String {
    let mut lines = Vec::new();
    for Inclusion { entry, line, path } in proofs {
        lines.extend([format!("entry {entry} of {}", note.says.size), line.clone()]);
        lines.push("proof, from the leaf up".to_owned());
        lines.extend(path.iter().map(|hash| format!("  {}", BASE64.encode(hash))));
    }
    lines.push("checkpoint".to_owned());
    lines.join("\n") + "\n" + &String::from_utf8_lossy(&note.bytes)
}
