//! A program that runs in a root filesystem of its own, as far as its working directory goes.
#![forbid(unsafe_code)]

use std::{fs::Permissions, os::unix::fs::PermissionsExt, process::ExitCode};

use process::{Container, stage};
use rootfs::Rootfs;
use tempfile::TempDir;

fn main() -> ExitCode {
    // Outlives the container. It holds the tree so that nobody else can reach a set-user-id program in there.
    let mut scratch: Option<TempDir> = None;
    stage::main(
        "stage-01-rootfs",
        "Unpacks the archive ROOTFS to a temporary directory, runs COMMAND there, and removes it again. \
         The directory is no root yet: COMMAND still sees all of the host's files (02-chroot changes that)",
        |invocation| {
            let outer = tempfile::Builder::new()
                .prefix("stage-01-rootfs.")
                .permissions(Permissions::from_mode(0o700))
                .tempdir()
                .map_err(|e| format!("make a temporary directory: {e}"))?;
            let rootfs = Rootfs::new(&invocation.rootfs, &outer.path().join("root"));
            scratch = Some(outer);
            Ok((Container(vec![Box::new(rootfs)]), invocation.process()?))
        },
    )
}
