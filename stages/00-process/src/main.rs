//! A program in a process of its own, and nothing else: it sees, and can do, all that its parent can.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use process::{Container, stage};

fn main() -> ExitCode {
    stage::main(
        "stage-00-process",
        "Runs COMMAND in a process of its own: started, gated, reported on, waited for. No isolation yet; ROOTFS is not used",
        |invocation| Ok((Container::default(), invocation.process()?)),
    )
}
