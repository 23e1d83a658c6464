//! The inner rungs: what `cargo test` runs with the Rust toolchain alone. See tests/README.md.

mod crash;
mod house;
