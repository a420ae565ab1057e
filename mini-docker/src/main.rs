//! The `mini-docker` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    process::launch_if_asked();
    mini_docker::cli::main()
}
