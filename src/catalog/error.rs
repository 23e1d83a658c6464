//! Why a catalog cannot be loaded: always with the file, the line and what to do about it.

use std::io;

/// Why a catalog cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or folder of `catalog.dirs` cannot be read.
    #[error("`{file}` cannot be read: {source}; {remedy}")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A line breaks the format.
    #[error("{file}:{line}: {why}; {remedy}")]
    Malformed {
        /// Which file.
        file: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// `catalog.hosts` names a service that is not there.
    #[error("`catalog.hosts` has `{service}` at `{host}`, and there is no such service{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Nobody {
        /// Where.
        host: String,
        /// Which.
        service: String,
        /// What is spelt alike.
        nearest: Option<String>,
    },
    /// Two of the operator's folders describe one service.
    #[error("service `{service}` is described in `{first}` and in `{second}`; keep one of the two folders")]
    Twice {
        /// The service's name.
        service: String,
        /// Where it was seen first.
        first: String,
        /// Where it was seen again.
        second: String,
    },
}

/// A fault at a line, before it is known in which file.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) why: String,
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(line: usize, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { line, why: why.into(), remedy: remedy.into() }
    }

    /// From the TOML parser, which knows the place as a byte offset.
    pub(super) fn toml(text: &str, error: &toml::de::Error, remedy: &str) -> Self {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        Self::new(line, error.message().replace('\n', " "), remedy)
    }

    pub(super) fn in_file(self, file: &str) -> CatalogError {
        let Self { line, why, remedy } = self;
        CatalogError::Malformed { file: file.to_owned(), line, why, remedy }
    }
}
