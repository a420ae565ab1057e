//! A program with System V and POSIX IPC of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use ipc::Ipc;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use user::User;
use uts::Uts;

fn main() -> ExitCode {
    stage::main(
        "stage-06-ipc",
        "Runs COMMAND in ROOTFS with an IPC namespace of its own. Works without root",
        |invocation| {
            let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::single()),
                Box::new(Uts::new("container")),
                Box::new(PidNamespace),
                Box::new(Ipc),
                Box::new(root),
            ];
            let mut process = invocation.process()?;
            process.init = true;
            Ok((Container(container), process))
        },
    )
}
