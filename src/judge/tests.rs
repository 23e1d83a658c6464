//! The traps of a Cedar engine, each by name, and the shipped policies.

mod cases;
mod explaining;
mod facts;
mod files;
mod forms;
mod ground;
mod holding;
mod loading;
mod people;
mod proving;
mod recalling;
mod reloading;
mod ruling;
mod shapes;
mod shipped;
mod slicing;
mod templates;
