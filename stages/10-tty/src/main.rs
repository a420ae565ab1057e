//! A program on a terminal of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use tty::Terminal;
use user::User;
use uts::Uts;

fn main() -> ExitCode {
    stage::main_with(
        "stage-10-tty",
        "Runs COMMAND in ROOTFS on a pseudo-terminal of its own. Works without root",
        tty::run,
        |invocation| {
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(format!("stage-10-tty-{}", std::process::id()));
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
            process.primitives.push(Box::new(Terminal::default()));
            Ok((Container(container), process))
        },
    )
}
