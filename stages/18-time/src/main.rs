//! A program for which the machine has just been started.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use time::Time;
use user::User;
use uts::Uts;

fn main() -> ExitCode {
    stage::main(
        "stage-18-time",
        "Runs COMMAND in ROOTFS with clocks that count from its own start. Works without root",
        |invocation| {
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(format!("stage-18-time-{}", std::process::id()));
            let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::single()),
                Box::new(Uts::new("container")),
                Box::new(PidNamespace),
                Box::new(Ipc),
                Box::new(Network),
                Box::new(Time::from_zero()),
                Box::new(Overlay::new(vec![invocation.rootfs.clone()], base)),
                Box::new(mounts),
            ];
            let mut process = invocation.process()?;
            process.init = true;
            Ok((Container(container), process))
        },
    )
}
