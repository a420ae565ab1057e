//! The solution of exercise 16: a container of at most 16 processes.
#![forbid(unsafe_code)]

use std::{fs, os::fd::OwnedFd, path::PathBuf, process::ExitCode};

use cgroup::{Controller, Hierarchies, Version};
use chroot::Chroot;
use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::{mkdir, write},
};
use pid::PidNamespace;
use process::{Container, Errno, Error, Host, Inside, Primitive, Result, Undo, stage};

/// A cgroup with a limit of processes.
#[derive(Debug, Default)]
struct Few {
    /// Where the child writes itself down.
    procs: Option<OwnedFd>,
}

/// The directory of the root cgroup, in the tree that counts processes.
fn root() -> Result<PathBuf> {
    let failed = |e: &std::io::Error| Error::from_io("few", "find the tree of the controller pids", e);
    let found = Hierarchies::find().map_err(|e| failed(&e))?;
    let tree = found.of(Controller::Pids).ok_or_else(|| failed(&Errno::ENOENT.into()))?;
    if tree.version == Version::V2 {
        // A cgroup below has the controllers that are given to it.
        fs::write(tree.mount.join("cgroup.subtree_control"), "+pids").map_err(|e| failed(&e))?;
    }
    Ok(tree.mount.clone())
}

impl Primitive for Few {
    fn name(&self) -> &'static str {
        "few"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let directory = root()?.join(format!("exercise-16-{}", std::process::id()));
        host.undo(Undo::RemoveCgroup(directory.clone()))?;
        host.act(
            || format!("mkdir({:?})", directory.display()),
            || mkdir(&directory, Mode::from_bits_truncate(0o755)),
        )?;
        let limit = || fs::write(directory.join("pids.max"), "16").map_err(|_| Errno::last());
        host.act(|| "write(pids.max, 16)".to_owned(), limit)?;
        let procs = || open(&directory.join("cgroup.procs"), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
        self.procs = Some(host.act(|| "open(cgroup.procs)".to_owned(), procs)?);
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // 0 is who writes it.
        write(self.procs.as_ref().ok_or(Errno::EBADF)?, b"0").map(drop)
    }

    fn step(&self, _: u16) -> String {
        "write(cgroup.procs, 0)".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-16", "Runs COMMAND in ROOTFS with at most 16 processes. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(Few::default()), Box::new(PidNamespace), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
