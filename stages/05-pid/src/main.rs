//! A program among its own processes only.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use user::User;
use uts::Uts;

fn main() -> ExitCode {
    stage::main(
        "stage-05-pid",
        "Runs COMMAND in ROOTFS behind an init that is process 1 of a pid namespace. Works without root",
        |invocation| {
            let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
            let container: Vec<Box<dyn Primitive>> =
                vec![Box::new(User::single()), Box::new(Uts::new("container")), Box::new(PidNamespace), Box::new(root)];
            let mut process = invocation.process()?;
            process.init = true;
            Ok((Container(container), process))
        },
    )
}
