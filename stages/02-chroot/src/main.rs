//! A program with another root directory.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{Container, stage};

fn main() -> ExitCode {
    stage::main(
        "stage-02-chroot",
        "Runs COMMAND with ROOTFS as its root directory. Needs root (CAP_SYS_CHROOT). Replaced by stage 08",
        |invocation| {
            let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
            Ok((Container(vec![Box::new(root)]), invocation.process()?))
        },
    )
}
