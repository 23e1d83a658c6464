//! The inner rungs: what `cargo test` runs with the Rust toolchain alone. See tests/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that fails says why by panicking"
)]

mod chain;
mod crash;
mod flow;
mod harness;
mod holds;
mod house;
mod laboratory;
mod leases;
mod messages;
mod observe;
mod places;
mod reload;
mod tasks;
mod templates;
