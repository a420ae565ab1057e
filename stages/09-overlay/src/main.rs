//! A program that may write to its root, and changes nothing of it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use user::User;
use uts::Uts;

fn main() -> ExitCode {
    stage::main(
        "stage-09-overlay",
        "Runs COMMAND with a writable layer over ROOTFS, which stays as it is. Works without root",
        |invocation| {
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(format!("stage-09-overlay-{}", std::process::id()));
            let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::single()),
                Box::new(Uts::new("container")),
                Box::new(PidNamespace),
                Box::new(Ipc),
                Box::new(Network),
                Box::new(Overlay::new(vec![invocation.rootfs.clone()], base)),
                Box::new(mounts),
            ];
            let mut process = invocation.process()?;
            process.init = true;
            Ok((Container(container), process))
        },
    )
}
