//! Followers of the journal: spans.
