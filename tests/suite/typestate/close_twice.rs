//! A call is closed once.
use remit::call::{Closing, Opened, Outcome};

fn twice(opened: Opened) {
    opened.close(Closing::bare(Outcome::Answered));
    opened.close(Closing::bare(Outcome::Answered));
}

fn main() {}
