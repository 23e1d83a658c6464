//! What is wrong with a configuration, each with its line.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; none where no line is to blame (an environment variable).
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub what: String,
}

/// A configuration that cannot be used: every mistake in it, one a line.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    file: PathBuf,
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn unreadable(file: &Path, error: &io::Error) -> Self {
        let what = if error.kind() == io::ErrorKind::NotFound {
            "there is no such file; name another with `--config`".to_owned()
        } else {
            format!("cannot be read: {error}")
        };
        Self { file: file.to_owned(), problems: vec![Problem { line: None, what }] }
    }

    /// The mistakes, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some(line) = problem.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": {}", problem.what)?;
        }
        Ok(())
    }
}

/// Gathers mistakes while a document is read.
pub(super) struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: RefCell::default() }
    }

    /// A mistake at a place in the text.
    pub(super) fn at(&self, span: Option<Range<usize>>, what: String) {
        let line = span.map(|span| {
            let before = self.text.get(..span.start).unwrap_or(self.text);
            1 + before.matches('\n').count()
        });
        self.found.borrow_mut().push(Problem { line, what });
    }

    /// A mistake that no line is to blame for.
    pub(super) fn anywhere(&self, what: String) {
        self.at(None, what);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    pub(super) fn into_error(self, file: &Path) -> ConfigError {
        let mut problems = self.found.into_inner();
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        ConfigError { file: file.to_owned(), problems }
    }
}
