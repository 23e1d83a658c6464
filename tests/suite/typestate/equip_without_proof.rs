//! A decided call cannot be made ready to leave without the proof that its intention is written.
use remit::call::{Call, Credentialed, Decided};

fn skip_the_journal(call: Call<Decided>) -> Call<Credentialed> {
    call.equip()
}

fn main() {}
