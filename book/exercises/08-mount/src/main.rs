//! Exercise 08: a container with a small place to write at /scratch, from which nothing is executed.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ipc::Ipc;
use mount::{Mount, Mounts, default_table};
use network::Network;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use user::User;

/// What is mounted besides the table that every container has.
fn scratch() -> Vec<Mount> {
    // A tmpfs at /scratch of one MiB (`size` is its option), without set-user-id programs, devices and execution.
    Vec::new()
}

fn main() -> ExitCode {
    stage::main("exercise-08", "Runs COMMAND in ROOTFS, with a place to write at /scratch", |invocation| {
        let table = [default_table(64 << 20), scratch()].concat();
        let mounts = Mounts::new(&invocation.rootfs, table).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> =
            vec![Box::new(User::single()), Box::new(PidNamespace), Box::new(Ipc), Box::new(Network), Box::new(mounts)];
        let mut process = invocation.process()?;
        process.init = true;
        Ok((Container(container), process))
    })
}
