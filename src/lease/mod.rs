//! Credentialed: the agent never holds a key, and every key dies with its task.
//!
//! An agent is configured with a [`placeholder`], which is worth nothing. When one of its calls is let through and written down,
//! the [`Broker`] finds or mints a lease for its task, and the credential is put where the service wants to see it. A
//! [`provider`] obtains a short-lived credential for one need and takes it back; it knows one way of obtaining and nothing of
//! tasks, places or agents. A token that a service answers an agent with stays here too ([`captured`]). When the task ends, its leases are taken back from the outbox ([`revoke`]), through outages and
//! kills.
//!
//! Of a body it sees what is looked through for placeholders and keys, or signed, and keeps nothing of it. It must not decide whether a call may go on, nor speak to anybody but through a provider.

mod book;
mod broker;
mod captured;
mod entry;
mod examine;
pub mod formats;
mod grip;
mod held;
pub mod hmac;
mod inject;
mod ledger;
mod meters;
mod own;
mod place;
mod placeholder;
mod ports;
mod possession;
pub mod provider;
mod rejected;
mod resume;
mod revoke;
mod seal;
pub mod sign;
#[cfg(test)]
mod tests;

pub use book::{Kept, LeaseBook, LeaseBookError, Row};
pub use broker::Broker;
pub use captured::Refreshed;
pub use entry::Entry;
pub use examine::{Answers, Misplaced};
pub use grip::Grip;
pub use inject::{InjectError, Outgoing};
pub use meters::Meters;
pub use own::OwnSecrets;
pub use place::{Place, Spot};
pub use placeholder::Look;
pub use ports::{LeaseError, Ports, TaskEnds, Told, Witness};
pub use provider::{Material, MintError, Minted, Need, Provider, Returned};
pub use seal::Vault;
