//! The traps of a Cedar engine, each by name, and the shipped policies.

mod explaining;
mod facts;
mod files;
mod ground;
mod holding;
mod loading;
mod reloading;
mod ruling;
mod shapes;
mod shipped;
mod slicing;
mod speed;
