//! A program with a host name of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{Container, Primitive, stage};
use user::User;
use uts::Uts;

fn main() -> ExitCode {
    stage::main(
        "stage-04-uts",
        "Runs COMMAND in ROOTFS, on a host called `container`. Works without root",
        |invocation| {
            let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
            let container: Vec<Box<dyn Primitive>> =
                vec![Box::new(User::single()), Box::new(Uts::new("container")), Box::new(root)];
            Ok((Container(container), invocation.process()?))
        },
    )
}
