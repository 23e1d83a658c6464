#![doc = include_str!("ARCHITECTURE.md")]

// In the order of a call's walk; the house test (`tests/suite/house.rs`) holds it so.
pub mod accept;
pub mod body;
pub mod call;
pub mod catalog;
pub mod identity;
pub mod intent;
pub mod judge;
pub mod lease;
pub mod origin;
pub mod pep;
pub mod record;

pub mod runtime;
pub mod store;
pub mod telemetry;
pub mod terminal;
pub mod web;
