//! The command line.

pub mod catalog;
pub mod policy;
