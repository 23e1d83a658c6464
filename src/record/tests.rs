mod crash;
mod disk;
pub(crate) mod fixture;
mod follow;
mod journal;
mod kill;
mod retention;
mod steps;
