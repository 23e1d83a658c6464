//! Decided: the policy decision point.
//!
//! A policy set is text ([`PolicySource`]), read and checked once ([`Rules::load`]), and asked once for each call
//! ([`Rules::rule`]), which makes the [`Ruling`](crate::call::Ruling) that all further steps of a call rest on. Rules
//! do not change: a reload makes other rules, and a call keeps those that it began with.
//!
//! Nothing here opens a door by mishap. A set that has anything wrong with it is not loaded; a call that cannot be put
//! before the policies, and a policy that fails on a call, deny.
//!
//! MUST NOT do I/O but for reading a policy directory and asking a solver (`prove`, off the walk), and is the only room that
//! knows Cedar (<https://docs.cedarpolicy.com>).

mod cases;
mod context;
mod draft;
mod engine;
mod error;
mod explain;
mod footprint;
pub mod format;
mod granted;
mod groups;
pub mod hold;
pub mod lab;
mod load;
mod names;
pub mod prove;
mod recall;
mod request;
mod scenario;
mod scene;
mod schema;
mod shape;
mod slice;
mod source;
mod twin;
mod vocabulary;
mod weigh;

pub use engine::Rules;
pub use error::{Cause, LoadErrors, Place, Problem};
pub use explain::{Explanation, NearMiss};
pub use granted::Granted;
pub use load::Loader;
pub use recall::Recall;
pub use source::{PROOFS, PolicySource, SourceFile};
pub use vocabulary::Vocabulary;

#[cfg(test)]
mod tests;
