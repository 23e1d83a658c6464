//! Credentialed: the agent never holds a key, and every key dies with its task.
//!
//! A [`provider`] obtains a short-lived credential for one need and takes it back; it knows one way of obtaining and nothing of
//! tasks, places or agents.

pub mod formats;
pub mod provider;
pub mod sign;

pub use provider::{Material, MintError, Minted, Need, Provider, Returned};
