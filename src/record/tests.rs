mod crash;
mod disk;
mod fixture;
mod follow;
mod journal;
