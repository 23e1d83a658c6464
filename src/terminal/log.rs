//! remit's own log lines, for whoever runs it: `REMIT_LOG` (a `tracing` filter such as `debug` or `remit=trace`),
//! by default warnings and errors. They are not the record; the journal is.

use tracing_subscriber::EnvFilter;

/// Log lines go to standard error, without colour unless it is a terminal.
pub(super) fn start() {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::WARN.into())
        .with_env_var("REMIT_LOG")
        .from_env_lossy();
    // Fails only where a subscriber is set already, as in a test that runs two verbs.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(super::screen::Paint::for_stderr().has_colour())
        .try_init();
}
