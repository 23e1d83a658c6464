//! A small client: of the admin API, and (for the demo) of an origin behind the proxy.
//!
//! HTTP/1.1, one request a connection, everything with a deadline and a bound. It must not keep connections or retry:
//! a verb asks once and ends.

mod admin;
mod exchange;
mod secure;
mod tunnel;

pub(super) use admin::Admin;
pub(super) use exchange::Answer;
pub(super) use secure::Tls;
pub(super) use tunnel::Agent;

#[cfg(test)]
pub(super) use admin::failure_of;
