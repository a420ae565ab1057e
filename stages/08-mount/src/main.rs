//! A program whose root has no outside, with /proc, /sys and /dev of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use user::User;
use uts::Uts;

fn main() -> ExitCode {
    stage::main(
        "stage-08-mount",
        "Runs COMMAND with ROOTFS as the root of a mount namespace. Works without root",
        |invocation| {
            let mounts =
                Mounts::new(&invocation.rootfs, default_table(64 << 20)).map_err(|e| format!("ROOTFS: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::single()),
                Box::new(Uts::new("container")),
                Box::new(PidNamespace),
                Box::new(Ipc),
                Box::new(Network),
                Box::new(mounts),
            ];
            let mut process = invocation.process()?;
            process.init = true;
            Ok((Container(container), process))
        },
    )
}
