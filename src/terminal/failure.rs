//! How a verb ends when it does not end well: a cause, a remedy and an exit code.

use std::fmt;
use std::process::ExitCode;

use crate::runtime::StartError;
use crate::runtime::config::ConfigError;

/// What went wrong, for a person.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    exit: u8,
    cause: String,
    remedy: Option<String>,
}

impl Failure {
    /// Exit 1: refused, or found wanting.
    pub(super) fn found_wanting(cause: impl Into<String>) -> Self {
        Self::new(1, cause)
    }

    /// Exit 2: wrong usage or bad configuration.
    pub(super) fn usage(cause: impl Into<String>) -> Self {
        Self::new(2, cause)
    }

    /// Exit 3: the node cannot be reached.
    pub(super) fn unreachable(cause: impl Into<String>) -> Self {
        Self::new(3, cause)
    }

    /// Exit 126 and 127, as a shell has them for a command that cannot be run or is not there.
    pub(super) fn command(exit: u8, cause: impl Into<String>) -> Self {
        Self::new(exit, cause)
    }

    /// What to do about it.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }

    #[cfg(test)]
    pub(super) fn exit(&self) -> u8 {
        self.exit
    }

    fn new(exit: u8, cause: impl Into<String>) -> Self {
        Self { exit, cause: cause.into(), remedy: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n  {remedy}"),
            None => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}
