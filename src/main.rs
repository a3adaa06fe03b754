//! The `ftplb` program. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ftplb::cli::main()
}
