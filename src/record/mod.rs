//! Recorded: the append-only journal.
