//! The `remit` command: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    remit::terminal::main()
}
