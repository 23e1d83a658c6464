//! remit's own log lines, for whoever runs it: `REMIT_LOG` (a `tracing` filter such as `debug` or `remit=trace`),
//! by default warnings and errors. They are not the record; the journal is.
//!
//! At `debug` and `trace` the libraries below remit print what passes through them: header fields, credentials among
//! them. Nothing secret may stand in a log, so of theirs nothing below `info` is printed, whatever the filter says.

use tracing::Level;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// Log lines go to standard error, without colour unless it is a terminal.
pub(super) fn start() {
    let filter = EnvFilter::builder()
        .with_default_directive(Level::WARN.into())
        .with_env_var("REMIT_LOG")
        .from_env_lossy();
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(super::screen::Paint::for_stderr().has_colour())
        .with_filter(FilterFn::new(|meta| may_be_printed(meta.target(), *meta.level())));
    // Fails only where a subscriber is set already, as in a test that runs two verbs.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// remit's own lines, and what libraries have to say that is more than the course of things.
pub(super) fn may_be_printed(target: &str, level: Level) -> bool {
    let ours = target == "remit" || target.starts_with("remit::");
    ours || level <= Level::INFO
}
