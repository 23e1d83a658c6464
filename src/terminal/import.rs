//! `remit catalog import`: a published description of an API becomes a service that the catalog knows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::failure::Failure;
use super::screen;
use crate::call::Timestamp;
use crate::catalog::Provenance;
use crate::catalog::import::{self, Doubt, Form, Imported, Wanted};

/// Doubtful operations shown of each kind; the rest are counted. `--all` shows all.
const SHOWN: usize = 5;

/// Make a service from a published description of its API
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  remit catalog import openapi.yaml --service billing --host api.billing.example --out ./catalog\n\n\
    Forms: openapi (OpenAPI 3, Swagger 2; JSON or YAML), google, aws, graphql, mcp, a2a, protobuf.\n\
    Several files are parts or versions of one service. `overrides.toml` is never overwritten.\n\n\
    Exit codes: 0 done, 1 the description cannot be read, 2 wrong usage."
)]
pub(super) struct ImportArguments {
    /// The descriptions
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The service's name in operations and policies: a-z, 0-9 and `-`
    #[arg(long, value_name = "NAME")]
    service: String,
    /// Where it answers, instead of where the description says; `*` stands for one label
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// A host besides those that the description names
    #[arg(long, value_name = "HOST")]
    also_host: Vec<String>,
    /// A host whose first label is what elsewhere is the first segment of the path (names of buckets)
    #[arg(long, value_name = "HOST")]
    label_host: Vec<String>,
    /// A path at which the protocol is spoken, such as `/graphql`
    #[arg(long, value_name = "PATH")]
    endpoint: Vec<String>,
    /// Its name for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    title: String,
    /// The form of the files [default: found out]
    #[arg(long, value_name = "FORM", value_parser = form)]
    format: Option<Form>,
    /// AWS: the published access levels
    #[arg(long, value_name = "FILE")]
    levels: Option<PathBuf>,
    /// The folder of services that gets a new one
    #[arg(long, value_name = "DIR", default_value = "catalog")]
    out: PathBuf,
    /// What the files come from
    #[arg(long, value_name = "TEXT", default_value = "")]
    source: String,
    /// Its version [default: what the description says]
    #[arg(long, value_name = "TEXT", default_value = "")]
    source_version: String,
    /// When it was read [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "")]
    date: String,
    /// Its licence
    #[arg(long, value_name = "TEXT", default_value = "not stated")]
    licence: String,
    /// Name every doubtful operation
    #[arg(long)]
    all: bool,
    /// Say nothing but what goes wrong
    #[arg(long)]
    quiet: bool,
}

fn form(text: &str) -> Result<Form, String> {
    let known = Form::ALL.map(Form::as_str).join(", ");
    Form::ALL.into_iter().find(|form| form.as_str() == text).ok_or_else(|| format!("the forms are {known}"))
}

pub(super) fn run(arguments: &ImportArguments) -> Result<ExitCode, Failure> {
    let ImportArguments { files, out, quiet, all, .. } = arguments;
    let wanted = wanted(arguments)?;
    let mut tell = |file: &std::path::Path, at: usize, found: usize| {
        if !quiet {
            screen::tell(&format!("{at}/{} {}: {found} requests", files.len(), file.display()));
        }
    };
    let failed = |error: import::ImportError| Failure::found_wanting(error.to_string());
    let imported = import::import(files, &wanted, &mut tell).map_err(failed)?;
    let written = import::write(&imported, out).map_err(failed)?;
    if !quiet {
        screen::tell(&report(&imported, if *all { usize::MAX } else { SHOWN }));
        let kept = if written.kept_overrides { "; its overrides.toml is as it was" } else { "" };
        screen::tell(&format!("written to {}{kept}", written.folder.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(arguments: &ImportArguments) -> Result<Wanted, Failure> {
    let ImportArguments { files, service, host, title, format, levels, .. } = arguments;
    let levels = match levels {
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            Failure::usage(format!("`{}` cannot be read: {error}", path.display())).remedy("check --levels")
        })?),
        None => None,
    };
    let named = files.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy());
    let or = |text: &String, other: String| if text.is_empty() { other } else { text.clone() };
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let today = Timestamp::from_unix_s(since.as_secs()).to_string().chars().take(10).collect();
    Ok(Wanted {
        service: service.clone(),
        title: title.clone(),
        hosts: host.clone(),
        more_hosts: arguments.also_host.clone(),
        label_hosts: arguments.label_host.clone(),
        endpoints: arguments.endpoint.clone(),
        form: *format,
        levels,
        provenance: Provenance {
            source: or(&arguments.source, named.collect::<Vec<_>>().join(", ")),
            version: arguments.source_version.clone(),
            date: or(&arguments.date, today),
            licence: arguments.licence.clone(),
            digest: None,
        },
    })
}

/// How many of each class, and what a person should look at, by what is doubtful.
fn report(imported: &Imported, shown: usize) -> String {
    let [read, act, delegate] = imported.counts();
    let mut text = format!("{}: {read} read, {act} act, {delegate} delegate", imported.about.name);
    let mut by_doubt: BTreeMap<&str, Vec<&Doubt>> = BTreeMap::new();
    for doubt in &imported.doubts {
        by_doubt.entry(&doubt.why).or_default().push(doubt);
    }
    if !by_doubt.is_empty() {
        text += "\nworth a look; correct a class in overrides.toml:";
    }
    for (why, doubts) in by_doubt {
        let _infallible = write!(text, "\n  {why}");
        for doubt in doubts.iter().take(shown) {
            let class = doubt.class.map_or_else(String::new, |class| format!("{class}"));
            let _infallible = write!(text, "\n    {class:<9} {}", doubt.operation);
        }
        if doubts.len() > shown {
            let _infallible = write!(text, "\n    and {} more", doubts.len() - shown);
        }
    }
    text
}
