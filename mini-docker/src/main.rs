//! The `mini-docker` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    mini_docker::cli::main()
}
