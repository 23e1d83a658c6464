//! `remit policy` and `remit catalog`: the verbs that ask no node.
//!
//! They load what a node with the same configuration would load, so what they say holds there.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use super::catalog::{self as catalog_verbs, Format, VerbError};
use super::failure::Failure;
use super::verify::VerifyArguments;
use super::{explain, find, format, import, policy, replay, suggest, verify};
use crate::catalog::Catalog;
use crate::judge::Rules;
use crate::judge::lab::Extent;
use crate::runtime::config::Config;
use crate::runtime::{policy_source, vocabulary};

/// Check policies, try them, and see what they say of calls
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit policy test --policies ./policies\n\n\
    Exit codes: 0 sound, 1 something is wrong with the policies, 2 wrong usage or bad configuration.")]
pub(super) struct PolicyArguments {
    #[command(subcommand)]
    verb: PolicyVerb,
    /// The configuration that names the policies [default: ./config.toml if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// A folder of policies instead
    #[arg(long, value_name = "DIR", global = true)]
    policies: Option<PathBuf>,
    /// The state folder whose journal is read [default: the one that the configuration names]
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum PolicyVerb {
    /// Parse and validate policies and invariants against the schema and the catalog
    #[command(after_help = "Example:\n  remit policy check --fmt-check\n\n\
        Files that have another form than `remit policy fmt` gives them are told on standard error.\n\n\
        Exit codes: 0 sound, 1 something is wrong, 2 wrong usage or bad configuration.")]
    Check {
        /// Fail if a file has another form than `remit policy fmt` gives it
        #[arg(long)]
        fmt_check: bool,
        /// Give such files their form
        #[arg(long, conflicts_with = "fmt_check")]
        write: bool,
    },
    /// Write policy files in their one form, that of Cedar's own formatter
    #[command(after_help = "Example:\n  remit policy fmt --policies ./policies\n\n\
        Exit codes: 0 done (with --check: nothing to do), 1 a file cannot be written (with --check: there is something to do), \
        2 wrong usage or bad configuration.")]
    Fmt {
        /// Write nothing, and fail if there is something to write
        #[arg(long)]
        check: bool,
    },
    /// Run the example calls beside the policies: tests/*.toml, and tests/*.json in the form of Cedar's `run-tests`
    #[command(
        after_help = "Example:\n  remit policy test\n\nExit codes: 0 all as expected, 1 not, 2 wrong usage or bad configuration."
    )]
    Test,
    /// Prove the invariants over all requests that there could be, or that another set of policies allows nothing new
    #[command(after_help = include_str!("help/policy-verify.txt"))]
    Verify(VerifyArguments),
    /// Say why a call is allowed or denied: the policies that decide, or the nearest permits and what they lack
    #[command(after_help = "Example:\n  remit policy explain 01KB0ZX5D2Q7C3V9T4N8M6R1WE\n  \
        printf 'operation = \"github:issues/create\"\\nagent = \"coder\"\\n' | remit policy explain -\n\n\
        A call of the journal is explained under the policies as they are now; if it was ruled under others, that is said.\n\n\
        Exit codes: 0 allowed, 1 denied or not found, 2 wrong usage or bad configuration.")]
    Explain {
        /// The call's id (the answer's `remit-call` header), or `-` for a request in the keys of a test case on standard input
        call: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Draft the least that agents needed, from what the journal says they were allowed
    #[command(after_help = "Example:\n  remit policy suggest > next/suggested.cedar\n\n\
        The draft is tried on the journal before it is printed. Policies in force that decided nothing are told on standard error.\n\n\
        Exit codes: 0 the draft allows all that was allowed, 1 it does not or nothing was, 2 wrong usage or bad configuration.")]
    Suggest,
    /// Print the schema: what policies can talk about, for editors and for Cedar's own tools
    #[command(after_help = "Example:\n  remit policy schema --full > remit.full.cedarschema\n\n\
        Exit codes: 0 printed, 1 the policies cannot be loaded, 2 wrong usage or bad configuration.")]
    Schema {
        /// With every operation of the catalog, not only what the policies name and what stands for the rest
        #[arg(long)]
        full: bool,
    },
    /// Judge the calls of the journal again under other policies, and list what would become of them otherwise
    #[command(after_help = "Example:\n  remit policy replay --policies ./next\n\n\
        Each line: how many calls of an agent to an operation would now be allowed, or denied. Histories are those of then.\n\n\
        Exit codes: 0 no difference, 1 differences, 2 wrong usage or bad configuration.")]
    Replay {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn policy(arguments: PolicyArguments) -> Result<ExitCode, Failure> {
    let mut config = find::configuration(arguments.config.as_deref())?;
    if arguments.policies.is_some() {
        config.policies_dir = arguments.policies;
    }
    let words = vocabulary(Arc::new(load(&config)?));
    let source = policy_source(&config);
    let state = arguments.state.unwrap_or_else(|| config.state_dir.clone());
    let rules = || {
        let source = source.as_ref().map_err(Clone::clone);
        source
            .and_then(|source| Rules::load(source, &words))
            .map_err(|errors| Failure::usage(format!("the policies cannot be loaded:\n{errors}")))
    };
    let readable = || source.as_ref().map_err(|errors| Failure::usage(errors.to_string()));
    let (mut out, mut wanting) = (io::stdout(), false);
    let finding = match arguments.verb {
        PolicyVerb::Explain { call, json } => return explain::run(&call, &state, &rules()?, &words, json),
        PolicyVerb::Suggest => {
            return suggest::run(&state, readable()?, &rules()?, &words);
        }
        PolicyVerb::Schema { full } => {
            let extent = if full { Extent::Full } else { Extent::Working };
            policy::schema(&source, &words, extent, &mut out)
        }
        PolicyVerb::Replay { json } => return replay::run(&state, &rules()?, json),
        PolicyVerb::Verify(arguments) => {
            return verify::run(&arguments, config.policies_dir.as_deref(), readable()?, &words);
        }
        PolicyVerb::Fmt { check: true } => return Ok(format::look(readable()?)),
        PolicyVerb::Fmt { check: false } => {
            return format::write(config.policies_dir.as_deref(), readable()?);
        }
        PolicyVerb::Check { fmt_check, write } => {
            if write {
                format::write(config.policies_dir.as_deref(), readable()?)?;
            } else if let Ok(source) = &source {
                let formatted = format::look(source) == ExitCode::SUCCESS;
                wanting = fmt_check && !formatted;
            }
            policy::check(&source, &words, &mut out)
        }
        PolicyVerb::Test => policy::test(&source, &words, &mut out),
    };
    match finding {
        Ok(finding) => Ok(ExitCode::from(finding.exit_code().max(u8::from(wanting)))),
        Err(error) => gone(&error),
    }
}

/// See which services and operations are known, and what the catalog says of a request
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit catalog list\n\n\
    Exit codes: 0 done, 1 no such service or operation, or a line that is no request, 2 wrong usage or bad configuration.")]
pub(super) struct CatalogArguments {
    #[command(subcommand)]
    verb: CatalogVerb,
    /// The configuration that names your own services [default: ./config.toml if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum CatalogVerb {
    /// List the services, or the operations of one
    #[command(after_help = include_str!("help/catalog-list.txt"))]
    List {
        /// A service
        service: Option<String>,
    },
    /// Show all that the catalog says of one operation
    #[command(after_help = include_str!("help/catalog-show.txt"))]
    Show {
        /// An operation, `service:operation`
        operation: String,
    },
    /// Say what requests would do: JSON Lines on standard input, JSON Lines on standard output
    #[command(after_help = include_str!("help/catalog-classify.txt"))]
    Classify,
    Import(Box<import::ImportArguments>),
}

pub(super) fn catalog(arguments: CatalogArguments) -> Result<ExitCode, Failure> {
    if let CatalogVerb::Import(arguments) = arguments.verb {
        return import::run(&arguments);
    }
    let catalog = load(&find::configuration(arguments.config.as_deref())?)?;
    let format = if arguments.json { Format::Json } else { Format::Text };
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match arguments.verb {
        CatalogVerb::List { service } => catalog_verbs::list(&catalog, service.as_deref(), format, &mut out),
        CatalogVerb::Show { operation } => catalog_verbs::show(&catalog, &operation, format, &mut out),
        CatalogVerb::Classify => catalog_verbs::classify(&catalog, io::stdin().lock(), &mut out),
        // Has been done without a catalog.
        CatalogVerb::Import(_) => Ok(()),
    };
    match done.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(VerbError::Broken(error)) => gone(&error),
        Err(error) => Err(Failure::found_wanting(error.to_string())),
    }
}

fn load(config: &Config) -> Result<Catalog, Failure> {
    Catalog::load_at(&config.catalog_dirs, &config.catalog_hosts)
        .map_err(|error| Failure::usage(format!("the catalog cannot be loaded: {error}")))
}

/// A reader that has gone away (`| head`) is not a failure.
fn gone(error: &io::Error) -> Result<ExitCode, Failure> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        _ => Err(Failure::found_wanting(format!("standard input or output broke: {error}"))),
    }
}
