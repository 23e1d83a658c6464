//! Recorded: the append-only journal, the only truth about what happened.
//!
//! One node, one journal, one writer. An entry is one line of canonical JSON and is never rewritten; its bytes without
//! the newline are what a Merkle leaf is made of. The words (DESIGN §9): **appended** means that `write` has returned,
//! so the entry survives a SIGKILL; **durable** means that `fdatasync` has returned, so it survives a power cut.
//!
//! ```text
//! <state>/journal/lock                          held while a node writes here
//! <state>/journal/00000000000000000000.jsonl    a segment, named by the number of its first entry
//! <state>/journal/00000000000000000000.leaves   the leaf hashes of its entries; they stay when the segment is retired
//! <state>/journal/00000000000000000000.index    which lines a search must look at, once the segment is over
//! ```
//!
//! It must not interpret a call beyond its class, hold a secret, or tell anybody that something is written before it is.

pub mod entry;
mod error;
pub mod event;
pub mod facts;

pub mod checkpoint;
mod cursor;
mod disk;
mod filter;
mod hold;
mod inbox;
mod index;
pub mod journal;
mod keeper;
mod lease;
mod leaves;
pub mod merkle;
pub mod proof;
pub mod recent;
mod recover;
pub mod search;
mod segment;
pub mod sweep;
mod syncer;
pub mod tail;
pub mod verify;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use cursor::Cursor;
pub use entry::{Closed, Entry, What};
pub use error::JournalError;
pub use event::Event;
pub use facts::{CallFacts, HttpFacts, LinkFacts, QueryFact, RefusalFacts, TaskFacts};
pub use journal::{Durable, Journal, Retention, Settings};
pub use lease::LeaseFacts;
pub use search::{Filter, search};
pub use tail::{Follow, Tail};
