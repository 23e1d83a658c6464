//! The command line: one file a verb.
//!
//! A verb turns arguments into a call on a node (its admin API) or on a room that works offline, and the answer into
//! text. Data goes to standard output, everything else to standard error. It must not decide anything about a call.

mod agent;
mod arguments;
mod audit;
mod ca;
pub mod catalog;
mod client;
mod demo;
mod explain;
mod failure;
mod find;
mod format;
mod holds;
mod import;
mod leases;
mod log;
mod offline;
mod past;
pub mod policy;
mod replay;
mod run;
mod screen;
mod scroll;
mod serve;
mod suggest;
mod table;
mod task;
mod terms;
#[cfg(test)]
mod tests;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// Keeps AI agents within their remit: a forward proxy that recognises, decides and records every call they make.
#[derive(Debug, Parser)]
#[command(
    name = "remit",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "First steps:\n  remit demo                     see it at work; nothing leaves the machine\n  remit run -- CMD ...           run your own agent behind it\n\n\
                  Exit codes: 0 done, 1 refused or found wanting, 2 wrong usage or bad configuration, 3 the node cannot be reached."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Arguments),
    Demo(demo::Arguments),
    Serve(serve::Arguments),
    Task(task::Arguments),
    Agent(agent::Arguments),
    Lease(leases::Arguments),
    Policy(offline::PolicyArguments),
    Catalog(offline::CatalogArguments),
    Holds(holds::Holds),
    Approve(holds::Approve),
    Refuse(holds::Refuse),
    Audit(audit::Arguments),
    Ca(ca::Arguments),
}

/// Runs the verb on this process's command line and says how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.verb.start() {
        Ok(code) => code,
        Err(failure) => {
            screen::complain(&failure.to_string());
            failure.exit_code()
        }
    }
}

impl Verb {
    fn start(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Agent(arguments) => block_on(agent::run(arguments)),
            Self::Approve(arguments) => block_on(holds::approve(arguments)),
            Self::Holds(arguments) => block_on(holds::holds(arguments)),
            Self::Refuse(arguments) => block_on(holds::refuse(arguments)),
            Self::Audit(arguments) => audit::run(arguments),
            Self::Ca(arguments) => ca::run(&arguments),
            Self::Catalog(arguments) => offline::catalog(arguments),
            Self::Demo(arguments) => block_on(demo::run(arguments)),
            Self::Lease(arguments) => block_on(leases::run(arguments)),
            Self::Policy(arguments) => offline::policy(arguments),
            Self::Run(arguments) => block_on(run::run(arguments)),
            Self::Serve(arguments) => block_on(serve::run(arguments)),
            Self::Task(arguments) => block_on(task::run(arguments)),
        }
    }
}

fn block_on<F: Future<Output = Result<ExitCode, Failure>>>(verb: F) -> Result<ExitCode, Failure> {
    log::start();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::found_wanting(format!("no threads to run on: {error}")))?
        .block_on(verb)
}
