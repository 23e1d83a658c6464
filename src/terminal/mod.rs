//! The command line.

pub mod catalog;
