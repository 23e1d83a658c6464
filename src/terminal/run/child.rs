//! CMD itself: in the foreground, with our streams, our signals and its own exit status.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::SignalKind;

use super::environment::Environment;
use crate::terminal::failure::Failure;
use crate::terminal::serve::listen;

/// Runs CMD to its end.
pub(super) async fn run(command: &[OsString], environment: &Environment) -> Result<ExitCode, Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::usage("there is no command to run"));
    };
    let mut child = Command::new(program);
    child.args(arguments).envs(&environment.set);
    for name in environment.unset.iter().copied().chain(environment.hidden.iter().map(String::as_str)) {
        child.env_remove(name);
    }
    // Last: a secret and its placeholder may go by the same name.
    child.envs(environment.placeholders.iter().map(|(name, value)| (name, value)));
    // Before the start: a signal in between would end us and leave CMD alone.
    let mut signals = Signals::listen()?;
    let child = child.spawn().map_err(|error| cannot_run(program, &error))?;
    let status = signals.pass_on_until_end(child).await;
    status.map(exit_code).map_err(|error| Failure::found_wanting(format!("the command was lost: {error}")))
}

/// The codes that shells use.
fn cannot_run(program: &OsString, error: &io::Error) -> Failure {
    let name = program.to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::command(127, format!("`{name}` is not there"))
            .remedy("is it spelt right, and in PATH? a shell's aliases and built-ins need `-- sh -c '...'`"),
        _ => Failure::command(126, format!("`{name}` cannot be run: {error}")),
    }
}

/// CMD's own code; 128+n where signal n ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| signal.saturating_add(128)));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    async fn pass_on_until_end(&mut self, mut child: Child) -> io::Result<ExitStatus> {
        // A key such as Ctrl-C reaches the whole foreground group, CMD included: passed on, it would come twice.
        let by_key = io::stdin().is_terminal();
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        loop {
            let signal = tokio::select! {
                biased;
                status = child.wait() => return status,
                _ = self.interrupt.recv() => (!by_key).then_some(Signal::INT),
                _ = self.quit.recv() => (!by_key).then_some(Signal::QUIT),
                _ = self.terminate.recv() => Some(Signal::TERM),
                _ = self.hang_up.recv() => Some(Signal::HUP),
            };
            if let (Some(signal), Some(pid)) = (signal, pid) {
                // It fails only where CMD has just ended, which the next round sees.
                let _ = kill_process(pid, signal);
            }
        }
    }
}
