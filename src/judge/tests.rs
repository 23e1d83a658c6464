//! The traps of a Cedar engine, each by name, and the shipped policies.

mod facts;
mod files;
mod ground;
mod loading;
mod ruling;
mod shipped;
mod speed;
