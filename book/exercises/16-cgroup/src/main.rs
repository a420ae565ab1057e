//! Exercise 16: a container of at most 16 processes.
#![forbid(unsafe_code)]

use std::{fs, path::PathBuf, process::ExitCode};

use cgroup::{Controller, Hierarchies, Version};
use chroot::Chroot;
use pid::PidNamespace;
use process::{Container, Errno, Error, Host, Inside, Primitive, Result, stage};

/// A cgroup with a limit of processes.
#[derive(Debug)]
struct Few;

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
        // First how to undo it, then the directory, its limit, and a way in for the child.
        host.act(|| format!("nothing in {}", directory.display()), || Ok(()))
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // Nothing may be allocated in here, not even a path; what `prepare` has opened is there.
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-16", "Runs COMMAND in ROOTFS with at most 16 processes. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(Few), Box::new(PidNamespace), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
