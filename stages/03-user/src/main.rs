//! A program that is root in a user namespace, and its caller outside.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{Container, stage};
use user::User;

fn main() -> ExitCode {
    stage::main(
        "stage-03-user",
        "Runs COMMAND as root of a user namespace, with ROOTFS as its root directory. Works without root",
        |invocation| {
            let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
            Ok((Container(vec![Box::new(User::single()), Box::new(root)]), invocation.process()?))
        },
    )
}
