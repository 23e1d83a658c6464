//! Against real servers on loopback, reached by the resolve table.

mod answers;
mod deadlines;
mod harness;
mod messages;
mod pooling;
mod refusing;
mod sending;
mod trust;
mod websocket;
