//! The solution of exercise 08: a container with a small place to write at /scratch, from which nothing is executed.
#![forbid(unsafe_code)]

use std::{path::Path, process::ExitCode};

use ipc::Ipc;
use mount::{Mount, Mounts, Source, Target, default_table};
use network::Network;
use pid::PidNamespace;
use process::{Container, Primitive, stage, sys::MountAttr};
use user::User;

/// What is mounted besides the table that every container has.
fn scratch() -> Vec<Mount> {
    let source = Source::Filesystem(c"tmpfs", vec![(c"size", c"1m".to_owned())]);
    let attr = MountAttr::NO_SUID.and(MountAttr::NO_DEV).and(MountAttr::NO_EXEC);
    Mount::new(Path::new("/scratch"), Target::Directory, source, attr).into_iter().collect()
}

fn main() -> ExitCode {
    stage::main("solution-08", "Runs COMMAND in ROOTFS, with a place to write at /scratch", |invocation| {
        let table = [default_table(64 << 20), scratch()].concat();
        let mounts = Mounts::new(&invocation.rootfs, table).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> =
            vec![Box::new(User::single()), Box::new(PidNamespace), Box::new(Ipc), Box::new(Network), Box::new(mounts)];
        let mut process = invocation.process()?;
        process.init = true;
        Ok((Container(container), process))
    })
}
