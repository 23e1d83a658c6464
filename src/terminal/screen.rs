//! The terminal itself: where text goes, and whether it may have colour.

use std::io::{self, IsTerminal as _, Write};

use super::failure::Failure;

/// Data, to standard output. A reader that has gone away (`| head`) is not a failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::found_wanting(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Data as JSON, one document.
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// Anything that is not data, to standard error. Nobody is left to tell if that fails.
pub(super) fn tell(text: &str) {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "{text}");
}

/// How far something has come, on the last line of a terminal's standard error; nothing clears the line.
pub(super) fn progress(text: &str) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "\r\u{1b}[K{text}").and_then(|()| out.flush());
}

/// A failure, to standard error.
pub(super) fn complain(text: &str) {
    tell(&format!("{}: {text}", Paint::for_stderr().red("remit")));
}

/// Whether standard error is a person's terminal.
pub(super) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Colour or none (<https://no-color.org>: any non-empty `NO_COLOR` means none).
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    colour: bool,
}

impl Paint {
    pub(super) fn for_stderr() -> Self {
        Self::on(stderr_is_terminal())
    }

    pub(super) fn for_stdout() -> Self {
        Self::on(io::stdout().is_terminal())
    }

    #[cfg(test)]
    pub(super) const fn plain() -> Self {
        Self { colour: false }
    }

    pub(super) const fn has_colour(self) -> bool {
        self.colour
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn on(terminal: bool) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self { colour: terminal && !unwanted }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
