//! Leases: placeholders, places, and their lives.

mod captured;
mod ground;
mod lives;
mod model;
mod placing;
mod possession;
mod rejected;
