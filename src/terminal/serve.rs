//! `remit serve`: one node until it is told to stop.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;
use super::find;
use super::screen::{self, Paint};
use crate::runtime::{Node, TraceTo};

/// Run one node until SIGTERM
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  remit serve --config config.toml\n\n\
    On SIGTERM or SIGINT it takes no more calls, lets those in flight finish (limits.drain_s) and ends; a second signal cuts them.\n\
    Changes in policies.dir and catalog.dirs count within two seconds, on SIGHUP at once: all of them, or none; then the log and\n\
    /readyz say so.\n\
    REMIT_LOG=info shows what the node does.\n\n\
    Exit codes: 0 stopped as told, 1 cut short, 2 bad configuration.")]
pub(super) struct Arguments {
    /// The configuration [default: ./config.toml if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Draw every call's span as a tree on standard error, even where that is not a terminal
    #[arg(long)]
    trace: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let config = find::configuration(arguments.config.as_deref())?;
    let drain = config.limits.drain;
    let trace = if arguments.trace || screen::stderr_is_terminal() {
        TraceTo::Tree { to: Box::new(io::stderr()), colour: Paint::for_stderr().has_colour() }
    } else {
        TraceTo::Nothing
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hang_up = listen(SignalKind::hangup())?;
    let node = Node::start(config, trace).await?;
    let facts = node.facts();
    screen::tell(&format!(
        "remit is ready: proxy {}, admin {}, state in {}",
        facts.proxy,
        facts.admin,
        facts.state_dir.display()
    ));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => node.reload().await,
        }
    }
    screen::tell(&format!("remit is draining; calls in flight have {} s", drain.as_secs()));
    tokio::select! {
        () = node.stop(drain) => Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => Err(cut_short()),
        _ = interrupt.recv() => Err(cut_short()),
    }
}

fn cut_short() -> Failure {
    Failure::found_wanting("a second signal came: calls in flight were cut")
}

/// Listens for a signal; from then on it no longer ends the process by itself.
pub(super) fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::found_wanting(format!("cannot listen for signals: {error}")))
}
